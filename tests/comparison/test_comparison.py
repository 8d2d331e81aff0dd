"""Paired comparisons: textbook cases, level and power, refusals, files and tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from made_results import made_result, result_of_values
from scipy import stats

import t2av_bench as tb
from t2av_bench.comparison.tables import format_comparison
from t2av_bench.errors import ComparisonError, UsageError
from t2av_bench.metrics import frechet_distance
from t2av_bench.metrics.halves import frechet_contributions
from t2av_bench.results import Result
from t2av_bench.schemas import first_violation

Array = npt.NDArray[np.float64]


def systems(count: int, clips_n: int = 40, seed: int = 0, **shifts: float) -> list[Result]:
    """Systems that share how hard each clip is; the i-th is worse by i times the shift of a score."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=clips_n)
    return [
        result_of_values(
            f"system {i}", **{name: hard + i * shift + 0.3 * rng.normal(size=clips_n) for name, shift in shifts.items()}
        )
        for i in range(count)
    ]


def column(result: Result, score: str) -> Array:
    clips_n = len(result.per_clip)
    return np.array([result.scores[score].value + clips_n * values[score] for values in result.per_clip.values()])


def test_for_a_mean_over_clips_it_is_the_paired_t_test():
    first, second = systems(2, FAD=0.1)
    (test,) = tb.compare([first, second]).tests
    expected = stats.ttest_rel(column(first, "FAD"), column(second, "FAD"))
    interval = expected.confidence_interval(0.95)
    assert test.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    difference = column(first, "FAD") - column(second, "FAD")
    assert test.difference == pytest.approx(difference.mean())
    assert test.effect_size == pytest.approx(difference.mean() / difference.std(ddof=1))


def test_the_difference_is_first_minus_second_and_the_better_one_follows_the_scores_direction():
    first, second = systems(2, FAD=1.0, AV_index=1.0)
    fad, index = tb.compare([first, second]).tests
    assert (fad.first, fad.second) == ("system 0", "system 1")
    assert fad.difference < 0 < -fad.high
    assert fad.better == "system 0"
    assert index.difference < 0
    assert index.better == "system 1"
    swapped, _ = tb.compare([second, first]).tests
    assert (swapped.difference, swapped.low, swapped.high) == pytest.approx((-fad.difference, -fad.high, -fad.low))
    assert swapped.better == "system 0"


def test_every_pair_or_all_against_a_baseline():
    results = systems(3, FAD=1.0)
    assert [(t.first[-1], t.second[-1]) for t in tb.compare(results).tests] == [("0", "1"), ("0", "2"), ("1", "2")]
    against = tb.compare(results, "system 1")
    assert [(t.first[-1], t.second[-1]) for t in against.tests] == [("0", "1"), ("2", "1")]
    assert against.baseline == "system 1"


def test_p_values_are_adjusted_over_scores_and_pairs():
    """Holm by hand: the k-th smallest of m is multiplied by m - k + 1, and none falls below its predecessor."""
    comparison = tb.compare(systems(3, seed=3, FAD=0.1, FAVD=0.05))
    raw = [test.p_value for test in comparison.tests]
    assert len(raw) == 6
    by_hand, highest = {}, 0.0
    for k, p in enumerate(sorted(raw)):
        highest = max(highest, min((6 - k) * p, 1.0))
        by_hand[p] = highest
    assert [test.p_holm for test in comparison.tests] == pytest.approx([by_hand[p] for p in raw])
    assert any(p < 0.05 <= by_hand[p] for p in raw)  # so that the adjustment decides something here
    for test in comparison.tests:
        assert (test.better is not None) == (test.p_holm < 0.05)


def test_fewer_scores_are_adjusted_for_less():
    results = systems(2, FAD=0.1, FAVD=0.05)
    (alone,) = tb.compare(results, metrics=["FAD"]).tests
    assert alone.p_holm == alone.p_value
    assert tb.compare(results).tests[0].p_holm > alone.p_holm


