"""A stage that learns in microseconds, and recipes of tiny sizes."""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from t2av_support import tiny_config
from torch import Tensor, nn

from t2av_bench.models.training.config import (
    DataConfig,
    StageConfig,
    StagesConfig,
    TrainingConfig,
    ValidationConfig,
)
from t2av_bench.models.training.engine import Run, Trainer
from t2av_bench.models.training.stages.base import Stage

CLIPS_N = 10


class LineStage(Stage):
    """Learns a line from numbers, with noise and dropout from every random generator there is."""

    name = "line"
    trained: tuple[str, ...] = ("line",)

    def __init__(self, fail_at: int | None = None) -> None:
        torch.manual_seed(3)
        super().__init__(
            {"line": nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.3), nn.Linear(4, 1)), "fixed": nn.Linear(1, 1)}
        )
        self.calls, self.fail_at = 0, fail_at

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        x = torch.from_numpy(np.stack([indices, rng.normal(size=len(indices))], axis=1)).float()
        return {"x": x, "y": x.sum(1, keepdim=True)}

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        self.calls += 1
        noise = torch.randn_like(batch["y"]) * 0.1
        loss = (self.part("line")(batch["x"]) + self.part("fixed")(noise) - batch["y"]).square().mean()
        return loss * float("nan") if self.calls == self.fail_at else loss


def make_trainer(stage: Stage, folder: Path, *, every: int = 3, validate: object = None, **settings: object) -> Trainer:
    """Make a trainer on one CPU process."""
    chosen = StageConfig(**{"steps": 11, "batch_size": 4, "learning_rate": 1e-2, "warmup_steps": 2, **settings})  # type: ignore[arg-type]
    run = Run(Accelerator(cpu=True), {"name": "test"}, checkpoint_every=every, validate_every=every if validate else 0)
    return Trainer(stage, CLIPS_N, chosen, run, folder, validate)  # type: ignore[arg-type]


def tiny_recipe(operator: str = "temporal_self_attention", **changes: object) -> TrainingConfig:
    """Every stage of the mini recipe, two steps each, on clips of the mini world."""
    few = StageConfig(steps=2, batch_size=2, warmup_steps=0)
    stages = StagesConfig(**{f.name: few for f in dataclasses.fields(StagesConfig)})
    config = TrainingConfig(
        name="tiny",
        checkpoint_every=1,
        model=tiny_config(operator),
        data=DataConfig(clips_n=4, validation_clips_n=2),
        stages=stages,
        validation=ValidationConfig(steps=2),
    )
    return dataclasses.replace(config, **changes)  # type: ignore[arg-type]


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let the system refuse to write more than this to a file, as it does where no space is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
