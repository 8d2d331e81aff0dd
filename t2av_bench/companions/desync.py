"""DeSync: how far sound and picture are apart, as Synchformer hears and sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from t2av_bench.companions.base import ClipMeasure, Float32Array, Ratio, Undefined
from t2av_bench.companions.synchrony import PairedWithPicture
from t2av_bench.errors import MetricError
from t2av_bench.models.extractors import Extractor
from t2av_bench.models.extractors.synchformer import COMPARED_N, COMPARED_S, OFFSETS_S, SynchformerExtractor


@dataclass(frozen=True)
class LearnedOffset(PairedWithPicture):
    """DeSync: mean absolute offset in seconds, from 0 to 2, of the first and the last 4.8 s of each clip.

    av-benchmark's definition: the likeliest of 21 offsets from -2 to 2 s, its absolute value, averaged over both
    stretches and over clips; what lies between them is not heard. In Synchformer's own evaluation the likeliest offset
    is the true one for about half the clips of VGGSound-Sparse: no single clip's value means much.

    Attributes
    ----------
    synchformer
        Runs the comparison; set by :meth:`prepared`.

    References
    ----------
    Iashin et al., Synchformer: efficient synchronization from sparse cues, 2024, arXiv:2401.16423; hkchengrex,
    av-benchmark.
    """

    synchformer: SynchformerExtractor | None = None

    sound = "synchformer_audio"
    picture = "synchformer_video"

    @property
    def settings(self) -> dict[str, Any]:
        """Return the largest offset and the length of a stretch."""
        return {"max_offset_s": float(OFFSETS_S[-1]), "stretch_s": COMPARED_S}

    def prepared(self, extractors: Mapping[str, Extractor]) -> ClipMeasure:
        """Return the measure with the network of the extractor that encoded the sound."""
        found = extractors.get(self.sound)
        return replace(self, synchformer=found) if isinstance(found, SynchformerExtractor) else self

    def compare(self, picture: Float32Array, sound: Float32Array) -> Ratio | Undefined:
        """Measure encoded segments of sound with those of a picture."""
        if self.synchformer is None:
            raise MetricError(
                "DeSync needs Synchformer's comparison; the part synchformer_audio is of another extractor"
            )
        segments_n = min(len(picture), len(sound))
        if segments_n < COMPARED_N:
            return Undefined(f"DeSync compares stretches of {COMPARED_S:g} s, and the clip is shorter")
        stretches = slice(0, COMPARED_N), slice(segments_n - COMPARED_N, segments_n)
        logits = self.synchformer.compare(
            *(np.stack([side[stretch] for stretch in stretches]) for side in (picture, sound))
        )
        return Ratio(float(np.abs(OFFSETS_S[logits.argmax(axis=1)]).mean()))
