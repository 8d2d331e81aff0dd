"""The lite descriptors must put sets of known quality in order, or nothing scored with them means anything."""

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.manifests.mini import make_clip
from t2av_bench.manifests.mini.world import Scene
from t2av_bench.metrics import METRICS, Balance, JointStats, joint_score
from t2av_bench.models.extractors.lite_audio import LiteAudioExtractor
from t2av_bench.models.extractors.lite_video import LiteVideoExtractor

CLIPS_N = 48
DURATION_S = 4.0
LATE_N = 8000
SETS = ("reference", "other-noise", "late", "swapped", "noise")  # best first


def describe(pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    return LiteAudioExtractor().windows(pcm.astype(np.float32) / 32768, DURATION_S)


@pytest.fixture(scope="module")
def scores() -> dict[str, dict[str, float]]:
    """Score by name of set and of metric, on clips of the mini world."""
    video = LiteVideoExtractor()
    shown = np.floor(video.frame_times_s(DURATION_S) * 25).astype(int)
    sounds: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in SETS}
    frames = []
    for index in range(CLIPS_N):
        clip, scene = make_clip("test", 0, index), Scene("test", 0, index)
        frames.append(video.windows(clip.frames[shown]))
        sounds["reference"].append(describe(clip.pcm))
        sounds["other-noise"].append(describe(scene.pcm(1)))
        sounds["late"].append(describe(np.concatenate([scene.room_pcm(1)[:LATE_N], clip.pcm[:-LATE_N]])))
        white = np.random.default_rng(index).normal(0, 1000, len(clip.pcm))
        sounds["noise"].append(describe(white.astype(np.int16)))
    sounds["swapped"] = sounds["reference"][5:] + sounds["reference"][:5]
    sides = {}
    for name, rows in sounds.items():
        sides[name] = JointStats({"audio": 64, "video": 64})
        sides[name].update(audio=np.concatenate(rows), video=np.concatenate(frames))
    balance = Balance.fit(sides["reference"])
    return {
        name: {
            metric: joint_score(METRICS[metric], sides["reference"], side, balance)
            for metric in ("FAD", "FAVD", "FAVD-b", "AV-index")
        }
        for name, side in sides.items()
    }


@pytest.mark.parametrize("metric", ["FAVD", "FAVD-b"])
def test_joint_distances_order_the_sets(scores: dict[str, dict[str, float]], metric: str) -> None:
    values = [scores[name][metric] for name in SETS]
    assert values[0] == pytest.approx(0, abs=1e-9)
    for better, worse in zip(values, values[1:], strict=False):
        assert worse > 1.1 * better + 1e-6


def test_the_index_tells_late_from_swapped(scores: dict[str, dict[str, float]]) -> None:
    index = {name: scores[name]["AV-index"] for name in SETS}
    assert index["reference"] == pytest.approx(1, abs=1e-9)
    assert index["other-noise"] > 0.98
    assert 0.1 < index["late"] < 0.7
    assert index["swapped"] < 0.1
    assert index["noise"] < 0.1


def test_shifts_and_swaps_hardly_change_the_distance_of_the_sound_alone(scores: dict[str, dict[str, float]]) -> None:
    """FAD is blind to them, which is why there is FAVD; what late sound adds is the silence before the first event."""
    assert scores["swapped"]["FAD"] == pytest.approx(0, abs=1e-9)
    assert scores["late"]["FAD"] < 0.05 * scores["noise"]["FAD"]
    assert scores["late"]["FAD"] < 0.5 * scores["late"]["FAVD"]
