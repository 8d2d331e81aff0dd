"""Scores from the class logits of a sound classifier; formulas in :mod:`t2av_bench.metrics.classes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from t2av_bench.companions.base import ClipArrays, ClipMeasure, ClipSet, Ratio, SetMeasure, SetValue, Undefined
from t2av_bench.metrics.classes import Form, class_divergence, inception_contributions, inception_score

SPLITS = 10
_FEW = "needs at least 2 clips in each of {} parts"


@dataclass(frozen=True)
class Divergence(ClipMeasure):
    """KL(reference ‖ generated) of the classes of a clip, in nats.

    Attributes
    ----------
    form
        See :mod:`t2av_bench.metrics.classes`.
    """

    form: Form

    @property
    def settings(self) -> dict[str, Any]:
        """Return form, direction and unit."""
        return {"form": self.form, "direction": "KL(reference || generated)", "unit": "nat"}

    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        """Measure one clip."""
        sides = arrays.reference["logits"], arrays.generated["logits"]
        return Ratio(class_divergence(*sides, form=self.form).mean)


@dataclass(frozen=True)
class Inception(SetMeasure):
    """Inception score of the generated clips, over ten parts or as many as there are clips for."""

    splits: int = SPLITS

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure the generated set; the reference has no part in it."""
        logits = clips.stored_generated("logits")
        found = inception_score(logits, splits=self.splits)
        settings = {"splits": found.splits, "seed": found.seed, "std_over_splits": found.std}
        if found.n < 2 * self.splits:
            return SetValue(found.mean, found.n, settings=settings, why_no_stderr=_FEW.format(self.splits))
        added = inception_contributions(logits, splits=self.splits)
        contributions = np.bincount(logits.places, weights=added, minlength=len(clips)).astype(np.float64, copy=False)
        return SetValue(found.mean, found.n, contributions, settings)
