"""Scores of synchrony: hand-worked clips, signs, controls, and what silence, stillness and missing events do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import t2av_bench as tb
from t2av_bench.companions import COMPANIONS, ClipArrays, ClipSet, Ratio, Undefined
from t2av_bench.companions.scores import score_companions
from t2av_bench.companions.synchrony import EnvelopeOffsetScore, PairedWithPicture, derangement, shuffled_note
from t2av_bench.errors import ManifestError, UsageError
from t2av_bench.manifests import Clip, Manifest, event_times, read_manifest
from t2av_bench.manifests.mini import render, write_prediction_sets
from t2av_bench.metrics import METRICS
from t2av_bench.models.extractors.synchformer import OFFSETS_S, SynchformerExtractor

Array = npt.NDArray[np.float32]
SYNC = [name for name, spec in METRICS.items() if spec.kind == "sync"]
WITHOUT_NETWORK = [name for name in SYNC if name != "DeSync"]


def sound(times_s: list[float], duration_s: float = 4.0, level: float = 0.5) -> Array:
    """Onset strength with clear peaks at the given times, and a level around them."""
    rows = np.zeros((round(duration_s * 100), 2), np.float32)
    for time_s in times_s:
        place = round(time_s * 100)
        rows[place, 0] = 10.0
        rows[place : place + 5, 1] = level
    return rows


def picture(times_s: list[float], duration_s: float = 4.0) -> Array:
    """Motion energy with clear peaks at the given times."""
    rows = np.zeros((round(duration_s * 25), 1), np.float32)
    rows[[round(time_s * 25) for time_s in times_s], 0] = 0.1
    return rows


def events(times_s: list[float]) -> Array:
    return np.array(times_s, np.float32).reshape(-1, 1)


def arrays(reference: Mapping[str, Array], generated: Array) -> ClipArrays:
    clip = Clip("a", "", "", 0.0, 4.0, "", "", "")
    return ClipArrays(clip, reference, {**reference, "onset_strength": generated})


def clip_set(reference: list[dict[str, Array]], generated: list[Array]) -> ClipSet:
    clips = [Clip(f"clip {i}", "", "", 0.0, 4.0, "", "", "") for i in range(len(reference))]

    def read(place: int, parts: object) -> ClipArrays:
        both = arrays(reference[place], generated[place])
        kept = ({part: rows for part, rows in side.items() if part in parts} for side in both[1:])  # type: ignore[operator, attr-defined]
        return ClipArrays(clips[place], *kept)

    return ClipSet(clips, read)


def measured(name: str, reference: Mapping[str, Array], generated: Array) -> Ratio | Undefined:
    measure = COMPANIONS[name]
    return measure.measure(arrays(reference, generated))  # type: ignore[call-arg, arg-type, return-value]


def test_onset_scores_are_recalls_of_the_reference_and_not_of_the_generated_sound() -> None:
    """Convention test: exchanged sides give another value. One of two onsets is found, beside one false."""
    both, one = sound([1.0, 2.0]), sound([1.05])
    assert measured("onset-acc", {"onset_strength": both}, one) == Ratio(0.5)
    assert measured("onset-AP", {"onset_strength": both}, one) == Ratio(0.5)
    assert measured("onset-acc", {"onset_strength": one}, both) == Ratio(1.0)


def test_average_precision_falls_with_a_false_onset_that_is_louder() -> None:
    """Hand-worked: the false onset comes first, so that the hit has a precision of 1/2."""
    reference, generated = sound([1.0]), sound([1.0, 3.0])
    generated[300:305, 1] = 0.9
    assert measured("onset-AP", {"onset_strength": reference}, generated) == Ratio(0.5)
    generated[300:305, 1] = 0.1
    assert measured("onset-AP", {"onset_strength": reference}, generated) == Ratio(1.0)


def test_onset_scores_are_undefined_without_reference_onsets_and_zero_without_generated_ones() -> None:
    silent, beats = sound([]), sound([1.0])
    for name in ("onset-acc", "onset-AP"):
        assert measured(name, {"onset_strength": silent}, beats) == Undefined("the reference has no onset")
        assert measured(name, {"onset_strength": beats}, silent) == Ratio(0.0)


def test_an_onset_in_the_first_fifty_milliseconds_counts_like_any_other() -> None:
    reference = {"onset_strength": sound([0.03, 1.0])}
    assert measured("onset-acc", reference, sound([0.03, 1.0])) == Ratio(1.0)
    assert measured("onset-AP", reference, sound([0.03, 1.0])) == Ratio(1.0)


def test_av_align_by_hand() -> None:
    """Three moments, two sounds, one pair within a frame: 1 of 4."""
    assert measured("AV-Align", {"motion_energy": picture([1.0, 2.0, 3.0])}, sound([1.03, 2.5])) == Ratio(0.25)
    assert measured("AV-Align", {"motion_energy": picture([1.0])}, sound([1.04])) == Ratio(0.0)  # a whole frame


def test_av_align_is_one_to_one() -> None:
    """Two sounds within a frame of one moment are one pair: 1 of 2."""
    assert measured("AV-Align", {"motion_energy": picture([1.0])}, sound([0.97, 1.03])) == Ratio(0.5)


def test_av_align_is_defined_without_peaks() -> None:
    still, silent = picture([]), sound([])
    assert measured("AV-Align", {"motion_energy": still}, silent) == Ratio(1.0)
    assert measured("AV-Align", {"motion_energy": still}, sound([1.0])) == Ratio(0.0)
    assert measured("AV-Align", {"motion_energy": picture([1.0])}, silent) == Ratio(0.0)
    reference = [{"motion_energy": still, "onset_strength": silent}, {"motion_energy": still, "onset_strength": silent}]
    score = score_companions(["AV-Align"], clip_set(reference, [silent, sound([1.0])]), 0).scores["AV-Align"]
    assert (score.value, score.settings["without_peaks"]) == (0.5, 1)


def test_event_f1_weighs_events_and_not_clips() -> None:
    """Convention test: 1 hit of 1 event and 3 onsets, then 0 of 1 and 0: 2 · 1 / (4 + 1)."""
    reference = [{"onset_strength": sound([]), "events": events([1.0])} for _ in range(2)]
    score = score_companions(["event-F1"], clip_set(reference, [sound([1.03, 2.0, 3.0]), sound([])]), 0)
    assert score.scores["event-F1"].value == pytest.approx(0.4)
    assert score.clip_values["event-F1"].tolist() == [0.5, 0.0]


def test_clips_without_events_count_by_their_false_onsets() -> None:
    silence = {"onset_strength": sound([]), "events": events([])}
    beat = {"onset_strength": sound([]), "events": events([1.0])}
    found = score_companions(["event-F1"], clip_set([silence, beat], [sound([2.0]), sound([1.0])]), 0)
    assert found.scores["event-F1"].value == pytest.approx(2 / 3)
    quiet = score_companions(["event-F1"], clip_set([silence, beat], [sound([]), sound([1.0])]), 0)
    assert quiet.scores["event-F1"].value == 1.0
    none = score_companions(["event-F1"], clip_set([silence, silence], [sound([]), sound([])]), 0)
    assert "undefined for all 2 clips" in none.absent["event-F1"]


def irregular(seed: int, shift_s: float = 0.0) -> list[float]:
    """Times that fit to themselves at no other offset."""
    rng = np.random.default_rng(seed)
    return list(np.round(1.2 + np.cumsum(rng.uniform(0.28, 0.5, 4)), 2) + shift_s)


@pytest.mark.parametrize("shift_s", [0.0, 0.04, 0.2, -0.2, 0.52])
def test_the_offset_of_a_set_is_positive_where_the_sound_comes_after_the_picture(shift_s: float) -> None:
    """Convention test: fails where sign or sides are exchanged."""
    reference = [{"motion_energy": picture(irregular(i)), "onset_strength": sound(irregular(i))} for i in range(8)]
    late = [sound(irregular(i, shift_s)) for i in range(8)]
    score = score_companions(["AV-offset"], clip_set(reference, late), 0).scores["AV-offset"]
    assert score.settings["signed_offset_s"] == pytest.approx(shift_s, abs=0.021)
    assert score.value == pytest.approx(abs(shift_s), abs=0.021)
    assert score.settings["reference_signed_offset_s"] == pytest.approx(0.0, abs=0.021)
    assert score.settings["confidence"] > 0.3
    assert not score.higher_is_better


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), delay=st.integers(-40, 40))
def test_delaying_the_sound_by_a_frame_moves_the_offset_by_a_frame(seed: int, delay: int) -> None:
    rng = np.random.default_rng(seed)
    motion = np.zeros(250)
    motion[60:190] = rng.uniform(0, 1, 130) ** 4
    onsets = np.zeros(1000)
    onsets[240:760:4] = motion[60:190]  # nothing but the moments of the frames: the best offset is sharp
    measure = EnvelopeOffsetScore("AV-offset")
    seen = {"motion_energy": motion[:, None].astype(np.float32)}

    def signed(late: int) -> float:
        rows = np.stack([np.roll(onsets, late), onsets], axis=1).astype(np.float32)
        controls = measure.controls(clip_set([{**seen, "onset_strength": rows}] * 2, [rows, rows]), 0)
        return float(controls["signed_offset_s"])

    assert signed(delay) - signed(0) == pytest.approx(delay / 100)


@pytest.mark.parametrize(
    ("motion", "onsets", "reason"),
    [
        (picture([]), sound([1.0]), "nothing moves in the picture"),
        (picture([1.0]), sound([]), "nothing starts in the sound"),
        (picture([0.4], 0.96), sound([0.4], 0.96), "needs a longer clip"),
        (picture([], 0.04), sound([0.0], 0.04), "nothing moves in the picture"),
    ],
    ids=["still picture", "silence", "short clip", "one frame"],
)
def test_an_offset_that_cannot_be_measured_is_left_out_with_its_reason(
    motion: Array, onsets: Array, reason: str
) -> None:
    found = measured("AV-offset", {"motion_energy": motion}, onsets)
    assert isinstance(found, Undefined)
    assert reason in found.reason


def test_one_frame_and_silence_are_measured_wherever_they_can_be() -> None:
    reference = {"motion_energy": picture([], 0.04), "onset_strength": sound([], 0.04), "events": events([])}
    found = {name: measured(name, reference, sound([], 0.04)) for name in WITHOUT_NETWORK}
    assert found["AV-Align"] == Ratio(1.0)
    assert found["event-F1"] == Ratio(0.0, 0.0)
    assert all(isinstance(found[name], Undefined) for name in ("onset-acc", "onset-AP", "AV-offset"))


def test_pictures_and_sounds_of_unequal_duration_are_cut_to_the_shorter() -> None:
    measure = COMPANIONS["AV-Align"]
    assert isinstance(measure, PairedWithPicture)
    assert measure.compare(picture([1.0, 5.0], 6.0), sound([1.0], 3.0)) == Ratio(1.0)
    assert measure.compare(picture([1.0], 3.0), sound([1.0, 5.0], 6.0)) == Ratio(1.0)


@given(st.integers(2, 60), st.integers(0, 100))
def test_nobody_keeps_his_own_in_a_derangement(n: int, seed: int) -> None:
    others = derangement(n, seed)
    assert sorted(others.tolist()) == list(range(n))
    assert not (others == np.arange(n)).any()


def test_controls_are_other_clips_pictures_and_the_real_sound() -> None:
    reference = [{"motion_energy": picture(irregular(i)), "onset_strength": sound(irregular(i))} for i in range(12)]
    generated = [sound(irregular(i)[:2]) for i in range(12)]
    scores = score_companions(["AV-Align", "AV-offset"], clip_set(reference, generated), 3).scores
    align = scores["AV-Align"]
    assert align.value == pytest.approx(0.5)
    assert [align.settings[f"reference_{part}"] for part in ("n_clips", "value", "stderr")] == [12, 1.0, 0.0]
    assert align.settings["shuffled_value"] < 0.25 < align.value
    assert align.settings["shuffle_seed"] == 3
    assert align.settings["without_peaks"] == 0
    assert scores["AV-offset"].settings["shuffled_value"] > 5 * scores["AV-offset"].value
    again = score_companions(["AV-Align"], clip_set(reference, generated), 3).scores["AV-Align"]
    assert again.settings == align.settings
    assert "AV-Align is 0." in shuffled_note(scores)[0]
    assert "1.000 ± 0.000 for the real sound" in shuffled_note(scores)[0]
    assert shuffled_note({}) == []


class Offsets(SynchformerExtractor):
    """A comparison that finds the class that stands in the first number of the sound."""

    def __init__(self) -> None:
        self.seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def compare(self, video: Array, audio: Array) -> Array:
        self.seen.append((video.shape, audio.shape))
        return np.eye(21, dtype=np.float32)[audio[:, 0, 0].astype(int)]

    load = forward = None  # type: ignore[assignment]


Offsets.__abstractmethods__ = frozenset()


def segments(first: int, last: int, count: int = 24) -> Array:
    rows = np.zeros((count, 4), np.float32)
    rows[0, 0], rows[count - 14, 0] = first, last
    return rows


def desync(sounds: list[Array], picture_segments_n: int = 24) -> Any:
    reference = [
        {"synchformer_video": np.zeros((picture_segments_n, 3), np.float32), "synchformer_audio": rows}
        for rows in sounds
    ]
    clips = [Clip(f"clip {i}", "", "", 0.0, 8.0, "", "", "") for i in range(len(sounds))]
    found = ClipSet(clips, lambda place, parts: ClipArrays(clips[place], reference[place], reference[place]))
    extractor = Offsets()
    return score_companions(["DeSync"], found, 0, {"synchformer_audio": extractor}), extractor


def test_desync_is_the_mean_absolute_offset_of_both_ends() -> None:
    """Hand-worked: classes 0 and 10 are -2 s and 0 s, 20 and 15 are 2 s and 1 s; signs must not cancel."""
    result, extractor = desync([segments(0, 10), segments(20, 15)])
    score = result.scores["DeSync"]
    assert OFFSETS_S[[0, 10, 15, 20]].tolist() == pytest.approx([-2, 0, 1, 2])
    assert result.clip_values["DeSync"].tolist() == pytest.approx([1.0, 1.5])
    assert score.value == pytest.approx(1.25)
    assert score.settings["stretch_s"] == 4.8
    assert score.settings["shuffled_value"] == pytest.approx(1.25)
    assert extractor.seen[0] == ((2, 14, 3), (2, 14, 4))


def test_desync_is_absent_for_clips_of_less_than_its_stretch() -> None:
    result, _ = desync([np.zeros((11, 4), np.float32)] * 2, picture_segments_n=11)
    assert "stretches of 4.8 s, and the clip is shorter" in result.absent["DeSync"]


def test_desync_says_what_it_lacks() -> None:
    reference = [{"synchformer_video": np.zeros((14, 3), np.float32), "synchformer_audio": segments(0, 0, 14)}] * 2
    clips = [Clip(f"clip {i}", "", "", 0.0, 8.0, "", "", "") for i in range(2)]
    found = ClipSet(clips, lambda place, parts: ClipArrays(clips[place], reference[place], reference[place]))
    assert "DeSync needs Synchformer's comparison" in score_companions(["DeSync"], found, 0).absent["DeSync"]


N = 16


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, dict[str, Path]]:
    """Give a few clips of the mini world and their prediction sets."""
    out = tmp_path_factory.mktemp("world")
    manifest = render("val", N, 3, out / "data", num_workers=0, progress=False)
    return manifest, write_prediction_sets(manifest, out / "preds")


def run(world: tuple[Manifest, dict[str, Path]], name: str, **options: Any) -> tb.Result:
    options = {"features": "lite", "metrics": WITHOUT_NETWORK, "num_workers": 0, "progress": False, **options}
    return tb.evaluate(world[1][name], world[0], **options)


def test_better_synchrony_scores_better(world: tuple[Manifest, dict[str, Path]], tmp_path: Path) -> None:
    """The real sound, the same half a second late, and another clip's, through the whole evaluation."""
    real, late, swapped = (run(world, name) for name in ("reference", "late-0.5s", "swapped"))
    for name in WITHOUT_NETWORK:
        sign = 1.0 if METRICS[name].higher_is_better else -1.0
        for worse in (late, swapped):
            # Motion energy does not tell which of two moving things is heard, so AV-offset gains least.
            margin = 0.05 if name == "AV-offset" else 0.15
            assert sign * (real.scores[name].value - worse.scores[name].value) > margin, name
    assert real.scores["event-F1"].value > 0.95
    assert real.scores["onset-acc"].value == real.scores["onset-AP"].value == 1.0
    assert real.scores["AV-Align"].value == real.scores["AV-Align"].settings["reference_value"]
    late_by = late.scores["AV-offset"].settings["signed_offset_s"]
    assert late_by - real.scores["AV-offset"].settings["signed_offset_s"] == pytest.approx(0.5, abs=0.03)
    assert swapped.scores["AV-offset"].settings["confidence"] < 0.5 * real.scores["AV-offset"].settings["confidence"]
    assert any("with other clips' pictures" in note for note in real.notes)
    real.save(tmp_path / "r.json")
    assert tb.Result.load(tmp_path / "r.json").scores == real.scores


