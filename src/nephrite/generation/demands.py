"""Whether a synthesizer can be used here, and its networks fit the slices; tried before any work, on noise."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.files import digest
from nephrite.generation.kind import check_painting, kind_of

_passed: set[str] = set()  # digests of what was found good in this process


def check_generators(config: Config, names: Iterable[str], size: int, classes: Iterable[int]) -> None:
    """Train each synthesizer for one step, with narrow networks of the depth asked for.

    Args:
        config: the settings.
        names: under 'train_gan'.
        size: of the slices, in pixels per side.
        classes: label values.

    Raises:
        ConfigError: a discriminator that is deeper than the slices, a normalization over one value, and the like; or a
            program that is not there.
    """
    import torch  # here, since `nephrite trial` computes in other processes, and starts sooner without

    from nephrite.generation.fitting import training_of
    from nephrite.generation.step_time import probe, train_on_made_up_slices
    from nephrite.training.devices import RANKS

    if any(os.environ.get(rank) for rank in RANKS):  # a process of a training that is under way on several devices
        return
    values = tuple(classes)
    for name in dict.fromkeys(names):
        settings = config.train_gan[name]
        kind_of(settings.method).check()
        asked = digest([settings.model_dump(mode="json"), size, values])
        if training_of(settings.method) is None or asked in _passed:
            continue
        # one slice a step makes a difference for normalizations
        narrow = probe(settings)[0].model_copy(update={"batch_size": min(settings.batch_size, 2)})
        try:
            with torch.random.fork_rng(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # warnings of libraries about their own code
                train_on_made_up_slices(config, narrow, 1, size=size, classes=values)
        except (RuntimeError, ValueError) as error:  # what torch raises where shapes do not fit
            reason = str(error).strip().partition("\n")[0]
            finding = f"cannot learn from slices of {size} x {size}, {narrow.batch_size} at a time ({reason})"
            remedy = "take fewer layers or a smaller depth, larger slices, or a larger batch"
            raise ConfigError(f"train_gan.{name}", finding, remedy) from error
        _passed.add(asked)


def check_synthesizers(config: Config) -> None:
    """All synthesizers of a trial, before anything runs.

    Raises:
        ConfigError: see `check_generators` and `kind.check_painting`.
    """
    names = config.trial.synthesizers
    for name in names:
        check_painting(config, config.train_gan[name].method)
    check_generators(config, names, config.prepare.in_plane.size, config.prepare.classes)
