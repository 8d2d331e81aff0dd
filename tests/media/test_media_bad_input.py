"""Files that are no media, cannot be opened, or try to reach elsewhere: one message that names the file."""

from __future__ import annotations

import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from t2av_bench.errors import MediaError
from t2av_bench.extraction.checking import FileNeed, inspect
from t2av_bench.extraction.embedding import _load_clip
from t2av_bench.media import check_audio, probe, read_audio, read_clip_audio, read_frames
from t2av_bench.models.extractors import ClipSource, get_extractor
from t2av_bench.workers import JobFailure, run_jobs

READERS = [
    probe,
    read_audio,
    lambda path: read_clip_audio(path, sr_hz=16_000, start_s=0.0, duration_s=1.0),
    lambda path: check_audio(path, 0.0, 1.0),
    lambda path: read_frames(path, np.array([0.0])),
]


def refuse(path: Path, reason: str) -> None:
    for reader in READERS:
        with pytest.raises(MediaError, match=rf"{path.name}: {reason}") as caught:
            reader(path)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.wav", b"", r"is empty \(0 bytes\)"),
        ("text.wav", b"hello, this is no sound\n" * 100, "is not a media file, it looks like text"),
        ("text.mp3", "grün\n".encode() * 500, "is not a media file"),
        ("zeros.mp4", bytes(10_000), "holds no media: it starts with zero bytes only"),
        ("noise.mp4", np.random.default_rng(0).bytes(5000), "is not a media file of a known kind"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(500), "is not a media file of a known kind"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "is not a media file, it looks like text"),
        ("join.mp4", b"ffconcat version 1.0\nfile secret.wav\n", "is not a media file, it looks like text"),
        ("header.wav", b"RIFF\x24\0\0\0WAVE", "is damaged or truncated"),
    ],
)
def test_not_media(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    refuse(tmp_path / name, reason)


def test_missing(tmp_path):
    refuse(tmp_path / "nowhere.mp4", "there is no such file")


def test_a_folder(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    refuse(tmp_path / "a.mp4", "is a folder, not a media file")


def test_permission_denied(tmp_path, monkeypatch):
    # Simulated: for root, who runs the tests in containers, every file is readable.
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.wav").write_bytes(b"RIFF")
    monkeypatch.setattr(Path, "open", denied)
    refuse(tmp_path / "a.wav", "cannot be opened: permission denied")


def test_mp4_without_its_index(media, tmp_path):
    path = media("encode")(tmp_path / "a.mp4", times_s=np.arange(25) / 25, sound=media("burst")(48_000, 1.0, 0.5))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refuse(path, r"is a damaged or truncated MP4 file: its table of contents \(moov\) is missing or broken")


def test_files_without_sound(media, tmp_path):
    path = media("encode")(tmp_path / "mute.mp4", times_s=np.arange(25) / 25)
    with pytest.raises(MediaError, match=r"mute.mp4: holds no sound"):
        read_audio(path)
    info = probe(path)
    assert info.audio_sr_hz is None
    assert (info.video_height, info.video_width, info.video_fps) == (64, 160, 25.0)
    assert info.video_duration_s == pytest.approx(1.0, abs=0.001)


def test_names_that_look_like_protocols_or_options(media, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = media("encode")(tmp_path / "a.mp4", times_s=np.arange(25) / 25, sound=media("burst")(48_000, 1.0, 0.5))
    for name in ("concat:a.mp4", "-i.mp4", "http:b.mp4", "a b%d#?.mp4", "Ärger.mp4"):
        Path(name).write_bytes(source.read_bytes())
        assert len(read_audio(name)[0]) > 40_000
        assert read_frames(name, [0.0]).shape == (1, 64, 160, 3)


def damaged_copies(source, folder, count=24):
    """Copies with 40 random bytes changed, in the headers or anywhere."""
    data = source.read_bytes()
    for seed in range(count):
        rng = np.random.default_rng(seed)
        damaged = bytearray(data)
        for at in rng.integers(0, len(data) if seed % 2 else 6000, 40):
            damaged[at] = rng.integers(256)
        path = folder / f"damaged-{seed}.mp4"
        path.write_bytes(damaged)
        yield path


def test_damaged_bytes_give_a_reason_or_are_read_and_never_end_the_run(clip_mp4, tmp_path):
    """In workers, as the evaluation reads: some decoders crash on such files, and that must cost one file only."""
    paths = list(damaged_copies(clip_mp4, tmp_path))
    needs = [FileNeed(path.stem, path, 0.0, 1.0, audio=True, video=True, may_be_silent=True) for path in paths]
    load = partial(_load_clip, [get_extractor("lite-video")])
    jobs = [(ClipSource(path, 0.0, 1.0), [0]) for path in paths]
    for function, work in ((inspect, needs), (load, jobs)):
        outcomes = dict(run_jobs(function, work, num_workers=1))
        assert sorted(outcomes) == list(range(len(paths)))
        found = [
            outcome[0] if function is load and isinstance(outcome, dict) else outcome for outcome in outcomes.values()
        ]
        assert all(outcome.reason for outcome in found if isinstance(outcome, JobFailure))


def test_reading_media_imports_nothing_heavy(clip_mp4):
    code = (
        "import sys; from t2av_bench.media import read_clip_audio, read_frames\n"
        f"read_clip_audio({str(clip_mp4)!r}, sr_hz=16000, start_s=0, duration_s=1)\n"
        f"read_frames({str(clip_mp4)!r}, [0.0])\n"
        "print(sorted({'torch', 'pandas', 'gensim', 'scipy'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert run.stdout.strip() == "[]"
    assert run.stderr == ""