def test_scores_are_the_same_from_the_cache_and_with_workers(world: tuple[Manifest, dict[str, Path]]) -> None:
    first = run(world, "other-noise")
    assert run(world, "other-noise", num_workers=2).scores == first.scores


def test_a_manifest_without_events_has_no_event_score(world: tuple[Manifest, dict[str, Path]], tmp_path: Path) -> None:
    folder = world[0].data_dir
    assert folder is not None
    (tmp_path / "manifest.csv").write_bytes((folder / "manifest.csv").read_bytes())
    manifest = read_manifest(tmp_path / "manifest.csv")
    assert event_times(manifest) is None
    with pytest.raises(UsageError, match="event-F1 needs a manifest that knows when its events are"):
        tb.evaluate(world[1]["reference"], manifest, folder, features="lite", metrics=["event-F1"], num_workers=0)
    plain = tb.evaluate(world[1]["reference"], manifest, folder, features="lite", num_workers=0, uncertainty="none")
    assert "event-F1" not in plain.scores
    assert "event-F1" not in plain.absent


def test_events_of_a_manifest_are_read_clip_by_clip(world: tuple[Manifest, dict[str, Path]]) -> None:
    times = event_times(world[0])
    assert times is not None
    assert list(times) == [clip.clip_id for clip in world[0].clips()]
    assert all((np.diff(found) >= 0).all() for found in times.values())
    assert sum(len(found) for found in times.values()) > N


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"clip_id,when\nval-s3-000000,1.0\n", "must have the columns clip_id and time_s; got"),
        (b"", "must have the columns clip_id and time_s; got none"),
        (
            b"clip_id,time_s\nval-s3-000000,soon\n",
            "row 2: time_s must be a number from 0 to the clip's 4 s; got 'soon'",
        ),
        (b"clip_id,time_s\nval-s3-000000,nan\n", "row 2: time_s must be a number"),
        (b"clip_id,time_s\nval-s3-000000,4.5\n", "row 2: time_s must be a number"),
        (b"clip_id,time_s\nval-s3-000000\n", "row 2: time_s must be a number from 0 to the clip's 4 s; got None"),
        (b"clip_id,time_s\n\xff\xfe,1\n", "cannot be read as a table of events"),
    ],
    ids=["columns", "empty", "text", "nan", "outside", "short row", "bytes"],
)
def test_faulty_event_files_are_named(
    world: tuple[Manifest, dict[str, Path]], tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "events.csv").write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        event_times(Manifest("own", world[0].table, data_dir=tmp_path))


def test_rows_of_other_clips_are_left_out(world: tuple[Manifest, dict[str, Path]], tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "clip_id,time_s,who\nelsewhere,99,x\nval-s3-000001,2.5,y\nval-s3-000001,0.5,z\n"
    )
    times = event_times(Manifest("own", world[0].table, data_dir=tmp_path))
    assert times is not None
    assert times["val-s3-000001"].tolist() == [0.5, 2.5]
    assert sum(map(len, times.values())) == 2