def test_the_order_of_clips_in_the_files_does_not_matter():
    first, second = systems(2, FAD=0.1)
    turned = replace(second, per_clip=dict(reversed(second.per_clip.items())))
    assert tb.compare([first, turned]).tests[0].p_value == pytest.approx(tb.compare([first, second]).tests[0].p_value)


def test_a_system_does_not_differ_from_its_copy():
    first = systems(1, FAD=0.0)[0]
    copy = replace(first, system={"name": "copy", "description": ""})
    (test,) = tb.compare([first, copy]).tests
    assert (test.difference, test.p_value, test.better, test.effect_size) == (0.0, 1.0, None, None)


# ---- level and power on Fréchet distances -------------------------------------------------------------------------


def frechet_result(name: str, x: Array, y: Array, clips: npt.NDArray[np.intp]) -> Result:
    """Return a result with errors of second order where there are 4 d windows."""
    found = frechet_contributions(x, y, clips, clips)
    columns = [
        {str(clip): {"FAD": float(v)} for clip, v in zip(found.clips, values, strict=True)}
        for values in (found.values, found.own_half)
        if values is not None
    ]
    result = made_result(name, {"FAD": frechet_distance(x, y)}, columns[0])
    return replace(result, clip_halves=columns[1]) if len(columns) > 1 else result


def two_systems(seed: int, clips_n: int, d: int, worse: float, *, families: float = 0.0) -> list[Result]:
    """Clips of 4 similar windows; both systems err in the same clips, and the second one more by ``worse``.

    ``families`` sets clips of three kinds apart by so much, so that nothing is Gaussian.
    """
    rng = np.random.default_rng(seed)
    clips = np.repeat(np.arange(clips_n), 4)

    def drawn() -> Array:
        return np.sqrt(0.5) * (rng.normal(size=(clips_n, d))[clips] + rng.normal(size=(4 * clips_n, d)))

    x, shared = drawn(), drawn()
    x[:, 2] += families * rng.integers(0, 3, clips_n)[clips]
    both = [0.6 * x + 0.7 * shared + 0.4 * drawn() for _ in range(2)]
    for y, shift in zip(both, (0.5, 0.5 + worse), strict=True):
        y[:, 0] += shift
        y[:, 1] *= 1.4
    return [frechet_result(name, x, y, clips) for name, y in zip("ab", both, strict=True)]


SIZES = [(16, 3), (64, 6), pytest.param(128, 16, marks=pytest.mark.slow), pytest.param(128, 64, marks=pytest.mark.slow),
         pytest.param(32, 150, marks=pytest.mark.slow)]  # fmt: skip


def test_rounding_is_no_difference():
    """The same sounds in another order have the same FAD but for its arithmetic, which no clip sways."""
    first, second = systems(2, FAD=0.0)
    scores = {"FAD": replace(first.scores["FAD"], value=first.scores["FAD"].value + 3e-14)}
    (test,) = tb.compare([first, replace(first, system=second.system, scores=scores)]).tests
    assert (test.stderr, test.p_value, test.better) == (0.0, 1.0, None)
    (test,) = tb.compare(
        [first, replace(first, system=second.system, scores={"FAD": replace(scores["FAD"], value=9.0)})]
    ).tests
    assert (test.p_value, test.better) == (0.0, "system 0")


@pytest.mark.parametrize(("clips_n", "d"), SIZES)
def test_equally_good_systems_differ_in_one_run_of_twenty(clips_n: int, d: int):
    """To second order from 4 windows per dimension on; with fewer, at most in one of twenty."""
    runs = 400
    results = [two_systems(seed, clips_n, d, 0.0) for seed in range(runs)]
    rejected = [tb.compare(both).tests[0].p_value < 0.05 for both in results]
    # 5 % and two standard deviations of 400 draws.
    assert np.mean(rejected) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
    assert bool(results[0][0].clip_halves) == (4 * clips_n >= 4 * d)
    if results[0][0].clip_halves:
        assert np.mean(rejected) >= 0.02


