"""What every job of a trial depends on, as files: `nephrite resolve` writes them, and DVC compares them.

resolved/settings.yaml                 the whole settings, defaults filled in
resolved/STAGE.yaml                    settings and digests of code that a stage of the whole trial depends on
resolved/STAGE/ARM.yaml                the same of one arm, or of one generator's run
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nephrite.config import Arm, Config, GeneratorRun, as_yaml
from nephrite.dependencies import facts
from nephrite.errors import ConfigError
from nephrite.files import whole_folder
from nephrite.signatures import STAGES

SETTINGS = "settings.yaml"


def write_resolved(config: Config, folder: Path) -> int:
    """Write a file for every job of the trial into `folder`, whole or not at all; gives their number.

    Raises:
        ConfigError: two sets of one painter without any label, which dvc.yaml would train twice.
    """
    painters = [fakes.synthesizer for fakes in config.trial.without_labels]
    if twice := sorted({name for name in painters if painters.count(name) > 1}):
        finding = f"has two sets of the synthesizer '{twice[0]}', which dvc.yaml would train twice"
        raise ConfigError("trial.without_labels", finding, "keep one of them, or run 'nephrite trial'")
    jobs = [(stage, unit) for stage in STAGES for unit in _units(config, stage)]
    with whole_folder(folder, "resolved") as root:
        (root / SETTINGS).write_text(as_yaml(config) + "\n", encoding="utf-8")
        for stage, unit in jobs:
            chosen = config.model_copy(update={STAGES[stage].unit: unit}) if unit else config
            _write(root / f"{stage}{f'/{unit}' if unit else ''}.yaml", facts(chosen, stage))
    return len(jobs)


def _units(config: Config, stage: str) -> list[Arm] | list[GeneratorRun] | list[None]:
    """What the stage works on, one call for each."""
    unit = STAGES[stage].unit
    if unit == "trial":
        return [None]
    return config.trial.arms if unit == "arm" else config.trial.painters


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Sorted, so that the order of keys in a params file changes nothing.
    path.write_text(yaml.safe_dump(content, sort_keys=True, width=120), encoding="utf-8")
