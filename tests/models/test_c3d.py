"""C3D against the recorded values of mmaction2's code, its file layouts, and its frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from t2av_bench.errors import PrerequisiteError, UsageError
from t2av_bench.models.extractors.c3d import C3DExtractor
from t2av_bench.models.extractors.networks.c3d import C3D

Draw = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def state(golden_draw: Draw) -> dict[str, torch.Tensor]:
    """Draw the golden values' weights."""
    with torch.device("meta"):
        entries = C3D().state_dict()
    return golden_draw(entries)


@pytest.fixture(scope="module")
def published_like(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file like the published one: legacy format, tensors only."""
    path = tmp_path_factory.mktemp("weights") / "c3d.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def golden_extractor(published_like: Path) -> C3DExtractor:
    """Make our extractor with the golden weights."""
    return C3DExtractor(weights=published_like, device="cpu")


def test_state_dict_has_the_published_names_and_shapes(state: dict[str, torch.Tensor], shared: Path) -> None:
    tensors = json.loads((shared / "golden" / "weights_c3d.json").read_text())["tensors"]
    assert {name: list(tensor.shape) for name, tensor in state.items()} == {n: t["shape"] for n, t in tensors.items()}
    assert list(state) == list(tensors)
    assert sum(tensor.numel() for tensor in state.values()) == 77_995_776


def _golden_frames(name: str) -> np.ndarray:
    random = np.random.RandomState  # noqa: NPY002 - the recorded recipe
    if name == "noise":
        return (40 * random(20240613 + 20).randn(1, 3, 16, 112, 112)).astype(np.float32)
    pixels = random(20240613 + 21).randint(0, 256, size=(1, 3, 16, 112, 112)).astype(np.float32)
    return pixels - np.array([104, 117, 128], np.float32).reshape(1, 3, 1, 1, 1)


@pytest.mark.parametrize("name", ["noise", "pixels_minus_mean"])
def test_layers_are_the_recorded_ones(name: str, golden_extractor: C3DExtractor, shared: Path) -> None:
    golden = np.load(shared / "golden" / "c3d.npz")
    network = golden_extractor.network
    with torch.inference_mode():
        features = network.convolve(torch.from_numpy(_golden_frames(name)))
        for layer in ("fc6", "fc7"):
            for relu, suffix in ((True, ""), (False, "_before_relu")):
                recorded = golden[f"{name}/{layer}{suffix}"]
                outputs = network.project(features, layer, relu=relu).numpy()
                assert np.abs(outputs - recorded).max() < 2e-5 * np.abs(recorded).max()


def test_embedding_of_bytes_is_the_recorded_one(golden_extractor: C3DExtractor, shared: Path) -> None:
    """The whole device part: bytes, channel order, means, network."""
    golden = np.load(shared / "golden" / "c3d.npz")
    frames = _golden_frames("pixels_minus_mean") + np.array([104, 117, 128], np.float32).reshape(1, 3, 1, 1, 1)
    rows = np.ascontiguousarray(frames.transpose(0, 2, 3, 4, 1).astype(np.uint8))
    recorded = golden["pixels_minus_mean/fc6"]
    assert np.abs(golden_extractor.embed_batch(rows) - recorded).max() < 2e-5 * recorded.max()
    flipped = C3DExtractor(weights=golden_extractor.weights.choice, channel_order="bgr", device="cpu")
    assert np.abs(flipped.embed_batch(rows[..., ::-1]) - recorded).max() < 2e-5 * recorded.max()


def test_wrapped_state_dict_is_accepted(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({"state_dict": state, "meta": {"epoch": 1}}, tmp_path / "wrapped.pth")
    network = C3DExtractor(weights=tmp_path / "wrapped.pth", device="cpu").network
    torch.testing.assert_close(network.state_dict()["fc6.weight"], state["fc6.weight"], rtol=0, atol=0)


def test_sixteen_frames_lie_evenly_in_each_window() -> None:
    times_s = C3DExtractor(weights="random").frame_times_s(4.0)
    assert times_s.shape == (4, 16)
    np.testing.assert_allclose(times_s[0], 0.03 + 0.06 * np.arange(16), atol=1e-12)
    np.testing.assert_allclose(times_s - times_s[0], np.repeat(0.96 * np.arange(4)[:, None], 16, axis=1), atol=1e-12)


@pytest.mark.parametrize("fps", [25, 30])
def test_no_frame_time_falls_on_a_change_of_frames(fps: int) -> None:
    positions = C3DExtractor(weights="random").frame_times_s(60.0) * fps
    assert np.abs(positions - np.rint(positions)).min() > 0.05


def test_crop_is_the_centre() -> None:
    frames = np.zeros((2, 16, 128, 171, 3), np.uint8)
    frames[:, :, 8:120, 29:141] = 200
    crops = C3DExtractor(weights="random").windows(frames)
    assert crops.shape == (2, 16, 112, 112, 3)
    assert (crops == 200).all()


def test_wrong_options_are_refused() -> None:
    with pytest.raises(UsageError, match="`layer` must be one of fc6, fc7; got 'fc8'"):
        C3DExtractor(layer="fc8")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="`channel_order` must be rgb or bgr"):
        C3DExtractor(channel_order="gbr")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="`channel_means` must be three numbers"):
        C3DExtractor(channel_means=(1.0,))


def test_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(PrerequisiteError, match=r"layout of C3D: missing .*; unknown features\.0\.weight"):
        _ = C3DExtractor(weights=tmp_path / "other.pth").network
