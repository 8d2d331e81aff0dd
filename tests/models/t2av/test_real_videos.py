"""Real videos of any size, rate and length give finite, audible sounds of the right length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from audioldm_support import VIDEO_CONFIG, write_audioldm
from t2av_support import open_gates

from t2av_bench.generation.making import generate
from t2av_bench.generation.record import Sampling
from t2av_bench.media import probe
from t2av_bench.models.t2av import T2AVPipeline
from t2av_bench.models.t2av.sampling import clip_generator

AUDIBLE = 1e-4


@pytest.fixture(scope="session")
def videos(shared) -> list[Path]:
    found = sorted((shared / "media").rglob("*.mp4"))
    assert len(found) == 22
    assert len({probe(path).video_width for path in found}) > 3
    return found


def hear(pipeline: T2AVPipeline, video: Path, length_s: float) -> np.ndarray:
    generator = [clip_generator(0, video.stem)]
    sounds = pipeline("", video=video, audio_length_in_s=length_s, num_inference_steps=2, generator=generator).audios
    assert sounds.shape == (1, round(length_s * 16_000)), video
    assert np.isfinite(sounds).all(), video
    assert np.abs(sounds).max() > AUDIBLE, video
    return sounds[0]


def test_a_small_random_pipeline_generates_for_all_of_them(make_tiny, videos):
    pipeline = make_tiny()
    open_gates(pipeline)
    heard = [hear(pipeline, video, 1.0 + 0.1 * number) for number, video in enumerate(videos)]
    assert len({sound[:16_000].tobytes() for sound in heard}) == len(videos)


def test_a_random_pipeline_in_audioldms_layout_generates_for_them(videos, tmp_path):
    pipeline = T2AVPipeline.from_audioldm(write_audioldm(tmp_path), config=VIDEO_CONFIG)
    pipeline.set_progress_bar_config(disable=True)
    open_gates(pipeline)
    for number, video in enumerate(videos[::4]):
        hear(pipeline, video, 0.5 + 0.07 * number)


@pytest.mark.slow
def test_whole_clips_have_the_length_of_their_video(make_tiny, videos):
    pipeline = make_tiny()
    open_gates(pipeline)
    for video in videos:
        sound = pipeline("a sound", video=video, num_inference_steps=1).audios[0]
        assert len(sound) == round((probe(video).video_duration_s or 0) * 16_000), video
        assert np.isfinite(sound).all()


@pytest.mark.slow
def test_the_mini_checkpoint_generates_for_them_as_for_any_manifest(videos, tmp_path):
    rows = ["clip_id,media,duration_s,caption", *(f"{video.stem},{video.name},4,a sound" for video in videos)]
    folder = tmp_path / "data"
    folder.mkdir()
    for video in videos:
        (folder / video.name).symlink_to(video)
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    torch.set_num_threads(2)
    done = generate("mini", folder / "list.csv", tmp_path / "out", sampling=Sampling(steps_n=10))
    assert done.written_n == len(videos)
    for video in videos:
        sound, sr_hz = soundfile.read(tmp_path / "out" / f"{video.stem}.wav")
        assert (sr_hz, len(sound)) == (16_000, 64_000)
        assert np.abs(sound).max() > AUDIBLE
