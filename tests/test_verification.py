"""A finished trial is whole and unchanged, or a line says what is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import StoreError
from nephrite.evidence import sealed
from nephrite.files import digest, read_json, sha256, write_json
from nephrite.layout import Layout
from nephrite.store.brought.sets import set_folder
from nephrite.store.slices import Patient, Provenance, finish_synthetic, read_manifest
from nephrite.verification import verify
from tests.conftest import SPLITS, finish, hash_again, write_pair

ARM = "real/light/1.0/0"


def changed(folder: Path) -> list[str]:
    """The lines of outputs that are not as they were written."""
    return [output.line for output in verify(folder) if output.problems]


def reverse(path: Path) -> None:
    array = np.load(path)
    np.save(path, array[:, ::-1])


def cut_half(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(bytes(content))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def better(path: Path) -> None:
    path.write_text(path.read_text().replace('"dice": 0.', '"dice": 0.9', 1))


def replace(old: str, new: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(path.read_text().replace(old, new))


def five(path: Path) -> None:
    content = read_json(path)
    content["patients"][0]["regions"]["tumor"]["dice"] = 5.0
    path.write_text(json.dumps(content))


def test_a_finished_trial_is_whole_and_unchanged(layout: Layout) -> None:
    outputs = verify(layout.root)
    assert [output.line for output in outputs if output.problems] == []
    kinds = [output.kind for output in outputs]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "pairs": 1,
        "synthesizer": 1,
        "synthetic": 1,
        "segmenter": 4,
        "scores": 4,
        "report": 1,
        "decision": 1,
    }
    assert outputs[0].line.endswith("data/prepared (pairs, 23 files): 7 patients, 42 slices")


@pytest.mark.parametrize(
    ("place", "damage", "stage"),
    [
        ("data/prepared/index.csv", cut_half, "prepare"),
        ("data/prepared/patients/c1/image.npy", reverse, "prepare"),
        ("data/prepared/patients/c1/label.npy", reverse, "prepare"),
        ("data/prepared/patients/b1/meta.json", cut_short, "prepare"),
        ("data/prepared/split.json", replace("test", "train"), "prepare"),
        ("data/prepared/store.json", replace("tumor", "lump"), "prepare"),
        ("data/synthetic/pix2pix/1.0/0/patients/synthetic-a1/label.npy", reverse, "synthesize"),
        ("models/synthesizers/pix2pix/1.0/0/generator.safetensors", flip_bit, "train_gan"),
        ("models/synthesizers/pix2pix/1.0/0/synthesizer.json", replace("a1", "a9"), "train_gan"),
        (f"models/segmenters/{ARM}/weights.safetensors", flip_bit, "train_segmenter"),
        (f"models/segmenters/{ARM}/weights.safetensors", cut_short, "train_segmenter"),
        (f"models/segmenters/{ARM}/history.json", Path.unlink, "train_segmenter"),
        (f"models/segmenters/{ARM}/segmenter.json", replace("0.4", "0.9"), "train_segmenter"),
        (f"scores/{ARM}.json", better, "evaluate"),
        (f"scores/{ARM}.json", five, "evaluate"),
        (f"scores/{ARM}.json", cut_short, "evaluate"),
        ("reports/trial.json", replace("0.4", "0.9"), "report"),
        ("reports/report.html", cut_half, "report"),
        ("reports/figures/patients.png", Path.unlink, "report"),
        ("reports/evidence.json", replace("0", "1"), "report"),
        ("promotion/decision.json", replace("0.5", "0.6"), "promote"),
    ],
)  # fmt: skip
def test_any_change_is_one_line_with_the_file_and_the_stage_to_run(
    layout: Layout, place: str, damage: Callable[[Path], object], stage: str
) -> None:
    damage(layout.root / place)
    lines = changed(layout.root)
    assert any(line.startswith(f"CHANGED {layout.root / place}") and f"'{stage}'" in line for line in lines), lines
    assert not any("\n" in line for line in lines)


@pytest.mark.parametrize(
    ("place", "stage"),
    [
        ("data/prepared", "prepare"),
        (f"scores/{ARM}.json", "evaluate"),
        (f"models/segmenters/{ARM}", "train_segmenter"),
        ("data/synthetic/pix2pix/1.0/0", "screen"),
        ("reports", "report"),
    ],
)
def test_what_a_finished_trial_lacks_is_named(layout: Layout, place: str, stage: str) -> None:
    path = layout.root / place
    path.unlink() if path.is_file() else shutil.rmtree(path)
    assert [line for line in changed(layout.root) if line.startswith(f"CHANGED {path}: is missing; run '{stage}'")]


def test_outputs_of_other_data_do_not_belong_together(layout: Layout) -> None:
    finish(layout.pairs, "real", SPLITS | {"a1": "test"})
    lines = changed(layout.root)
    assert sum("was made from 'pairs' of digest" in line for line in lines) == 1 + 4 + 4 + 1
    assert all("lies here no more; run '" in line for line in lines)


def test_scores_of_an_edited_segmenter_do_not_belong_to_it(layout: Layout) -> None:
    card = layout.segmenters / ARM / "segmenter.json"
    write_json(card, sealed(read_json(card) | {"validation_score": 0.9}))
    lines = changed(layout.root)
    assert [line for line in lines if f"scores/{ARM}.json: was made from 'segmenter'" in line]
    assert [line for line in lines if f"reports: was made from 'segmenters/{ARM}'" in line]


@pytest.mark.parametrize(
    ("place", "kinds"),
    [
        ("data/prepared", ["pairs"]),
        ("data/synthetic/pix2pix/1.0/0", ["synthetic"]),
        ("models/synthesizers/pix2pix/1.0/0", ["synthesizer"]),
        (f"models/segmenters/{ARM}", ["segmenter"]),
        ("models/segmenters", ["segmenter"] * 4),
        ("scores", ["scores"] * 4),
        (f"scores/{ARM}.json", ["scores"]),
        ("reports", ["report"]),
        ("promotion", ["decision"]),
        ("promotion/decision.json", ["decision"]),
    ],
)
def test_the_output_of_one_stage_is_verified_alone(layout: Layout, place: str, kinds: list[str]) -> None:
    outputs = verify(layout.root / place)
    assert [output.kind for output in outputs] == kinds
    assert not [output for output in outputs if output.problems]


def test_a_store_of_an_older_version_says_that_digests_are_absent(layout: Layout) -> None:
    make_older(layout.pairs)
    (output,) = verify(layout.pairs)
    assert output.line.startswith(f"ok      {layout.pairs} (pairs, ")
    assert "an older version wrote it: it holds no digests" in output.line


def make_older(pairs: Path) -> None:
    """The manifest as it was before there were digests of files."""
    content = read_json(pairs / "store.json")
    splits = read_json(pairs / "split.json")["patients"]
    patients = [read_json(pairs / "patients" / name / "meta.json") for name in sorted(splits)]
    known = {"patients": patients, "splits": splits, "channels": content["channels"], "size": content["size"]}
    older = {key: value for key, value in content.items() if key not in ("files", "inputs")}
    write_json(pairs / "store.json", older | {"digest": digest(known)})


@pytest.mark.parametrize(
    ("place", "damage"),
    [("index.csv", cut_half), ("split.json", replace("test", "train"))],
)
def test_what_an_older_store_can_tell_is_still_told(
    layout: Layout, place: str, damage: Callable[[Path], object]
) -> None:
    make_older(layout.pairs)
    damage(layout.pairs / place)
    (line,) = changed(layout.pairs)
    assert "run 'prepare' again" in line


def test_an_older_report_says_that_digests_are_absent(layout: Layout) -> None:
    (layout.report / "evidence.json").unlink()
    (output,) = verify(layout.report)
    assert not output.problems
    assert "holds no digests" in output.line


def test_raw_volumes_are_compared_with_what_prepare_read(layout: Layout) -> None:
    layout.raw.mkdir()
    (layout.raw / "scan.nii.gz").write_bytes(b"voxels")
    meta = layout.pairs / "patients" / "a1" / "meta.json"
    write_json(meta, read_json(meta) | {"sources": {"scan.nii.gz": sha256(layout.raw / "scan.nii.gz")}})
    hash_again(layout.pairs)
    assert not [line for line in changed(layout.root) if "data/raw" in line]
    (layout.raw / "scan.nii.gz").write_bytes(b"others")
    (line,) = (line for line in changed(layout.root) if "data/raw" in line)
    assert line.endswith("data/raw: files of 'a1' are not those that 'prepare' read; run 'acquire' and 'prepare' again")


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_outputs_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"(is missing|holds no finished output); name the folder of a trial"):
        verify(tmp_path / name)


def test_sets_of_other_programs_are_looked_at_too(layout: Layout) -> None:
    pairs = layout.pairs
    root, known = set_folder(pairs, "maisi"), Provenance(None, tuple(range(6)), (None,) * 6, "brought", ())
    fake = Patient("synthetic-maisi.0", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), provenance=known)
    write_pair(root, fake, 3)
    like = read_manifest(pairs)
    finish_synthetic(root, [fake.patient], like, version="test", inputs={"pairs": like.digest})
    assert root in [output.place for output in verify(layout.root)]
    assert changed(layout.root) == []
    flip_bit(root / "patients" / fake.patient / "image.npy")
    (line,) = changed(layout.root)
    assert "synthetic-maisi.0/image.npy" in line
