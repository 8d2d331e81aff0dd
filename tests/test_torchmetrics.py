"""Metric objects over clips in memory: what a training loop hands over scores as the same clips in files do."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torchmetrics import MetricCollection

import t2av_bench as tb
from t2av_bench.errors import MetricError, PackError, ProblemsError, UsageError
from t2av_bench.manifests.mini import make_clip, render
from t2av_bench.manifests.mini.predictions import write_prediction_sets
from t2av_bench.media import FRONT_ENDS, read_clip_audio, read_frames
from t2av_bench.media.in_memory import clip_signal, frames_at
from t2av_bench.models.extractors import AudioExtractor, get_extractor
from t2av_bench.models.extractors.in_memory import ClipBatch, embed_clips
from t2av_bench.packs.building import build_pack
from t2av_bench.torchmetrics import FAD, FATD, FAVD, FAVTD, FD, KAD, KATD, KAVD, KAVTD, ATIndex, AVIndex, ClipScore

N = 8
FRECHET: dict[str, tuple[type[ClipScore], dict[str, Any]]] = {
    "FD": (FD, {}),
    "FAD": (FAD, {}),
    "FAVD": (FAVD, {}),
    "FATD": (FATD, {}),
    "FA(VT)D": (FAVTD, {}),
    "FAD-b": (FAD, {"balanced": True}),
    "FAVD-b": (FAVD, {"balanced": True}),
    "FATD-b": (FATD, {"balanced": True}),
    "FA(VT)D-b": (FAVTD, {"balanced": True}),
    "AV-index": (AVIndex, {}),
    "AT-index": (ATIndex, {}),
}
KERNEL: dict[str, type[ClipScore]] = {"KAD": KAD, "KAVD": KAVD, "KATD": KATD, "KA(VT)D": KAVTD}


class World:
    """A few rendered clips as files and as arrays, with one system's sound."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = render("val", N, 0, folder / "data", num_workers=0, progress=False)
        self.preds = write_prediction_sets(self.manifest, folder / "preds")["other-noise"]
        self.result = tb.evaluate(self.preds, self.manifest, features="lite", num_workers=0)
        clips = [make_clip("val", 0, index) for index in range(N)]
        self.ids = [clip.clip_id for clip in clips]
        self.conditions: dict[str, Any] = {
            "video": torch.from_numpy(np.stack([clip.frames for clip in clips])),
            "text": [clip.caption for clip in clips],
        }
        self.real = torch.from_numpy(np.stack([clip.pcm / np.float32(2**15) for clip in clips]).astype(np.float32))
        sounds = [soundfile.read(next(self.preds.glob(f"{name}.*")), dtype="float32")[0] for name in self.ids]
        self.generated = torch.from_numpy(np.stack(sounds))

    def feed(self, metric: Any, *, real: bool, batch_n: int = 3) -> None:
        sound = self.real if real else self.generated
        for start in range(0, N, batch_n):
            part = slice(start, start + batch_n)
            conditions = {block: clips[part] for block, clips in self.conditions.items()}
            options = {"clip_ids": self.ids[part]} if getattr(metric, "stderr", False) else {}
            metric.update(sound[part], **conditions, real=real, sr_hz=16_000, fps=25, **options)


def windows_n(metric: ClipScore) -> int:
    return sum(map(len, metric.generated_rows))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def packs(world: World) -> dict[str, Path]:
    options = {"features": "lite", "num_workers": 0, "cache_dir": world.folder / "cache", "progress": False}
    return {
        dtype: build_pack(world.folder / f"{dtype}.pack", world.manifest, dtype=dtype, **options).path
        for dtype in ("float16", "float32")
    }


def expected(world: World, name: str) -> float:
    """Value by evaluate; of an index, which has another zero point there, by a metric that is fed both sides."""
    if "index" not in name:
        return world.result.scores[name].value
    metric = FRECHET[name][0]("lite")
    world.feed(metric, real=True)
    world.feed(metric, real=False)
    return float(metric.compute())


