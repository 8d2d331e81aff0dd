"""The formulas behind other toolkits' protocols, bound to the clips of an evaluation.

Which toolkit has which score is data (:mod:`t2av_bench.presets`); the formulas themselves are in
:mod:`t2av_bench.metrics.conventions` and :mod:`t2av_bench.metrics.onset_conventions`, or ours where theirs is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from t2av_bench.companions import COMPANIONS
from t2av_bench.companions.base import ClipArrays, ClipMeasure, ClipSet, Ratio, SetMeasure, SetValue, Undefined
from t2av_bench.errors import MetricError
from t2av_bench.metrics import MetricSpec
from t2av_bench.metrics.classes import Form, class_divergence, inception_score
from t2av_bench.metrics.conventions import (
    fadtk_frechet_distance,
    kadtk_frechet_distance,
    kadtk_kernel_distance,
    peavs_frechet_distance,
)
from t2av_bench.metrics.frechet import frechet_distance
from t2av_bench.metrics.influence import frechet_influence
from t2av_bench.metrics.onset_conventions import (
    CONDFOLEYGEN_SR_HZ,
    condfoleygen_scores,
    tempotokens_av_align,
    tempotokens_video_peaks,
)
from t2av_bench.metrics.uncertainty import clip_sums
from t2av_bench.protocol import Protocol

Float32Array = npt.NDArray[np.float32]
_ONSET_HOP_N = 512
_AUDIOLDM_EPSILON = 1e-6


@dataclass(frozen=True)
class _PeerSet(SetMeasure):
    """A score of a preset over whole sets; its entry is the preset's, not the catalogue's."""

    entry: MetricSpec

    @property
    def spec(self) -> MetricSpec:
        return self.entry

    @property
    def part(self) -> str:
        return self.entry.blocks[0]


@dataclass(frozen=True)
class _PeerClips(ClipMeasure):
    """A score of a preset that is a mean over clips."""

    entry: MetricSpec

    @property
    def spec(self) -> MetricSpec:
        return self.entry


@dataclass(frozen=True)
class PooledFrechet(_PeerSet):
    """Fréchet distance of all rows, which these toolkits compute as we do; with a standard error, which they lack."""

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure both sets."""
        reference, reference_places = clips.stacked(self.part, generated=False)
        generated, generated_places = clips.stacked(self.part, generated=True)
        influence = frechet_influence(reference, generated)
        contributions = clip_sums(influence.reference, reference_places, len(clips))
        contributions += clip_sums(influence.generated, generated_places, len(clips))
        return SetValue(
            frechet_distance(reference, generated), len(reference), np.asarray(contributions), d=reference.shape[1]
        )


@dataclass(frozen=True)
class ByFileFrechet(_PeerSet):
    """fadtk's Fréchet distance."""

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure both sets, file by file."""
        reference, generated = _rows_by_clip(clips, self.part)
        value = fadtk_frechet_distance(reference, generated)
        return SetValue(value, sum(map(len, reference)), d=reference[0].shape[1])


@dataclass(frozen=True)
class SinglePrecisionFrechet(_PeerSet):
    """kadtk's Fréchet distance."""

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure both sets."""
        reference, generated = (clips.stacked(self.part, generated=side)[0] for side in (False, True))
        return SetValue(kadtk_frechet_distance(reference, generated), len(reference), d=reference.shape[1])


@dataclass(frozen=True)
class EvaluatedBandwidthKernel(_PeerSet):
    """kadtk's KAD."""

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure both sets."""
        reference, generated = (clips.stacked(self.part, generated=side)[0] for side in (False, True))
        value = kadtk_kernel_distance(reference, generated, seed=seed)
        return SetValue(value, len(reference), settings={"unit": "MMD² x 100", "bandwidth_of": "the evaluated set"})


@dataclass(frozen=True)
class JoinedFrechet(_PeerSet):
    """PEAVS' FAVD."""

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure both sets."""
        sides: tuple[list[Any], list[Any]] = ([], [])
        for arrays in clips.arrays(self.entry.blocks):
            for side, parts in zip(sides, (arrays.reference, arrays.generated), strict=True):
                side.append(tuple(parts[block] for block in self.entry.blocks))
        samples_n = sum(min(map(len, blocks)) for blocks in sides[0])
        return SetValue(peavs_frechet_distance(*sides), samples_n, d=sum(block.shape[1] for block in sides[0][0]))


@dataclass(frozen=True)
class PeerInception(_PeerSet):
    """Inception score as torch-fidelity's descendants report it: 10 splits, seed 2020."""

    statistic: Literal["mean", "std"]

    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure the generated set."""
        found = inception_score(clips.stacked(self.part, generated=True)[0])
        value = found.mean if self.statistic == "mean" else found.std
        return SetValue(value, found.n, settings={"splits": found.splits, "seed": found.seed})


@dataclass(frozen=True)
class PeerDivergence(_PeerClips):
    """KL(reference ‖ generated) of a clip's classes."""

    form: Form
    epsilon: float = 0.0

    @property
    def settings(self) -> dict[str, Any]:
        """Return form, direction, unit and what is added inside the logarithm."""
        return {
            "form": self.form,
            "direction": "KL(reference || generated)",
            "unit": "nat",
            "epsilon": self.epsilon,
        }

    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        """Measure one clip."""
        (part,) = self.entry.blocks
        found = class_divergence(arrays.reference[part], arrays.generated[part], form=self.form, epsilon=self.epsilon)
        return Ratio(found.mean)


