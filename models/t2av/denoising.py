"""One prediction of the diffusion network, the same in training and in sampling."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional


def predict(
    unet: Any,
    control: Any,
    sample: torch.Tensor,
    timestep: torch.Tensor | int,
    condition: torch.Tensor,
    hint: torch.Tensor | None,
    control_scale: float | torch.Tensor = 1.0,
) -> torch.Tensor:
    """Predict noise or velocity, with the ControlNet's residuals if there is a hint.

    Parameters
    ----------
    unet, control
        The networks; either may be wrapped for several devices. ``control`` may be None without a hint.
    sample
        Noisy latent, shape (batch, channels, time, mel rows).
    timestep
        Scalar or shape (batch,).
    condition
        Caption embedding, visual-aligned or not, shape (batch, text_dim).
    hint
        From ``AudioVisualControlNet.make_hint``; None for the base model alone. Of fewer clips than ``sample`` it
        steers the last ones; those before get the base model.
    control_scale
        Factor on the residuals, one or one for each clip of the hint; 0 is the base model.

    Returns
    -------
    torch.Tensor, shape of ``sample``
    """
    steered: dict[str, Any] = {}
    if hint is not None:
        free_n = len(sample) - len(hint)
        own_times = timestep[free_n:] if isinstance(timestep, torch.Tensor) and timestep.ndim else timestep
        residuals = control(sample[free_n:], own_times, condition[free_n:], hint)
        scale = control_scale[:, None, None, None] if isinstance(control_scale, torch.Tensor) else control_scale
        skips = tuple(_behind_zeros(skip * scale, free_n) for skip in residuals.skips)
        steered["down_block_additional_residuals"] = skips
        steered["mid_block_additional_residual"] = _behind_zeros(residuals.middle * scale, free_n)
    prediction: torch.Tensor = unet(
        sample, timestep, encoder_hidden_states=None, class_labels=condition, return_dict=False, **steered
    )[0]
    return prediction


def _behind_zeros(residual: torch.Tensor, rows_n: int) -> torch.Tensor:
    """Put rows of zeros before a batch."""
    return functional.pad(residual, (0, 0, 0, 0, 0, 0, rows_n, 0)) if rows_n else residual
