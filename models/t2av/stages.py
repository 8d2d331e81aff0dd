"""Which parts learn in which stage of training."""

from __future__ import annotations

from typing import Any

from torch import nn

from t2av_bench.errors import no_such_name

STAGES: dict[str, tuple[str, ...]] = {
    "base": ("vae", "clap", "unet"),
    "align": ("frame_encoder", "temporal", "fusion"),
    "control": ("control",),
    "tune": ("unet", "control"),
}
"""Parts by stage, in the order of the stages. ``base`` is for pipelines that are trained from scratch only, and trains
its parts one after the other."""

_FROZEN_ALWAYS = {"align": "ClipFrameEncoder"}


def parts_of(pipeline: Any, stage: str) -> tuple[str, ...]:
    """Return the names of the pipeline's parts that a stage trains; CLIP's frame encoder stays frozen.

    Raises
    ------
    UsageError
        If there is no such stage.
    """
    if stage not in STAGES:
        raise no_such_name(f"There is no stage named {stage!r}", stage, STAGES)
    kept = [
        name
        for name in STAGES[stage]
        if getattr(pipeline, name) is not None and type(getattr(pipeline, name)).__name__ != _FROZEN_ALWAYS.get(stage)
    ]
    return tuple(kept)


def trainable_parameters(pipeline: Any, stage: str, parts: tuple[str, ...] | None = None) -> dict[str, nn.Parameter]:
    """Freeze a pipeline but for what a stage trains, and return that.

    Parameters
    ----------
    pipeline
        A ``T2AVPipeline``; ``requires_grad`` of all its parameters is set.
    stage
        ``base``, ``align``, ``control`` or ``tune``.
    parts
        Some of the stage's parts; all by default.

    Returns
    -------
    dict
        Parameters by ``<part>.<name>``.

    Raises
    ------
    UsageError
        If there is no such stage, or a part does not belong to it.
    """
    allowed = parts_of(pipeline, stage)
    for part in parts or ():
        if part not in allowed:
            raise no_such_name(f"The stage {stage!r} does not train {part!r}", part, allowed)
    chosen = parts or allowed
    trained: dict[str, nn.Parameter] = {}
    for name, module in pipeline.components.items():
        if isinstance(module, nn.Module):
            module.requires_grad_(name in chosen)
            if name in chosen:
                trained.update({f"{name}.{key}": parameter for key, parameter in module.named_parameters()})
    return trained
