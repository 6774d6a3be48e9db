"""Nothing is trained or painted: a set is named, and its slices are taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from nephrite.generation.conditioning import Conditioning, Request
from nephrite.generation.fitting import training_of
from nephrite.generation.kinds.folder import Folder, FolderSettings


def settings(**values: object) -> FolderSettings:
    return FolderSettings.model_validate({"kind": "folder", "source": "maisi", **values})


def test_it_names_its_set_and_trains_nothing() -> None:
    assert settings().brought_set == "maisi"
    assert training_of(settings()) is None
    assert not settings().COMPOSES
    assert not settings().LEARNS_WITHOUT_LABELS
    with pytest.raises(ValidationError):
        FolderSettings.model_validate({"kind": "folder"})


def test_what_was_brought_stays_as_it_is() -> None:
    kind, image = Folder(settings()), np.random.default_rng(0).random((2, 8, 8), np.float32)
    network = kind.build(3, 8)
    assert not list(network.parameters())
    scene = Conditioning((1, 2), None, 0.0).of_request(
        Request(np.zeros((2, 8, 8), np.uint8), background=image), torch.device("cpu")
    )
    assert np.array_equal(kind.paint(network, scene, [0, 1])[:, 0].numpy(), image)
