"""Which stages there are, what each builds on, and which settings decide its outcome."""

from __future__ import annotations

from typing import Any

from t2av_bench.errors import no_such_name
from t2av_bench.models.training.config import STAGE_GROUPS, TrainingConfig

ORDER = tuple(name for names in STAGE_GROUPS.values() for name in names)
"""The networks of all stages, in the order in which they are trained."""

# What each stage takes from others, directly.
_NEEDS: dict[str, tuple[str, ...]] = {
    "vae": (),
    "clap": (),
    "unet": ("vae", "clap"),
    "frames": ("clap",),
    "fusion": ("frames",),
    "control": ("unet", "fusion"),
    "tune": ("control",),
}
# The sizes that each stage's own networks depend on.
_SIZES: dict[str, tuple[str, ...]] = {
    "vae": ("vae", "mel_mean", "mel_std"),
    "clap": ("clap",),
    "unet": ("unet", "diffusion"),
    "frames": ("frame_encoder", "temporal", "frame_rate_hz"),
    "fusion": ("fusion",),
    "control": ("control",),
    "tune": (),
}


def wanted_stages(stage: str) -> tuple[str, ...]:
    """Return the networks that a stage of the command line trains, in order.

    Raises
    ------
    UsageError
        If there is no such stage.
    """
    groups = {"all": ORDER, **STAGE_GROUPS, **{name: (name,) for name in ORDER}}
    if stage not in groups:
        raise no_such_name(f"There is no stage named {stage!r}", stage, groups)
    return groups[stage]


def needs(name: str) -> set[str]:
    """Return the stages that a stage builds on, directly or not."""
    return {other for direct in _NEEDS[name] for other in (direct, *needs(direct))}


def relevant_settings(config: TrainingConfig, name: str) -> dict[str, Any]:
    """Return the settings that a stage depends on: its own and those of what it builds on."""
    mapping = config.to_mapping()
    used = {name, *needs(name)}
    sizes = {key for stage in used for key in _SIZES[stage]} if config.base_model is None else set(mapping["model"])
    mapping["stages"] = {key: value for key, value in mapping["stages"].items() if key in used}
    mapping["model"] = {key: value for key, value in mapping["model"].items() if key in sizes}
    if name in STAGE_GROUPS["base"]:
        del mapping["data"]["video_clips_n"]
    for key in ("checkpoint_every", "validate_every", "validation", "name"):
        del mapping[key]
    for key in ("steps_n", "guidance_scale"):  # of sampling
        mapping["model"].get("diffusion", {}).pop(key, None)
    return mapping
