"""Generating for manifests and single videos: names, seeds, resuming, shards, and what is refused."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from t2av_support import open_gates, tiny_config
from team import in_team

from t2av_bench.cli import main
from t2av_bench.errors import MediaError, PrerequisiteError, ProblemsError, ResultError, T2AVBenchError, UsageError
from t2av_bench.generation import record as generation_record
from t2av_bench.generation.batches import Share, shares
from t2av_bench.generation.making import Generated, generate, generate_one, write_wav
from t2av_bench.generation.record import SETTINGS_FILE, Sampling, agree_on_settings
from t2av_bench.manifests import Clip, load_manifest
from t2av_bench.media import probe, read_audio, read_frames
from t2av_bench.media.muxing import mux
from t2av_bench.models.t2av import build_mini

FAST = Sampling(steps_n=1)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    pipeline = build_mini(tiny_config())
    open_gates(pipeline)
    folder = tmp_path_factory.mktemp("checkpoint") / "ours"
    pipeline.save_pretrained(folder)
    return folder


def write_video(path: Path, frames_n: int, *, codec: str = "libx264", size: int = 32, seed: int = 0, rate: int = 25):
    pictures = np.random.default_rng(seed).integers(0, 255, (frames_n, size, size, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Five clips: three of 1 s, one of 0.6 s, one that starts inside its file."""
    folder = tmp_path_factory.mktemp("data")
    rows = ["clip_id,media,start_s,duration_s,caption"]
    for number, (start_s, duration_s) in enumerate([(0, 1), (0, 1), (0, 0.6), (0.5, 1), (0, 1)]):
        write_video(folder / f"c{number}.mp4", 40, seed=number)
        rows.append(f"c{number},c{number}.mp4,{start_s},{duration_s},a sound number {number}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder


def run(checkpoint: Path, data: Path, out: Path, **options):
    return generate(checkpoint, data / "list.csv", out, **{"sampling": FAST, "num_workers": 0, **options})


def sounds(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: soundfile.read(path)[0] for path in sorted(folder.glob("*.wav"))}


@pytest.fixture(scope="module")
def whole(checkpoint, data, tmp_path_factory) -> Path:
    """The sounds of one undisturbed run."""
    out = tmp_path_factory.mktemp("whole")
    done = run(checkpoint, data, out)
    assert (done.written_n, done.kept_n) == (5, 0)
    return out


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert list(one) == list(other)
    for name, sound in one.items():
        # Kernels round differently for other batch sizes, and Griffin-Lim amplifies that.
        np.testing.assert_allclose(other[name], sound, atol=0.02 * np.abs(sound).max(), err_msg=name)


def test_each_clip_gets_a_wav_of_its_name_and_length(whole):
    found = sounds(whole)
    assert {name: len(sound) for name, sound in found.items()} == {
        "c0": 16_000, "c1": 16_000, "c2": 9_600, "c3": 16_000, "c4": 16_000
    }  # fmt: skip
    info = soundfile.info(whole / "c0.wav")
    assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
    assert all(np.abs(sound).max() > 1e-4 for sound in found.values())
    assert len({sound[:9_600].tobytes() for sound in found.values()}) == 5
    assert not list(whole.glob(".*"))


def test_shards_workers_and_batches_change_nothing(checkpoint, data, whole, tmp_path):
    assert run(checkpoint, data, tmp_path, shard=(1, 2), batch_size=1).written_n == 2
    assert run(checkpoint, data, tmp_path, shard=(0, 2), batch_size=2, num_workers=1).written_n == 3
    same(sounds(whole), sounds(tmp_path))


def test_a_run_goes_on_where_it_stopped(checkpoint, data, whole, tmp_path):
    run(checkpoint, data, tmp_path)
    for name in ("c1", "c2"):
        (tmp_path / f"{name}.wav").unlink()
    kept = (tmp_path / "c0.wav").stat().st_mtime_ns
    done = run(checkpoint, data, tmp_path)
    assert (done.written_n, done.kept_n) == (2, 3)
    assert (tmp_path / "c0.wav").stat().st_mtime_ns == kept
    # To the last bit: what was missing was computed in the batches of the whole run.
    for path in whole.glob("*.wav"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_the_settings_are_recorded(checkpoint, data, whole):
    record = json.loads((whole / SETTINGS_FILE).read_text())
    assert record["manifest_sha256"] == load_manifest(data / "list.csv").sha256
    assert len(record["checkpoint_sha256"]) == 64
    assert record["sampling"] == {"steps_n": 1, "guidance_scale": 1.5, "candidates_n": 1, "negative_prompt": "",
                                  "video": True, "seed": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (Sampling(steps_n=1, seed=1), "begun with other settings .seed: 0, now 1.; give a new folder"),
        (Sampling(steps_n=2), "steps_n: 1, now 2"),
        (Sampling(steps_n=1, guidance_scale=3.0), "guidance_scale: 1.5, now 3.0"),
        (Sampling(steps_n=1, video=False), "video: True, now False"),
    ],
)
def test_going_on_with_other_settings_is_refused(checkpoint, data, whole, sampling, message):
    before = sounds(whole)
    with pytest.raises(UsageError, match=message):
        run(checkpoint, data, whole, sampling=sampling)
    assert list(sounds(whole)) == list(before)


def test_going_on_with_another_checkpoint_is_refused(data, whole, tmp_path):
    torch.manual_seed(1)
    build_mini(tiny_config()).save_pretrained(tmp_path / "other")
    with pytest.raises(UsageError, match="begun with other settings .checkpoint_sha256: '[0-9a-f]{64}', now"):
        run(tmp_path / "other", data, whole)


def test_another_seed_gives_other_sounds_and_no_video_the_base_model(checkpoint, data, whole, tmp_path):
    first = sounds(whole)
    for name, sampling in {"seed": Sampling(steps_n=1, seed=1), "blind": Sampling(steps_n=1, video=False)}.items():
        run(checkpoint, data, tmp_path / name, sampling=sampling)
        for clip_id, sound in sounds(tmp_path / name).items():
            assert np.abs(sound - first[clip_id]).max() > 0.1 * np.abs(sound).max(), (name, clip_id)


def test_a_folder_with_sounds_of_another_origin_is_refused(checkpoint, data, tmp_path):
    soundfile.write(tmp_path / "mine.wav", np.zeros(100), 16_000)
    with pytest.raises(UsageError, match="holds WAV files but no generation.json"):
        run(checkpoint, data, tmp_path)
    (tmp_path / SETTINGS_FILE).write_text("[]")
    with pytest.raises(UsageError, match="is no record of this command"):
        run(checkpoint, data, tmp_path)


def test_missing_videos_are_listed_before_anything_is_made(checkpoint, data, tmp_path):
    rows = "clip_id,media,caption\na,absent.mp4,x\nb,c0.mp4,y\n"
    (data / "missing.csv").write_text(rows)
    with pytest.raises(ProblemsError, match="1 of 2 clips have no video"):
        generate(checkpoint, data / "missing.csv", tmp_path / "out", sampling=FAST)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_clips_that_cannot_be_read_are_listed_after_all_others_are_done(checkpoint, data, tmp_path, num_workers):
    soundfile.write(data / "sound.wav", np.zeros(16_000), 16_000)
    (data / "broken.mp4").write_bytes((data / "c0.mp4").read_bytes()[:300])
    rows = "clip_id,media,duration_s,caption\na,c0.mp4,1,x\nb,sound.wav,1,y\nc,broken.mp4,1,z\n"
    (data / "broken.csv").write_text(rows)
    with pytest.raises(ProblemsError, match="2 of 3 clips have no sound; all others are written") as caught:
        generate(checkpoint, data / "broken.csv", tmp_path, sampling=FAST, num_workers=num_workers)
    assert {problem.clip_id for problem in caught.value.problems} == {"b", "c"}
    assert list(sounds(tmp_path)) == ["a"]


def test_wrong_options_are_refused(checkpoint, data, tmp_path):
    with pytest.raises(UsageError, match="the shard must be i/n with 0 <= i < n, got 2/2"):
        run(checkpoint, data, tmp_path, shard=(2, 2))
    with pytest.raises(UsageError, match="batch size must be at least 1, got 0"):
        run(checkpoint, data, tmp_path, batch_size=0)


def test_a_training_runs_output_folder_is_a_checkpoint_too(checkpoint, data, whole, tmp_path):
    (tmp_path / "final").symlink_to(checkpoint)
    run(tmp_path, data, tmp_path / "out")
    same(sounds(whole), sounds(tmp_path / "out"))


def test_a_missing_checkpoint_is_refused(data, tmp_path):
    with pytest.raises(
        PrerequisiteError, match="there must be a folder with a checkpoint .model_index.json., or 'mini'"
    ):
        run(tmp_path / "absent", data, tmp_path / "out")


# One video --------------------------------------------------------------------------------------------------------


def test_one_video_gives_a_sound_and_the_video_with_it(checkpoint, data, tmp_path):
    wav, mp4 = generate_one(checkpoint, "a drum", tmp_path / "deep" / "x.wav", data / "c0.mp4", sampling=FAST)
    sound, sr_hz = soundfile.read(wav)
    assert (sr_hz, len(sound)) == (16_000, round(1.6 * 16_000))
    info = probe(mp4)
    assert info.audio_sr_hz == 16_000
    assert info.video_duration_s == pytest.approx(1.6, abs=0.01)
    times_s = np.arange(40) / 25
    assert np.array_equal(read_frames(mp4, times_s), read_frames(data / "c0.mp4", times_s)), "the pictures are copied"


def test_a_prompt_may_be_empty_and_a_length_may_be_given(checkpoint, data, tmp_path):
    wav, _ = generate_one(checkpoint, "", tmp_path / "x.wav", data / "c0.mp4", length_s=2.5, sampling=FAST)
    assert soundfile.info(wav).frames == 40_000


def test_a_video_of_one_frame_needs_a_length_and_is_a_still(checkpoint, tmp_path):
    still = write_video(tmp_path / "still.mp4", 1)
    with pytest.raises(UsageError, match="the video lasts only 0.04 s; give the length of the sound"):
        generate_one(checkpoint, "x", tmp_path / "x.wav", still, sampling=FAST)
    wav, mp4 = generate_one(checkpoint, "x", tmp_path / "x.wav", still, length_s=1.0, sampling=FAST)
    assert soundfile.info(wav).frames == 16_000
    assert probe(mp4).audio_duration_s == pytest.approx(1.0, abs=0.1)


def test_files_without_pictures_and_bad_names_are_refused(checkpoint, data, tmp_path):
    soundfile.write(tmp_path / "sound.wav", np.zeros(16_000), 16_000)
    with pytest.raises(MediaError, match="holds no pictures .no video stream."):
        generate_one(checkpoint, "x", tmp_path / "x.wav", tmp_path / "sound.wav", sampling=FAST)
    with pytest.raises(UsageError, match="the output must end in .wav, got"):
        generate_one(checkpoint, "x", tmp_path / "x.mp4", data / "c0.mp4", sampling=FAST)
    with pytest.raises(UsageError, match="c0.mp4 is the video itself and would be overwritten"):
        generate_one(checkpoint, "x", data / "c0.wav", data / "c0.mp4", sampling=FAST)


@pytest.mark.parametrize(("codec", "suffix", "size"), [("libx264", ".mkv", 32), ("libvpx", ".webm", 33)])
def test_any_coding_can_be_muxed(tmp_path, codec, suffix, size):
    source = write_video(tmp_path / f"in{suffix}", 30, codec=codec, size=size)
    times_s = np.arange(16_000) / 16_000
    samples = (0.5 * np.sin(2 * np.pi * 440 * times_s) * (times_s > 0.5)).astype(np.float32)
    mux(source, samples, 16_000, tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert info.video_width == size // 2 * 2
    heard, sr_hz = read_audio(tmp_path / "out.mp4", duration_s=1.0)
    level = np.abs(heard[:, 0]).reshape(-1, sr_hz // 20).max(1)
    assert level[:9].max() < 0.05 < 0.3 < level[11:].min(), "the sound starts in time"
    moments = np.arange(0.02, 1.0, 0.04)
    before, after = (read_frames(path, moments, size=(16, 16)).astype(float) for path in (source, tmp_path / "out.mp4"))
    assert np.abs(before - after).mean() < 12 < np.abs(before[:-1] - after[1:]).mean()


# The command ------------------------------------------------------------------------------------------------------


def test_the_command_does_both(checkpoint, data, whole, tmp_path):
    arguments = ["generate", "--checkpoint", str(checkpoint), "--steps", "1", "--num-workers", "0"]
    listed = [*arguments, "--manifest", str(data / "list.csv"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*listed, "--shard", "0/2"])
    assert done.exit_code == 0, done.output
    assert "3 sounds written to" in done.output
    done = CliRunner().invoke(main, listed)
    assert "2 sounds written to" in done.output
    assert "3 were there already" in done.output
    same(sounds(whole), sounds(tmp_path / "out"))
    one = [*arguments, "--video", str(data / "c0.mp4"), "--prompt", "x", "-o", str(tmp_path / "x.wav")]
    done = CliRunner().invoke(main, one)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "x.mp4").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --manifest or --video"),
        (["--manifest", "t2av-mini", "--video", "x.mp4"], "either --manifest or --video"),
        (["--manifest", "t2av-mini", "--prompt", "x"], "--prompt and --length belong to --video"),
        (["--manifest", "t2av-mini", "--shard", "4/4"], "must be i/n with 0 <= i < n"),
        (["--manifest", "t2av-mini", "--shard", "a"], "must be i/n with 0 <= i < n"),
        (["--video", "x.mp4", "--shard", "0/2"], "--shard belongs to --manifest"),
        *(
            (["--video", "x.mp4", "--guidance", scale], "guidance must be a number from 0 on; got " + scale)
            for scale in ("nan", "inf", "-1")
        ),
    ],
)
def test_the_command_refuses_what_makes_no_sense(arguments, message, tmp_path):
    done = CliRunner().invoke(main, ["generate", "-o", str(tmp_path / "out"), *arguments])
    assert done.exit_code == 2
    assert message in done.output


