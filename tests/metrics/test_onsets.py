"""Matching of events: worked cases, exhaustive matching, and other people's code with and without its faults."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2av_bench.errors import MetricError
from t2av_bench.metrics import av_align, count_matches, event_f1, onset_scores, peak_confidence

TIMES = st.lists(st.integers(0, 40).map(lambda step: step * 0.03), max_size=6)
RATE = 22050


def most_pairings(first: list[float], second: list[float], tolerance: float) -> int:
    """Try every one-to-one pairing."""
    short, long = sorted((first, second), key=len)
    return max(
        sum(abs(a - b) < tolerance - 1e-9 for a, b in zip(short, chosen, strict=True))
        for chosen in itertools.permutations(long, len(short))
    )


@settings(deadline=None, max_examples=150)
@given(TIMES, TIMES, st.sampled_from([0.05, 0.1, 0.3]))
def test_no_pairing_has_more_matches_and_neither_order_nor_side_counts(
    first: list[float], second: list[float], tolerance: float
):
    matches = count_matches(first, second, tolerance)
    assert matches == most_pairings(first, second, tolerance)
    assert matches == count_matches(second[::-1], first[::-1], tolerance)
    assert matches == count_matches(np.add(first, 5.0), np.add(second, 5.0), tolerance)


def test_one_event_is_matched_once_and_the_tolerance_itself_is_too_far():
    assert count_matches([1.0, 1.0, 1.0], [1.0], 0.1) == 1
    assert count_matches([1.0], [1.1], 0.1) == 0
    assert count_matches([1.0], [1.099], 0.1) == 1
    assert count_matches([0.1 + 0.2], [0.4], 0.1) == 0  # 0.1 apart but for rounding
    assert count_matches([], [1.0], 0.1) == 0


@settings(deadline=None, max_examples=80)
@given(TIMES, TIMES, st.integers(0, 2**32 - 1))
def test_onset_scores_are_shares_that_no_order_changes(reference: list[float], generated: list[float], seed: int):
    rng = np.random.default_rng(seed)
    confidence = rng.random(len(generated))
    scores = onset_scores(reference, generated, confidence)
    order = rng.permutation(len(generated))
    assert onset_scores(reference[::-1], np.array(generated)[order], confidence[order]) == scores
    assert onset_scores(reference, generated, np.exp(3 * confidence)) == scores
    if reference:
        assert 0 <= scores.average_precision <= scores.accuracy <= 1
    else:
        assert scores[:2] == (None, None)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 30).map(lambda step: step * 0.2), min_size=1, max_size=8, unique=True))
def test_equal_onsets_score_one(times: list[float]):
    assert onset_scores(times, times, np.arange(len(times))) == (1.0, 1.0, True)


def test_more_confident_false_onsets_cost_precision_and_less_confident_ones_do_not():
    assert onset_scores([1.0], [1.0, 3.0], [0.9, 0.5]) == (1.0, 1.0, False)
    assert onset_scores([1.0], [1.0, 3.0], [0.5, 0.9]) == (1.0, 0.5, False)
    assert onset_scores([1.0], [1.0, 3.0], [0.5, 0.5]) == (1.0, 0.5, False)


def test_missed_onsets_cost_recall_but_false_ones_do_not():
    """Fails if the arguments are exchanged."""
    assert onset_scores([1.0, 2.0, 3.0, 4.0], [1.0], [1.0]).accuracy == 0.25
    assert onset_scores([1.0], [1.0, 2.0, 3.0, 4.0], [1.0] * 4).accuracy == 1.0


def test_close_neighbours_of_a_more_confident_onset_are_dropped_all_of_them():
    confidence = [0.5, 0.9, 0.6, 0.4]
    assert onset_scores([1.03], [1.0, 1.03, 1.05, 1.075], confidence) == (1.0, 1.0, True)
    # 1.08 is 50 ms from the one kept; that its dropped neighbour is nearer does not matter.
    assert onset_scores([1.03, 1.08], [1.03, 1.05, 1.08], [0.9, 0.6, 0.5]) == (1.0, 1.0, True)
    assert onset_scores([0.25, 0.3], [0.25, 0.3], [0.9, 0.5]) == (1.0, 1.0, True)  # 50 ms apart but for rounding
    assert onset_scores([1.0, 1.01], [1.0, 1.01], [0.5, 0.9], min_gap=0.0) == (1.0, 1.0, True)


@settings(deadline=None, max_examples=80)
@given(TIMES, TIMES)
def test_f1_and_av_align_are_symmetric_shares(first: list[float], second: list[float]):
    scores = event_f1(first, second)
    assert 0 <= scores.f1 <= 1
    assert event_f1(second, first) == (scores.f1, scores.hits, scores.generated_n, scores.reference_n)
    assert 0 <= av_align(first, second, fps=25) <= 1
    assert av_align(first, second, fps=25) == av_align(second, first, fps=25)
    assert event_f1(first, first).f1 == av_align(first, first, fps=25) == 1


def test_f1_of_a_worked_case():
    assert event_f1([0.5, 1.0, 1.5], [0.52, 1.5, 1.51, 2.0]) == (4 / 7, 2, 3, 4)
    assert event_f1([0.5], [0.54]).f1 == 1
    assert event_f1([0.5], [0.56]).f1 == 0
    assert event_f1([0.5], [0.56], tolerance=0.1).f1 == 1


def test_empty_lists_agree_with_each_other_only():
    assert event_f1([], []) == (1.0, 0, 0, 0)
    assert event_f1([1.0], []).f1 == event_f1([], [1.0]).f1 == 0.0
    assert (av_align([], [], fps=25), av_align([1.0], [], fps=25), av_align([], [1.0], fps=25)) == (1.0, 0.0, 0.0)
    assert onset_scores([1.0], [], []) == (0.0, 0.0, False)
    assert onset_scores([], [], []) == (None, None, True)


def test_refuses_what_cannot_be_matched():
    with pytest.raises(MetricError, match="`generated` must be finite"):
        count_matches([1.0], [np.nan], 0.1)
    with pytest.raises(MetricError, match="`reference` must be one-dimensional"):
        event_f1([[1.0]], [1.0])
    with pytest.raises(MetricError, match="`tolerance` must be above zero and finite; got 0"):
        event_f1([1.0], [1.0], tolerance=0)
    with pytest.raises(MetricError, match="`tolerance` must be above zero and finite; got -1"):
        onset_scores([1.0], [1.0], [1.0], tolerance=-1)
    with pytest.raises(MetricError, match="`fps` must be above zero and finite; got 0"):
        av_align([1.0], [1.0], fps=0)
    with pytest.raises(MetricError, match="one value per generated onset, 2; got 1"):
        onset_scores([1.0], [1.0, 2.0], [1.0])
    with pytest.raises(MetricError, match="`confidence` must be finite"):
        onset_scores([1.0], [1.0], [np.inf])


def read_golden(name: str) -> dict:
    """Values that other projects' own code gave for hand-made lists; see README.md beside the file."""
    path = Path(__file__).resolve().parents[3] / "shared" / "golden" / name
    if not path.is_file():
        pytest.skip("needs the golden values of the shared reference material beside the checkout")
    return json.loads(path.read_text())