@pytest.mark.parametrize("name", [name for name in FRECHET if "index" not in name])
def test_the_value_is_that_of_evaluate_on_the_same_clips(world: World, name: str) -> None:
    kind, options = FRECHET[name]
    metric = kind("lite", **options)
    world.feed(metric, real=True)
    world.feed(metric, real=False, batch_n=5)
    assert float(metric.compute()) == pytest.approx(world.result.scores[name].value, rel=1e-9)


@pytest.mark.parametrize("name", ["FD", "FAD", "FAVD-b"])
def test_the_error_is_that_of_evaluate(world: World, name: str) -> None:
    kind, options = FRECHET[name]
    metric = kind("lite", stderr=True, **options)
    world.feed(metric, real=True)
    world.feed(metric, real=False)
    found = metric.compute()
    assert isinstance(found, dict)
    assert float(found["value"]) == pytest.approx(world.result.scores[name].value, rel=1e-9)
    assert float(found["stderr"]) == pytest.approx(world.result.scores[name].stderr, rel=1e-6)


@pytest.mark.parametrize("name", ["FD", "FAD", "FAVD", "FAVD-b", "FA(VT)D-b", "AV-index"])
def test_a_manifest_can_be_the_reference(world: World, name: str) -> None:
    kind, options = FRECHET[name]
    metric = kind("lite", reference=world.manifest, **options)
    world.feed(metric, real=False)
    assert float(metric.compute()) == pytest.approx(expected(world, name), rel=1e-9)


@pytest.mark.parametrize("name", ["FAD", "FAVD-b", "AV-index"])
def test_a_folder_can_be_the_reference(world: World, name: str) -> None:
    kind, options = FRECHET[name]
    metric = kind("lite", reference=world.folder / "data" / "media", **options)
    world.feed(metric, real=False)
    assert float(metric.compute()) == pytest.approx(expected(world, name), rel=1e-9)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("name", KERNEL)
def test_kernel_distances_are_those_of_evaluate(world: World, name: str, before: bool) -> None:
    metric = KERNEL[name]("lite", stderr=True, reference=world.manifest if before else None)
    if not before:
        world.feed(metric, real=True)
    world.feed(metric, real=False)
    found = metric.compute()
    assert isinstance(found, dict)
    assert float(found["value"]) == pytest.approx(world.result.scores[name].value, rel=1e-9)
    assert float(found["stderr"]) == pytest.approx(world.result.scores[name].stderr, rel=1e-6)


def test_a_training_loop(world: World) -> None:
    """The documented use: the reference given beforehand, one pass of the networks, a value after every validation."""
    extractors = {block: get_extractor(f"lite-{block}") for block in ("audio", "video")}
    metrics = MetricCollection(
        {
            "FAD": FAD(extractors, reference=world.manifest),
            "FAVD-b": FAVD(extractors, balanced=True, reference=world.manifest),
            "AV-index": AVIndex(extractors, reference=world.manifest),
        }
    )
    louder = torch.nn.Parameter(torch.zeros(()))  # a model of one weight, which learns to sound like the reference
    optimiser = torch.optim.SGD([louder], lr=0.25)
    history = []
    for _ in range(3):
        with torch.no_grad():
            for clip in range(N):
                sound = world.real[clip : clip + 1] * louder + 0.01 * world.generated[clip : clip + 1]
                metrics.update(sound, video=world.conditions["video"][clip : clip + 1], sr_hz=16_000, fps=25)
        history.append({name: float(value) for name, value in metrics.compute().items()})
        metrics.reset()
        optimiser.zero_grad()
        (louder - 1).square().backward()
        optimiser.step()
    for name in ("FAD", "FAVD-b"):
        assert history[0][name] > history[1][name] > history[2][name] >= 0
    assert history[0]["AV-index"] < history[2]["AV-index"]


