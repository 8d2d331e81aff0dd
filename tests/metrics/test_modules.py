"""Metric objects: equal to the functions however rows arrive, and whole after everything torchmetrics does to them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics import MetricCollection

from t2av_bench.errors import MetricError, UsageError
from t2av_bench.metrics import METRICS, Balance, JointStats, frechet_distance, joint_kernel_distance, joint_score
from t2av_bench.metrics.halves import frechet_errors
from t2av_bench.metrics.kernel import kernel_distance
from t2av_bench.metrics.modules import AlignmentIndex, FrechetScore, KernelScore
from t2av_bench.metrics.states import merge_moments, moments_matrix
from t2av_bench.metrics.streaming import EmbeddingScore

Array = npt.NDArray[np.float64]
Blocks = dict[str, Array]
DIMS = {"audio": 6, "video": 24, "text": 5}


def world(seed: int, n: int = 240, offset: float = 0.0) -> tuple[Blocks, Blocks]:
    """Reference and generated sound that follows from the same video and text, less so in the generated one."""
    rng = np.random.default_rng(seed)
    video, text = rng.normal(size=(n, 24)), rng.normal(size=(n, 5))
    cause = video[:, :6] + text[:, :1]
    shared = {"video": video + offset, "text": text + offset}
    reference = {"audio": cause + rng.normal(size=(n, 6)) + offset, **shared}
    return reference, {"audio": 0.5 * cause + 1.2 * rng.normal(size=(n, 6)) + 0.3 + offset, **shared}


def by_function(name: str, reference: Blocks, generated: Blocks, *, clips_known: bool = False) -> float:
    """The value of a score by the functions of the package; clips of four windows."""
    if name.startswith("K"):
        blocks = METRICS[name].blocks
        clips = (np.arange(240) // 4, np.arange(240) // 4) if clips_known else None
        if blocks == ("audio",):
            return kernel_distance(reference["audio"], generated["audio"], clips=clips).value
        sides = [{block: side[block] for block in blocks} for side in (reference, generated)]
        return joint_kernel_distance(*sides, clips=clips).value
    spec, stats = METRICS[name], []
    for side in (reference, generated):
        stats.append(JointStats({block: DIMS[block] for block in spec.blocks}))
        stats[-1].update(**{block: side[block] for block in spec.blocks})
    balance = None if spec.kind == "raw" else Balance.fit(stats[0])
    return joint_score(spec, *stats, balance)


def metric_of(name: str, **options: Any) -> EmbeddingScore:
    spec = METRICS[name]
    dims = {block: DIMS[block] for block in spec.blocks}
    if name.startswith("K"):
        return KernelScore(dims, **options)
    if spec.kind == "index":
        return AlignmentIndex(dims, **options)
    return FrechetScore(dims, balanced=spec.kind == "balanced", **options)


def feed(metric: EmbeddingScore, blocks: Blocks, batch_n: int = 70, first: int = 0, **options: Any) -> None:
    for start in range(0, len(blocks["audio"]), batch_n):
        part = {block: torch.from_numpy(rows[start : start + batch_n]) for block, rows in blocks.items()}
        clips = {"clip_ids": (first + np.arange(start, start + len(part["audio"]))) // 4} if metric.stderr else {}
        metric.update(**part, **clips, **options)


NAMES = ["FAD", "FAVD", "FATD", "FA(VT)D", "FAD-b", "FAVD-b", "FATD-b", "FA(VT)D-b", "AV-index", "AT-index"]
NAMES += ["KAD", "KAVD", "KATD", "KA(VT)D"]


@pytest.mark.parametrize("given_before", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_value_is_that_of_the_function(name: str, given_before: bool) -> None:
    reference, generated = world(0)
    metric = metric_of(name, reference=reference if given_before else None)
    if not given_before:
        feed(metric, reference, real=True)
    feed(metric, generated)
    assert float(metric.compute()) == pytest.approx(by_function(name, reference, generated), rel=1e-9)


@pytest.mark.parametrize("name", ["FAVD", "FAVD-b", "AV-index"])
def test_statistics_may_be_given_as_the_reference(name: str) -> None:
    reference, generated = world(0)
    stats = JointStats(DIMS)
    stats.update(**reference)
    metric = metric_of(name, reference=stats)
    feed(metric, generated)
    assert float(metric.compute()) == pytest.approx(by_function(name, reference, generated), rel=1e-9)


@pytest.mark.parametrize("name", ["FAVD", "FAVD-b", "AV-index", "KAD", "KAVD"])
@pytest.mark.parametrize("offset", [1e3, -1e6])
def test_a_mean_far_from_zero_costs_no_digits(name: str, offset: float) -> None:
    """What sums of squares about a fixed point would lose: at 1e6 all digits of a variance of 1 but four."""
    reference, generated = world(0, offset=offset)
    metric = metric_of(name)
    feed(metric, reference, real=True)
    feed(metric, generated)
    # The rows themselves are rounded at this offset, for the function as for the object.
    assert float(metric.compute()) == pytest.approx(by_function(name, *world(0)), rel=2e-8 if offset < 0 else 1e-10)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 30), max_size=4), scale=st.floats(1e-3, 1e4), seed=st.integers(0, 99))
def test_moments_add_up_whatever_the_parts(cuts: list[int], scale: float, seed: int) -> None:
    rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(30, 3)) * scale + 5 * scale)
    parts = torch.tensor_split(rows, sorted(cuts))
    matrices = [moments_matrix(part) if len(part) else torch.zeros(4, 4, dtype=torch.float64) for part in parts]
    torch.testing.assert_close(merge_moments(torch.stack(matrices)), moments_matrix(rows), rtol=1e-12, atol=1e-10)
    in_turn = matrices[0]
    for matrix in matrices[1:]:
        in_turn = merge_moments(torch.stack([in_turn, matrix]))
    torch.testing.assert_close(in_turn, moments_matrix(rows), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("name", ["FAD", "FAVD-b", "AV-index", "KAD"])
def test_the_standard_error_is_clustered_by_clip(name: str) -> None:
    reference, generated = world(0)
    metric = metric_of(name, stderr=True)
    feed(metric, reference, real=True)
    feed(metric, generated)
    found = metric.compute()
    assert isinstance(found, dict)
    assert float(found["value"]) == pytest.approx(by_function(name, reference, generated, clips_known=True), rel=1e-9)
    assert float(found["stderr"]) > 0
    if name == "FAD":
        clips = [str(row // 4) for row in range(240)]
        expected = frechet_errors(reference["audio"], generated["audio"], clips, clips).stderr
        assert float(found["stderr"]) == pytest.approx(expected, rel=1e-9)


def test_clips_are_known_across_the_sides_and_by_name() -> None:
    """The same clips on both sides cancel: other names on the generated side give another, larger error."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    errors = []
    for prefix in ("clip", "other"):
        metric = FrechetScore({"audio": 2}, stderr=True)
        metric.update(x, real=True, clip_ids=[f"clip{row}" for row in range(200)])
        metric.update(x + 1 + 0.1 * rng.normal(size=x.shape), clip_ids=[f"{prefix}{row}" for row in range(200)])
        errors.append(float(metric.compute()["stderr"]))
    assert errors[0] < 0.3 * errors[1]


