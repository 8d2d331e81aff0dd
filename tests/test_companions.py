"""Companion scores on arrays: which side is which, errors, and what is undefined."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.companions import COMPANIONS, ClipArrays, ClipMeasure, ClipSet, Ratio, Undefined
from t2av_bench.companions.scores import score_companions
from t2av_bench.errors import MetricError
from t2av_bench.manifests import Clip
from t2av_bench.metrics import METRICS, class_divergence, inception_score, kernel_distance
from t2av_bench.metrics.coverage_errors import support_errors
from t2av_bench.metrics.uncertainty import contributions_stderr, second_order

Array = npt.NDArray[np.float32]


def clip_set(reference: dict[str, list[Array]], generated: dict[str, list[Array]]) -> ClipSet:
    """Clips whose parts are given as lists of arrays; conditions are those of the reference."""
    count = len(next(iter(reference.values())))
    clips = [Clip(f"clip {i}", "", "", 0.0, 4.0, "a sound", "", "test") for i in range(count)]

    def read(place: int, parts: object) -> ClipArrays:
        sides = (reference, {**reference, **generated})
        return ClipArrays(
            clips[place],
            *({part: rows[place] for part, rows in side.items() if part in parts} for side in sides),  # type: ignore[operator]
        )

    return ClipSet(clips, read)


def drawn(count: int, dim: int, seed: int, shift: float = 0.0, rows: int = 1) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [(shift + rng.standard_normal((rows, dim))).astype(np.float32) for _ in range(count)]


def test_every_companion_of_the_catalogue_has_a_measure_and_no_other():
    assert list(COMPANIONS) == [name for name, spec in METRICS.items() if not spec.is_frechet]
    assert all(measure.name == name for name, measure in COMPANIONS.items())


def test_class_divergence_is_of_the_reference_from_the_generated_clip():
    """Convention test: exchanged sides give another value."""
    reference, generated = drawn(20, 7, 0), [2.0 * rows for rows in drawn(20, 7, 1)]
    forward = score_companions(["KL-softmax", "KL-sigmoid"], clip_set({"logits": reference}, {"logits": generated}), 0)
    backward = score_companions(["KL-softmax"], clip_set({"logits": generated}, {"logits": reference}), 0)
    for name in ("KL-softmax", "KL-sigmoid"):
        expected = class_divergence(np.concatenate(reference), np.concatenate(generated), form=name[3:])  # type: ignore[arg-type]
        score = forward.scores[name]
        assert score.value == pytest.approx(expected.mean)
        np.testing.assert_allclose(forward.clip_values[name], expected.per_clip)
        assert score.stderr == pytest.approx(np.std(expected.per_clip, ddof=1) / np.sqrt(20))
        assert score.settings["direction"] == "KL(reference || generated)"
    assert abs(forward.scores["KL-softmax"].value - backward.scores["KL-softmax"].value) > 0.1


def test_the_inception_score_is_of_the_generated_set_and_records_its_splits():
    reference, generated = drawn(30, 7, 0), [3.0 * rows for rows in drawn(30, 7, 1)]
    score = score_companions(["IS"], clip_set({"logits": reference}, {"logits": generated}), 5).scores["IS"]
    expected = inception_score(np.concatenate(generated))
    assert score.value == expected.mean
    assert score.settings == {"splits": 10, "seed": 2020, "std_over_splits": expected.std}
    assert score.stderr is not None
    assert 0 < score.stderr < expected.mean


def test_the_inception_score_of_few_clips_has_no_error_and_says_why():
    score = score_companions(["IS"], clip_set({"logits": drawn(19, 7, 0)}, {"logits": drawn(19, 7, 1)}), 5).scores["IS"]
    assert (score.stderr, score.withheld["stderr"]) == (None, "needs at least 2 clips in each of 10 parts")


def test_the_kernel_distance_takes_its_bandwidth_from_the_reference():
    """Convention test: exchanged sides give another value."""
    reference, generated = drawn(30, 5, 0, rows=4), [3.0 * rows for rows in drawn(30, 5, 1, rows=4)]
    score = score_companions(["KAD"], clip_set({"audio": reference}, {"audio": generated}), 0).scores["KAD"]
    clips = np.repeat(np.arange(30), 4)
    expected = kernel_distance(np.concatenate(reference), np.concatenate(generated), clips=(clips, clips))
    assert (score.value, score.settings["bandwidth"]) == (expected.value, expected.bandwidth)
    swapped = score_companions(["KAD"], clip_set({"audio": generated}, {"audio": reference}), 0).scores["KAD"]
    assert abs(swapped.value - score.value) > 0.05
    assert (score.n_clips, score.n_windows) == (30, 120)


def test_the_error_of_the_kernel_distance_is_that_of_a_jackknife_over_clips():
    count = 60
    reference = {"audio": drawn(count, 5, 0, rows=3)}
    generated = {"audio": [rows + 0.4 for rows in drawn(count, 5, 1, rows=3)]}
    found = score_companions(["KAD"], clip_set(reference, generated), 0)
    bandwidth = found.scores["KAD"].settings["bandwidth"]
    kept = [
        [np.concatenate([rows for j, rows in enumerate(side["audio"]) if j != i]) for side in (reference, generated)]
        for i in range(count)
    ]
    clips = np.repeat(np.arange(count - 1), 3)
    left_out = np.array([kernel_distance(*sides, bandwidth=bandwidth, clips=(clips, clips)).value for sides in kept])
    jackknife = np.sqrt((count - 1) / count * np.square(left_out - left_out.mean()).sum())
    assert contributions_stderr(found.contributions["KAD"]) == pytest.approx(jackknife, rel=0.05)
    errors = second_order(found.contributions["KAD"], found.own_half["KAD"])
    assert found.scores["KAD"].stderr == errors.stderr < jackknife
    assert found.scores["KAD"].settings["stderr"] == "second order"


@pytest.mark.parametrize("name", ["KAD", "KAVD"])
def test_kernel_distances_of_two_clips_have_no_error_and_say_why(name: str):
    parts = [{part: drawn(2, 5, seed + i, rows=3) for i, part in enumerate(("audio", "video"))} for seed in (0, 7)]
    scored = score_companions([name], clip_set(*parts), 0)
    assert scored.scores[name].stderr is None
    assert scored.scores[name].withheld["stderr"] == f"the standard error of {name} needs at least 3 clips; got 2"
    assert name not in scored.contributions


def test_precision_is_of_the_generated_set_and_recall_of_the_reference():
    """Convention test: a generated set that holds a part of reality is precise and lacks recall."""
    reference = drawn(60, 2, 0)
    generated = [rows / 20 for rows in drawn(60, 2, 1)]
    names = ["precision", "recall", "density", "coverage"]
    scores = score_companions(names, clip_set({"clip_audio": reference}, {"clip_audio": generated}), 0).scores
    assert scores["precision"].value > 0.95 > 0.3 > scores["recall"].value
    assert scores["density"].value > 0.8 > 0.5 > scores["coverage"].value
    assert all(score.settings == {"k": 5} and score.n_windows == 60 for score in scores.values())


def test_errors_of_scores_of_nearest_neighbours_stand_without_contributions_of_clips():
    sides = [drawn(count, 4, seed) for count, seed in ((100, 0), (100, 1), (95, 0), (95, 1))]
    names = ["precision", "recall", "density", "coverage"]
    clips = clip_set({"clip_audio": sides[0]}, {"clip_audio": [rows + 1 for rows in sides[1]]})
    found = score_companions(names, clips, 7)
    ids = np.array([clip.clip_id for clip in clips.clips])
    rows = [np.concatenate(side) for side in sides[:2]]
    _, errors = support_errors(rows[0], rows[1] + 1, ids, ids, seed=7)
    assert [found.scores[name].stderr for name in names] == pytest.approx(list(errors))
    assert not found.contributions
    assert not any(score.withheld for score in found.scores.values())
    few = score_companions(names, clip_set({"clip_audio": sides[2]}, {"clip_audio": sides[3]}), 0).scores["density"]
    assert few.stderr is None
    assert "need at least 24 clips and 96 rows" in few.withheld["stderr"]
    equal = score_companions(names, clip_set({"clip_audio": sides[0]}, {"clip_audio": sides[0]}), 0).scores["recall"]
    assert "fewer than 3 clips are inside, or outside" in equal.withheld["stderr"]


def test_the_caption_is_compared_with_the_generated_sound():
    """Convention test: the reference sound has no part in the score."""
    text = [np.array([[1.0, 0.0]], np.float32)] * 4
    fits, fits_not = [np.array([[2.0, 0.0]], np.float32)] * 4, [np.array([[0.0, 1.0]], np.float32)] * 4
    scores = [
        score_companions(["CLAP"], clip_set({"clap_audio": one, "clap_text": text}, {"clap_audio": other}), 0).scores
        for one, other in ((fits, fits_not), (fits_not, fits))
    ]
    assert [score["CLAP"].value for score in scores] == [0.0, 1.0]


class _Odd(ClipMeasure):
    """The share of clips' numbers that are even, undefined for clips without a number."""

    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        numbers = arrays.generated["logits"]
        if len(numbers) == 0:
            return Undefined("no numbers")
        return Ratio(float((numbers % 2 == 0).sum()), float(numbers.size))


