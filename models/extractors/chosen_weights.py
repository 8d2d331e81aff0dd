"""Which weights a user wants a network to have: the published ones, random ones, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from t2av_bench.errors import PrerequisiteError, UsageError
from t2av_bench.models.extractors.catalogue import WeightsEntry
from t2av_bench.models.extractors.drawn import DRAWING_RULE
from t2av_bench.models.extractors.weights import file_sha256, find_weights

PUBLISHED = "published"
RANDOM = "random"


class ChosenWeights:
    """A user's choice of weights: published, random, or a file.

    Parameters
    ----------
    entry
        What is published.
    choice
        ``"published"``, ``"random"``, or the path of a file in the published layout.
    seed
        Of random weights; without effect on the others.

    Raises
    ------
    PrerequisiteError
        If a path is given and no file is there.
    """

    def __init__(self, entry: WeightsEntry, choice: str | Path, seed: int) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise UsageError(f"`seed` must be a whole number; got {seed!r}.")
        self.entry = entry
        self.choice = str(choice)
        self.seed = seed
        self._sha256: str | None = None
        if self.is_file and not Path(self.choice).is_file():
            raise PrerequisiteError(
                f"`weights` must be {PUBLISHED!r}, {RANDOM!r} or the path of a file; there is no file {self.choice!r}."
            )

    @property
    def is_random(self) -> bool:
        """Whether the weights are drawn."""
        return self.choice == RANDOM

    @property
    def is_file(self) -> bool:
        """Whether the user named a file."""
        return self.choice not in (PUBLISHED, RANDOM)

    @property
    def path(self) -> Path:
        """The file to read; the published one is verified first."""
        return Path(self.choice) if self.is_file else find_weights(self.entry)

    def check(self) -> None:
        """Raise a PrerequisiteError if the file is missing or not the published one."""
        if not self.is_random:
            _ = self.path

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the file, None for random weights; needs no file if the published one's is known."""
        if self.is_random:
            return None
        if self._sha256 is None:
            known = None if self.is_file else self.entry.sha256
            self._sha256 = known or file_sha256(self.path)
        return self._sha256

    @property
    def not_comparable(self) -> str:
        """Why results with these weights are nobody else's; empty if they are the verified published ones."""
        if self.is_random:
            return f"the {self.entry.name} weights are random (seed {self.seed})"
        if self.is_file and (self.entry.sha256 is None or self.sha256 != self.entry.sha256):
            return f"the {self.entry.name} weights are the user's own file {Path(self.choice).name}"
        if not self.entry.is_pinned:
            return f"no full hash of {self.entry.file_name} is known, so its content cannot be verified"
        return ""

    def options(self) -> dict[str, Any]:
        """Return what the weights add to a fingerprint: the hash, or the seed and the drawing rule."""
        if self.is_random:
            return {"weights": RANDOM, "seed": self.seed, "drawing_rule": DRAWING_RULE}
        return {"weights_sha256": self.sha256}