def scores_of(case: dict, tolerance: float) -> tuple[float | None, float | None]:
    """Score a case with confidences from its recorded waveform, as the original does."""
    wave = np.zeros(2 * RATE)
    for onset, amplitude in zip(case["gen"], case["amp"], strict=True):
        length = min(400, len(wave) - onset)
        wave[onset : onset + length] += amplitude * 0.99 ** np.arange(length)
    times = np.array(case["gen"]) / RATE
    confidence = peak_confidence(np.abs(wave), times, RATE)
    return onset_scores(np.array(case["tar"]) / RATE, times, confidence, tolerance=tolerance)[:2]


# Ours: accuracy and average precision. Where theirs differs, the fault named is the reason.
EXPECTED = {
    ("a_basic", 0.1): (0.75, 0.75),  # theirs credits a missed onset
    ("a_basic", 0.3): (0.75, 0.75),
    ("b_close_pair_suppressed", 0.1): (1.0, 1.0),  # theirs keeps a neighbour 500 samples away
    ("b_close_pair_suppressed", 0.3): (1.0, 1.0),
    ("c_two_targets_one_candidate", 0.1): (2 / 3, 2 / 3),  # credits
    ("c_two_targets_one_candidate", 0.3): (2 / 3, 2 / 3),
    ("d_candidates_used_up_before_last_target", 0.1): (2 / 3, 2 / 3),  # stops early
    ("d_candidates_used_up_before_last_target", 0.3): (2 / 3, 2 / 3),
    ("e_edge_of_window", 0.1): (0.5, 0.5),  # credits
    ("e_edge_of_window", 0.3): (1.0, 1.0),
    ("f_no_target", 0.1): (None, None),  # theirs: 0
    ("f_no_target", 0.3): (None, None),
    ("g_no_generated", 0.1): (0.0, 0.0),  # theirs: an average precision of 1
    ("g_no_generated", 0.3): (0.0, 0.0),
    ("h_generated_event_in_first_50_ms", 0.1): (1.0, 1.0),  # theirs: ValueError
    ("h_generated_event_in_first_50_ms", 0.3): (1.0, 1.0),
    ("i_equal_lists", 0.1): (1.0, 1.0),
    ("i_equal_lists", 0.3): (1.0, 1.0),
}