def test_several_processes_share_the_clips_and_write_what_one_writes(checkpoint, data, tmp_path):
    run(checkpoint, data, tmp_path / "one", batch_size=1)
    counts = in_team(3, lambda team: run(checkpoint, data, tmp_path / "three", batch_size=1, processes=team))
    assert counts == [Generated(5, 0)] * 3
    assert {path.name: path.read_bytes() for path in (tmp_path / "three").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()
    }
    again = in_team(2, lambda team: run(checkpoint, data, tmp_path / "three", batch_size=1, processes=team))
    assert again == [Generated(0, 5)] * 2


def test_videos_that_no_process_can_read_are_listed_once_in_order(checkpoint, data, tmp_path):
    media = Path(shutil.copytree(data, tmp_path / "data"))
    for name in ("c4.mp4", "c1.mp4"):
        (media / name).write_bytes(b"nothing")
    for error in in_team(2, lambda team: run(checkpoint, media, tmp_path / "out", processes=team)):
        assert isinstance(error, ProblemsError)
        assert [problem.clip_id for problem in error.problems] == ["c1", "c4"]
    assert sounds(tmp_path / "out").keys() == {"c0", "c2", "c3"}


def test_work_is_divided_in_whole_groups_and_nobody_is_idle_who_need_not_be():
    clips = [Clip(f"{i}", "", "", 0.0, 1.0, "", "", "") for i in range(6)]
    ids = {clip.clip_id for clip in clips}
    assert [[len(group) for group in share.groups] for share in shares(clips, ids, 4, 1)] == [[4, 2]]
    assert [[len(group) for group in share.groups] for share in shares(clips, ids, 4, 3)] == [[2], [2], [2]]
    # Where another run has stopped, the company of a missing clip is the same.
    assert [[len(group) for group in share.groups] for share in shares(clips, {clips[5].clip_id}, 4, 1)] == [[2]]
    assert shares([], set(), 4, 2) == [Share([], set())] * 2