def test_one_pass_of_the_networks_can_feed_many_scores(world: World) -> None:
    dims = {"audio": 64, "video": 64}
    scores = MetricCollection({"FAD": FAD(dims), "FAVD-b": FAVD(dims, balanced=True), "KAVD": KAVD(dims)})
    extractors = {block: get_extractor(f"lite-{block}") for block in dims}
    for sound, real in ((world.real, True), (world.generated, False)):
        clips = ClipBatch(list(sound.numpy()), 16_000, list(world.conditions["video"].numpy()), 25)
        rows, _ = embed_clips(extractors, clips)
        scores.update(**rows, real=real)
    values = scores.compute()
    for name in ("FAD", "FAVD-b"):
        assert float(values[name]) == pytest.approx(world.result.scores[name].value, rel=1e-9)


def test_a_network_embeds_and_survives_pickling(world: World) -> None:
    """Random weights, so that nothing has to be there; the metric does not take the network along."""
    metric = FAD("paper", weights="random", device="cpu")
    metric.update(world.real[:2], sr_hz=16_000, real=True)
    stored = pickle.dumps(metric)
    assert len(stored) < 2e6, "a few matrices of 129 x 129, and no 288 MB of VGGish"
    metric = pickle.loads(stored)
    metric.update(world.generated[:2], sr_hz=16_000)
    extractor = get_extractor("vggish", weights="random", device="cpu")
    assert isinstance(extractor, AudioExtractor)
    rows = [np.concatenate([extractor.embed_batch(extractor.windows(x.numpy(), 4.0)) for x in sound[:2]])
            for sound in (world.real, world.generated)]  # fmt: skip
    from t2av_bench.metrics import frechet_distance

    assert float(metric.compute()) == pytest.approx(frechet_distance(*rows), rel=1e-9)


@pytest.mark.parametrize(("sr_hz", "channels"), [(16_000, 1), (44_100, 2), (48_000, 1), (22_050, 2)])
def test_sound_in_memory_is_sound_in_a_file(tmp_path: Path, sr_hz: int, channels: int) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, (channels, round(3.95 * sr_hz))).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound.T, sr_hz, subtype="FLOAT")
    expected = read_clip_audio(tmp_path / "a.wav", sr_hz=16_000, start_s=0, duration_s=4.0)
    found = clip_signal(sound, sr_hz, wanted_sr_hz=16_000, duration_s=4.0)
    np.testing.assert_array_equal(found, expected)
    assert not found[round(3.96 * 16_000) :].any()


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_sound_in_memory_goes_through_the_front_end_of_its_extractor(tmp_path: Path, name: str) -> None:
    """Two channels that differ, an offset and more than 8 s: no two front ends give the same."""
    sound = np.random.default_rng(1).uniform(-0.5, 0.6, (2, 9 * 44_100)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound.T, 44_100, subtype="FLOAT")
    vggish = get_extractor("vggish", front_end=name, weights="random", device="cpu")
    found, _ = embed_clips({"audio": vggish}, ClipBatch([sound], 44_100))
    np.testing.assert_array_equal(found["audio"], vggish.embed_file(tmp_path / "a.wav", 0.0, 9.0))
    ours = get_extractor("vggish", weights="random", device="cpu")
    other, _ = embed_clips({"audio": ours}, ClipBatch([sound], 44_100))
    assert np.array_equal(found["audio"], other["audio"]) == (name == "t2av-bench")


def test_pictures_in_memory_are_pictures_in_a_file(world: World) -> None:
    path = next(iter(sorted((world.folder / "data" / "media").glob("*.mp4"))))
    name = path.stem
    frames = world.conditions["video"][world.ids.index(name)].numpy()
    times_s = np.array([0.0, 0.019, 0.021, 0.04, 1.0, 3.99, 0.5])
    np.testing.assert_array_equal(frames_at(frames, 25, times_s, (64, 64)), read_frames(path, times_s, size=(64, 64)))
    small = frames_at(frames, 25, times_s, (24, 32)).astype(int)
    assert np.abs(small - read_frames(path, times_s, size=(24, 32))).max() <= 1


