from __future__ import annotations

from nephrite.seeds import derive_seed


def test_seed_follows_from_all_parts_and_their_order() -> None:
    assert derive_seed(7, "order", 1) == derive_seed(7, "order", 1)
    assert len({derive_seed(7, "order", 1), derive_seed(7, 1, "order"), derive_seed(7, "order", 2)}) == 3
    assert all(0 <= derive_seed(number) < 2**63 for number in range(100))