def test_errors_of_second_order_find_more_than_those_of_first():
    """A worse system is found more often, and results of other seeds, whose halves differ, still compare."""
    found = []
    for seed in range(60):
        first, second = two_systems(seed, 64, 24, 0.3)
        variants = [second, replace(second, clip_halves={}), replace(second, seed=1)]
        found.append([tb.compare([first, other]).tests[0].stderr for other in variants])
    errors = np.array(found)
    assert (errors[:, 0] <= errors[:, 1]).all()
    np.testing.assert_array_equal(errors[:, 1], errors[:, 2])
    assert errors[:, 0].mean() < 0.9 * errors[:, 1].mean()


@pytest.mark.slow
@pytest.mark.parametrize(("clips_n", "d"), [(64, 6), (64, 32)])
def test_the_level_holds_for_clips_of_several_families(clips_n: int, d: int):
    rejected = [
        tb.compare(two_systems(seed, clips_n, d, 0.0, families=4.0)).tests[0].p_value < 0.05 for seed in range(400)
    ]
    assert np.mean(rejected) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize("runs", [100, pytest.param(400, marks=pytest.mark.slow)])
def test_pairing_finds_differences_that_an_unpaired_test_misses(runs: int):
    paired, unpaired = [], []
    for seed in range(runs):
        both = two_systems(seed, 64, 6, 0.2)
        paired.append(tb.compare(both).tests[0].p_value < 0.05)
        scores = [result.scores["FAD"] for result in both]
        assert scores[0].stderr is not None
        assert scores[1].stderr is not None
        z = (scores[0].value - scores[1].value) / np.hypot(scores[0].stderr, scores[1].stderr)
        unpaired.append(2 * stats.norm.sf(abs(z)) < 0.05)
    assert np.mean(paired) > np.mean(unpaired) + 0.3
    assert np.mean(paired) > 0.5


def test_intervals_of_a_mean_cover_the_true_difference():
    covered = []
    for seed in range(400):
        (test,) = tb.compare(systems(2, clips_n=24, seed=seed, FAD=0.2)).tests
        covered.append(test.low <= -0.2 <= test.high)
    assert 0.925 <= np.mean(covered) <= 0.975


# ---- what is refused ----------------------------------------------------------------------------------------------


def changed(result: Result, place: str, value: Any) -> Result:
    record = json.loads(json.dumps(result.to_json()))
    del record["comparable"]
    *way, last = place.split("/")
    target = record
    for step in way:
        target = target[step]
    target[last] = value
    scores = {name: tb.Score(**score) for name, score in record.pop("scores").items()}
    return Result(scores=scores, **record, per_clip=result.per_clip)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("manifest/sha256", "f" * 64, r"the manifests are m version 1 \(40 clips, 00000000…\) and .*ffffffff…"),
        ("protocol/name", "fadtk", "the protocols are t2av-bench/1 and fadtk"),
        ("protocol/pooling", "clip", "the pooling is window and clip"),
        ("protocol/weights_seed", 3, "the weights seed is None and 3"),
        ("extractors/audio/fingerprint", "f" * 64, "the audio features are of lite-audio version 1 .*other options"),
        ("extractors/audio/version", 2, None),
        ("extractors/video/fingerprint", "f" * 64, None),
        ("scores/FAD/version", 2, "FAD is of version 1 and 2"),
        ("scores/FAD/higher_is_better", True, "FAD is of another kind"),
        ("scores/FAD/settings", {"seed": 1}, r"the settings of FAD are \{\} and \{'seed': 1\}"),
        ("scores/FAD/settings", {"shuffled": 0.5}, None),
        ("seed", 5, None),
        ("system/description", "another", None),
    ],
)
def test_only_what_decides_a_score_makes_results_incomparable(place: str, value: Any, message: str | None):
    first, second = systems(2, FAD=0.1)
    second = changed(second, place, value)
    if message is None:
        assert len(tb.compare([first, second]).tests) == 1
        return
    with pytest.raises(ComparisonError, match=f"cannot be compared:\n  system 0 and system 1: {message}"):
        tb.compare([first, second])


