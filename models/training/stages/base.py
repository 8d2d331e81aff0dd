"""What a stage of training is: which parts learn, from which arrays, by which loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn


class Stage(nn.Module, ABC):
    """One stage of training.

    A stage is a module whose ``forward`` is the loss, so that it can be wrapped for several devices as a whole. It
    holds every part that the loss needs; only those of ``trained`` learn, the others are frozen.

    Parameters
    ----------
    parts
        All parts the loss needs, by name.

    Attributes
    ----------
    name
        As in the configuration and on the disk.
    trained
        Names of the parts that learn.
    """

    name: ClassVar[str]
    trained: tuple[str, ...]

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        for name, part in parts.items():
            part.requires_grad_(name in self.trained)
            part.train(name in self.trained)

    @abstractmethod
    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Read the clips with these numbers; chance comes from ``rng`` only. Runs in another thread than the loss."""

    @abstractmethod
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss of a batch, a scalar; chance comes from torch's global generator."""

    def part(self, name: str) -> Any:
        """Return a part; networks of third parties have methods that ``nn.Module`` has not."""
        return self.parts[name]

    def trained_parts(self) -> dict[str, nn.Module]:
        """Return the parts that learn, by name."""
        return {name: self.parts[name] for name in self.trained}

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Return what the optimiser may change, by ``part.parameter``."""
        return {
            f"{name}.{key}": parameter
            for name, part in self.trained_parts().items()
            for key, parameter in part.named_parameters()
            if parameter.requires_grad
        }

    def learning_rate_factor(self, name: str) -> float:
        """Return by what to multiply the learning rate of a parameter."""
        del name
        return 1.0

    def checkpoint_activations(self) -> None:
        """Compute activations again in the backward pass rather than keep them, in parts that can.

        Frozen parts too: gradients pass through the U-Net's decoder on their way to the ControlNet.
        """
        for part in self.parts.values():
            if getattr(part, "_supports_gradient_checkpointing", False):
                part.enable_gradient_checkpointing()  # type: ignore[operator]  # of diffusers' ModelMixin


def to_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Move a batch."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
