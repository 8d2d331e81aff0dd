"""A whole training: the stages in their order, what each needs, and the pipeline that comes out.

::

    clips ─► log-mels ─► vae ─► latents ─────────────────────────────► unet ─► control ─► tune
         │           └─► clap ─► embeddings ──────┬───────────► fusion ──┘
         └─► pictures ────────────────────► frames ─► video features ─┘

Every arrow but the last ones is computed once by frozen networks and kept (:mod:`.features`). A recipe that starts from
AudioLDM has VAE, CLAP, frame encoder and U-Net from checkpoints, and begins with the temporal transformer.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from t2av_bench.errors import UsageError
from t2av_bench.home import home
from t2av_bench.models.training import saving
from t2av_bench.models.training.checkpoints import newest, write_folder
from t2av_bench.models.training.clips import ClipStore, clip_source
from t2av_bench.models.training.config import STAGE_GROUPS, StageConfig, TrainingConfig
from t2av_bench.models.training.engine import Run, Trainer
from t2av_bench.models.training.export import RECIPE
from t2av_bench.models.training.extraction import Extraction
from t2av_bench.models.training.plan import ORDER, needs, relevant_settings, wanted_stages
from t2av_bench.models.training.stages import (
    ClapStage,
    ControlStage,
    FramesStage,
    FusionStage,
    Stage,
    TuneStage,
    UNetStage,
    VAEStage,
)
from t2av_bench.models.training.validation import make_validation

if TYPE_CHECKING:
    from accelerate import Accelerator

_PARTS = ("vae", "clap", "text_encoder", "unet", "frame_encoder", "temporal", "fusion", "control")


def train(
    config: TrainingConfig,
    output: str | Path,
    *,
    stage: str = "all",
    resume: bool = False,
    num_workers: int = 0,
) -> Path | None:
    """Train the reference system.

    Parameters
    ----------
    config
        From :func:`~t2av_bench.models.training.config.load_config`.
    output
        Gets a folder per stage, with checkpoints and logs, and ``final/`` with the pipeline.
    stage
        ``base``, ``align``, ``control``, ``tune`` or ``all``, or one network of a stage (``vae``, ``clap``, ``unet``,
        ``frames``, ``fusion``). What it builds on must be finished; what does not may be trained at the same time.
    resume
        Go on where a training with this output stopped: finished stages are kept, an unfinished one continues from
        its last checkpoint. The result is the same as without the interruption.
    num_workers
        Processes that render or decode clips.

    Returns
    -------
    Path or None
        The pipeline's folder, for ``T2AVPipeline.from_pretrained``; None as long as the base model is not trained.

    Raises
    ------
    UsageError
        If the output holds a training and ``resume`` is not set, or an earlier stage is missing.
    TrainingError
        If training cannot go on.
    """
    from accelerate import Accelerator

    wanted = wanted_stages(stage)
    accelerator = Accelerator(mixed_precision=config.precision)
    session = Session(config, Path(output), accelerator, num_workers)
    needed = {other for name in wanted for other in needs(name)}
    for name in filter(session.applies, ORDER):
        if name in wanted and not (resume and saving.is_finished(session.folder(name))):
            session.train(name, resume)
        elif saving.is_finished(session.folder(name)):
            session.load(name)
        elif name in needed:
            raise UsageError(f"Stage {stage!r} needs {name!r} in {output}; train it first with --stage {name}.")
    if all(saving.is_finished(session.folder(name)) for name in STAGE_GROUPS["base"] if session.applies(name)):
        return session.save_pipeline()
    return None


class Session:
    """Parts, clips and features of one training.

    Parameters
    ----------
    config
        The recipe.
    output
        Folder of the training.
    accelerator
        Devices, processes and precision.
    num_workers
        Processes that render or decode clips.
    """

    def __init__(self, config: TrainingConfig, output: Path, accelerator: Accelerator, num_workers: int = 0) -> None:
        self.config, self.output = config, output
        self._accelerator, self._num_workers = accelerator, num_workers
        torch.manual_seed(config.seed)
        self.pipeline = make_pipeline(config)
        for part in self.parts().values():
            part.to(accelerator.device).requires_grad_(False).eval()

    @property
    def from_scratch(self) -> bool:
        """Whether there is no base model to start from."""
        return self.config.base_model is None

    def applies(self, name: str) -> bool:
        """Whether the recipe has this stage."""
        if name in STAGE_GROUPS["base"] and not self.from_scratch:
            return False
        return self.settings(name).steps > 0

    def folder(self, name: str) -> Path:
        """Return a stage's folder."""
        return self.output / name

    def settings(self, name: str) -> StageConfig:
        """Return a stage's settings."""
        settings: StageConfig = getattr(self.config.stages, name)
        return settings

    def parts(self) -> dict[str, nn.Module]:
        """Return the pipeline's networks by name."""
        return {name: getattr(self.pipeline, name) for name in _PARTS if getattr(self.pipeline, name) is not None}

    def load(self, name: str) -> None:
        """Load what a finished stage has trained."""
        saving.check_config(self.folder(name) / saving.FINAL / "config.yaml", relevant_settings(self.config, name))
        saving.load_final(self.folder(name), self.parts())
        self._after(name)

    def train(self, name: str, resume: bool) -> None:
        """Train one stage."""
        folder = self.folder(name)
        if not resume and (saving.is_finished(folder) or newest(folder)):
            raise UsageError(f"{folder} holds a training; go on with --resume or choose another --output.")
        torch.manual_seed(self.config.seed + 1 + ORDER.index(name))
        stage = self._make_stage(name)
        run = Run(
            self._accelerator,
            relevant_settings(self.config, name),
            self.config.seed,
            self.config.checkpoint_every,
            self.config.validate_every,
        )
        looks = name in ("control", "tune") and self.config.data.validation_clips_n > 0
        validate = make_validation(self.pipeline, self.validation_store, self.config.validation) if looks else None
        Trainer(stage, self._clips_n(name), self.settings(name), run, folder, validate).train(resume)
        for part in self.parts().values():
            part.requires_grad_(False).eval()
        self._after(name)

    def save_pipeline(self) -> Path:
        """Write the pipeline as it is, and the configuration beside it."""
        path = self.output / saving.FINAL

        def write(target: Path) -> None:
            import yaml

            self.pipeline.save_pretrained(target)
            (target / RECIPE).write_text(yaml.safe_dump(self.config.to_mapping(), sort_keys=False), "utf-8")

        if self._accelerator.is_main_process:
            write_folder(path, write)
        self._accelerator.wait_for_everyone()
        return path

    # What the stages need -------------------------------------------------------------------------------------------

    @cached_property
    def store(self) -> ClipStore:
        """The clips to learn from."""
        return self._store(training=True)

    @cached_property
    def validation_store(self) -> ClipStore:
        """The clips to look at."""
        return self._store(training=False)

    @cached_property
    def features(self) -> Extraction:
        """What the stages learn from."""
        return Extraction(self.pipeline, self.store, self._accelerator, self.from_scratch)

    def _clips_n(self, name: str) -> int:
        """Return how many clips a stage learns from, always the first ones."""
        wanted = None if name in STAGE_GROUPS["base"] else self.config.data.video_clips_n
        if wanted is not None and wanted > self.store.clips_n:
            raise UsageError(f"data.video_clips_n is {wanted}, but there are {self.store.clips_n} clips to learn from.")
        return self.store.clips_n if wanted is None else wanted

    def _make_stage(self, name: str) -> Stage:
        pipe, config, features = self.pipeline, self.config, self.features
        if name == "vae":
            return VAEStage(pipe.vae, features.mels, pipe.config.mel_mean, pipe.config.mel_std)
        if name == "clap":
            return ClapStage(pipe.clap, features.mels, self.store.source.captions)
        if name == "frames":
            encoder, seen = (pipe.frame_encoder, features.frames) if self.from_scratch else (None, features.video)
            text_dim = pipe.fusion.config.text_dim
            return FramesStage(encoder, pipe.temporal, seen, features.mels, features.embeddings, text_dim)
        if name == "fusion":
            return FusionStage(
                pipe.fusion, pipe.temporal, features.video, features.embeddings, config.fusion_cosine_weight
            )
        parts = {key: getattr(pipe, key) for key in ("unet", "control", "fusion", "temporal")}
        scale = float(pipe.vae.config.scaling_factor)
        rest = (pipe.scheduler, features.latents, scale, features.embeddings, self._null(), self.settings(name))
        if name == "unet":
            return UNetStage({"unet": pipe.unet}, *rest)
        if name == "control":
            _copy_encoder(pipe)
            return ControlStage(parts, *rest, video=features.video)
        return TuneStage(parts, *rest, video=features.video)

    def _after(self, name: str) -> None:
        """Write into the pipeline what follows from a finished stage: the factor that gives latents unit variance."""
        if name == "vae":
            some = self.features.latents.take("latent", np.arange(min(512, self.store.clips_n))).double()
            self.pipeline.vae.register_to_config(scaling_factor=float(1 / some.std()))

    @torch.no_grad()
    def _null(self) -> torch.Tensor:
        null: torch.Tensor = self.pipeline.encode_prompt([""])[0]
        return null.float()

    def _store(self, training: bool) -> ClipStore:
        return ClipStore(clip_source(self.config, training), home() / "training" / "clips", self._num_workers)


def make_pipeline(config: TrainingConfig) -> Any:
    """Make the pipeline that a recipe starts from: random, or AudioLDM with random video parts.

    Raises
    ------
    UsageError
        If sizes do not fit each other, or the memory.
    """
    if config.base_model is None:
        from t2av_bench.models.t2av.building import build_mini

        try:
            return build_mini(config.model)
        except (ValueError, RuntimeError, MemoryError, ZeroDivisionError, IndexError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(f"No networks can be made from the settings under `model`: {reason}") from error
    from t2av_bench.models.t2av.pipeline import T2AVPipeline

    return T2AVPipeline.from_audioldm(config.base_model, clap=config.clap_model, config=config.model, seed=config.seed)


def _copy_encoder(pipeline: Any) -> None:
    """Start the ControlNet as a copy of the U-Net's encoder and middle."""
    weights, encoder = pipeline.unet.state_dict(), pipeline.control.encoder
    encoder.load_state_dict({key: weights[key] for key in encoder.state_dict()})
