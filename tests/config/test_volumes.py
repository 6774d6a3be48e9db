from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError

Load = Callable[..., Config]
SEEING = {
    "segresnet_3d": "{kind: segresnet_3d}",
    "nnunet": "{kind: nnunet, configuration: 3d_fullres, patch: null}",
    "command": "{kind: command, command: [mine], dimensions: 3}",
}
BLIND = {
    "nnunet": "{kind: nnunet}",
    "command": "{kind: command, command: [mine]}",
    "monai": "{kind: monai, network: SegResNet}",
}
NOMINAL = "prepare.spacing=nominal"
APART = ("prepare.lesions={tumor: kidney}", "evaluate.lesions={tumor: {dimensions: 2}}")


def with_segmenter(load: Load, text: str, *overrides: str) -> Config:
    return load(f"train_segmenter.segmenters.heavy={text}", "trial.segmenters=[light, heavy]", *overrides)


@pytest.mark.parametrize("kind", SEEING)
def test_volumes_need_neighbors_at_a_known_distance(kind: str, load: Load) -> None:
    with_segmenter(load, SEEING[kind])
    with pytest.raises(ConfigError, match=f"of kind '{kind}' learns from volumes, and 'prepare.spacing' is nominal"):
        with_segmenter(load, SEEING[kind], NOMINAL)
    with pytest.raises(ConfigError, match=r"'evaluate.lesions.tumor.dimensions' is 2: slices are not contiguous"):
        with_segmenter(load, SEEING[kind], *APART)


@pytest.mark.parametrize("kind", BLIND)
def test_segmenters_of_slices_do_not(kind: str, load: Load) -> None:
    with_segmenter(load, BLIND[kind], NOMINAL, *APART)


def test_one_that_the_trial_does_not_train_is_no_matter(load: Load) -> None:
    with_segmenter(load, SEEING["nnunet"], "trial.segmenters=[light]", NOMINAL)


def test_one_that_labels_scans_is_asked_as_well(load: Load) -> None:
    labeler = ("synthesize.labeler={segmenter: heavy}", "synthesize.unlabeled=0.5", "trial.segmenters=[light]")
    with pytest.raises(ConfigError, match="'heavy' of kind 'nnunet' learns from volumes"):
        with_segmenter(load, SEEING["nnunet"], *labeler, NOMINAL)
