"""I3D ResNet-50 as pytorchvideo defines it, up to the features before its head."""

from __future__ import annotations

import warnings
from typing import Any

import torch


def build() -> torch.nn.Module:
    """Return pytorchvideo's ``i3d_r50``, 320 tensors, without weights."""
    with warnings.catch_warnings():
        # pytorchvideo 0.1.5 is not maintained and its imports warn on current Pythons.
        warnings.simplefilter("ignore")
        from pytorchvideo.models.hub import i3d_r50
    network: torch.nn.Module = i3d_r50(pretrained=False)
    return network


def pooled(network: Any, frames: torch.Tensor) -> torch.Tensor:
    """Map frames (rows, 3, 8, 224, 224) to features averaged over time and space, (rows, 2048)."""
    maps = frames
    for block in network.blocks[:-1]:
        maps = block(maps)
    return maps.mean(dim=(2, 3, 4))