def test_other_weights_and_every_difference_are_named_at_once():
    first, second = systems(2, FAD=0.1)
    other = {**second.extractors["audio"], "fingerprint": "e" * 64, "weights_sha256": "d" * 64}
    second = changed(changed(second, "extractors/audio", other), "protocol/pooling", "clip")
    with pytest.raises(ComparisonError, match="(?s)the pooling is.*with other weights"):
        tb.compare([first, second])


def test_results_over_other_clips_are_refused_by_clip():
    first, second = systems(2, FAD=0.1)
    fewer = replace(second, per_clip=dict(list(second.per_clip.items())[5:]))
    message = "5 clips are scored in the first alone: clip 0000, clip 0001, clip 0002, …"
    with pytest.raises(ComparisonError, match=message):
        tb.compare([first, fewer])


def test_scores_that_cannot_be_tested_are_absent_with_their_reason():
    first, second = systems(2, FAD=0.1, FAVD=0.1, IS=0.1)
    second = replace(
        second,
        scores={name: score for name, score in second.scores.items() if name != "FAVD"},
        absent={"FAVD": "no pictures"},
        per_clip={clip: {"FAD": values["FAD"]} for clip, values in second.per_clip.items()},
    )
    comparison = tb.compare([first, second])
    assert [test.score for test in comparison.tests] == ["FAD"]
    assert comparison.untested == {
        "FAVD": "system 1 has none: no pictures",
        "IS": "system 1 has no contributions of clips",
    }
    with pytest.raises(ComparisonError, match=r"no score can be tested \(IS: system 1 has no contributions"):
        tb.compare([first, second], metrics=["IS"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda two: ([two[0]],), UsageError, "at least two results; got 1"),
        (lambda two: ([two[0], two[0]],), ComparisonError, "a name of its own; 'system 0' stands there twice"),
        (lambda two: (two, "system 7"), UsageError, r"no result named 'system 7'. Did you mean 'system \d'\?"),
        (lambda two: ([two[0], replace(two[1], per_clip={})],), ComparisonError, "system 1: holds no contributions"),
    ],
)
def test_calls_that_make_no_sense_are_refused(arguments: Callable[..., Any], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        tb.compare(*arguments(systems(2, FAD=0.1)))


def test_unknown_scores_and_levels_are_refused():
    two = systems(2, FAD=0.1)
    with pytest.raises(UsageError, match="no score named 'FVD' in the results. Did you mean 'FAD'"):
        tb.compare(two, metrics=["FVD"])
    for confidence in (0.0, 1.0, 95.0, float("nan")):
        with pytest.raises(UsageError, match="confidence must be from 0.5 to below 1"):
            tb.compare(two, confidence=confidence)


def test_one_clip_is_no_sample():
    values = [made_result(name, {"FAD": 1.0}, {"a": {"FAD": 0.0}}) for name in "ab"]
    with pytest.raises(ComparisonError, match="there must be 2 clips, there are 1"):
        tb.compare(values)


def test_few_clips_and_incomplete_results_are_noted():
    first, second = systems(2, clips_n=12, FAD=0.1)
    second = replace(second, counts={"clips": 20, "scored": 12})
    first = replace(first, scores={"FAD": replace(first.scores["FAD"], n_undefined=3)})
    notes = tb.compare([first, second]).notes
    assert notes[0].startswith("12 clips are few")
    assert "3 of system 0, 0 of system 1" in notes[1]
    assert notes[2] == "system 1 leaves out 8 of 20 clips"


def test_a_baseline_may_be_a_file_of_its_own(tmp_path: Path):
    for name, result in zip(("a", "b", "c"), systems(3, FAD=1.0), strict=True):
        result.save(tmp_path / f"{name}.json")
    others = [tmp_path / "a.json", tmp_path / "b.json"]
    comparison = tb.compare(others, tmp_path / "c.json")
    assert [(test.first, test.second) for test in comparison.tests] == [
        ("system 0", "system 2"), ("system 1", "system 2")
    ]  # fmt: skip
    assert tb.compare([*others, tmp_path / "c.json"], tmp_path / "c.json").tests == comparison.tests


# ---- files and tables ---------------------------------------------------------------------------------------------


def test_files_of_equal_names_are_told_apart(tmp_path: Path):
    for name, result in zip(("a", "b"), systems(2, FAD=1.0), strict=True):
        replace(result, system={"name": "mine", "description": ""}).save(tmp_path / f"{name}.json")
    comparison = tb.compare([tmp_path / "a.json", tmp_path / "b.json"], tmp_path / "b.json")
    (test,) = comparison.tests
    first, second = (f"mine ({tmp_path / name}.json)" for name in "ab")
    assert (test.first, test.second, comparison.baseline) == (first, second, second)
    with pytest.raises(UsageError, match=r"several results are of 'mine'; give one of mine \(.*a\.json\)"):
        tb.compare([tmp_path / "a.json", tmp_path / "b.json"], "mine")


def test_a_saved_comparison_follows_its_schema(tmp_path: Path):
    comparison = tb.compare(systems(3, FAD=1.0, AV_index=0.1), "system 0")
    comparison.save(tmp_path / "deep" / "c.json")
    record = json.loads((tmp_path / "deep" / "c.json").read_text())
    assert record == json.loads(format_comparison(comparison, "json"))
    assert first_violation(record, "comparison") is None
    assert "p_holm" in (first_violation({**record, "tests": [{**record["tests"][0], "p_holm": 2}]}, "comparison") or "")
    (tmp_path / "file").write_text("")
    with pytest.raises(tb.T2AVBenchError, match="cannot be written"):
        comparison.save(tmp_path / "file" / "c.json")


def test_tables_show_the_same_in_every_form():
    comparison = tb.compare(systems(2, FAD=1.0, AV_index=0.0))
    plain = format_comparison(comparison)
    assert "2 systems, every pair, on m (40 clips), lite features" in plain
    line = next(line for line in plain.splitlines() if line.startswith("FAD ↓"))
    assert line.endswith("<0.0001   <0.0001  system 0")
    assert "Better: p (Holm, adjusted for 2 tests) below 0.05" in plain
    markdown = format_comparison(comparison, "markdown").splitlines()
    assert markdown[1] == "|---|---|---|---:|---:|---:|---:|---:|---:|---:|"
    assert len({line.count("|") for line in markdown}) == 1
    latex = format_comparison(comparison, "latex")
    assert r"FAD $\downarrow$ & system 0 & system 1" in latex
    assert r"95 \% interval" in latex
    rows = list(csv.DictReader(io.StringIO(format_comparison(comparison, "csv"))))
    assert [float(row["p_value"]) for row in rows] == [test.p_value for test in comparison.tests]


def test_names_of_systems_are_inert_in_tables():
    first, second = systems(2, FAD=1.0)
    first = replace(first, system={"name": "a|b & 50% \\x", "description": ""})
    comparison = tb.compare([first, second])
    assert "| a\\|b & 50% \\\\x | system 1 |" in format_comparison(comparison, "markdown")
    assert r"a|b \& 50\% \textbackslash{}x & system 1" in format_comparison(comparison, "latex")
    first = replace(first, system={"name": "\x1b[2Jred\nnext \u202e", "description": ""})
    assert "FAD ↓  �[2Jred�next �  system 1" in format_comparison(tb.compare([first, second]))


def test_scores_that_are_untested_for_one_reason_share_a_line():
    results = systems(2, FAD=1.0, IS=1.0, recall=1.0)
    results = [
        replace(r, per_clip={clip: {"FAD": values["FAD"]} for clip, values in r.per_clip.items()}) for r in results
    ]
    line = "\nIS, recall are not tested: system 0 has no contributions of clips\n"
    assert line in format_comparison(tb.compare(results))