@pytest.mark.parametrize(("name", "tolerance"), EXPECTED)
def test_onset_scores_of_the_cases_that_condfoleygen_was_run_on(name: str, tolerance: float):
    case = read_golden("onset_matching.json")["cases"][name]
    assert scores_of(case, tolerance) == pytest.approx(EXPECTED[name, tolerance])


@pytest.mark.parametrize("tolerance", [0.1, 0.3])
def test_matches_condfoleygen_where_it_has_no_fault_and_differs_by_its_credit_for_misses_elsewhere(tolerance: float):
    cases = read_golden("onset_matching.json")["cases"]
    for name in ("a_basic", "c_two_targets_one_candidate", "e_edge_of_window", "i_equal_lists"):
        case, theirs = cases[name], cases[name][f"delta_{tolerance}"]
        accuracy, precision = scores_of(case, tolerance)
        assert accuracy == pytest.approx(theirs["acc"]), name
        targets = len(case["tar"])
        false = len(case["gen"]) - round(accuracy * targets)
        credit = (1 - accuracy) * targets / (targets + false)
        assert precision + credit == pytest.approx(theirs["ap"]), name


def test_matches_av_align_and_is_defined_where_it_divides_by_zero():
    hand_made = read_golden("avalign.json")["hand_made"]
    video, audio, fps = hand_made["video"], hand_made["audio"], hand_made["fps"]
    assert av_align(video, audio, fps=fps) == pytest.approx(hand_made["iou"])
    assert av_align([], audio, fps=fps) == hand_made["no_video_peaks"]
    assert "ZeroDivisionError" in hand_made["both_empty"]
    assert av_align([], [], fps=fps) == 1.0


def test_matches_av_align_on_the_peaks_of_real_clips_with_their_own_and_the_next_clips_sound():
    clips = read_golden("avalign.json")["clips"].values()
    for clip in clips:
        video, fps = clip["video_peaks_seconds"], clip["fps"]
        assert av_align(video, clip["audio_peaks_seconds"], fps=fps) == pytest.approx(clip["iou_own_audio"])
        assert av_align(video, clip["audio_peaks_next_seconds"], fps=fps) == pytest.approx(clip["iou_next_clip_audio"])
    assert len(clips) == 4
