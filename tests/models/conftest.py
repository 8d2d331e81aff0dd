"""Fixtures of the model tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch


@pytest.fixture
def rng() -> np.random.Generator:
    """Make a generator for one test."""
    return np.random.default_rng(20240613)


@pytest.fixture(scope="session")
def golden_draw() -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """Give the function that draws the weights of the golden values for the entries of a state dict.

    The rule is that of the golden values' README: normal with deviation 0.02 from a generator seeded by 1234 plus the
    entry's number, zeros for biases and means, ones for variances and scales.
    """

    def draw(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        drawn = {}
        for index, (name, entry) in enumerate(state.items()):
            leaf = name.rpartition(".")[2]
            if leaf in ("bias", "running_mean", "num_batches_tracked"):
                drawn[name] = torch.zeros(entry.shape, dtype=entry.dtype)
            elif leaf == "running_var" or (leaf == "weight" and entry.ndim == 1):
                drawn[name] = torch.ones(entry.shape)
            else:
                generator = torch.Generator().manual_seed(1234 + index)
                drawn[name] = torch.empty(entry.shape).normal_(0, 0.02, generator=generator)
        return drawn

    return draw