@dataclass(frozen=True)
class CondFoleyGenScore(_PeerClips):
    """Same number of onsets, onset accuracy, or average precision."""

    statistic: Literal["count", "accuracy", "ap"]

    @property
    def settings(self) -> dict[str, Any]:
        """Return the largest distance of a match."""
        return {"tolerance_s": 0.1}

    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        """Measure one clip."""
        (part,) = self.entry.blocks
        targets, _ = _onsets(arrays.reference[part])
        onsets, rows = _onsets(arrays.generated[part])
        if self.statistic == "count":
            return Ratio(float(len(targets) == len(onsets)))
        confidence = np.where(rows[:, 2] < 0.0, np.nan, rows[:, 2])
        try:
            found = condfoleygen_scores(targets, onsets, rows[:, 1], confidence)
        except MetricError as error:
            return Undefined(str(error))
        return Ratio(found.accuracy if self.statistic == "accuracy" else found.average_precision)


@dataclass(frozen=True)
class TempoTokensScore(_PeerClips):
    """AV-Align of the generated sound with the clip's pictures."""

    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        """Measure one clip."""
        flow_part, peaks_part = self.entry.blocks
        fps, flow = float(arrays.generated[flow_part][0, 0]), arrays.generated[flow_part][1:, 0]
        video = tempotokens_video_peaks(flow[flow >= 0.0], fps)
        sound = np.flatnonzero(arrays.generated[peaks_part][:, 0]) * _ONSET_HOP_N / CONDFOLEYGEN_SR_HZ
        try:
            return Ratio(tempotokens_av_align(video, sound.tolist(), fps))
        except MetricError as error:
            return Undefined(str(error))


_Make = Callable[[str, MetricSpec], ClipMeasure | SetMeasure]
FORMULAS: dict[str, _Make] = {
    "frechet": PooledFrechet,
    "fadtk-frechet": ByFileFrechet,
    "kadtk-frechet": SinglePrecisionFrechet,
    "kadtk-kernel": EvaluatedBandwidthKernel,
    "peavs-frechet": JoinedFrechet,
    "is-mean": partial(PeerInception, statistic="mean"),
    "is-std": partial(PeerInception, statistic="std"),
    "kl-softmax": partial(PeerDivergence, form="softmax"),
    "kl-softmax-eps": partial(PeerDivergence, form="softmax", epsilon=_AUDIOLDM_EPSILON),
    "kl-sigmoid-eps": partial(PeerDivergence, form="sigmoid", epsilon=_AUDIOLDM_EPSILON),
    "condfoleygen-count": partial(CondFoleyGenScore, statistic="count"),
    "condfoleygen-accuracy": partial(CondFoleyGenScore, statistic="accuracy"),
    "condfoleygen-ap": partial(CondFoleyGenScore, statistic="ap"),
    "tempotokens": TempoTokensScore,
}


def measures_of(protocol: Protocol) -> Mapping[str, ClipMeasure | SetMeasure]:
    """Return the measures of a protocol's scores by name: the companions, or a preset's own."""
    preset = protocol.preset
    if preset is None:
        return COMPANIONS
    return {spec.name: FORMULAS[formula](spec.name, spec) for spec, formula in preset.scores.items()}


def _rows_by_clip(clips: ClipSet, part: str) -> tuple[list[Float32Array], list[Float32Array]]:
    found = list(clips.arrays([part]))
    return [arrays.reference[part] for arrays in found], [arrays.generated[part] for arrays in found]


def _onsets(rows: Float32Array) -> tuple[list[int], Float32Array]:
    """Return onsets in samples, and their rows."""
    frames = np.flatnonzero(rows[:, 0])
    return (frames * _ONSET_HOP_N).tolist(), rows[frames]
