"""What each level of uncertainty computes for small and large distances, on drawn features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.metrics import JointStats, frechet_distance
from t2av_bench.metrics.groups import assign_groups, united
from t2av_bench.metrics.halves import frechet_contributions
from t2av_bench.results import Score
from t2av_bench.scoring import uncertainty
from t2av_bench.scoring.contributions import ClipContributions, with_stderr
from t2av_bench.scoring.distances import GroupedStats, SideStats
from t2av_bench.scoring.uncertainty import uncertainty_notes, with_bias

DIM = 12


def side(seed: int, clips_n: int, shift: float = 0.0) -> GroupedStats:
    """Eight groups of clips of one window each."""
    rows = np.random.default_rng(seed).normal(size=(clips_n, DIM)) + shift
    groups = []
    for group in np.array_split(rows, 8):
        stats = JointStats({"audio": DIM})
        stats.update(audio=group)
        groups.append(stats)
    halves = [united(groups[::2]), united(groups[1::2])]
    pack = [SideStats(stats, None) for stats in (*groups, *halves, united(groups))]
    return GroupedStats(pack[:8], pack[8:10], pack[10])


def gathered(rows: npt.NDArray[np.float64], groups: npt.NDArray[np.intp]) -> GroupedStats:
    found = []
    for group in range(8):
        stats = JointStats({"audio": rows.shape[1]})
        stats.update(audio=rows[groups == group])
        found.append(stats)
    halves = [united(found[::2]), united(found[1::2])]
    pack = [SideStats(stats, None) for stats in (*found, *halves, united(halves))]
    return GroupedStats(pack[:8], pack[8:10], pack[10])


def judged(level: str, clips_n: int = 400) -> Score:
    sides = side(0, clips_n), side(1, clips_n, shift=0.5)
    whole = [stats.whole.joint for stats in sides]
    score = Score(frechet_distance(*whole), 0.1, "raw", False, 1, clips_n, clips_n, DIM, DIM)  # type: ignore[arg-type]
    return with_bias({"FAD": score}, sides, None, level, 0)["FAD"]  # type: ignore[arg-type]


def test_a_small_distance_has_everything():
    score = judged("auto")
    assert score == judged("full")
    assert score.corrected == pytest.approx(DIM * 0.25, rel=0.2)
    assert score.fd_infinity == pytest.approx(score.corrected, abs=0.4)
    assert score.corrected < score.value
    assert None not in (score.floor, score.floor_spread, score.floor_score)
    assert not score.withheld


def test_what_takes_long_is_left_out_and_said_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    small = judged("full")
    monkeypatch.setattr(uncertainty, "SMALL_DIM", DIM - 1)
    score = judged("auto")
    assert score.floor == pytest.approx(small.floor, rel=0.5)
    assert (score.floor_spread, score.floor_score, score.corrected, score.fd_infinity) == (None,) * 4
    assert set(score.withheld) == {"corrected", "fd_infinity"}
    assert "takes long for 400 windows with d = 12" in score.withheld["corrected"]
    assert uncertainty_notes({"FAD": score}) == [
        "No corrected value and no extrapolation for FAD: they take long (--uncertainty full)."
    ]
    full = judged("full")
    assert full.corrected == pytest.approx(small.corrected, rel=0.05)
    assert full.fd_infinity == pytest.approx(small.corrected, rel=0.1)
    assert full.floor_score is not None


def test_what_cannot_be_computed_is_not_promised_for_another_level(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uncertainty, "SMALL_DIM", DIM - 1)
    score = judged("auto", clips_n=23)
    assert score.withheld["corrected"] == "needs at least 2 d windows; got 23 with d = 12"
    assert uncertainty_notes({"FAD": score}) == []


def test_indices_and_the_lowest_level_stay_as_they_are():
    index = Score(0.5, 0.1, "index", True, 1, 8, 8, 4, 4)
    sides = side(0, 16), side(1, 16)
    assert with_bias({"AV-index": index}, sides, None, "full", 0) == {"AV-index": index}
    assert judged("none").floor is None
    assert "not computed" in judged("none").withheld["stderr"]


@pytest.mark.slow
@pytest.mark.parametrize(("clips_n", "windows_n", "d"), [(128, 4, 64), (64, 1, 16)])
def test_intervals_of_the_corrected_score_cover_the_truth(clips_n: int, windows_n: int, d: int):
    """400 runs of clips whose windows share half their variance, with 8 d and 4 d windows.

    Half splits alone cover 68 % of the first.
    """
    truth = 0.5**2 + 0.4**2
    clips = np.repeat(np.arange(clips_n), windows_n)
    covered, scores, errors = [], [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x, other = (
            (rng.normal(size=(clips_n, d))[clips] + (windows_n > 1) * rng.normal(size=(len(clips), d)))
            / (2**0.5 if windows_n > 1 else 1)
            for _ in range(2)
        )
        y = 0.6 * x + 0.8 * other
        y[:, 0] += 0.5
        y[:, 1] *= 1.4
        groups = assign_groups(clips_n, 8, seed)[clips]
        contributed = frechet_contributions(x, y, clips, clips, seed=seed)
        assert contributed.own_half is not None
        plain = Score(frechet_distance(x, y), None, "raw", False, 1, clips_n, len(clips), d, d)
        found = with_bias({"FAD": plain}, (gathered(x, groups), gathered(y, groups)), None, "auto", 0)["FAD"]
        assert found.settings["correction"] == "quarter-split"
        halves = ClipContributions({"FAD": contributed.values}, {"FAD": contributed.own_half})
        found = with_stderr({"FAD": found}, halves)["FAD"]
        if found.corrected_low is None:  # a correction that has not converged
            continue
        assert None not in (found.corrected, found.corrected_stderr, found.corrected_high)
        scores.append(found.corrected)
        errors.append(found.corrected_stderr)
        covered.append(found.corrected_low <= truth <= found.corrected_high)  # type: ignore[operator]
    assert len(covered) > 380
    assert 0.92 <= np.mean(covered) <= 0.98
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.15)
    assert np.mean(scores) == pytest.approx(truth, abs=0.05)