def test_all_processes_must_see_one_folder(checkpoint, data, tmp_path, monkeypatch):
    monkeypatch.setattr(generation_record, "_APPEARS_S", 0.1)
    for error in in_team(2, lambda team: run(checkpoint, data, tmp_path / f"{team.rank}", processes=team)):
        assert isinstance(error, UsageError)
        assert "must be one folder that all processes see" in str(error)
    assert not (tmp_path / "1").exists()


def test_of_two_that_begin_a_folder_at_once_one_decides(tmp_path):
    def begin(seed: int) -> object:
        try:
            return agree_on_settings(tmp_path / "out", {"sampling": {"seed": seed}})
        except UsageError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(begin, range(8)))
    winner = json.loads((tmp_path / "out" / SETTINGS_FILE).read_text())["sampling"]["seed"]
    assert [seed for seed, outcome in enumerate(outcomes) if outcome is None] == [winner]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [SETTINGS_FILE]


def test_a_file_where_a_folder_is_needed_is_named(checkpoint: Path, data: Path, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="file: the sounds need a folder, and here stands a file"):
        run(checkpoint, data, tmp_path / "file")
    with pytest.raises(ResultError, match="a file stands where its folder should be"):
        generate_one(checkpoint, "x", tmp_path / "file" / "x.wav", data / "c0.mp4", sampling=FAST)
    assert (tmp_path / "file").read_text() == "in the way"


def test_missing_videos_come_with_advice_that_the_command_can_follow(checkpoint: Path, data: Path, tmp_path: Path):
    folders = ["--checkpoint", checkpoint, "--data-dir", tmp_path, "-o", tmp_path / "out"]
    done = CliRunner().invoke(main, ["generate", "--manifest", str(data / "list.csv"), *map(str, folders)])
    assert done.exit_code == 1
    assert "is --data-dir the right folder?" in done.output
    assert "--on-error" not in done.output


def test_sound_that_is_not_finite_is_not_written(tmp_path: Path):
    with pytest.raises(T2AVBenchError, match="the sound that was generated is not finite"):
        write_wav(tmp_path / "a.wav", np.array([0.0, np.nan], np.float32))
    assert not list(tmp_path.iterdir())
