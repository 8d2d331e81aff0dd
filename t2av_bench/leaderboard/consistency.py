"""What in a result cannot be true: everything that can be recomputed from the file, and from its table of clips.

This finds mistakes and crude forgery. It cannot show that the sounds exist: only evaluating them again can.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from t2av_bench.errors import shown
from t2av_bench.manifests.pins import PINS
from t2av_bench.metrics import METRICS
from t2av_bench.metrics.catalogue import KNOWN_PARTS
from t2av_bench.metrics.intervals import corrected_interval
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import contributions_stderr, second_order
from t2av_bench.models.extractors.catalogue import WEIGHTS
from t2av_bench.results import Result, Score
from t2av_bench.results.per_clip import PerClip
from t2av_bench.results.records import incomplete

_MINI = "t2av-mini"
# Ranges of scores that are no distances; distances are at least 0.
_RANGES = {
    "IS": (1.0, math.inf),
    "KL-softmax": (0.0, math.inf),
    "KL-sigmoid": (0.0, math.inf),
    "precision": (0.0, 1.0),
    "recall": (0.0, 1.0),
    "density": (0.0, math.inf),
    "coverage": (0.0, 1.0),
}
_KIND_RANGES = {"raw": (0.0, math.inf), "balanced": (0.0, math.inf), "index": (-math.inf, 1.0)}
# A distance over more blocks is never smaller than one over some of them.
_PARTS = {
    "FAVD": ("FAD",),
    "FATD": ("FAD",),
    "FA(VT)D": ("FAD", "FAVD", "FATD"),
    "FAVD-b": ("FAD-b",),
    "FATD-b": ("FAD-b",),
    "FA(VT)D-b": ("FAD-b", "FAVD-b", "FATD-b"),
}
# An index, and the joint distance that it is made of together with FAD-b and its zero point.
_INDEX_OF = {"AV-index": "FAVD-b", "AT-index": "FATD-b"}
# Means over events or the like: clips weigh unequally. All other scores that clips have values of are plain means.
_POOLED = ("event-F1",)
_ROUNDING = 1e-6


def contradictions(result: Result) -> Iterator[str]:
    """Yield what in a result cannot be true, as clauses; nothing if all that can be recomputed agrees."""
    if not result.scores:
        yield "it must have a score"
    yield from _wrong_counts(result)
    yield from _wrong_extractors(result)
    for name, score in result.scores.items():
        yield from _wrong_declaration(name, score, result)
        yield from _wrong_number(name, score, result)
    yield from _wrong_order(result)
    yield from _wrong_index(result)
    if result.comparable:
        yield from (f"it says that it is comparable, but {reason}" for reason in _not_comparable(result))


def clip_contradictions(result: Result) -> Iterator[str]:
    """Yield where the scores disagree with the table of clips, of a result that was loaded with it."""
    clips_n = len(result.per_clip)
    if clips_n != result.counts["scored"]:
        yield f"its table has {clips_n} clips, the result was made of {result.counts['scored']}"
        return
    for name, score in result.scores.items():
        column = _column(result.per_clip, name)
        if len(column) == clips_n and score.stderr is not None:
            yield from _wrong_errors(name, score, column, _column(result.clip_halves, name))
        own = {clip_id: values[name] for clip_id, values in result.clip_values.items() if name in values}
        if own and name in _POOLED:
            yield from _wrong_pool(name, score.value, own, result)
        elif own:
            yield from _disagrees(name, float(np.mean(list(own.values()))), score.value)


def _without_undefined(column: Float64Array, undefined_n: int) -> Float64Array:
    """Return contributions without those of clips that the score is undefined for, which are 0."""
    return np.delete(column, np.flatnonzero(column == 0.0)[:undefined_n])


def _wrong_pool(name: str, value: float, own: dict[str, float], result: Result) -> Iterator[str]:
    """Yield whether a score cannot be a mean of the clips' values with any weights.

    What a clip adds is its weight times its distance from the score, so the weights follow; a clip whose value is the
    score's may have any.
    """
    away = {clip_id: clip_value - value for clip_id, clip_value in own.items() if abs(clip_value - value) > _ROUNDING}
    weights = [result.per_clip.get(clip_id, {}).get(name, 0.0) / distance for clip_id, distance in away.items()]
    total = sum(weights)
    whole = len(away) == len(own)
    if min(weights, default=0.0) < -_ROUNDING or total > 1.0 + 1e-3 or (whole and total < 1.0 - 1e-3):
        yield f"{name} is {value:g}, which its table of clips does not give"


def _wrong_errors(name: str, score: Score, column: Float64Array, own_half: Float64Array) -> Iterator[str]:
    if len(own_half) != len(column):
        defined = _without_undefined(column, score.n_undefined)
        if len(defined) > 1:
            yield from _disagrees(f"the standard error of {name}", contributions_stderr(defined), score.stderr)
        return
    errors = second_order(column, own_half)
    yield from _disagrees(f"the standard error of {name}", errors.stderr, score.stderr)
    if score.corrected is None or score.corrected_low is None:
        return  # results from before there were intervals took another part of the excess off corrected errors
    low, high = corrected_interval(score.value, score.corrected, errors)
    yield from _disagrees(f"the standard error of the corrected {name}", errors.corrected, score.corrected_stderr)
    yield from _disagrees(f"the lower end of the interval of the corrected {name}", low, score.corrected_low)
    yield from _disagrees(f"the upper end of the interval of the corrected {name}", high, score.corrected_high)


def _column(numbers: PerClip, name: str) -> Float64Array:
    return np.array([values[name] for values in numbers.values() if name in values], dtype=np.float64)


def _disagrees(what: str, recomputed: float, stated: float | None) -> Iterator[str]:
    if stated is not None and not math.isclose(recomputed, stated, rel_tol=_ROUNDING, abs_tol=1e-12):
        yield f"{what} is {stated:g}, but from its table of clips it is {recomputed:g}"


def _wrong_counts(result: Result) -> Iterator[str]:
    clips_n, scored_n = result.counts.get("clips"), result.counts.get("scored")
    if clips_n is None or scored_n is None:
        yield "its counts must hold `clips` and `scored`"
        return
    if clips_n != result.manifest["clips"]:
        yield f"it counts {clips_n} clips, its manifest has {result.manifest['clips']}"
    if scored_n > clips_n:
        yield f"{scored_n} of {clips_n} clips cannot have been scored"
    for name, score in result.scores.items():
        if score.n_clips + score.n_undefined > scored_n:
            yield f"{name} is over more clips than the {scored_n} that were scored"


def _wrong_extractors(result: Result) -> Iterator[str]:
    for part, extractor in result.extractors.items():
        if _fingerprint(extractor) != extractor["fingerprint"]:
            yield f"the fingerprint of the {shown(part)} extractor does not follow from its name, version and options"
        named = extractor["options"].get("weights_sha256", extractor["weights_sha256"])
        if named != extractor["weights_sha256"]:
            yield f"the {shown(part)} extractor names two different hashes of its weights"


def _fingerprint(extractor: dict[str, Any]) -> str:
    # As Extractor.fingerprint makes it; a test holds the two together.
    record = {key: extractor[key] for key in ("name", "version", "dim", "options")}
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _wrong_declaration(name: str, score: Score, result: Result) -> Iterator[str]:
    spec = METRICS.get(name)
    if spec is None:
        yield f"this t2av-bench knows no score {shown(name)!r}; upgrade it, or leave the score out"
        return
    if score.version > spec.version:
        yield f"{name} is of version {score.version}; this t2av-bench has version {spec.version}: upgrade it"
    if (score.kind, score.higher_is_better) != (spec.kind, spec.higher_is_better):
        yield f"{name} is {spec.kind} and better when {'high' if spec.higher_is_better else 'low'}; it says otherwise"
    lacking = sorted(set(spec.blocks) - result.extractors.keys() - set(KNOWN_PARTS))
    if lacking:
        yield f"{name} needs {' and '.join(lacking)} features, but the result names no such extractor"


def _wrong_number(name: str, score: Score, result: Result) -> Iterator[str]:
    low, high = _RANGES.get(name, _KIND_RANGES.get(score.kind, (-math.inf, math.inf)))
    if not low - _ROUNDING <= score.value <= high + _ROUNDING:
        yield f"{shown(name)} must be from {low:g} to {high:g}, is {score.value:g}"
    if score.rank is not None and score.rank > min(score.d or score.rank, score.n_windows):
        yield f"the rank of {shown(name)} is {score.rank}, more than its dimensions or samples"


def _wrong_order(result: Result) -> Iterator[str]:
    for whole, parts in _PARTS.items():
        for part in parts:
            if whole not in result.scores or part not in result.scores:
                continue
            more, fewer = result.scores[whole], result.scores[part]
            same_samples = (more.n_clips, more.n_windows) == (fewer.n_clips, fewer.n_windows)
            if same_samples and more.value < fewer.value * (1.0 - _ROUNDING) - _ROUNDING:
                yield f"{whole} must be at least {part}, but is {more.value:g} and {fewer.value:g}"


def _wrong_index(result: Result) -> Iterator[str]:
    """Recompute the alignment indices; the first results did not hold their zero point."""
    for name, joint in _INDEX_OF.items():
        if not {name, joint, "FAD-b"} <= result.scores.keys() or "random_pairing" not in result.scores[name].settings:
            continue
        zero = result.scores[name].settings["random_pairing"]
        audio_only = result.scores["FAD-b"].value
        if isinstance(zero, bool) or not isinstance(zero, (int, float)) or zero <= audio_only:
            yield f"the zero point of {name} must be a distance above FAD-b, {audio_only:g}; is {shown(str(zero))}"
            continue
        loss = result.scores[joint].value - audio_only
        recomputed = 1.0 - loss / (zero - audio_only)
        stated = result.scores[name].value
        if not math.isclose(recomputed, stated, rel_tol=_ROUNDING, abs_tol=_ROUNDING):
            yield f"{name} is {stated:g}, but from its zero point, FAD-b and {joint} it is {recomputed:g}"


def _not_comparable(result: Result) -> Iterator[str]:
    """Yield what speaks against comparing a result that says nothing does."""
    if result.protocol["features"] != "paper":
        yield f"its features are {shown(result.protocol['features'])}, not paper"
    if result.protocol["weights"] == "random":
        yield "its weights are random"
    if result.protocol["pooling"] != "window":
        yield f"its pooling is {result.protocol['pooling']}, not window"
    if not result.manifest["official"] or result.manifest["name"] not in {*PINS, _MINI}:
        yield f"its manifest {shown(result.manifest['name'])} is not an official one"
    if reason := incomplete(result.counts["scored"], result.counts["clips"]):
        yield f"it is {reason}"
    published = {value for entry in WEIGHTS.values() for value in (entry.sha256, entry.content_sha256) if value}
    for part, extractor in result.extractors.items():
        if extractor["weights_sha256"] not in published:
            yield f"the weights of its {shown(part)} extractor are none of the published ones"
