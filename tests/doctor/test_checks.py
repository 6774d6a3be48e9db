from __future__ import annotations

import time

from nephrite.doctor.checks import Check, failed, limited
from nephrite.errors import RemoteError

FINE = Check("disk", "fine", "much is free")


def fail_on_purpose() -> Check:
    raise RemoteError("s3://bucket", "refuses the key", "check it")


def fail() -> Check:
    raise PermissionError("no")


def wait() -> Check:
    time.sleep(5)
    return FINE


def test_a_check_is_passed_on_and_errors_are_failed_checks() -> None:
    assert limited("disk", lambda: FINE, 5) is FINE
    assert limited("remote", fail_on_purpose, 5) == Check("remote", "fails", "s3://bucket: refuses the key", "check it")
    assert limited("remote", fail, 5).finding == "cannot be looked at (PermissionError: no)"


def test_a_check_that_hangs_is_left_behind() -> None:
    started = time.monotonic()
    late = limited("remote", wait, 0.05)
    assert time.monotonic() - started < 2
    assert (late.state, late.finding) == ("fails", "did not answer within 0.05 seconds")


def test_a_line_ends_with_what_mends_it() -> None:
    assert FINE.line == "fine   disk: much is free"
    assert Check("disk", "fails", "is full", "free some").line == "fails  disk: is full; free some"
    assert failed([FINE, Check("disk", "note", "is small"), Check("disk", "fails", "is full")]) == 1
