"""What arms and stages need of a segmenter; a segmenter that lacks it is refused before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nephrite.config import NULL, OF_PROBABILITIES, Arm, Config, Intake
from nephrite.errors import ConfigError
from nephrite.imaging.channels import check_intensity
from nephrite.segmentation.backend import SliceShape, backend_of
from nephrite.store.slices import Manifest


def check_trial(config: Config) -> None:
    """Refuse a trial whose arms, screening or labels of scans need what a segmenter cannot do.

    Raises:
        ConfigError: see `check_segmenters`; a question needs probabilities, and a segmenter gives none; or a segmenter
            is not seeded, and no A/A arm shows what chance does to it.
    """
    _check_measures(config)
    _check_null(config)
    _check_channels(config)
    painters, labeler = config.trial.painters, config.synthesize.scan_labeler
    others = [config.screen.segmenter] if painters and config.screen.filter != "all" else []
    others += [labeler.segmenter] if painters and labeler else []
    check_segmenters(config, shape_asked(config), arms=config.trial.arms, others=others)
    if windows := config.evaluate.windows:  # which may be smaller than what is learned from
        _check_networks(config, shape_asked(config)._replace(size=windows.size), config.trial.segmenters)
    for arm in config.trial.arms:
        painter = config.trial.painter(arm)
        if painter and config.train_gan[painter.synthesizer].method.lesion_free_share:
            _demand(config, arm, "ignored", "labels that are to be ignored")


def check_all_here(config: Config) -> None:
    """Refuse a trial on this machine where a segmenter is not on it.

    Raises:
        ConfigError: names the segmenter, and what is missing.
    """
    for name in config.trial.segmenters:
        with _named(name):
            backend_of(config.train_segmenter.segmenters[name]).check_here()


def _check_measures(config: Config) -> None:
    """Refuse questions about probabilities where a segmenter says yes or no."""
    trial, known = config.trial, config.train_segmenter.segmenters
    mute = [name for name in trial.segmenters if not known[name].gives_probabilities]
    asked = [("trial.metric", trial.metric), *(("trial.questions", one.metric) for one in trial.questions)]
    for key, metric in asked:
        if mute and metric in OF_PROBABILITIES:
            finding = f"asks for '{metric}', which needs probabilities, and segmenter '{mute[0]}' gives none"
            raise ConfigError(key, finding, "ask for another measure ('sensitivity' stays), or let it give them")


def _check_channels(config: Config) -> None:
    """Refuse several channels where a part of the trial would see the first one alone."""
    names = config.acquire.channels
    if len(names) < 2:
        return
    place = "acquire.channels"
    one = "name one channel, or leave the others out"
    if config.trial.synthesizers:
        raise ConfigError(place, f"names {len(names)}, and synthesizers learn from one and paint one", one)
    check_intensity(Path(place), names, config.prepare.intensity)
    for arm in config.trial.arms:
        chosen = config.trial.training_set(arm)
        if chosen.trains_itself or chosen.sees_lesion_free or chosen.pastes_lesions or chosen.pastes_onto_free:
            raise ConfigError(place, f"names {len(names)}, and '{arm.training_set}' changes slices of one", one)
    for arm in config.trial.arms:
        _demand(config, arm, "channels", "several channels")


def _check_null(config: Config) -> None:
    """Refuse a segmenter that is not seeded where no A/A arm shows how far chance alone moves it."""
    trial, known = config.trial, config.train_segmenter.segmenters
    loose = [name for name in trial.segmenters if not known[name].is_seeded]
    if loose and not trial.training_sets.copies:
        finding = f"has no A/A arm, and segmenter '{loose[0]}' is not seeded: chance alone moves its scores"
        remedy = f"add '{trial.reference}{NULL}' to the list 'real'"
        raise ConfigError("trial.training_sets", finding, remedy)


def shape_of(made: Manifest) -> SliceShape:
    """Slices of a store."""
    return SliceShape(made.size, len(made.channels))


def shape_asked(config: Config) -> SliceShape:
    """Slices as 'prepare' will make them."""
    return SliceShape(config.prepare.in_plane.size, len(config.prepare.channels))


def check_segmenters(
    config: Config, shape: SliceShape, *, arms: Iterable[Arm] = (), others: Iterable[str] = ()
) -> None:
    """Refuse a segmenter that cannot learn from what an arm has, or that is no segmenter.

    Args:
        config: the settings.
        shape: of the slices that they are to learn from.
        arms: that are to be trained.
        others: names under 'train_segmenter.segmenters' that a stage trains for itself.

    Raises:
        ConfigError: names the arm and what its segmenter does not take, or the segmenter and what was found; or the
            windows are larger than the slices.
    """
    arms, window = list(arms), config.train_segmenter.window
    if window is not None and window > shape.size:
        finding = f"is {window}, and slices have {shape.size} pixels per side"
        raise ConfigError("train_segmenter.window", finding, "take a smaller window, or raise 'prepare.in_plane.size'")
    for arm in arms:
        _check_intake(config, arm)
    _check_networks(config, shape, [*(arm.segmenter for arm in arms), *others])


def _check_networks(config: Config, shape: SliceShape, names: Iterable[str]) -> None:
    for name in dict.fromkeys(names):
        with _named(name):
            backend_of(config.train_segmenter.segmenters[name]).check(config, shape)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Let an error say which segmenter it is about."""
    try:
        yield
    except ConfigError as error:
        place = f"train_segmenter.segmenters.{name}: {error.place}"
        raise ConfigError(place, error.finding, error.remedy) from error


def _check_intake(config: Config, arm: Arm) -> None:
    for intake, name in _needs(config, arm):
        _demand(config, arm, intake, name)


def _demand(config: Config, arm: Arm, intake: Intake, name: str) -> None:
    settings = config.train_segmenter.segmenters[arm.segmenter]
    if intake not in settings.intake:
        finding = f"needs a segmenter that takes {name}, and '{arm.segmenter}' of kind '{settings.kind}' does not"
        raise ConfigError(f"arm {arm}", finding, "take another segmenter, or leave the training set out")


def _needs(config: Config, arm: Arm) -> Iterator[tuple[Intake, str]]:
    chosen = config.trial.training_set(arm)
    if chosen.fakes:
        yield "synthetic", "synthetic slices"
        if chosen.fakes.way in ("pretrain", "schedule"):
            yield "schedules", "a share of synthetic slices that changes during the training"
    if chosen.trains_itself:
        yield "pseudo_labels", "pseudo-labels"
    if chosen.sees_lesion_free:
        yield "pseudo_labels", "further scans as a share of each batch"
    if chosen.trains_itself or chosen.sees_lesion_free:
        yield "ignored", "labels that are to be ignored"
    if chosen.augmentation != "none":
        yield "augmentation", "augmentation from outside"
    if chosen.pastes_lesions or chosen.pastes_onto_free:
        yield "pasting", "slices with lesions pasted into them"
