"""All segmenters that a trial trains, asked before its first job."""

from __future__ import annotations

from nephrite.config import Config
from nephrite.segmentation.demands import check_segmenters


def check_trial(config: Config) -> None:
    """Refuse a trial whose arms, screening or labels of scans need what a segmenter cannot do.

    Raises:
        ConfigError: see `check_segmenters`.
    """
    painters, labeler = config.trial.painters, config.synthesize.scan_labeler
    others = [config.screen.segmenter] if painters and config.screen.filter != "all" else []
    others += [labeler.segmenter] if painters and labeler else []
    check_segmenters(config, arms=config.trial.arms, others=others)
