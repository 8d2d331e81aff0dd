"""One clip read by several extractors: decoded once, and each gets the bytes it would have read by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from t2av_bench.errors import MediaError
from t2av_bench.manifests.mini import render
from t2av_bench.media import FRONT_ENDS, front_end, read_frames, read_frames_in_sizes, video
from t2av_bench.models.extractors import ClipSource, Extractor, get_extractor
from t2av_bench.models.extractors.read_once import ReadOnceSource

VIDEO = ("lite-video", "motion-energy", "c3d", "i3d", "synchformer-video")
AUDIO = ("lite-audio", "onset-strength", "vggish", "panns", "panns-logits", "synchformer-audio", "clap-audio")


def made(name: str) -> Extractor:
    return get_extractor(name, weights="random") if name in (*VIDEO[2:], *AUDIO[2:]) else get_extractor(name)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    (row,) = render("train", 1, 0, folder).clips()
    return folder / row.media


def counted(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[object]:
    calls: list[object] = []
    original: Callable[..., object] = getattr(module, name)

    def call(*args: object, **kwargs: object) -> object:
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, call)
    return calls


@pytest.mark.parametrize(("start_s", "duration_s"), [(0.0, 4.0), (0.5, 2.3)])
def test_every_extractor_gets_the_bytes_it_would_have_read_alone(clip: Path, start_s: float, duration_s: float):
    source = ClipSource(clip, start_s, duration_s)
    extractors = [made(name) for name in (*VIDEO, *AUDIO)]
    shared = ReadOnceSource.of(source, extractors)
    for extractor in extractors:
        alone, together = extractor.load(source), extractor.load(shared)
        assert together.dtype == alone.dtype, extractor.name
        np.testing.assert_array_equal(together, alone, extractor.name)


def test_real_clips_are_the_same_bytes(shared: Path):
    paths = sorted((shared / "media").glob("*/*.mp4"))[:3]
    assert paths
    for path in paths:
        source = ClipSource(path, 0.3, 2.5)
        extractors = [made(name) for name in ("c3d", "motion-energy", "lite-video", "panns", "onset-strength")]
        together = ReadOnceSource.of(source, extractors)
        for extractor in extractors:
            np.testing.assert_array_equal(extractor.load(together), extractor.load(source))


def test_sound_and_pictures_are_decoded_once(clip: Path, monkeypatch: pytest.MonkeyPatch):
    from t2av_bench.media import _video_av, audio

    opened = counted(monkeypatch, _video_av, "open_container")
    stored = counted(monkeypatch, audio, "read_audio")
    resampled = counted(monkeypatch, front_end, "resample")
    extractors = [made(name) for name in ("c3d", "lite-video", "motion-energy", "vggish", "panns", "onset-strength")]
    extractors += [get_extractor("vggish", weights="random", front_end="fadtk"), made("clap-audio")]
    source = ReadOnceSource.of(ClipSource(clip, 0.0, 4.0), extractors)
    for extractor in extractors:
        extractor.load(source)
    assert (len(opened), len(stored)) == (1, 1)
    assert len(resampled) == 3  # to 16 kHz by two front ends, and to 48 kHz


def test_one_video_extractor_reads_for_itself(clip: Path, monkeypatch: pytest.MonkeyPatch):
    many = counted(monkeypatch, video, "read_frames_in_sizes")
    extractor = made("motion-energy")
    extractor.load(ReadOnceSource.of(ClipSource(clip, 0.0, 4.0), [extractor, made("vggish")]))
    assert many == []


def test_what_one_extractor_does_to_its_samples_does_not_reach_the_next(tmp_path: Path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.linspace(-0.5, 0.5, 16_000), 16_000)
    source = ReadOnceSource.of(ClipSource(path, 0.0, 1.0), [])
    ours = FRONT_ENDS["t2av-bench"]
    samples = source.sound(ours, 16_000)
    samples[:] = 0
    np.testing.assert_array_equal(source.sound(ours, 16_000), ClipSource(path, 0.0, 1.0).sound(ours, 16_000))


def test_a_broken_file_is_looked_at_once_for_its_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from t2av_bench.media import audio

    calls = counted(monkeypatch, audio, "read_audio")
    (tmp_path / "a.wav").write_bytes(b"no sound")
    source = ReadOnceSource.of(ClipSource(tmp_path / "a.wav", 0.0, 1.0), [])
    for _ in range(2):
        with pytest.raises(MediaError, match=r"a\.wav: is not a media file"):
            source.sound(FRONT_ENDS["t2av-bench"], 16_000)
    assert len(calls) == 1


def test_pictures_that_end_early_fail_only_those_who_need_the_end(clip: Path):
    """The clip claims 4.2 s: motion energy wants pictures up to there, the windows end at 3.84 s."""
    lite, motion = made("lite-video"), made("motion-energy")
    source = ReadOnceSource.of(ClipSource(clip, 0.0, 4.2), [lite, motion])
    np.testing.assert_array_equal(lite.load(source), lite.load(ClipSource(clip, 0.0, 4.2)))
    with pytest.raises(MediaError, match=r"has pictures up to 4.000 s, one at 4.1.0 s is needed"):
        motion.load(source)


def test_frames_in_several_sizes_are_those_of_each(clip: Path):
    rng = np.random.default_rng(3)
    wanted = {(64, 64): rng.uniform(0, 4, 30), (112, 171): np.arange(0, 4, 0.11), (24, 8): np.array([1.0, 1.0, 0.2])}
    found = read_frames_in_sizes(clip, wanted)
    assert list(found) == list(wanted)
    for size, times_s in wanted.items():
        np.testing.assert_array_equal(found[size], read_frames(clip, times_s, size=size))
    with pytest.raises(ValueError, match="finite seconds"):
        read_frames_in_sizes(clip, {(8, 8): np.zeros(0), (9, 9): np.zeros(1)})
    with pytest.raises(MediaError, match="has pictures up to"):
        read_frames_in_sizes(clip, {(8, 8): np.array([0.0]), (9, 9): np.array([5.0])})
