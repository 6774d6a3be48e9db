from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from nephrite.config import Config
from nephrite.dependencies import check_lock, code_digests, facts, settings_read, trial_facts, write_lock
from nephrite.errors import ConfigError
from nephrite.signatures import STAGES, WITHOUT_EFFECT
from tests.conftest import forget_code

Load = Callable[..., Config]
ARMS = (
    "trial.training_sets.real=[real, real+geometric, real+standard, real+standard+copy_paste, "
    "real+standard+self_training]",
    "trial.segmenters=[light, fpn]",
    "trial.label_fractions=[0.5]",
)


def edit(path: Path, old: str, new: str) -> None:
    """Change a line of code, which must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    forget_code()


def jobs(config: Config) -> dict[str, object]:
    """Everything that each job of the trial depends on; arms go by training set and segmenter."""
    found: dict[str, object] = {}
    for stage, signature in STAGES.items():
        for arm in config.trial.arms if signature.unit == "arm" else ():
            name = f"{stage} {arm.training_set} {arm.segmenter}"
            found[name] = facts(config.model_copy(update={"arm": arm}), stage)
        for painter in config.trial.painters if signature.unit == "painter" else ():
            found[stage] = facts(config.model_copy(update={"painter": painter}), stage)
        if signature.unit == "trial":
            found[stage] = facts(config, stage)
    return found


def changed(before: Config, after: Config) -> set[str]:
    """Jobs that run again."""
    old, new = jobs(before), jobs(after)
    return {name for name in old if old[name] != new.get(name)}


def arms(*sets: str, stage: str = "train_segmenter", segmenters: tuple[str, ...] = ("light", "fpn")) -> set[str]:
    return {f"{stage} {name} {segmenter}" for name in sets for segmenter in segmenters}


ALL = (
    *("real", "real+geometric", "real+standard", "real+standard+copy_paste", "real+standard+self_training"),
    *("real+synthetic", "real+synthetic+geometric"),
)
STANDARD = tuple(name for name in ALL if "standard" in name)


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("prepare.lesions={tumor: null}", arms("real+standard+copy_paste") | {"prepare lesions"}),
        ("train_segmenter.copy_paste.probability=0.9", arms("real+standard+copy_paste")),
        ("train_segmenter.self_training.share=0.3", arms("real+standard+self_training")),
        ("train_segmenter.intensity.gamma=[0.8, 1.2]", arms(*STANDARD) | {"screen"}),
        ("train_segmenter.geometric.rotation=10", arms("real+geometric", "real+synthetic+geometric")),
        ("train_segmenter.spatial.rotation=10", arms(*STANDARD) | {"screen"}),
        ("train_segmenter.weights=best", arms(*ALL) | {"screen"}),
        ("evaluate.mirroring=true", {"promote", *arms(*ALL, stage="evaluate")}),
        ("train_segmenter.segmenters.fpn.encoder=resnet18", arms(*ALL, segmenters=("fpn",))),
        ("train_segmenter.segmenters.light.base_width=5", arms(*ALL, segmenters=("light",)) | {"screen"}),
        ("train_gan.pix2pix.epochs=3", {"train_gan"}),
        ("synthesize.ratio=0.5", {"synthesize"}),
        ("screen.agreement=[0.5, 1.0]", {"screen"}),
        ("evaluate.regions.tumor.tolerance=9", {"promote", *arms(*ALL, stage="evaluate")}),
        ("report.examples=2", set()),
        ("promote.floor=0.2", {"promote"}),
        ("acquire.phantom.seed=1", {"acquire"}),
        ("acquire.folder.path=/elsewhere", set()),
        ("prepare.split.salt=x", {"prepare"}),
    ],
)
def test_a_changed_setting_concerns_what_reads_it(override: str, stages: set[str], load: Load) -> None:
    if "prepare lesions" in stages:  # in synthesizers' cards; they decide what is edited, screened, and lies on top
        stages = stages - {"prepare lesions"} | {"prepare", "train_gan", "synthesize", "screen"}
    expected = stages if override.startswith("promote") else stages | {"report"}
    assert changed(load(*ARMS), load(*ARMS, override)) == expected


@pytest.mark.parametrize(
    "key", ["acquire.workers=2", "prepare.block=3", "synthesize.batch_size=5", "compute.devices=2"]
)
def test_settings_without_effect_concern_nothing(key: str, load: Load) -> None:
    assert changed(load(*ARMS), load(*ARMS, key)) == set()


def test_a_share_of_fakes_concerns_the_arms_that_see_them(load: Load) -> None:
    mixed = "trial.training_sets.synthetic=[{name: real+synthetic, synthesizer: pix2pix, way: mix, share: %s}]"
    found = changed(load(*ARMS, mixed % 0.25), load(*ARMS, mixed % 0.5))
    assert found == arms("real+synthetic") | arms("real+synthetic", stage="evaluate") | {"report"}


@pytest.mark.parametrize(
    ("module", "change", "stages"),
    [
        ("words.py", ('f"{number} {noun}s"', 'f"{number} {noun}es"'), set()),
        ("errors.py", ("class ConfigError", "class Unused:\n    pass\n\n\nclass ConfigError"), set()),
        ("mlflow_run.py", ("BATCH = 100", "BATCH = 50"), set()),
        ("verdict/statistics.py", ("MINIMUM_CELLS = 3", "MINIMUM_CELLS = 4"), {"report", "promote"}),
        ("phantom/kidneys.py", ("return", "pass\n    return"), {"acquire"}),
        ("report/figures.py", ("GRAY = ", "GREY = GRAY = "), {"report"}),
        ("store/split.py", ('"""', '"""A word more. '), set()),
    ],
)
def test_a_changed_line_concerns_what_imports_it(
    module: str, change: tuple[str, str], stages: set[str], source: Path, load: Load
) -> None:
    config = load(*ARMS)
    before = jobs(config)
    edit(source / module, *change)
    after = jobs(config)
    assert {name.partition(" ")[0] for name in before if before[name] != after[name]} == stages


def test_a_changed_loss_concerns_every_training_of_a_segmenter(source: Path, load: Load) -> None:
    config = load(*ARMS)
    before = jobs(config)
    edit(source / "models" / "losses.py", "    return ", "    pass\n    return ")
    found = {name for name, known in jobs(config).items() if known != before[name]}
    assert arms(*ALL) <= found
    assert not {"acquire", "prepare", "report"} & found


def test_a_new_kind_of_segmenter_concerns_nothing(source: Path, load: Load) -> None:
    config = load(*ARMS)
    before = jobs(config)
    (source / "segmentation" / "new.py").write_text("SETTINGS = None\n")
    edit(source / "config" / "kinds.py", "SEGMENTERS = {", 'SEGMENTERS = {\n    "new": "nephrite.segmentation.new",')
    assert jobs(config) == before


def test_a_changed_kind_concerns_the_arms_that_use_it(source: Path, load: Load) -> None:
    config = load(*ARMS)
    before = jobs(config)
    with (source / "segmentation" / "in_process" / "fpn.py").open("a") as file:
        file.write("\nCHANGED = 1\n")
    forget_code()
    found = {name for name, known in jobs(config).items() if known != before[name]}
    assert found == {"promote"} | arms(*ALL, segmenters=("fpn",)) | arms(*ALL, stage="evaluate", segmenters=("fpn",))


def test_a_stale_lock_is_refused_with_the_command_that_renews_it(source: Path, tmp_path: Path) -> None:
    lock = tmp_path / "code.lock"
    check_lock(path=lock)  # where there is none, DVC is not at work
    write_lock(lock)
    check_lock(path=lock)
    edit(source / "report" / "figures.py", "GRAY = ", "GREY = GRAY = ")
    check_lock("train_gan", lock)
    for stage in (None, "report"):
        with pytest.raises(ConfigError, match=r"code.lock: is older than the code.*; renew it: nephrite lock"):
            check_lock(stage, lock)
    lock.write_text("[]")
    with pytest.raises(ConfigError, match="is no list of digests; renew it"):
        check_lock("report", lock)


def test_the_committed_lock_is_current(root: Path) -> None:
    kept = yaml.safe_load((root / "code.lock").read_text(encoding="utf-8"))
    assert kept == code_digests(), "run 'nephrite lock'"


@pytest.mark.parametrize("stage", STAGES)
def test_every_declared_key_is_there_and_has_an_effect(stage: str, load: Load) -> None:
    config = load(*ARMS, "synthesize.labeler={segmenter: fpn, steps: 3}", "synthesize.unlabeled=0.5")
    units: dict[str, Sequence[object]] = {"arm": config.trial.arms[3:4], "painter": config.trial.painters}
    for chosen in [
        config.model_copy(update={STAGES[stage].unit: one}) for one in units.get(STAGES[stage].unit, ())
    ] or [config]:
        found = settings_read(chosen, stage)
        assert found
        assert not set(found) & set(WITHOUT_EFFECT)


def test_a_split_file_counts_by_its_content_and_not_by_its_place(load: Load, tmp_path: Path) -> None:
    first, copy = tmp_path / "split.csv", tmp_path / "copy.csv"
    first.write_text("patient,split\na,train\n")
    copy.write_text(first.read_text())
    read = [settings_read(load(f"prepare.split.file={path}"), "prepare") for path in (first, copy)]
    assert read[0]["prepare.split.file"] == read[1]["prepare.split.file"]
    first.write_text("patient,split\na,test\n")
    assert settings_read(load(f"prepare.split.file={first}"), "prepare") != read[0]
    assert "prepare.split.file" not in settings_read(load(), "prepare")


def test_a_table_of_patients_counts_by_its_content(load: Load, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    config, read = load(f"acquire.patients.table={table}"), []
    for text in ("case,patient\na,p\n", "case,patient\na,q\n"):
        table.write_text(text)
        read.append(
            (settings_read(config, "acquire"), trial_facts(config)["settings"], settings_read(config, "prepare"))
        )
    assert read[0][0] != read[1][0]
    assert read[0][1] != read[1][1]
    assert read[0][2] == read[1][2]
