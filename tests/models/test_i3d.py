"""I3D against pytorchvideo's own forward pass, and its published file layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from t2av_bench.errors import PrerequisiteError
from t2av_bench.models.extractors.drawn import draw_state_dict
from t2av_bench.models.extractors.i3d import I3DExtractor
from t2av_bench.models.extractors.networks import i3d


@pytest.fixture(scope="module")
def published_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file like the published one: the weights under "model_state"."""
    with torch.device("meta"):
        network = i3d.build()
    path = tmp_path_factory.mktemp("weights") / "i3d.pyth"
    torch.save({"model_state": draw_state_dict(network, 3), "epoch": 1}, path)
    return path


def test_layout_is_the_published_one() -> None:
    with torch.device("meta"):
        state = i3d.build().state_dict()
    assert len(state) == 320
    assert next(iter(state)) == "blocks.0.conv.weight"
    assert state["blocks.0.conv.weight"].shape == (64, 3, 5, 7, 7)
    assert state["blocks.6.proj.weight"].shape == (400, 2048)


def test_embedding_is_what_pytorchvideos_head_projects(published_like: Path, rng: np.random.Generator) -> None:
    extractor = I3DExtractor(weights=published_like, device="cpu")
    rows = rng.integers(0, 256, (1, 8, 224, 224, 3), dtype=np.uint8)
    embeddings = extractor.embed_batch(rows)
    frames = torch.from_numpy(((rows / 255 - 0.45) / 0.225).astype(np.float32)).permute(0, 4, 1, 2, 3)
    with torch.inference_mode():
        logits = extractor.network(frames)
        projected = torch.from_numpy(embeddings) @ extractor.network.blocks[6].proj.weight.T
    torch.testing.assert_close(projected, logits, rtol=1e-4, atol=1e-5 * float(logits.abs().max()))


def test_crop_keeps_the_centre_of_wide_frames() -> None:
    frames = np.zeros((1, 8, 224, 398, 3), np.uint8)
    frames[..., 87:311, :] = 9
    crops = I3DExtractor(weights="random").windows(frames)
    assert crops.shape == (1, 8, 224, 224, 3)
    assert (crops == 9).all()


def test_bare_state_dict_is_accepted_and_another_layout_refused(published_like: Path, tmp_path: Path) -> None:
    state = torch.load(published_like, weights_only=True)["model_state"]
    torch.save(state, tmp_path / "bare.pyth")
    _ = I3DExtractor(weights=tmp_path / "bare.pyth", device="cpu").network
    state["blocks.0.conv.weight"] = state["blocks.0.conv.weight"][:, :, :1]
    torch.save(state, tmp_path / "other.pyth")
    with pytest.raises(
        PrerequisiteError, match=r"blocks\.0\.conv\.weight is \(64, 3, 1, 7, 7\), not \(64, 3, 5, 7, 7\)"
    ):
        _ = I3DExtractor(weights=tmp_path / "other.pyth").network
