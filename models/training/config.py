"""The configuration of a training: everything that decides its outcome, in one YAML file.

The recipes ``mini``, ``audioldm-s``, ``audioldm-m`` and ``audioldm-l`` lie in ``recipes/``. A file of one's own may
start from one of them with ``extends: mini``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from t2av_bench.errors import UsageError, no_such_name, quoted, shown
from t2av_bench.models.t2av.config import T2AVConfig
from t2av_bench.models.training.reading import as_mapping, assign, from_mapping

STAGE_GROUPS: dict[str, tuple[str, ...]] = {
    "base": ("vae", "clap", "unet"),
    "align": ("frames", "fusion"),
    "control": ("control",),
    "tune": ("tune",),
}
"""The stages of the command line, and the networks that are trained one after the other in each."""

RECIPES_DIR = Path(__file__).with_name("recipes")


@dataclass(frozen=True)
class StageConfig:
    """How one stage is trained.

    Attributes
    ----------
    steps, batch_size
        Number of updates (0 leaves the stage out) and clips in each, over all devices.
    gradient_accumulation
        In how many pieces the clips of an update go through the network.
    gradient_checkpointing
        Whether activations are computed twice rather than kept, in parts that can: autoencoder, U-Net (frozen or not)
        and ControlNet.
    learning_rate, warmup_steps
        AdamW's; it rises linearly from 0 and falls to 0 along a half cosine.
    weight_decay, beta2
        AdamW's.
    clip_norm
        Longest gradient; a longer one is shortened.
    ema_decay
        Of the moving average of the parameters, which is what a stage hands on; 0 means none.
    condition_dropout
        Share of clips that are trained with no caption, for classifier-free guidance.
    hint_dropout
        Share of clips that stage ``tune`` trains with no video; half of them have no caption either.
    """

    steps: int = 0
    batch_size: int = 16
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    learning_rate: float = 1e-4
    warmup_steps: int = 100
    weight_decay: float = 0.01
    beta2: float = 0.99
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    condition_dropout: float = 0.1
    hint_dropout: float = 0.1

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self.steps >= 0 and self.warmup_steps >= 0, "steps and warmup_steps must not be negative")
        _check(self.batch_size >= 1 and self.gradient_accumulation >= 1, "batches must hold a clip")
        _check(self.learning_rate > 0 and self.clip_norm > 0, "learning_rate and clip_norm must be above 0")
        shares = (self.ema_decay, self.condition_dropout, self.hint_dropout, self.beta2)
        _check(all(0 <= share < 1 for share in shares), "decays and dropouts must be in [0, 1)")


@dataclass(frozen=True)
class StagesConfig:
    """The settings of every stage."""

    vae: StageConfig = field(default_factory=StageConfig)
    clap: StageConfig = field(default_factory=StageConfig)
    unet: StageConfig = field(default_factory=StageConfig)
    frames: StageConfig = field(default_factory=StageConfig)
    fusion: StageConfig = field(default_factory=StageConfig)
    control: StageConfig = field(default_factory=StageConfig)
    tune: StageConfig = field(default_factory=StageConfig)


@dataclass(frozen=True)
class DataConfig:
    """What is learned from.

    Attributes
    ----------
    manifest
        Path of a manifest file, or ``t2av-mini``: training clips of the mini world, rendered from a seed.
    data_dir
        Folder of the manifest's media; by default the manifest's own.
    clips_n, seed
        Number and seed of mini clips.
    video_clips_n
        How many of the clips, the first ones, the stages after ``base`` learn from; all by default. A ladder of data on
        a base model that stays the same.
    validation_clips_n
        Clips that validation generates for: of the mini world's own split, or the last ones of a manifest, which are
        then not trained on.
    """

    manifest: str = "t2av-mini"
    data_dir: str | None = None
    clips_n: int = 4000
    seed: int = 0
    video_clips_n: int | None = None
    validation_clips_n: int = 48

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self.video_clips_n is None or self.video_clips_n >= 1, "data.video_clips_n must be at least 1")
        _check(self.clips_n >= 1 and self.validation_clips_n >= 0 and self.seed >= 0, "counts must not be negative")


@dataclass(frozen=True)
class ValidationConfig:
    """How validation generates."""

    steps: int = 10
    guidance: float = 1.5
    batch_size: int = 16

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self.steps >= 1 and self.batch_size >= 1, "validation must have steps, and a clip in each batch")


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the outcome of a training.

    Attributes
    ----------
    name
        Of the recipe.
    base_model
        AudioLDM checkpoint to start from, a Hub id or folder; without one, stage ``base`` trains all from scratch.
    clap_model
        CLAP checkpoint whose audio branch belongs to ``base_model``'s text encoder.
    precision
        ``bf16`` and ``fp16`` are mixed precision: weights stay in 32 bits.
    seed
        Of initial weights, order and noise.
    checkpoint_every, validate_every
        In updates of a stage; 0 means never before its end.
    fusion_cosine_weight
        Weight of (1 − cosine to the audio embedding) beside InfoNCE in the visual-aligned CLAP. The contrastive loss
        alone leaves the region that the U-Net's condition was trained on.
    """

    name: str
    base_model: str | None = None
    clap_model: str | None = None
    precision: Literal["no", "bf16", "fp16"] = "no"
    seed: int = 0
    checkpoint_every: int = 200
    validate_every: int = 0
    fusion_cosine_weight: float = 4.0
    model: T2AVConfig = field(default_factory=T2AVConfig)
    data: DataConfig = field(default_factory=DataConfig)
    stages: StagesConfig = field(default_factory=StagesConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self.seed >= 0, "seed must not be negative")
        rates = self.model.duration_s, self.model.frame_rate_hz
        _check(all(0 < rate < math.inf for rate in rates), "duration_s and frame_rate_hz must be above 0")
        _check(self.checkpoint_every >= 0 and self.validate_every >= 0, "intervals must not be negative")

    def to_mapping(self) -> dict[str, Any]:
        """Return the configuration as YAML can hold it."""
        mapping: dict[str, Any] = as_mapping(self)
        return mapping


