"""A version of a registered model: its tags, of which a digest answers for those that say what it is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from nephrite.errors import StoreError
from nephrite.files import digest

logger = logging.getLogger(__name__)
GRAPH_TAG, DIGEST = "graph", "digest"  # tags: SHA-256 of the graph's file, and of all tags of SEALED
FOLDER_TAG = "folder"  # tag of a version that is a folder: the digest of the card in it, which answers for its files
RECIPE = "recipe"  # tag: the version's inputs and outputs, as JSON (imaging.recipe)
SEALED = ("weights", GRAPH_TAG, RECIPE, "arm", "threshold", "classes", "channels", "intensity", "in_plane")
REGISTER_AGAIN = "delete this version, and run 'promote' on its report again"


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model: its number, where MLflow keeps it, and its tags."""

    number: int
    source: str
    tags: Mapping[str, str]

    def check_tags(self, place: str) -> None:
        """Refuse a version of which a tag that `register` wrote was changed; one of an older version is let pass.

        Args:
            place: what the version is called in the error.

        Raises:
            StoreError: names the remedy.
        """
        if DIGEST not in self.tags:
            logger.warning("%s: was registered without digests: changes of its weights and recipe are not seen", place)
            return
        if tags_digest(self.tags) != self.tags[DIGEST]:
            wrong = f"its tags {', '.join(f'{name!r}' for name in SEALED)} are not those that it was registered with"
            raise StoreError(place, wrong, REGISTER_AGAIN)


def tags_digest(tags: Mapping[str, str]) -> str:
    """Digest of the tags that say what a version is; those that it lacks count as empty."""
    folder = {FOLDER_TAG: tags[FOLDER_TAG]} if FOLDER_TAG in tags else {}  # older versions have no such tag
    return digest({name: tags.get(name, "") for name in SEALED} | folder)
