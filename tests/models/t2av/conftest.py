"""Fixtures of the tests of the reference system."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from t2av_support import tiny_config

from t2av_bench.models.t2av import T2AVConfig, T2AVPipeline, build_mini


@pytest.fixture(autouse=True)
def _one_thread():
    """Networks this small only lose by more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_tiny() -> Callable[..., T2AVPipeline]:
    """Give the function that makes a whole pipeline of a few thousand numbers."""

    def make(seed: int = 0, config: T2AVConfig | None = None) -> T2AVPipeline:
        torch.manual_seed(seed)
        pipeline = build_mini(config or tiny_config())
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return make
