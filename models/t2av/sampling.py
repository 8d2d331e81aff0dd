"""Noise and the denoising loop."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from t2av_bench.errors import UsageError
from t2av_bench.models.t2av.denoising import predict
from t2av_bench.progress import progress_bar

Callback = Callable[[Any, int, int, dict[str, torch.Tensor]], dict[str, torch.Tensor] | None]
Generators = torch.Generator | Sequence[torch.Generator] | None


@dataclass(frozen=True)
class Conditions:
    """What steers the denoising of a batch.

    Attributes
    ----------
    given
        Caption embeddings, visual-aligned where there is a video, (batch, text_dim).
    null
        What guidance leads away from, (batch, text_dim); None without guidance.
    hint
        Of the ControlNet; None where no clip has a video.
    has_video
        Whether each clip has a video, (batch,) of 0 and 1; None without a hint.
    """

    given: torch.Tensor
    null: torch.Tensor | None
    hint: torch.Tensor | None
    has_video: torch.Tensor | None = None

    def repeated(self, times_n: int) -> Conditions:
        """Return each clip's conditions ``times_n`` times in a row."""
        parts = (self.given, self.null, self.hint, self.has_video)
        return Conditions(*(None if part is None else part.repeat_interleave(times_n, 0) for part in parts))  # type: ignore[arg-type]


@contextmanager
def at_rest(parts: Iterable[Any]) -> Iterator[None]:
    """Let networks neither learn nor drop out, and put them back as they were.

    torch picks other convolution kernels on a CPU for weights that require gradients, even where none are taken; they
    round differently, so that a network in training would differ from its own checkpoint.
    """
    networks = [part for part in parts if isinstance(part, torch.nn.Module)]
    training = [(module, module.training) for network in networks for module in network.modules()]
    learning = [each for network in networks for each in network.parameters() if each.requires_grad]
    try:
        for network in networks:
            network.eval().requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
        for module, was in training:
            module.training = was


def clip_generator(seed: int, clip_id: str) -> torch.Generator:
    """Make the generator of a clip's noise: the same in every batch, process and order of clips."""
    digest = hashlib.blake2b(f"{seed}\x1f{clip_id}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def draw_noise(clips_n: int, candidates_n: int, shape: tuple[int, ...], generators: Generators) -> torch.Tensor:
    """Draw noise, (clips_n * candidates_n, *shape), float32, on the generators' device; a clip's candidates in a row.

    Raises
    ------
    UsageError
        If there is a list of generators of another length than the clips.
    """
    if generators is None or isinstance(generators, torch.Generator):
        device = "cpu" if generators is None else generators.device
        return torch.randn(clips_n * candidates_n, *shape, generator=generators, device=device)
    if len(generators) != clips_n:
        raise UsageError(f"there must be one generator, or one per prompt ({clips_n}); got {len(generators)}")
    return torch.cat([torch.randn(candidates_n, *shape, generator=each, device=each.device) for each in generators])


def denoise(
    pipeline: Any,
    noise: torch.Tensor,
    conditions: Conditions,
    *,
    steps_n: int,
    guidance_scale: float,
    control_scale: float = 1.0,
    callback: Callback | None = None,
) -> torch.Tensor:
    """Run the sampler from noise to latents.

    Guidance leads away from the null condition *without* video, so that it strengthens caption and video together:
    ``e(null, no hint) + scale * (e(caption, hint) - e(null, no hint))``. The null prediction is the U-Net's alone: the
    ControlNet costs half of what it would on both, and its answer to no video need not be trained.

    Parameters
    ----------
    pipeline
        A ``T2AVPipeline``.
    noise
        Shape (batch, channels, time, mel rows).
    conditions
        Of the same batch.
    steps_n, guidance_scale, control_scale, callback
        As in the pipeline's call.
    """
    unet, scheduler = pipeline.unet, pipeline.scheduler
    scheduler.set_timesteps(steps_n, device=unet.device)
    latents = noise.to(unet.device, unet.dtype) * scheduler.init_noise_sigma
    condition, hint = conditions.given, conditions.hint
    guided = conditions.null is not None
    strength = control_scale if conditions.has_video is None else control_scale * conditions.has_video
    if conditions.null is not None:
        condition = torch.cat([conditions.null, condition])
    hidden = getattr(pipeline, "_progress_bar_config", {}).get("disable", False)
    with progress_bar(len(scheduler.timesteps), "denoise", "step", wanted=not hidden) as bar:
        for number, timestep in enumerate(scheduler.timesteps):
            sample = scheduler.scale_model_input(torch.cat([latents] * 2) if guided else latents, timestep)
            prediction = predict(unet, pipeline.control, sample, timestep, condition, hint, strength)
            if guided:
                null, given = prediction.chunk(2)
                prediction = null + guidance_scale * (given - null)
            latents = scheduler.step(prediction, timestep, latents).prev_sample
            if callback is not None:
                changed = callback(pipeline, number, int(timestep), {"latents": latents})
                latents = (changed or {}).get("latents", latents)
            bar.update()
    return latents
