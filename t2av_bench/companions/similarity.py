"""How well a sound fits its caption, in a shared space of sounds and texts."""

from __future__ import annotations

from dataclasses import dataclass

from t2av_bench.companions.base import ClipArrays, ClipMeasure, Ratio, Undefined
from t2av_bench.metrics.similarity import cosine_similarity


@dataclass(frozen=True)
class CaptionSimilarity(ClipMeasure):
    """CLAP score: cosine between the embeddings of the generated sound and the caption; needs no reference."""

    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        """Measure one clip."""
        return Ratio(cosine_similarity(arrays.generated["clap_text"][0], arrays.generated["clap_audio"][0]))
