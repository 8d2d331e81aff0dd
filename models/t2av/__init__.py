"""The reference system T2AV: latent diffusion with visual-aligned CLAP and an Audio-Visual ControlNet."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t2av_bench.models.t2av.building import build_mini
    from t2av_bench.models.t2av.config import T2AVConfig
    from t2av_bench.models.t2av.pipeline import T2AVPipeline

__all__ = ["T2AVConfig", "T2AVPipeline", "build_mini"]

_HOME_OF = {"T2AVConfig": "config", "T2AVPipeline": "pipeline", "build_mini": "building"}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that the configuration alone needs no diffusers."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
