"""VGGish as the torchvggish package defines it, in two steps."""

from __future__ import annotations

import warnings
from typing import Any

import torch


def build() -> torch.nn.Module:
    """Return torchvggish's network, 18 tensors, without its weights and its post-processing."""
    with warnings.catch_warnings():
        # torchvggish imports resampy, and old versions of that pkg_resources, which warns.
        warnings.simplefilter("ignore")
        from torchvggish.torchvggish import VGG, make_layers
    network: torch.nn.Module = VGG(make_layers(), postprocess=False)
    return network


def convolve(network: Any, examples: torch.Tensor) -> torch.Tensor:
    """Map log-mel examples (rows, 96, 64) to features (rows, 12288), channels last as in TensorFlow's original."""
    maps: torch.Tensor = network.features(examples[:, None].contiguous(memory_format=torch.channels_last))
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1)


def project(network: Any, features: torch.Tensor, *, relu: bool) -> torch.Tensor:
    """Map features (rows, 12288) to embeddings (rows, 128), with or without the package's last ReLU."""
    embeddings: torch.Tensor = network.embeddings[:-1](features)
    return embeddings.relu() if relu else embeddings


def whiten(embeddings: torch.Tensor, eigen_vectors: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """PCA with whitening, clipped to [-2, 2] and rounded to 256 levels 0-255, as torchvggish's post-processing."""
    with torch.autocast(embeddings.device.type, enabled=False):  # these products are few and always exact
        whitened = (embeddings.float() - means) @ eigen_vectors.T
    return ((whitened.clamp(-2.0, 2.0) + 2.0) * (255.0 / 4.0)).round()
