"""The log-mel front ends against the packages they reproduce and against recorded values."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvggish import mel_features, vggish_input

from t2av_bench.models.extractors.mel import htk_mel_matrix, panns_log_mel, panns_matrix, vggish_log_mel


def _log_mel(samples: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float32), 15_600)[::15_360]
    return vggish_log_mel(torch.from_numpy(windows.copy())).numpy()


def _noise(seed: int, samples_n: int, scale: float = 0.3) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(samples_n)).astype(np.float32)


def test_vggish_mel_matrix_is_torchvggishs() -> None:
    expected = mel_features.spectrogram_to_mel_matrix(64, 257, 16_000, 125.0, 7500.0)
    matrix = htk_mel_matrix(64, 512, 16_000, 125.0, 7500.0)
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-12)
    assert matrix.sum() == pytest.approx(230.9135991608477, abs=1e-10)
    assert np.count_nonzero(matrix) == 461
    assert (matrix.sum(axis=0) > 0).all()


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-5])
def test_vggish_log_mel_is_torchvggishs_on_identical_waveforms(scale: float) -> None:
    samples = _noise(0, 48_000, scale)
    samples[20_000:30_000] = 0
    expected = vggish_input.waveform_to_examples(samples, 16_000, return_tensor=False)
    assert np.abs(_log_mel(samples) - expected).max() < 1e-6


def test_quiet_bands_of_a_loud_frame_keep_their_precision() -> None:
    """A full-scale tone beside empty bands: float32 Fourier transforms are off by up to 1e-3 there."""
    samples = np.sin(2 * np.pi * 3000 * np.arange(16_000) / 16_000).astype(np.float32)
    expected = vggish_input.waveform_to_examples(samples, 16_000, return_tensor=False)
    assert np.abs(_log_mel(samples) - expected).max() < 1e-6


def test_silence_is_the_logarithm_of_the_offset() -> None:
    np.testing.assert_allclose(_log_mel(np.zeros(16_000)), np.log(0.01), atol=3e-7, rtol=0)


def test_tone_has_its_recorded_moments_and_band() -> None:
    log_mel = _log_mel(np.sin(2 * np.pi * 1000 * np.arange(48_000) / 16_000)).astype(np.float64)
    assert log_mel.shape == (3, 96, 64)
    # 5e-6: the recorded tone is float64, this one is rounded to float32, and most bands hold nothing else
    assert log_mel.mean() == pytest.approx(-3.429618696, abs=5e-6)
    assert log_mel.std() == pytest.approx(2.126577336, abs=5e-6)
    assert log_mel.max() == pytest.approx(4.811117725, abs=5e-6)
    assert log_mel.min() == pytest.approx(-4.601163052, abs=5e-5)
    assert (log_mel.mean(axis=1).argmax(axis=1) == 19).all()


def test_uniform_noise_has_its_recorded_values() -> None:
    log_mel = _log_mel(np.random.RandomState(0).uniform(-1, 1, 32_000)).astype(np.float64)  # noqa: NPY002
    assert log_mel.mean() == pytest.approx(2.843869357, abs=1e-6)
    assert log_mel.std() == pytest.approx(0.798220772, abs=1e-6)
    assert log_mel[0, 0, 0] == pytest.approx(1.652040080, abs=1e-6)
    assert log_mel[-1, -1, -1] == pytest.approx(3.860336843, abs=1e-6)


def test_vggish_examples_are_the_recorded_ones(shared: Path) -> None:
    recorded = np.load(shared / "golden" / "frontends.npz")
    paths = sorted(name.removesuffix("/waveform") for name in recorded.files if name.endswith("/waveform"))
    assert paths
    for path in paths:
        examples = recorded[f"{path}/examples"].reshape(-1, 96, 64)
        log_mel = _log_mel(recorded[f"{path}/waveform"].ravel())
        assert len(examples) >= 9
        assert np.abs(log_mel[: len(examples)] - examples).max() < 1e-6, path


def test_panns_filter_bank_is_the_one_in_the_checkpoint(shared: Path) -> None:
    recorded = json.loads((shared / "golden" / "weights_cnn14_16k.json").read_text())["tensors"][
        "logmel_extractor.melW"
    ]
    matrix = panns_matrix()
    assert list(matrix.shape) == recorded["shape"]
    assert hashlib.sha256(matrix.astype("<f4").tobytes()).hexdigest() == recorded["sha256_f32le"]


def test_panns_log_mel_is_the_recorded_one(shared: Path) -> None:
    recorded = np.load(shared / "golden" / "panns.npz")
    clip = "7tMPoaU2oL4_0_10000"
    log_mel = panns_log_mel(torch.from_numpy(recorded[f"{clip}/pieces_16k"])).numpy()
    assert log_mel.dtype == np.float32
    assert np.abs(log_mel - recorded[f"{clip}/log_mel_db"][:, 0]).max() < 1e-4


def test_panns_log_mel_of_silence_is_the_floor() -> None:
    assert (panns_log_mel(torch.zeros(1, 16_000)).numpy() == -100.0).all()
