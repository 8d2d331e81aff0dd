"""CondFoleyGen's and TempoTokens' scores against the values their own code gave, faults included."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.metrics import av_align
from t2av_bench.metrics.onset_conventions import (
    condfoleygen_scores,
    tempotokens_av_align,
    tempotokens_video_peaks,
)
from t2av_bench.models.extractors.peer_timing import onset_heights

CASES = "abcdefgi"


def read_case(shared: Path, letter: str) -> dict:
    cases = json.loads((shared / "golden" / "onset_matching.json").read_text())["cases"]
    return next(case for name, case in cases.items() if name[0] == letter)


def wave_of(case: dict) -> np.ndarray:
    wave = np.zeros(44_100)
    for onset, amplitude in zip(case["gen"], case["amp"], strict=True):
        length = min(400, len(wave) - onset)
        wave[onset : onset + length] += amplitude * 0.99 ** np.arange(length)
    return wave


@pytest.mark.parametrize("letter", CASES)
@pytest.mark.parametrize("tolerance_s", [0.1, 0.3])
def test_onset_scores_are_the_recorded_ones_exactly(shared: Path, letter: str, tolerance_s: float):
    case = read_case(shared, letter)
    found = condfoleygen_scores(
        case["tar"], case["gen"], *onset_heights(wave_of(case), case["gen"]), tolerance_s=tolerance_s
    )
    recorded = case[f"delta_{tolerance_s}"]
    assert found.accuracy == recorded["acc"]
    assert found.average_precision == pytest.approx(recorded["ap"], rel=1e-12)
    assert list(map(int, found.matched)) == recorded["matched_after_nms"]
    assert len(found.matched) == len(case["kept_after_nms_50_ms"])


def test_where_condfoleygen_stops_the_clip_has_a_reason(shared: Path):
    case = read_case(shared, "h")
    assert "ValueError" in case["delta_0.1"]
    with pytest.raises(MetricError, match="first 50 ms"):
        condfoleygen_scores(case["tar"], case["gen"], *onset_heights(wave_of(case), case["gen"]))
    with pytest.raises(MetricError, match="no onset on either side"):
        condfoleygen_scores([], [], np.zeros(0), np.zeros(0))


def test_accuracy_is_a_recall_of_the_reference():
    """Fails if the sides are exchanged."""
    heights = np.ones(1)
    assert condfoleygen_scores([5000, 9000], [5000], heights, heights).accuracy == 0.5
    assert condfoleygen_scores([5000], [5000, 9000], np.ones(2), np.ones(2)).accuracy == 1.0


def test_silence_has_no_range_and_no_division_by_zero():
    heights, confidence = onset_heights(np.zeros(44_100), [5000])
    np.testing.assert_array_equal([heights, confidence], [[0.0], [0.0]])


def test_av_align_is_the_recorded_one(shared: Path):
    golden = json.loads((shared / "golden" / "avalign.json").read_text())
    hand = golden["hand_made"]
    assert tempotokens_av_align(hand["video"], hand["audio"], hand["fps"]) == hand["iou"]
    assert tempotokens_av_align([], hand["audio"], hand["fps"]) == hand["no_video_peaks"]
    with pytest.raises(MetricError, match="no peak on either side"):
        tempotokens_av_align([], [], hand["fps"])
    for clip in golden["clips"].values():
        video, fps = clip["video_peaks_seconds"], clip["fps"]
        assert tempotokens_av_align(video, clip["audio_peaks_seconds"], fps) == clip["iou_own_audio"]
        assert tempotokens_av_align(video, clip["audio_peaks_next_seconds"], fps) == clip["iou_next_clip_audio"]


def test_video_peaks_are_the_recorded_ones(shared: Path):
    golden = json.loads((shared / "golden" / "avalign.json").read_text())
    flows = np.load(shared / "golden" / "avalign.npz")
    rule = golden["hand_made"]["find_local_max_indexes"]
    assert tempotokens_video_peaks(rule["arr"], rule["fps"]) == rule["seconds"]
    for name, clip in golden["clips"].items():
        peaks = tempotokens_video_peaks(flows[f"{name}/flow_trajectory"], clip["fps"])
        assert peaks == clip["video_peaks_seconds"]


def test_greedy_pairing_may_lose_what_the_best_pairing_has():
    video, audio = [1.0, 1.05], [1.025, 1.0]
    assert tempotokens_av_align(video, audio, 25.0) == pytest.approx(1 / 3)
    assert av_align(video, audio, fps=25.0) == 1.0
