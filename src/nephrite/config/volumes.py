"""Which segmenters may see volumes: those of a trial whose slices are neighbors, at a distance that is known."""

from __future__ import annotations

from collections.abc import Iterator

from nephrite.config.evaluation import EvaluateSettings
from nephrite.config.prepare import PrepareSettings
from nephrite.config.segmenters import TrainSegmenterSettings
from nephrite.config.synthesize import SynthesizeSettings
from nephrite.config.trial import TrialSettings


def volumes_that_are_none(
    trial: TrialSettings,
    prepare: PrepareSettings,
    evaluate: EvaluateSettings,
    synthesize: SynthesizeSettings,
    train_segmenter: TrainSegmenterSettings,
) -> Iterator[str]:
    """Segmenters that learn from volumes where the settings say that there are none."""
    labeler, known = synthesize.scan_labeler, train_segmenter.segmenters
    names = [*trial.segmenters, *([labeler.segmenter] if labeler else [])]
    seeing = [name for name in dict.fromkeys(names) if name in known and known[name].sees_volumes]
    if not seeing:
        return
    place = f"segmenter '{seeing[0]}' of kind '{known[seeing[0]].kind}' learns from volumes, and"
    if prepare.spacing == "nominal":
        yield f"{place} 'prepare.spacing' is nominal: how far apart slices are is made up; take a segmenter of slices"
    apart = [name for name, rule in evaluate.lesions.items() if rule.dimensions == 2]
    if apart:
        yield (
            f"{place} 'evaluate.lesions.{apart[0]}.dimensions' is 2: slices are not contiguous; take another segmenter"
        )
