"""What an output depends on: the settings that its stage declares, and the code that the stage and its kinds import.

DVC (by `nephrite resolve` and code.lock), `nephrite trial`, the fingerprints of resumable trainings and the id of a
trial all ask here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from nephrite.code_digest import code_digest
from nephrite.config import Config, GeneratorSettings, KindSettings, SegmenterSettings
from nephrite.errors import ConfigError
from nephrite.files import sha256, whole_file
from nephrite.signatures import STAGES, WITHOUT_EFFECT, Condition, Kind

LOCK_FILE = Path("code.lock")
RENEW = "renew it: nephrite lock"
Facts = dict[str, Any]


def facts(config: Config, stage: str) -> Facts:
    """Everything that the output of one call of a stage follows from, but for its inputs.

    Args:
        config: settings, with the arm or generator's run that the call works on.
        stage: one of `signatures.STAGES`.
    """
    signature = STAGES[stage]
    works_on: Facts = {}
    if signature.unit == "arm":
        works_on = {"arm": str(config.this_arm), "sees": config.this_training_set.model_dump(mode="json")}
    if signature.unit == "painter":
        works_on = {"painter": str(config.this_painter)}
    return {"stage": stage, **works_on, "settings": settings_read(config, stage), "code": code_read(config, stage)}


def settings_read(config: Config, stage: str) -> dict[str, Any]:
    """The settings that a call of a stage reads: key to value, without those that change no output."""
    content = config.model_dump(mode="json")
    reads = [read for read in STAGES[stage].reads if read.when is None or _holds(config, read.when)]
    names = _names(config, stage)
    keys = dict.fromkeys(key.format(**names) for read in reads for key in read.keys)
    return {key: _trimmed(key, _value(content, key)) for key in keys} | _files_named(config, keys)


def code_read(config: Config, stage: str) -> dict[str, str]:
    """Digests of the code that a call of a stage runs: its own, and that of the kinds that it uses."""
    kinds = [module for kind in STAGES[stage].kinds for module in _modules(config, stage, kind)]
    return {module: code_digest(module) for module in (f"nephrite.stages.{stage}", *dict.fromkeys(kinds))}


def trial_facts(config: Config) -> Facts:
    """Everything that the results of a whole trial follow from, but for its source data."""
    content = config.model_dump(mode="json", exclude={"arm", "painter", "predict"})
    sections = {name: _trimmed(name, value) for name, value in content.items() if name not in WITHOUT_EFFECT}
    kinds = {GeneratorSettings.REGISTRY[config.train_gan[name].method.kind] for name in config.trial.synthesizers}
    segmenters = {config.screen.segmenter, *config.trial.segmenters}
    kinds |= {SegmenterSettings.REGISTRY[config.train_segmenter.segmenters[name].kind] for name in segmenters}
    modules = sorted({f"nephrite.stages.{stage}" for stage in STAGES} | kinds)
    named = ["prepare.split", "acquire.patients", *(f"train_segmenter.segmenters.{name}" for name in segmenters)]
    named += [f"train_gan.{name}" for name in config.trial.synthesizers]
    return {
        "settings": sections | _files_named(config, named),
        "code": {module: code_digest(module) for module in modules},
    }


def code_digests() -> dict[str, dict[str, str]]:
    """The digest of every stage's code, and of every kind's: the content of code.lock."""
    kinds = {"generators": GeneratorSettings.REGISTRY, "segmenters": SegmenterSettings.REGISTRY}
    stages = {stage: code_digest(f"nephrite.stages.{stage}") for stage in STAGES}
    digests = {name: {kind: code_digest(module) for kind, module in known.items()} for name, known in kinds.items()}
    return {"stages": stages, **digests}


def write_lock(path: Path = LOCK_FILE) -> None:
    """Write code.lock, by which DVC sees that code has changed."""
    head = "# Digests of the code of each stage and kind, by which DVC sees a change; written by `nephrite lock`\n"
    with whole_file(path) as partial:
        partial.write_text(head + yaml.safe_dump(code_digests(), sort_keys=False), encoding="utf-8")


def check_lock(stage: str | None = None, path: Path = LOCK_FILE) -> None:
    """Refuse to go on beside a code.lock that is older than the code: DVC would take old outputs for current ones.

    Args:
        stage: whose code alone is compared; None compares all.
        path: of the lock; where there is none, DVC is not at work, and nothing is checked.

    Raises:
        ConfigError: the lock is stale or broken; names the command that renews it.
    """
    # an installed package has no lock
    if not path.is_file():
        return
    try:
        kept = yaml.safe_load(path.read_text(encoding="utf-8"))
        current = code_digests() if stage is None else code_digest(f"nephrite.stages.{stage}")
        found = kept if stage is None else kept["stages"].get(stage)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise ConfigError(path, "is no list of digests", RENEW) from None
    # compare with the code as it is now
    if found != current:
        of = f" of '{stage}'" if stage else ""
        raise ConfigError(path, f"is older than the code{of}", RENEW)


def _files_named(config: Config, keys: Collection[str]) -> dict[str, str]:
    """Digests of files that settings name, since their content counts and not their place."""
    named = {
        "prepare.split.file": ("prepare.split", config.prepare.split.file),
        "acquire.patients.table": ("acquire.patients", config.acquire.patients.table),
    }
    kinds: dict[str, KindSettings] = {
        **{f"train_segmenter.segmenters.{name}": known for name, known in config.train_segmenter.segmenters.items()},
        **{f"train_gan.{name}": known.method for name, known in config.train_gan.items()},
    }
    for key, settings in kinds.items():
        named |= {f"{key}.files.{number}": (key, path) for number, path in enumerate(settings.programs)}
    read = {name: path for name, (key, path) in named.items() if path and path.is_file() and key in keys}
    return {name: sha256(path) for name, path in read.items()}


def _holds(config: Config, condition: Condition) -> bool:
    if condition == "labels scans":
        return config.synthesize.scan_labeler is not None
    if condition == "knows no label":
        return not config.this_painter.fraction
    if condition == "paints lesion-free scans":
        return config.train_gan[config.this_painter.synthesizer].method.lesion_free_share > 0
    if condition == "screens":
        return config.screen.filter != "all"
    sees = config.this_training_set
    return {
        "moves slices": sees.augmentation == "geometric",
        "augments as nnU-Net": sees.augmentation == "standard",
        "pastes lesions": sees.pastes_lesions,
        "trains itself": sees.trains_itself,
        "sees lesion-free scans": sees.sees_lesion_free,
    }[condition]


def _names(config: Config, stage: str) -> dict[str, str]:
    """The values of the placeholders in setting keys."""
    source = {"dvc": "dvc.version"}.get(config.acquire.source, config.acquire.source)
    names = {"source": source, "primary": config.trial.primary}
    unit = STAGES[stage].unit
    if unit == "arm":
        return {**names, "segmenter": config.this_arm.segmenter}
    if unit == "painter":
        return {**names, "synthesizer": config.this_painter.synthesizer, "segmenter": _helper(config, stage) or ""}
    return names


def _helper(config: Config, stage: str) -> str | None:
    """The name of the helper segmenter that a stage trains."""
    labeler = config.synthesize.scan_labeler
    if stage == "screen" and config.screen.filter != "all":
        return config.screen.segmenter
    return labeler.segmenter if stage == "synthesize" and labeler else None


def _modules(config: Config, stage: str, kind: Kind) -> list[str]:
    """Modules of the kinds that a call of a stage uses."""
    segmenters = config.train_segmenter.segmenters
    if kind == "generator":
        return [GeneratorSettings.REGISTRY[config.train_gan[config.this_painter.synthesizer].method.kind]]
    if kind == "segmenter":
        names = [config.this_arm.segmenter]
    elif kind == "helper":
        names = [name for name in [_helper(config, stage)] if name]
    else:
        names = [*config.trial.segmenters]
    return [SegmenterSettings.REGISTRY[segmenters[name].kind] for name in names]


def _value(content: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; names chosen by the user may hold dots."""
    if key in content:
        return content[key]
    places = [place for place, letter in enumerate(key) if letter == "."]
    for place in places:
        inner = content.get(key[:place])
        if isinstance(inner, Mapping):
            return _value(inner, key[place + 1 :])
    raise KeyError(key)


def _trimmed(key: str, value: Any) -> Any:
    """A value without the settings below it that change no output."""
    if not isinstance(value, Mapping):
        return value
    inner = {name: _trimmed(f"{key}.{name}", part) for name, part in value.items()}
    return {name: part for name, part in inner.items() if f"{key}.{name}" not in WITHOUT_EFFECT}