def load_config(source: str | Path, changes: Sequence[str] = ()) -> TrainingConfig:
    """Read a recipe by name, or a YAML file.

    Parameters
    ----------
    source
        ``mini``, ``audioldm-s``, ``audioldm-m``, ``audioldm-l``, or the path of a ``.yaml`` file.
    changes
        Such as ``stages.control.steps=100``; the last one wins.

    Raises
    ------
    UsageError
        For an unknown recipe or key (with the nearest match) or a value of the wrong type.

    Examples
    --------
    >>> load_config("mini", ["seed=3"]).seed
    3
    """
    values = _read(source)
    for change in changes:
        assign(values, change)
    values.setdefault("name", Path(source).stem)
    return from_mapping(TrainingConfig, values)


def recipe_names() -> list[str]:
    """Return the names of the recipes that are shipped."""
    return sorted(path.stem for path in RECIPES_DIR.glob("*.yaml"))


def _read(source: str | Path, above: tuple[str, ...] = ()) -> dict[str, Any]:
    import yaml

    if str(source) in above:
        raise UsageError(f"{source}: extends itself, by way of {' and '.join(above)}.")

    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        if str(source) not in recipe_names():
            raise no_such_name(
                f"There is no recipe named {quoted(str(source))}", str(source), recipe_names(), " and .yaml files"
            )
        path = RECIPES_DIR / f"{source}.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"{shown(str(path), 300)}: cannot be read as YAML ({shown(str(error), 200)}).") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: must hold settings as key: value.")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise UsageError(f"{path}: extends must name a recipe or a .yaml file, got {quoted(parent)}.")
    below = str(RECIPES_DIR / f"{parent}.yaml") if parent in recipe_names() else parent
    return _merged(_read(below, (*above, str(source))), values)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _check(holds: bool, rule: str) -> None:
    if not holds:
        raise UsageError(f"In the configuration, {rule}.")
