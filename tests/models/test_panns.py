"""PANNs CNN14 against the recorded values of the original's code, and its published file layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from t2av_bench.errors import MetricError, PrerequisiteError
from t2av_bench.media import FRONT_ENDS
from t2av_bench.models.extractors import ClipSource
from t2av_bench.models.extractors.mel import panns_matrix
from t2av_bench.models.extractors.networks.cnn14 import Cnn14
from t2av_bench.models.extractors.panns import PannsExtractor, PannsLogitsExtractor

Draw = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
CLIP = "7tMPoaU2oL4_0_10000"


@pytest.fixture(scope="module")
def state(golden_draw: Draw) -> dict[str, torch.Tensor]:
    """Draw the golden values' weights, with our own mel matrix where the original stores its own."""
    with torch.device("meta"):
        entries = Cnn14().state_dict()
    return {**golden_draw(entries), "logmel_extractor.melW": torch.from_numpy(panns_matrix()).float()}


@pytest.fixture(scope="module")
def published_like(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file like the published one: legacy format, the weights under "model", NumPy content beside them."""
    path = tmp_path_factory.mktemp("weights") / "cnn14.pth"
    sampler = {"indexes": np.arange(5), "pointer": np.int64(3), "queue": [np.float64(0.5)], "mask": np.zeros(3, bool)}
    content = {"iteration": 1, "model": state, "sampler": sampler}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def test_state_dict_has_the_published_names_and_shapes(state: dict[str, torch.Tensor], shared: Path) -> None:
    tensors = json.loads((shared / "golden" / "weights_cnn14_16k.json").read_text())["tensors"]
    assert len(tensors) == 84
    assert {name: list(tensor.shape) for name, tensor in state.items()} == {n: t["shape"] for n, t in tensors.items()}
    assert list(state) == list(tensors)


def test_embeddings_and_logits_are_the_recorded_ones(published_like: Path, shared: Path) -> None:
    golden = np.load(shared / "golden" / "panns.npz")
    extractor = PannsExtractor(weights=published_like, device="cpu")
    embeddings, logits = extractor.embed_and_classify(golden[f"{CLIP}/pieces_16k"])
    assert np.abs(embeddings - golden[f"{CLIP}/embedding"]).max() < 1e-6
    assert np.abs(logits - golden[f"{CLIP}/logits"]).max() < 1e-6
    np.testing.assert_array_equal(embeddings, extractor.embed_batch(golden[f"{CLIP}/pieces_16k"]))
    alone = PannsLogitsExtractor(weights=published_like, device="cpu")
    np.testing.assert_array_equal(logits, alone.embed_batch(golden[f"{CLIP}/pieces_16k"]))
    assert (alone.dim, alone.plays(), extractor.plays()) == (527, "logits", "clip_audio")
    assert alone.fingerprint != extractor.fingerprint


def test_embeddings_of_all_recorded_clips(published_like: Path, shared: Path) -> None:
    """The waveforms that av-benchmark hands to its networks, where they are recorded in full."""
    waveforms, golden = (np.load(shared / "golden" / name) for name in ("frontends.npz", "panns.npz"))
    names = [n for n in waveforms.files if n.endswith("av_benchmark_10s/waveform")]
    assert names
    extractor = PannsExtractor(weights=published_like, device="cpu")
    for name in names:
        pieces = waveforms[name].ravel()[:144_000].reshape(3, 48_000)
        clip = name.removesuffix("/av_benchmark_10s/waveform")
        assert np.abs(extractor.embed_batch(pieces) - golden[f"{clip}/embedding"]).max() < 1e-6


def test_files_give_av_benchmarks_embeddings_and_logits(published_like: Path, shared: Path) -> None:
    golden = np.load(shared / "golden" / "panns.npz")
    front_end = replace(FRONT_ENDS["av-benchmark"], most_s=10.0)
    extractor = PannsExtractor(weights=published_like, device="cpu", front_end=front_end)
    for clip in sorted((shared / "golden" / "flac").glob("*.flac")):
        row = extractor.load(ClipSource(clip, 0.0, 10.0))[0]
        embeddings, logits = extractor.embed_and_classify(row[:144_000].reshape(3, 48_000))
        assert np.abs(embeddings - golden[f"{clip.stem}/embedding"]).max() < 1e-6
        assert np.abs(logits - golden[f"{clip.stem}/logits"]).max() < 1e-6


def test_clip_is_one_row() -> None:
    samples = np.arange(40_000, dtype=np.float32)
    np.testing.assert_array_equal(PannsExtractor(weights="random").windows(samples, 2.5), samples[None])


def test_too_short_clip_is_refused() -> None:
    with pytest.raises(MetricError, match=r"at least 0\.31 s; got 0\.100 s"):
        PannsExtractor(weights="random").embed_batch(np.zeros((1, 1600), np.float32))


def test_shortest_clip_has_an_embedding() -> None:
    extractor = PannsExtractor(weights="random", device="cpu")
    assert extractor.embed_batch(np.zeros((1, 4960), np.float32)).shape == (1, 2048)


def test_file_of_another_front_end_is_refused(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    other = {**state, "logmel_extractor.melW": state["logmel_extractor.melW"].roll(1, 0)}
    torch.save({"model": other}, tmp_path / "other.pth")
    with pytest.raises(PrerequisiteError, match="another mel filter bank"):
        _ = PannsExtractor(weights=tmp_path / "other.pth").network
