"""Scores against ratings: coefficients against SciPy, signs, levels, refusals, files and tables."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from made_results import result_of_values
from scipy import stats

import t2av_bench as tb
from t2av_bench.correlation import Agreement, Correlation
from t2av_bench.correlation.tables import format_correlation
from t2av_bench.errors import ComparisonError, TableError, UsageError
from t2av_bench.schemas import first_violation

Array = npt.NDArray[np.float64]
SCIPY = {"spearman": stats.spearmanr, "kendall": stats.kendalltau, "pearson": stats.pearsonr}


def study(tmp_path: Path, systems_n: int = 5, clips_n: int = 30, tie: float = 1.0, seed: int = 0):
    """Systems from good to bad, rated by people who hear what the scores measure; FAD is better when low."""
    rng = np.random.default_rng(seed)
    quality = -np.arange(systems_n)[:, None] + rng.normal(size=(systems_n, clips_n))
    heard = np.round(tie * quality + rng.normal(size=quality.shape), 1)
    results = [result_of_values(f"s{i}", FAD=-quality[i], AV_index=quality[i]) for i in range(systems_n)]
    rows = [f"s{i},clip {c:04d},{heard[i, c]}" for i in range(systems_n) for c in range(clips_n)]
    return results, table(tmp_path, "system,clip_id,rating", rows), quality, heard


def table(tmp_path: Path, header: str, rows: list[str]) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def of(correlation: Correlation, level: str, score: str, kind: str) -> Agreement:
    (found,) = [a for a in correlation.agreements if (a.level, a.score, a.coefficient) == (level, score, kind)]
    return found


@pytest.mark.parametrize("kind", SCIPY)
def test_coefficients_are_scipys_at_every_level(tmp_path: Path, kind: str):
    results, ratings, quality, heard = study(tmp_path)
    correlation = tb.correlate(results, ratings)
    expected = {
        "system": SCIPY[kind](quality.mean(axis=1), heard.mean(axis=1)).statistic,
        "clip-pooled": SCIPY[kind](quality.ravel(), heard.ravel()).statistic,
        "clip": np.mean([SCIPY[kind](q, h).statistic for q, h in zip(quality, heard, strict=True)]),
    }
    for level, value in expected.items():
        found = of(correlation, level, "AV-index", kind)
        assert found.value == pytest.approx(value, abs=1e-9), level
        # Better when low: the same agreement with the sign turned.
        assert of(correlation, level, "FAD", kind).value == pytest.approx(value, abs=1e-9), level
    assert [of(correlation, level, "FAD", kind).n_pairs for level in expected] == [5, 150, 150]


def test_the_sign_says_whether_people_agree(tmp_path: Path):
    results, _, quality, _ = study(tmp_path)
    backwards = table(tmp_path, "system,rating", [f"s{i},{-q}" for i, q in enumerate(quality.mean(axis=1))])
    correlation = tb.correlate(results, backwards)
    assert all(agreement.value == pytest.approx(-1) for agreement in correlation.agreements)
    assert {agreement.level for agreement in correlation.agreements} == {"system"}


def test_what_tells_systems_apart_plays_no_part_within_them(tmp_path: Path):
    """Ratings that know the system and not the clip agree over systems and not within."""
    results, ratings, _, _ = study(tmp_path, tie=0.0)
    text = ratings.read_text().splitlines()
    rows = [f"{s},{c},{float(r) - 3 * int(s[1:])}" for s, c, r in (line.split(",") for line in text[1:])]
    correlation = tb.correlate(results, table(tmp_path, text[0], rows))
    assert of(correlation, "system", "FAD", "spearman").value == pytest.approx(1.0)
    assert of(correlation, "clip-pooled", "FAD", "spearman").value > 0.5
    within = of(correlation, "clip", "FAD", "spearman")
    assert within.low is not None
    assert within.high is not None
    assert within.low < 0 < within.high


def test_intervals_at_the_level_of_clips_agree_with_a_bootstrap_of_clips(tmp_path: Path):
    results, ratings, quality, heard = study(tmp_path, clips_n=80)
    correlation = tb.correlate(results, ratings)
    rng = np.random.default_rng(0)
    draws = {"clip-pooled": [], "clip": []}
    for _ in range(600):
        drawn = rng.integers(0, 80, 80)
        q, h = quality[:, drawn], heard[:, drawn]
        draws["clip-pooled"].append(stats.spearmanr(q.ravel(), h.ravel()).statistic)
        draws["clip"].append(np.mean([stats.spearmanr(a, b).statistic for a, b in zip(q, h, strict=True)]))
    for level, values in draws.items():
        found = of(correlation, level, "FAD", "spearman")
        low, high = np.percentile(values, [2.5, 97.5])
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.25 * (high - low)), level


@pytest.mark.slow
def test_intervals_within_systems_cover_the_truth(tmp_path: Path):
    """Clips that are hard for one system are hard for the others, in scores and in ratings."""
    truth, covered = 0.5, []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        hard, hard_heard = rng.normal(size=(2, 40))
        own, own_heard = rng.normal(size=(2, 4, 40))
        quality = np.sqrt(0.7) * hard + np.sqrt(0.3) * own
        heard = 0.5 * quality + np.sqrt(0.75) * (np.sqrt(0.7) * hard_heard + np.sqrt(0.3) * own_heard)
        results = [result_of_values(f"s{i}", AV_index=quality[i]) for i in range(4)]
        rows = [f"s{i},clip {c:04d},{heard[i, c]}" for i in range(4) for c in range(40)]
        correlation = tb.correlate(results, table(tmp_path, "system,clip_id,rating", rows))
        found = of(correlation, "clip", "AV-index", "pearson")
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= truth <= found.high)
    assert 0.90 <= np.mean(covered) <= 0.985


def test_a_clips_own_value_goes_before_its_contribution(tmp_path: Path):
    results, ratings, quality, heard = study(tmp_path, systems_n=3)
    own = [{f"clip {c:04d}": {"AV-index": float(np.exp(q[c]))} for c in range(1, 30)} for q in quality]
    results = [replace(result, clip_values=values) for result, values in zip(results, own, strict=True)]
    found = of(tb.correlate(results, ratings), "clip", "AV-index", "pearson")
    expected = [stats.pearsonr(np.exp(q[1:]), h[1:]).statistic for q, h in zip(quality, heard, strict=True)]
    assert found.value == pytest.approx(np.mean(expected))
    assert found.n_pairs == 87  # without the clip that the score is undefined for


# ---- few systems, constant sides, clips that do not match ---------------------------------------------------------


def test_few_systems_have_wide_intervals_or_none_and_say_so(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path, systems_n=4)
    correlation = tb.correlate(results, ratings)
    kendall = of(correlation, "system", "FAD", "kendall")
    assert (kendall.low, kendall.high) == (None, None)
    assert kendall.no_interval_because == "an interval needs at least 5 systems; there are 4"
    assert any("4 systems are few" in note for note in correlation.notes)
    assert "Without an interval: an interval needs at least 5 systems" in format_correlation(correlation)


def test_two_systems_have_no_coefficient_and_still_their_clips(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path, systems_n=2)
    correlation = tb.correlate(results, ratings, metrics=["FAD"])
    assert correlation.absent == {"system, FAD": "a correlation needs at least 3 systems; there are 2"}
    assert {agreement.level for agreement in correlation.agreements} == {"clip-pooled", "clip"}
    only = table(tmp_path, "system,rating", ["s0,1", "s1,2"])
    with pytest.raises(ComparisonError, match="no score can be correlated: a correlation needs at least 3 systems"):
        tb.correlate(results, only)


def test_constant_ratings_and_scores_are_named(tmp_path: Path):
    results, _, _, _ = study(tmp_path)
    with pytest.raises(ComparisonError, match="the rating is the same for all systems"):
        tb.correlate(results, table(tmp_path, "system,rating", [f"s{i},3" for i in range(5)]))
    same = [replace(r, scores={**r.scores, "FAD": replace(r.scores["FAD"], value=1.0)}) for r in results]
    correlation = tb.correlate(same, table(tmp_path, "system,rating", [f"s{i},{i}" for i in range(5)]))
    assert correlation.absent == {"system, FAD": "the score is the same for all systems"}


def test_a_system_without_variation_is_left_out_of_the_level_within_systems(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    still = {clip_id: {**values, "FAD": 0.0} for clip_id, values in results[0].per_clip.items()}
    correlation = tb.correlate([replace(results[0], per_clip=still), *results[1:]], ratings)
    assert of(correlation, "clip", "FAD", "pearson").n_systems == 4
    assert of(correlation, "clip", "AV-index", "pearson").n_systems == 5
    assert any("at the level of clips, FAD can be told in 4 of 5 systems" in note for note in correlation.notes)


def test_a_score_without_values_of_clips_is_absent_at_their_level(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    bare = [replace(r, per_clip={clip: {"FAD": values["FAD"]} for clip, values in r.per_clip.items()}) for r in results]
    correlation = tb.correlate(bare, ratings)
    reason = "no rated clip has a value of it"
    assert correlation.absent == {"clip-pooled, AV-index": reason, "clip, AV-index": reason}
    assert of(correlation, "system", "AV-index", "pearson").n_pairs == 5


def test_clips_without_a_rating_are_noted_and_unknown_ones_refused(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    lines = ratings.read_text().splitlines()
    correlation = tb.correlate(results, table(tmp_path, lines[0], lines[3:]))
    assert any(note.startswith("2 clips of s0 have no rating (clip 0000, clip 0001)") for note in correlation.notes)
    with pytest.raises(
        ComparisonError, match=r"row 152, column 'clip_id': 'clip 99' is not among the 30 clips that s1"
    ):
        tb.correlate(results, table(tmp_path, lines[0], [*lines[1:], "s1,clip 99,3"]))


def test_systems_without_a_rating_are_refused_and_others_noted(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    assert "2 rated systems have no result here: s3, s4" in tb.correlate(results[:3], ratings).notes
    stranger = replace(results[0], system={"name": "stranger", "description": ""})
    with pytest.raises(ComparisonError, match=r"rates no system 'stranger', which .*; it rates s0, s1, s2, s3, s4"):
        tb.correlate([stranger, *results[1:]], ratings)


def test_results_made_in_other_ways_are_refused(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    other = replace(results[1], protocol={**results[1].protocol, "pooling": "clip"})
    with pytest.raises(ComparisonError, match="s0 and s1: the pooling is window and clip"):
        tb.correlate([results[0], other, *results[2:]], ratings)


def test_results_may_be_over_other_clips_as_long_as_the_ratings_fit(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    lines = [line for line in ratings.read_text().splitlines() if not line.startswith("s0,clip 0000")]
    fewer = dict(list(results[0].per_clip.items())[1:])
    correlation = tb.correlate(
        [replace(results[0], per_clip=fewer), *results[1:]], table(tmp_path, lines[0], lines[1:])
    )
    assert of(correlation, "clip", "FAD", "pearson").n_pairs == 149


def test_calls_that_make_no_sense_are_refused(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    with pytest.raises(UsageError, match="at least one result; got none"):
        tb.correlate([], ratings)
    with pytest.raises(UsageError, match="confidence must be from 0.5"):
        tb.correlate(results, ratings, confidence=1.5)
    with pytest.raises(UsageError, match="no score named 'FVD'"):
        tb.correlate(results, ratings, metrics=["FVD"])
    with pytest.raises(TableError, match=r"gone\.csv: cannot be read"):
        tb.correlate(results, tmp_path / "gone.csv")


# ---- files and tables ---------------------------------------------------------------------------------------------


def test_result_files_need_their_tables_only_where_clips_are_rated(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    paths = [tmp_path / f"{i}.json" for i in range(5)]
    for path, result in zip(paths, results, strict=True):
        result.save(path)
    assert tb.correlate(paths, ratings).agreements == tb.correlate(results, ratings).agreements
    (tmp_path / "0.per_clip.csv").unlink()
    with pytest.raises(tb.T2AVBenchError, match=r"0\.per_clip\.csv: no such file"):
        tb.correlate(paths, ratings)
    assert tb.correlate(paths, table(tmp_path, "system,rating", [f"s{i},{i}" for i in range(5)])).agreements


def test_a_saved_correlation_follows_its_schema(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    correlation = tb.correlate(results, ratings)
    correlation.save(tmp_path / "k.json")
    record = json.loads((tmp_path / "k.json").read_text())
    assert record == json.loads(format_correlation(correlation, "json"))
    assert first_violation(record, "correlation") is None
    assert 'at agreements/0: "score" is a required' in (
        first_violation({**record, "agreements": [{}]}, "correlation") or ""
    )


def test_tables_show_the_same_in_every_form(tmp_path: Path):
    results, ratings, _, _ = study(tmp_path)
    correlation = tb.correlate(results, ratings)
    plain = format_correlation(correlation)
    assert "5 systems on m, 150 rated clips, lite features" in plain
    found = of(correlation, "clip", "FAD", "kendall")
    cell = f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
    for text in (plain, format_correlation(correlation, "markdown"), format_correlation(correlation, "latex")):
        assert cell in text
    rows = list(csv.DictReader(io.StringIO(format_correlation(correlation, "csv"))))
    assert [float(row["value"]) for row in rows] == [agreement.value for agreement in correlation.agreements]
    assert "2 raters" in format_correlation(tb.correlate(results, _rated_twice(tmp_path, ratings)))


def _rated_twice(tmp_path: Path, ratings: Path) -> Path:
    lines = ratings.read_text().splitlines()
    rows = [f"{line},{rater}" for line in lines[1:] for rater in ("anna", "ben")]
    return table(tmp_path, lines[0] + ",rater", rows)
