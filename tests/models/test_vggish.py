"""VGGish against torchvggish: the recorded values, the package run here, its post-processing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import resampy
import soundfile as sf
import torch
from torchvggish.torchvggish import VGG, Postprocessor, make_layers
from torchvggish.vggish_input import waveform_to_examples

from t2av_bench.errors import PrerequisiteError, UsageError
from t2av_bench.media import FRONT_ENDS, AudioFrontEnd
from t2av_bench.models.extractors import ClipSource, get_extractor
from t2av_bench.models.extractors.mel import vggish_log_mel
from t2av_bench.models.extractors.networks import vggish as network_steps
from t2av_bench.models.extractors.vggish import VGGishExtractor

Draw = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def golden_weights(tmp_path_factory: pytest.TempPathFactory, golden_draw: Draw) -> Path:
    """Write the golden values' weights as a legacy-format file like the published one."""
    with torch.device("meta"):
        state = VGG(make_layers(), postprocess=False).state_dict()
    path = tmp_path_factory.mktemp("weights") / "vggish.pth"
    torch.save(golden_draw(state), path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def extractor(golden_weights: Path) -> VGGishExtractor:
    """Make our extractor with the golden weights."""
    return VGGishExtractor(weights=golden_weights, device="cpu")


def _reference(network: torch.nn.Module, samples: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(waveform_to_examples(samples, 16_000)).numpy()


def _clips(shared: Path) -> list[Path]:
    found = sorted((shared / "golden" / "flac").glob("*.flac"))
    assert found
    return found


def test_embeddings_from_the_flac_are_the_recorded_ones(extractor: VGGishExtractor, shared: Path) -> None:
    golden = np.load(shared / "golden" / "torchvggish.npz")
    for path in _clips(shared):
        samples, sr_hz = sf.read(path, dtype="float32")
        mono = samples.mean(axis=1) if samples.ndim > 1 else samples
        at_16k = resampy.resample(mono, sr_hz, 16_000).astype(np.float32)
        embeddings = extractor.embed_batch(extractor.windows(at_16k, len(at_16k) / 16_000))
        recorded = golden[f"{path.stem}/embeddings_no_relu"]
        assert np.abs(embeddings - recorded).max() < 2e-6
        assert np.abs(np.maximum(embeddings, 0) - golden[f"{path.stem}/embeddings_relu"]).max() < 2e-6


def test_embeddings_of_the_stored_examples_are_the_recorded_ones(extractor: VGGishExtractor, shared: Path) -> None:
    golden = np.load(shared / "golden" / "torchvggish.npz")
    examples = torch.from_numpy(golden["7tMPoaU2oL4_0_10000/examples"][:, 0])
    with torch.inference_mode():
        features = network_steps.convolve(extractor.network, examples)
        for relu, name in ((False, "embeddings_no_relu"), (True, "embeddings_relu")):
            embeddings = network_steps.project(extractor.network, features, relu=relu).numpy()
            assert np.abs(embeddings - golden[f"7tMPoaU2oL4_0_10000/{name}"]).max() < 1e-6


def test_embeddings_of_other_projects_waveforms_are_the_recorded_ones(extractor: VGGishExtractor, shared: Path) -> None:
    """The inputs of audioldm_eval, frechet_audio_distance, fadtk and av-benchmark, embedded here."""
    golden, recorded = (np.load(shared / "golden" / f"frontends{part}.npz") for part in ("", "_embeddings"))
    paths = [name.removesuffix("/waveform") for name in golden.files if name.endswith("/waveform")]
    assert paths
    for path in paths:
        samples = golden[f"{path}/waveform"].ravel().astype(np.float32)
        embeddings = extractor.embed_batch(extractor.windows(samples, len(samples) / 16_000))
        # 2e-6: these projects resample in float32; the values are near 0.05
        assert np.abs(embeddings - recorded[path]).max() < 2e-6, path


@pytest.mark.parametrize(
    ("path", "front_end"),
    [
        ("audioldm_eval", "audioldm_eval"),
        ("frechet_audio_distance", "frechet_audio_distance"),
        ("fadtk", "fadtk"),
        ("av_benchmark_8s", "av-benchmark"),
        ("av_benchmark_10s", replace(FRONT_ENDS["av-benchmark"], most_s=10.0)),
    ],
)
def test_files_give_the_examples_and_embeddings_of_other_projects(
    golden_weights: Path, shared: Path, path: str, front_end: str | AudioFrontEnd
) -> None:
    """From the file on, with the front end of each; av-benchmark's cut leaves 8 of 10 windows."""
    golden, recorded = (np.load(shared / "golden" / f"frontends{part}.npz") for part in ("", "_embeddings"))
    extractor = VGGishExtractor(weights=golden_weights, device="cpu", front_end=front_end)
    # fadtk resamples in float32 and truncates to 16 bits: 0.1 % of our samples fall on the other side of a step
    tolerances = (1e-5, 5e-3) if path == "fadtk" else (2e-6, 1e-4)
    for clip in _clips(shared):
        embeddings = extractor.embed_file(clip)
        assert embeddings.shape == recorded[f"{clip.stem}/{path}"].shape
        assert np.abs(embeddings - recorded[f"{clip.stem}/{path}"]).max() < tolerances[0]
        if f"{clip.stem}/{path}/examples" in golden:
            examples = vggish_log_mel(torch.from_numpy(extractor.load(ClipSource(clip, 0.0, 10.0)))).numpy()
            assert np.abs(examples - golden[f"{clip.stem}/{path}/examples"]).max() < tolerances[1]


def test_front_end_and_window_rule_enter_the_fingerprint() -> None:
    makers = [{}, {"front_end": "fadtk"}, {"front_end": "audioldm_eval"}, {"front_end": "google-fad"}]
    makers += [{"front_end": "google-fad", "least_n": 16_000}]
    prints = {VGGishExtractor(weights="random", **options).fingerprint for options in makers}
    assert len(prints) == len(makers)
    assert VGGishExtractor(weights="random", front_end="t2av-bench").fingerprint in prints
    assert "front_end" not in VGGishExtractor(weights="random").options()


def test_googles_windows_need_a_whole_second() -> None:
    def counts(duration_s: float) -> tuple[int, int]:
        made = (VGGishExtractor(weights="random", hop_s=0.5, least_n=n) for n in (15_600, 16_000))
        return tuple(extractor.rows_n(duration_s) for extractor in made)  # type: ignore[return-value]

    assert counts(1.975) == (3, 2)
    assert counts(4.0) == (7, 7)
    with pytest.raises(UsageError, match="`least_n` must be a whole number"):
        VGGishExtractor(least_n=15_000)


def test_random_network_equals_torchvggishs_class(rng: np.random.Generator) -> None:
    extractor = get_extractor("vggish", weights="random", device="cpu")
    samples = rng.uniform(-0.5, 0.5, 64_000).astype(np.float32)
    embeddings = extractor.embed_batch(extractor.windows(samples, 4.0))
    reference = _reference(extractor.network, samples)
    assert embeddings.shape == (4, 128)
    # 5e-6 relative: layout in memory and batch size change the order of summation
    np.testing.assert_allclose(np.maximum(embeddings, 0), reference, rtol=0, atol=5e-6 * np.abs(reference).max())
    with_relu = get_extractor("vggish", weights="random", relu=True, device="cpu")
    np.testing.assert_array_equal(np.maximum(embeddings, 0), with_relu.embed_batch(extractor.windows(samples, 4.0)))


@pytest.mark.parametrize(
    ("samples_n", "windows_n"),
    [(15_599, 0), (15_600, 1), (16_000, 1), (30_959, 1), (30_960, 2), (64_000, 4), (153_600, 9), (160_000, 10)],
)
def test_window_counts_are_torchvggishs(samples_n: int, windows_n: int) -> None:
    windows = VGGishExtractor(weights="random").windows(np.zeros(samples_n, np.float32), samples_n / 16_000)
    assert windows.shape == (windows_n, 15_600)
    assert windows.dtype == np.float32


def test_windows_start_on_the_grid() -> None:
    samples = np.arange(64_000, dtype=np.float32)
    starts = VGGishExtractor(weights="random", hop_s=0.5).windows(samples, 4.0)[:, 0]
    np.testing.assert_array_equal(starts, np.arange(7) * 8000)


def _pca_file(folder: Path, rng: np.random.Generator) -> tuple[Path, dict[str, np.ndarray]]:
    content = {
        "pca_eigen_vectors": np.linalg.qr(rng.standard_normal((128, 128)))[0].astype(np.float32),
        "pca_means": rng.standard_normal(128).astype(np.float32),
    }
    path = folder / "pca.pth"
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path, content


def test_pca_is_torchvggishs_post_processing(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = _pca_file(tmp_path, rng)
    plain = VGGishExtractor(weights="random", device="cpu", relu=True)
    whitened = VGGishExtractor(weights="random", device="cpu", relu=True, pca=path)
    windows = rng.uniform(-0.5, 0.5, (3, 15_600)).astype(np.float32)
    embeddings = plain.embed_batch(windows)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda url: content)
    expected = Postprocessor().postprocess(torch.from_numpy(embeddings)).numpy()
    levels = whitened.embed_batch(windows)
    assert np.abs(levels - expected).max() <= 1  # a value on the edge of two levels may fall either way
    assert (levels == expected).mean() > 0.99
    assert len(np.unique(levels)) > 10


def test_pca_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pca.pth"
    torch.save({"pca_means": np.zeros(128, np.float32)}, path)
    with pytest.raises(PrerequisiteError, match="must hold `pca_eigen_vectors`"):
        VGGishExtractor(weights="random", pca=path).embed_batch(np.zeros((1, 15_600), np.float32))


def test_missing_published_weights_say_how_to_get_them() -> None:
    how = r"t2av-bench download weights --only vggish.*Apache-2.0"
    with pytest.raises(PrerequisiteError, match=how):
        VGGishExtractor().check()
    with pytest.raises(PrerequisiteError, match=how):
        VGGishExtractor().embed_batch(np.zeros((1, 15_600), np.float32))
    with pytest.raises(PrerequisiteError, match="--only vggish-pca"):
        VGGishExtractor(weights="random", pca=True).check()


def test_absent_device_is_found_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(UsageError, match="no device 'cuda'"):
        VGGishExtractor(weights="random", device="cuda").check()
    VGGishExtractor(weights="random").check()


@pytest.mark.parametrize("hop_s", [0.33333, 0.0, -0.96, float("nan"), float("inf")])
def test_hop_must_be_whole_samples(hop_s: float) -> None:
    with pytest.raises(UsageError, match="`hop_s` must be a positive multiple"):
        VGGishExtractor(hop_s=hop_s)


def test_random_pca_is_refused() -> None:
    with pytest.raises(UsageError, match="random PCA"):
        VGGishExtractor(pca="random")
