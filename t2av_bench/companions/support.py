"""Precision, recall, density and coverage of clips; formulas in :mod:`t2av_bench.metrics.coverage`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from t2av_bench.companions.base import ClipSet, SetMeasure, SetValue
from t2av_bench.errors import MetricError
from t2av_bench.metrics.coverage import SupportScores, support_scores
from t2av_bench.metrics.coverage_errors import FEWEST_CASES, SupportErrors, support_errors

NEIGHBOUR = 5
_FEW_CASES = f"fewer than {FEWEST_CASES} clips are inside, or outside, of the other set's balls: too few for an error"


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
        scores, errors = clips.once(f"support of k = {self.k}", lambda: self._compare(clips, seed))
        value = getattr(scores, self.name)
        if isinstance(errors, str):
            return SetValue(value, len(clips), settings={"k": self.k}, why_no_stderr=errors)
        stderr = getattr(errors, self.name)
        return SetValue(value, len(clips), settings={"k": self.k}, why_no_stderr=_FEW_CASES, stderr=stderr)

    def _compare(self, clips: ClipSet, seed: int) -> tuple[SupportScores, SupportErrors | str]:
        """Return the scores, and their errors or why they have none."""
        reference, generated = clips.stored("clip_audio")
        names = np.array([clip.clip_id for clip in clips.clips])  # of either side's rows: there is one per clip
        try:
            return support_errors(reference, generated, names, names, k=self.k, seed=seed)
        except MetricError as error:
            return support_scores(reference, generated, k=self.k), str(error)
