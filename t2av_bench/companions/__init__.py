"""Companion scores: what a Fréchet distance cannot say, bound to the clips of an evaluation.

To add one: give it an entry in :data:`t2av_bench.metrics.METRICS` that names the parts it needs, an extractor per part
that does not exist yet (and its place in :mod:`t2av_bench.protocol`), and a measure here. Everything else follows:
cache, standard error, contributions of clips, tables, the result file.
"""

from t2av_bench.companions.base import ClipArrays, ClipMeasure, ClipSet, Ratio, SetMeasure, SetValue, Undefined
from t2av_bench.companions.classes import Divergence, Inception
from t2av_bench.companions.desync import LearnedOffset
from t2av_bench.companions.kernel import KernelScore
from t2av_bench.companions.similarity import CaptionSimilarity
from t2av_bench.companions.support import SupportScore
from t2av_bench.companions.synchrony import EnvelopeOffsetScore, EventScore, OnsetScore, PeakAlignment

COMPANIONS: dict[str, ClipMeasure | SetMeasure] = {
    measure.name: measure
    for measure in (
        KernelScore("KAD"),
        KernelScore("KAVD"),
        KernelScore("KATD"),
        KernelScore("KA(VT)D"),
        Inception("IS"),
        Divergence("KL-softmax", "softmax"),
        Divergence("KL-sigmoid", "sigmoid"),
        SupportScore("precision"),
        SupportScore("recall"),
        SupportScore("density"),
        SupportScore("coverage"),
        CaptionSimilarity("CLAP"),
        OnsetScore("onset-acc", "accuracy"),
        OnsetScore("onset-AP", "average_precision"),
        EventScore("event-F1"),
        PeakAlignment("AV-Align"),
        EnvelopeOffsetScore("AV-offset"),
        LearnedOffset("DeSync"),
    )
}

__all__ = [
    "COMPANIONS",
    "ClipArrays",
    "ClipMeasure",
    "ClipSet",
    "Ratio",
    "SetMeasure",
    "SetValue",
    "Undefined",
]
