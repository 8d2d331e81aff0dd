"""Scores from the class logits of a sound classifier; formulas in :mod:`t2av_bench.metrics.classes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from t2av_bench.companions.base import ClipArrays, ClipMeasure, ClipSet, Ratio, SetMeasure, SetValue, Undefined
from t2av_bench.metrics.classes import Form, class_divergence, inception_score

SPLITS = 10


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
        logits, _ = clips.stacked("logits", generated=True)
        found = inception_score(logits, splits=self.splits)
        settings = {"splits": found.splits, "seed": found.seed, "std_over_splits": found.std}
        return SetValue(found.mean, found.n, settings=settings)
