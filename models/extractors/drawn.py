"""Random weights, the same on every platform: for tests, demonstrations and dry runs, never for a score."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DRAWING_RULE = 1


def draw_state_dict(network: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Draw a value for every entry of a network's state dict.

    Biases, running means and counters are zero, scales and running variances one; any other weight is uniform in
    ±sqrt(6 / fan_in) (He), so that activations keep their size through many ReLU layers.

    Parameters
    ----------
    network
        Only names and shapes are used, so it may live on the ``meta`` device.
    seed
        Any integer.

    Returns
    -------
    dict
        Names to float32 (counters: int64) CPU tensors.

    Notes
    -----
    Each tensor has its own generator, seeded by the SHA-256 of seed and name, and the draw is scaled by one
    multiplication of exactly represented numbers: unlike ``torch.Tensor.normal_``, which has vectorised code, the
    values do not depend on the processor. 78 million values take about a second.
    """
    import torch

    state = {}
    for name, wanted in network.state_dict().items():
        leaf = name.rpartition(".")[2]
        if leaf.endswith("bias") or leaf in ("running_mean", "num_batches_tracked"):
            state[name] = torch.zeros(wanted.shape, dtype=wanted.dtype)
        elif wanted.ndim < 2:
            state[name] = torch.ones(wanted.shape)
        else:
            digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
            uniform = torch.empty(wanted.shape).uniform_(generator=generator)  # multiples of 2**-24 in [0, 1)
            state[name] = uniform.sub_(0.5).mul_(2 * math.sqrt(6 / wanted[0].numel()))
    return state