@pytest.mark.parametrize("before", [False, True])
def test_kernel_distances_leave_pairs_of_one_clip_out_where_clips_are_known(before: bool) -> None:
    reference, generated = world(0)
    clips = np.arange(240) // 4
    metric = metric_of("KAVD", reference=reference if before else None, reference_clip_ids=clips if before else None)
    if not before:
        metric.update(**reference, real=True, clip_ids=clips)
    metric.update(**generated, clip_ids=clips)
    expected = by_function("KAVD", reference, generated, clips_known=True)
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-9)
    assert abs(by_function("KAVD", reference, generated) - expected) > 1e-4


def saved_and_loaded(metric: EmbeddingScore, fresh: Callable[[], EmbeddingScore]) -> EmbeddingScore:
    other = fresh()
    other.load_state_dict(metric.state_dict())
    return other


JOURNEYS: dict[str, Callable[[EmbeddingScore, Callable[[], EmbeddingScore]], EmbeddingScore]] = {
    "state_dict": saved_and_loaded,
    "pickle": lambda metric, _: pickle.loads(pickle.dumps(metric)),
    "deepcopy": lambda metric, _: copy.deepcopy(metric),
    "clone": lambda metric, _: metric.clone(),
    "to": lambda metric, _: metric.to("cpu"),
    "compute in between": lambda metric, _: (metric.compute(), metric)[1],
}


