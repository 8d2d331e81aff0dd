"""Training of the reference system T2AV: stages, checkpoints, and the recipes that are shipped."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t2av_bench.models.training.config import TrainingConfig, load_config, recipe_names
    from t2av_bench.models.training.training import train

__all__ = ["TrainingConfig", "load_config", "recipe_names", "train"]

_HOME_OF = {"TrainingConfig": "config", "load_config": "config", "recipe_names": "config", "train": "training"}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that reading a recipe needs no torch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
