"""Kernel distances of sound alone and with its conditions; formulas in :mod:`t2av_bench.metrics.kernel`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.companions.base import ClipSet, SetMeasure, SetValue
from t2av_bench.metrics.kernel import kernel_distance
from t2av_bench.metrics.uncertainty import clip_sums


@dataclass(frozen=True)
class KernelScore(SetMeasure):
    """KAD over audio windows as they are, or joint KAD over balanced windows of audio with its conditions."""

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure both sets; the contributions of clips follow from the influence of every window."""
        reference, reference_places = self._rows(clips, generated=False)
        generated, generated_places = self._rows(clips, generated=True)
        found = kernel_distance(reference, generated, seed=seed, clips=(reference_places, generated_places))
        contributions = clip_sums(found.influence.reference, reference_places, len(clips))
        contributions += clip_sums(found.influence.generated, generated_places, len(clips))
        settings: dict[str, Any] = {
            "bandwidth": found.bandwidth,
            "bandwidth_rows": found.bandwidth_rows,
            "pairs": "of different clips",
        }
        if found.seed is not None:
            settings["bandwidth_seed"] = found.seed
        return SetValue(found.value, len(reference), np.asarray(contributions), settings)

    def _rows(self, clips: ClipSet, *, generated: bool) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.intp]]:
        if self.spec.blocks == ("audio",):
            return clips.stacked("audio", generated=generated)
        return clips.balanced(self.name, self.spec.blocks, generated=generated)
