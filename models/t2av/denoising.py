"""One prediction of the diffusion network, the same in training and in sampling."""

from __future__ import annotations

from typing import Any

import torch


def predict(
    unet: Any,
    control: Any,
    sample: torch.Tensor,
    timestep: torch.Tensor | int,
    condition: torch.Tensor,
    hint: torch.Tensor | None,
    control_scale: float = 1.0,
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
        From ``AudioVisualControlNet.make_hint``; None for the base model alone.
    control_scale
        Factor on the residuals.

    Returns
    -------
    torch.Tensor, shape of ``sample``
    """
    steered: dict[str, Any] = {}
    if hint is not None:
        residuals = control(sample, timestep, condition, hint)
        steered["down_block_additional_residuals"] = tuple(skip * control_scale for skip in residuals.skips)
        steered["mid_block_additional_residual"] = residuals.middle * control_scale
    prediction: torch.Tensor = unet(
        sample, timestep, encoder_hidden_states=None, class_labels=condition, return_dict=False, **steered
    )[0]
    return prediction
