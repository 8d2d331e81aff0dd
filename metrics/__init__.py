"""Formulas on arrays: no files, no networks, no devices."""

if __name__ != "t2av_bench.metrics":
    raise ImportError(
        "import this package as t2av_bench.metrics: a second copy named metrics would have its own classes"
    )

from t2av_bench.metrics.catalogue import METRICS, MetricSpec
from t2av_bench.metrics.classes import class_divergence, inception_score
from t2av_bench.metrics.coverage import support_scores
from t2av_bench.metrics.envelopes import best_offset, correlation_by_offset, envelope_offset, peak_confidence
from t2av_bench.metrics.frechet import frechet_distance
from t2av_bench.metrics.joint import Balance, alignment_index, joint_score
from t2av_bench.metrics.kernel import joint_kernel_distance, kernel_distance
from t2av_bench.metrics.kernel_bandwidth import median_distance
from t2av_bench.metrics.onsets import av_align, count_matches, event_f1, onset_scores
from t2av_bench.metrics.peaks import motion_peaks, onset_times, pick_peaks
from t2av_bench.metrics.stats import JointStats

__all__ = [
    "METRICS",
    "Balance",
    "JointStats",
    "MetricSpec",
    "alignment_index",
    "av_align",
    "best_offset",
    "class_divergence",
    "correlation_by_offset",
    "count_matches",
    "envelope_offset",
    "event_f1",
    "frechet_distance",
    "inception_score",
    "joint_kernel_distance",
    "joint_score",
    "kernel_distance",
    "median_distance",
    "motion_peaks",
    "onset_scores",
    "onset_times",
    "peak_confidence",
    "pick_peaks",
    "support_scores",
]
