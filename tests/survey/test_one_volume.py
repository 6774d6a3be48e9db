from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.errors import VolumeError
from nephrite.imaging.layouts.pairing import Channel
from nephrite.imaging.sources import Case
from nephrite.survey.one_volume import one_volume


def case(folder: Path, number: int | None) -> Case:
    both = np.stack([np.full((3, 4, 5), value, np.int16) for value in (7, 9)], axis=-1)
    image = folder / "both.nii.gz"
    nib.save(nib.Nifti1Image(both, np.eye(4)), image)
    return Case("a", "kits", image, folder / "label.nii.gz", None, (Channel(image, number),))


def test_the_volume_that_is_meant_is_seen_and_its_copy_is_gone_afterwards(tmp_path: Path) -> None:
    with one_volume(case(tmp_path, 1)) as seen:
        assert np.unique(np.asarray(nib.Nifti1Image.from_filename(seen.image).dataobj)).tolist() == [9]
        assert seen.channels == ()
    assert not seen.image.exists()


def test_a_case_of_three_axes_is_left_as_it_is(tmp_path: Path) -> None:
    known = case(tmp_path, None)
    with one_volume(known) as seen:
        assert seen is known


def test_an_error_names_the_users_file(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=r"both\.nii\.gz: "), one_volume(case(tmp_path, 0)) as seen:
        raise VolumeError(seen.image, "is blank", "mend it")
