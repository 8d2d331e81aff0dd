"""The stages of training, one module per part of the system."""

from t2av_bench.models.training.stages.base import Stage
from t2av_bench.models.training.stages.clap import ClapStage
from t2av_bench.models.training.stages.diffusion import ControlStage, TuneStage, UNetStage
from t2av_bench.models.training.stages.frames import FramesStage
from t2av_bench.models.training.stages.fusion import FusionStage
from t2av_bench.models.training.stages.vae import VAEStage

__all__ = ["ClapStage", "ControlStage", "FramesStage", "FusionStage", "Stage", "TuneStage", "UNetStage", "VAEStage"]