@pytest.mark.parametrize("journey", JOURNEYS)
@pytest.mark.parametrize("options", [{}, {"stderr": True}])
@pytest.mark.parametrize("name", ["FAVD", "FAVD-b", "KAVD"])
def test_half_a_set_is_finished_after_a_journey(name: str, options: dict[str, bool], journey: str) -> None:
    reference, generated = world(0)
    metric = metric_of(name, **options)
    feed(metric, reference, real=True)
    feed(metric, {block: rows[:120] for block, rows in generated.items()}, batch_n=60)
    metric = JOURNEYS[journey](metric, lambda: metric_of(name, **options))
    feed(metric, {block: rows[120:] for block, rows in generated.items()}, batch_n=60, first=120)
    found = metric.compute()
    value = found["value"] if isinstance(found, dict) else found
    assert float(value) == pytest.approx(by_function(name, reference, generated, clips_known=bool(options)), rel=1e-9)


def test_what_was_loaded_can_be_computed_at_once() -> None:
    """Neither torchmetrics' warning about a metric without updates nor the value from before."""
    reference, generated = world(0)
    metric, other = metric_of("FAD"), metric_of("FAD")
    for each, side in ((metric, generated), (other, reference)):
        feed(each, reference, real=True)
        feed(each, side)
    assert float(other.compute()) == pytest.approx(0, abs=1e-12)
    other.load_state_dict(metric.state_dict())
    assert float(other.compute()) == float(metric.compute())
    fresh = metric_of("FAD")
    fresh.load_state_dict(metric.state_dict())
    assert float(fresh.compute()) == float(metric.compute())


def test_states_of_other_dimensions_are_refused() -> None:
    metric = FrechetScore({"audio": 3})
    with pytest.raises(MetricError, match=r"saved reference_moments are of other dimensions than \{'audio': 6\}"):
        FrechetScore({"audio": 6}).load_state_dict(metric.state_dict())


def test_reset_forgets_and_keeps_the_reference_on_request() -> None:
    reference, generated = world(0)
    for options in ({}, {"stderr": True}):
        metric = metric_of("FAD", reset_real_features=False, **options)
        feed(metric, reference, real=True)
        feed(metric, {**generated, "audio": generated["audio"] + 100})
        metric.reset()
        feed(metric, generated)
        found = metric.compute()
        value = found["value"] if isinstance(found, dict) else found
        assert float(value) == pytest.approx(by_function("FAD", reference, generated), rel=1e-9)
    forgetful = metric_of("FAD")
    feed(forgetful, reference, real=True)
    forgetful.reset()
    feed(forgetful, generated)
    with pytest.raises(MetricError, match="`reference` must hold at least 2 rows; got 0"):
        forgetful.compute()


def test_forward_scores_the_batch_and_counts_it() -> None:
    reference, generated = world(0)
    metric = metric_of("FAD")
    assert metric(reference["audio"], real=True) is None
    first = metric(generated["audio"][:100])
    assert float(first) == pytest.approx(frechet_distance(reference["audio"], generated["audio"][:100]), rel=1e-9)
    assert metric(generated["audio"][100:101]) is None, "one row has no covariance"
    metric(generated["audio"][101:])
    assert float(metric.compute()) == pytest.approx(by_function("FAD", reference, generated), rel=1e-9)
    with pytest.raises(MetricError, match="must have the shape"):
        metric(generated["audio"][:, :2])


def test_a_collection_is_fed_in_one_call() -> None:
    reference, generated = world(0)
    names = ["FAD", "FAVD", "FAVD-b", "AV-index", "KAD"]
    collection = MetricCollection({name: metric_of(name) for name in names})
    for side, real in ((reference, True), (generated, False)):
        for half in (slice(None, 100), slice(100, None)):
            collection.update(**{block: torch.from_numpy(rows[half]) for block, rows in side.items()}, real=real)
    values = collection.compute()
    assert set(values) == set(names)
    for name, value in values.items():
        assert float(value) == pytest.approx(by_function(name, reference, generated), rel=1e-9), name
    collection.reset()
    assert collection["FAD"].update_count == 0


def test_states_of_two_objects_can_be_merged() -> None:
    reference, generated = world(0)
    for name in ("FAVD", "KAVD"):
        halves = [metric_of(name), metric_of(name)]
        for number, half in enumerate(halves):
            feed(half, {block: rows[number::2] for block, rows in reference.items()}, real=True)
            feed(half, {block: rows[number::2] for block, rows in generated.items()})
        halves[0].merge_state(halves[1])
        assert float(halves[0].compute()) == pytest.approx(by_function(name, reference, generated), rel=1e-9)


