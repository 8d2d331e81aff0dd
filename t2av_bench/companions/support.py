"""Precision, recall, density and coverage of clips; formulas in :mod:`t2av_bench.metrics.coverage`."""

from __future__ import annotations

from dataclasses import dataclass

from t2av_bench.companions.base import ClipSet, SetMeasure, SetValue
from t2av_bench.metrics.coverage import SupportScores, support_scores

NEIGHBOUR = 5
_NO_STDERR = "not estimated: nothing that follows from single clips is near the spread of a score of nearest neighbours"


@dataclass(frozen=True)
class SupportScore(SetMeasure):
    """One of the four scores over clip-level embeddings: windows of one clip would be each other's neighbours.

    Attributes
    ----------
    k
        Neighbour that a ball reaches to.
    """

    k: int = NEIGHBOUR

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure both sets; all four scores come from one comparison."""
        found = clips.once(f"support of k = {self.k}", lambda: self._compare(clips))
        return SetValue(getattr(found, self.name), len(clips), settings={"k": found.k}, why_no_stderr=_NO_STDERR)

    def _compare(self, clips: ClipSet) -> SupportScores:
        reference, _ = clips.stacked("clip_audio", generated=False)
        generated, _ = clips.stacked("clip_audio", generated=True)
        return support_scores(reference, generated, k=self.k)
