"""Kernel distances of sound alone and with its conditions; formulas in :mod:`t2av_bench.metrics.kernel`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.companions.base import ClipSet, SetMeasure, SetValue
from t2av_bench.metrics.groups import clip_number, halves_of
from t2av_bench.metrics.influence import Influence
from t2av_bench.metrics.kernel import STDERR_CLIPS, kernel_distance
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import clip_sums


@dataclass(frozen=True)
class KernelScore(SetMeasure):
    """KAD over audio windows as they are, or joint KAD over balanced windows of audio with its conditions."""

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure both sets; the contributions of clips follow from the influence of every window."""
        if self.spec.blocks == ("audio",):
            reference, generated = clips.stored("audio")
        else:
            reference, generated = clips.balanced(self.name, self.spec.blocks)
        places = reference.places, generated.places
        halves = halves_of([clip_number(clip.clip_id) for clip in clips.clips], seed)
        by_row = None if halves is None else (halves[places[0]], halves[places[1]])
        found = kernel_distance(reference, generated, seed=seed, clips=places, halves=by_row)
        settings: dict[str, Any] = {
            "bandwidth": found.bandwidth,
            "bandwidth_rows": found.bandwidth_rows,
            "pairs": "of different clips",
        }
        if found.seed is not None:
            settings["bandwidth_seed"] = found.seed
        if len(clips) < STDERR_CLIPS:
            reason = f"the standard error of {self.name} needs at least {STDERR_CLIPS} clips; got {len(clips)}"
            return SetValue(found.value, len(reference), None, settings, why_no_stderr=reason)
        contributions = _clip_contributions(found.influence, places, len(clips))
        own_half = None if found.own_half is None else _clip_contributions(found.own_half, places, len(clips))
        return SetValue(found.value, len(reference), contributions, settings, own_half=own_half)


def _clip_contributions(
    influence: Influence, places: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]], clips_n: int
) -> Float64Array:
    return np.asarray(sum(clip_sums(side, place, clips_n) for side, place in zip(influence, places, strict=True)))