def test_half_precision_and_gradients_are_welcome() -> None:
    reference, generated = world(0)
    metric = metric_of("FAD")
    metric.update(torch.tensor(reference["audio"], dtype=torch.bfloat16, requires_grad=True), real=True)
    metric.update(torch.tensor(generated["audio"], dtype=torch.float16))
    value = metric.compute()
    assert value.dtype == torch.float64
    assert not value.requires_grad
    assert float(value) == pytest.approx(by_function("FAD", reference, generated), rel=0.02)


def test_a_given_reference_makes_the_balanced_state_small() -> None:
    reference, _ = world(0)
    metric = metric_of("FAVD-b", reference=reference)
    assert metric.generated_moments.shape == (31, 31), "6 + 24 axes of 240 windows / 10, and the count"
    few = metric_of("FAVD-b", reference={block: rows[:50] for block, rows in reference.items()})
    assert few.generated_moments.shape == (12, 12), "6 + 5 axes of 50 windows / 10, and the count"
    assert not hasattr(metric, "reference_moments")


def test_direction_is_declared() -> None:
    assert not metric_of("FAD").higher_is_better
    assert not metric_of("KAD").higher_is_better
    assert metric_of("AV-index").higher_is_better


def test_the_sides_are_not_exchangeable() -> None:
    """Convention: `real=True` is the reference, which the balance and the bandwidth are fitted on."""
    reference, generated = world(0)
    generated = {**generated, "audio": 3 * generated["audio"]}
    for name in ("FAVD-b", "KAD"):
        right, wrong = metric_of(name), metric_of(name)
        for metric, order in ((right, (True, False)), (wrong, (False, True))):
            feed(metric, reference, real=order[0])
            feed(metric, generated, real=order[1])
        assert float(right.compute()) == pytest.approx(by_function(name, reference, generated), rel=1e-9)
        assert abs(float(wrong.compute()) / float(right.compute()) - 1) > 0.1


def test_bad_input_is_refused_with_its_reason() -> None:
    reference, generated = world(0)
    metric = metric_of("FAVD")
    with pytest.raises(MetricError, match="the score is over audio and video; got no video features"):
        metric.update(reference["audio"])
    with pytest.raises(MetricError, match=r"block 'video' must have the shape \(240, 24\); got \(239, 24\)"):
        metric.update(reference["audio"], reference["video"][1:])
    with pytest.raises(MetricError, match="block 'audio' must be finite"):
        metric.update(np.full((3, 6), np.nan), reference["video"][:3])
    with pytest.raises(UsageError, match="the reference was given beforehand"):
        metric_of("FAVD", reference=reference).update(**reference, real=True)
    with pytest.raises(UsageError, match="stderr=True needs `clip_ids`"):
        metric_of("FAD", stderr=True).update(reference["audio"])
    with pytest.raises(MetricError, match="a clip id for each of the 240 windows; got 3"):
        metric_of("FAD", stderr=True).update(reference["audio"], clip_ids=[1, 2, 3])
    with pytest.raises(UsageError, match="a standard error needs the clips of the reference"):
        metric_of("FAD", stderr=True, reference=reference)
    with pytest.raises(UsageError, match="`dims` must hold audio"):
        FrechetScore({"video": 3})
    with pytest.raises(UsageError, match="an alignment index is over audio, first, and one condition; got audio"):
        AlignmentIndex({"audio": 3})
    stats = JointStats({"audio": 6})
    stats.update(audio=reference["audio"])
    with pytest.raises(MetricError, match="it has no video block"):
        metric_of("FAVD", reference=stats)
    with pytest.raises(MetricError, match="the score needs the rows of the reference; got their moments only"):
        metric_of("KAD", reference=stats)
    with pytest.raises(MetricError, match=r"must have the dimensions \{'audio': 7\}; got \{'audio': 6\}"):
        FrechetScore({"audio": 7}, reference=stats)
    constant = {**reference, "video": np.ones((240, 24))}
    with pytest.raises(MetricError, match="the video features are the same in every window"):
        metric_of("FAVD-b", reference=constant)
    empty = metric_of("FAD")
    empty.update(np.zeros((0, 6)))
    feed(empty, generated)
    with pytest.raises(MetricError, match="`reference` must hold at least 2 rows; got 0"):
        empty.compute()