def test_a_ratio_leaves_out_clips_it_is_undefined_for_and_counts_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(COMPANIONS, "IS", _Odd("IS"))
    numbers = [np.array([[0.0, 1.0]]), np.zeros((0, 2)), np.array([[2.0, 4.0], [6.0, 1.0]])]
    found = score_companions(["IS"], clip_set({"logits": numbers}, {}), 0)
    score = found.scores["IS"]
    assert score.value == pytest.approx(4 / 6)
    assert (score.n_clips, score.n_undefined) == (2, 1)
    np.testing.assert_array_equal(found.clip_values["IS"], [0.5, np.nan, 0.75])
    np.testing.assert_allclose(found.contributions["IS"], [(1 - 2 * 4 / 6) / 6, 0, (3 - 4 * 4 / 6) / 6])
    nothing = score_companions(["IS"], clip_set({"logits": [np.zeros((0, 2))] * 3}, {}), 0)
    assert nothing.absent == {"IS": "undefined for all 3 clips: no numbers"}
    assert not nothing.scores


@pytest.mark.parametrize(
    ("name", "part", "rows", "reason"),
    [
        ("KAD", "audio", [np.ones((4, 3))] * 5, "the bandwidth must be above zero"),
        ("KAVD", "audio", [np.ones((4, 3))] * 5, "audio features must vary"),
        ("precision", "clip_audio", [np.ones((1, 3))] * 5, "must hold at least 6 rows; got 5"),
        ("IS", "logits", [np.ones((1, 3))] * 5, "`splits` must be from 1 to the number of rows, 5; got 10"),
        ("CLAP", "clap_audio", [np.zeros((1, 3))] * 5, "undefined for all 5 clips: clip 0: an embedding that is zero"),
        ("KL-softmax", "logits", [np.full((1, 3), np.nan)] * 5, "undefined for all 5 clips: clip 0: .* must be finite"),
    ],
)
def test_an_undefined_companion_is_absent_with_its_reason(name: str, part: str, rows: list[Array], reason: str):
    conditions = {"video": drawn(5, 3, 0, rows=4), "clap_text": drawn(5, 3, 1)}
    found = score_companions([name], clip_set({**conditions, part: rows}, {part: rows}), 0)
    assert not found.scores
    with pytest.raises(MetricError, match=reason):
        raise MetricError(found.absent[name])
