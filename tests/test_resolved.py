from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nephrite.config import Config, load_config
from nephrite.dependencies import facts
from nephrite.errors import ConfigError
from nephrite.resolved import SETTINGS, write_resolved
from nephrite.signatures import STAGES

Load = Callable[..., Config]


def contents(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*.yaml"))
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_every_job_has_a_file_of_what_it_depends_on(load: Load, tmp_path: Path) -> None:
    config = load("trial.cells=[0, 1]")
    count = write_resolved(config, tmp_path / "resolved")
    found = contents(tmp_path / "resolved")
    arms = [f"{stage}/{arm}.yaml" for stage in ("train_segmenter", "evaluate") for arm in config.trial.arms]
    runs = [f"{stage}/{run}.yaml" for stage in ("train_gan", "synthesize", "screen") for run in config.trial.painters]
    whole = [f"{stage}.yaml" for stage, signature in STAGES.items() if signature.unit == "trial"]
    assert set(found) == {SETTINGS, *arms, *runs, *whole}
    assert count == len(found) - 1
    chosen = config.model_copy(update={"arm": config.trial.arms[0]})
    assert yaml.safe_load(found[arms[0]]) == facts(chosen, "train_segmenter")


def test_the_whole_settings_can_be_read_again(load: Load, tmp_path: Path) -> None:
    config = load("train_gan.pix2pix.epochs=3")
    write_resolved(config, tmp_path / "resolved")
    assert load_config(tmp_path / "resolved" / SETTINGS) == config


def test_the_order_of_keys_changes_nothing(load: Load, tmp_path: Path) -> None:
    for number, sizes in enumerate(("{tiny: 1, small: 2}", "{small: 2, tiny: 1}")):
        write_resolved(load(f"synthesize.edits.sizes={sizes}"), tmp_path / str(number))
    one, other = (contents(tmp_path / str(number)) for number in range(2))
    assert {name for name in one if one[name] != other[name]} <= {SETTINGS}


def test_jobs_that_are_gone_have_no_file(load: Load, tmp_path: Path) -> None:
    write_resolved(load("trial.cells=[0, 1]"), tmp_path / "resolved")
    write_resolved(load(), tmp_path / "resolved")
    assert not [name for name in contents(tmp_path / "resolved") if name.endswith("/1.yaml")]


def test_a_painter_without_labels_is_trained_once_by_dvc(load: Load, tmp_path: Path) -> None:
    painter = "train_gan.pix2pix.method={kind: lesion_painter, lesion_free: 1.0}"
    one, other = (f"{{name: real+synthetic{end}, synthesizer: pix2pix}}" for end in ("", "+geometric"))
    sets = f"trial.training_sets={{real: [real, real+geometric], synthetic: [{one}, {other}]}}"
    write_resolved(load(painter, "screen.filter=all", sets, f"trial.without_labels=[{one}]"), tmp_path / "resolved")
    names = {name for name in contents(tmp_path / "resolved") if "/0.0/" in name}
    assert {name.partition("/")[0] for name in names} == {
        *("train_gan", "synthesize", "screen", "train_segmenter", "evaluate")
    }
    config = load(painter, "screen.filter=all", sets, f"trial.without_labels=[{one}, {other}]")
    with pytest.raises(ConfigError, match=r"trial\.without_labels: has two sets of the synthesizer 'pix2pix', which"):
        write_resolved(config, tmp_path / "again")
    assert not (tmp_path / "again").exists()