def test_the_duration_may_be_that_of_the_clip_and_not_of_the_sound(world: World) -> None:
    """A vocoder's sound is a little short or long; its windows are those of the clip all the same."""
    short, exact, long = FAD("lite"), FAD("lite"), FAD("lite")
    for metric in (short, exact, long):
        metric.update(world.real, sr_hz=16_000, real=True)
    exact.update(world.generated, sr_hz=16_000)
    short.update(world.generated[:, :-800], sr_hz=16_000, duration_s=4.0)
    long.update(torch.cat([world.generated, world.generated], dim=1), sr_hz=16_000, duration_s=4.0)
    assert windows_n(short) == windows_n(exact) == 4 * N
    assert float(long.compute()) == float(exact.compute())
    with pytest.raises(MetricError, match=r"the sound lasts 3\.800 s, needed: 4\.000 s"):
        short.update(world.generated[:, : round(3.8 * 16_000)], sr_hz=16_000, duration_s=4.0)


def test_clips_of_different_lengths_come_as_a_list(world: World) -> None:
    sounds = [world.real[0], world.real[1, :40_000], world.real[2, :40_000].expand(2, -1)]
    together, apart = FAD("lite"), FAD("lite")
    together.update(sounds, sr_hz=16_000, real=True)
    for sound in sounds:
        apart.update(sound[None], sr_hz=16_000, real=True)
    torch.testing.assert_close(torch.cat(together.reference_rows), torch.cat(apart.reference_rows), rtol=0, atol=1e-7)
    assert len(together.reference_rows[0]) == 4 + 2 + 2


def test_bad_input_is_refused_with_its_reason(world: World, tmp_path: Path) -> None:
    metric = FAVD("lite")
    with pytest.raises(UsageError, match=r"sound needs its sample rate: update\(\.\.\., sr_hz=16_000\)"):
        metric.update(world.real)
    with pytest.raises(UsageError, match=r"lite-video needs frames and their rate: video=\[\.\.\.\], fps="):
        metric.update(world.real, sr_hz=16_000)
    with pytest.raises(MetricError, match=r"`video` must have an entry for each of the 8 clips; got 2"):
        metric.update(world.real, world.conditions["video"][:2], sr_hz=16_000, fps=25)
    with pytest.raises(MetricError, match=r"pictures must be uint8 .*; got \(100, 64, 64, 3\) of float32"):
        metric.update(world.real[:1], world.conditions["video"][:1].float(), sr_hz=16_000, fps=25)
    with pytest.raises(MetricError, match=r"sound must be floats .*; got \(64000,\) of int16"):
        FAD("lite").update((world.real * 2**15).to(torch.int16), sr_hz=16_000)
    with pytest.raises(MetricError, match=r"the sound must be finite"):
        FAD("lite").update(torch.full((1, 20_000), torch.nan), sr_hz=16_000)
    with pytest.raises(MetricError, match=r"every clip must last 0\.975 s, which is one window; got 0\.500 s"):
        FAD("lite").update(world.real[:, :8000], sr_hz=16_000)
    with pytest.raises(MetricError, match=r"a batch must hold at least one clip; got none"):
        FAD("lite").update(world.real[:0], sr_hz=16_000)
    for sr_hz, fps, name in ((0, 25, "sr_hz"), (float("nan"), 25, "sr_hz"), (16_000, -5, "fps")):
        with pytest.raises(UsageError, match=f"`{name}` must be above 0 and finite; got "):
            metric.update(world.real, world.conditions["video"], sr_hz=sr_hz, fps=fps)
    with pytest.raises(UsageError, match=r"dimensions must be at least 1; got \{'audio': -8\}"):
        FAD({"audio": -8})
    with pytest.raises(UsageError, match=r"lite-text needs captions: text="):
        FATD("lite").update(world.real, sr_hz=16_000)
    with pytest.raises(UsageError, match=r"`clip_ids` must name each of the 8 clips; got 3"):
        FAD("lite", stderr=True).update(world.real, sr_hz=16_000, clip_ids=["a", "b", "c"])
    with pytest.raises(UsageError, match=r"`features` must be paper or lite, or extractors by block; got 'lit'"):
        FAD("lit")
    with pytest.raises(UsageError, match=r"the score is over audio and video; `features` has no video"):
        FAVD({"audio": 64})
    with pytest.raises(UsageError, match=r"extractors or dimensions, not some of each"):
        FAVD({"audio": 64, "video": get_extractor("lite-video")})
    with pytest.raises(UsageError, match=r"manifest is given as load_manifest\('clips.csv'\)"):
        FAD("lite", reference="clips.csv")
    with pytest.raises(UsageError, match=r"must be a reference pack, or a folder of media files; there are none"):
        FAD("lite", reference=tmp_path)
    with pytest.raises(UsageError, match=r"a folder holds no captions"):
        FATD("lite", reference=world.folder / "data" / "media")
    with pytest.raises(UsageError, match=r"a reference of files needs extractors"):
        FAD({"audio": 64}, reference=tmp_path)
    with pytest.raises(ProblemsError, match=r"8 of 8 clips of the reference have no media"):
        FAD("lite", reference=world.manifest, data_dir=tmp_path)
    with pytest.raises(MetricError, match=r"the pictures last 2\.000 s, needed: one at"):
        metric.update(world.real[:1], world.conditions["video"][:1, :50], sr_hz=16_000, fps=25, duration_s=4.0)


