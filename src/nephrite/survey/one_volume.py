"""A case of which one volume of a file of four axes is meant, as a case like all others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nephrite.errors import NephriteError
from nephrite.imaging.sources import Case
from nephrite.privacy.nifti_copy import copy_nifti
from nephrite.survey.leaving_out import renamed


@contextmanager
def one_volume(case: Case) -> Iterator[Case]:
    """The case as it is; of a file of four axes, with a copy of the volume that is meant, as `acquire` makes it."""
    number = case.channels[0].number if case.channels else None
    if number is None:
        yield case
        return
    with TemporaryDirectory(prefix="nephrite-") as folder:
        image = Path(folder) / "imaging.nii.gz"
        try:
            copy_nifti(case.image, image, number=number)
            yield replace(case, image=image, channels=())
        except NephriteError as error:
            raise renamed(error, image, case.image) from None