def test_resampled_stereo_sound_scores_as_in_files(world: World, tmp_path: Path) -> None:
    """A system at 48 kHz in stereo, through files and through memory."""
    sounds = np.random.default_rng(3).normal(0, 0.05, (N, 2, 4 * 48_000)).astype(np.float32)
    for name, sound in zip(world.ids, sounds, strict=True):
        soundfile.write(tmp_path / f"{name}.wav", sound.T, 48_000, subtype="FLOAT")
    result = tb.evaluate(tmp_path, world.manifest, features="lite", num_workers=0, metrics=["FAD", "FAVD"])
    for name, kind in (("FAD", FAD), ("FAVD", FAVD)):
        metric = kind("lite", reference=world.manifest)
        metric.update(torch.from_numpy(sounds), world.conditions["video"], sr_hz=48_000, fps=25)
        assert float(metric.compute()) == pytest.approx(result.scores[name].value, rel=1e-9)


@pytest.mark.parametrize("name", ["FD", "FAD", "FAVD-b", "FA(VT)D", "AV-index"])
def test_a_pack_can_be_the_reference(world: World, packs: dict[str, Path], name: str) -> None:
    kind, options = FRECHET[name]
    for dtype, rel in (("float32", 1e-9), ("float16", 3e-3)):
        metric = kind("lite", reference=packs[dtype], **options)
        world.feed(metric, real=False)
        assert float(metric.compute()) == pytest.approx(expected(world, name), rel=rel)


def test_the_real_sound_is_perfect_beside_a_rounded_pack(world: World, packs: dict[str, Path]) -> None:
    metric = FAVD("lite", reference=packs["float16"])
    metric.update(world.real, **world.conditions, sr_hz=16_000, fps=25)
    assert float(metric.compute()) == pytest.approx(0.0, abs=1e-9)


def test_a_pack_of_other_features_is_no_reference(packs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(PackError, match="it holds no vggish features"):
        FAD("paper", reference=packs["float16"], weights="random")
    (tmp_path / "x.pack").write_bytes(packs["float16"].read_bytes()[:-1])
    with pytest.raises(PackError, match="x.pack"):
        FAD("lite", reference=tmp_path / "x.pack")
