"""The loop that every stage runs through: one update after the other, checkpoints between them.

A stage that was killed and resumed ends with the same bits as one that ran through: the order of clips depends on the
step alone (:mod:`.order`), and everything else that an update depends on lies in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from t2av_bench.errors import TrainingError, UsageError
from t2av_bench.models.training import checkpoints
from t2av_bench.models.training.config import StageConfig
from t2av_bench.models.training.loading import Loader, split_batch
from t2av_bench.models.training.logs import Meter, TrainingLog, read_log
from t2av_bench.models.training.order import batch_indices
from t2av_bench.models.training.saving import Progress, load_checkpoint, save_checkpoint, save_final
from t2av_bench.models.training.stages.base import Stage, to_device
from t2av_bench.progress import progress_bar
from t2av_bench.stopping import StopRequest, stops_wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accelerate import Accelerator

Validate = Callable[[int], dict[str, float]]

_LOG_EVERY = 10


@dataclass(frozen=True)
class Run:
    """What all stages of one training share.

    Attributes
    ----------
    accelerator
        Devices, processes and precision.
    config
        The resolved configuration as nested dicts; lies in every checkpoint.
    seed
        Of the order of clips and of every draw.
    checkpoint_every, validate_every
        In updates; 0 means never before the end.
    """

    accelerator: Accelerator
    config: dict[str, Any]
    seed: int = 0
    checkpoint_every: int = 200
    validate_every: int = 0


class Trainer:
    """Trains one stage.

    Parameters
    ----------
    stage
        Its parts must be in the state that training starts from.
    clips_n
        Number of clips that :meth:`Stage.batch` can be asked for.
    settings
        Of this stage.
    run
        Of all stages.
    folder
        Gets checkpoints, logs and, at the end, ``final/``.
    validate
        Called with the step, while the parts hold their averaged weights; returns metrics.
    """

    def __init__(
        self,
        stage: Stage,
        clips_n: int,
        settings: StageConfig,
        run: Run,
        folder: Path,
        validate: Validate | None = None,
    ) -> None:
        self.stage, self.clips_n, self.settings, self.run, self.folder = stage, clips_n, settings, run, folder
        self._validate = validate
        self._accelerator = run.accelerator
        self._pieces_n = settings.gradient_accumulation
        self._stop, self._ends = StopRequest(), False
        shares_n = self._pieces_n * self._accelerator.num_processes
        if settings.batch_size % shares_n:
            raise UsageError(
                f"stages.{stage.name}.batch_size must be a multiple of gradient_accumulation × processes = {shares_n};"
                f" given: {settings.batch_size}."
            )

    def train(self, resume: bool = False) -> None:
        """Run the stage to its end; with ``resume``, from the last checkpoint on.

        SIGTERM and Ctrl-C wait until the update is made and a checkpoint of it is written.

        Raises
        ------
        TrainingError
            If the loss is no longer finite, or a checkpoint cannot be written or read.
        KeyboardInterrupt
            After a signal; says up to which step the stage is kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self.run.seed + self._accelerator.process_index)
        if self.settings.gradient_checkpointing:
            self.stage.checkpoint_activations()
        progress = Progress.start(self.stage, self.settings, self._accelerator)
        found = checkpoints.newest(self.folder) if resume else None
        owes_a_look = False
        if found is not None:
            load_checkpoint(found, progress, self.run.config, self._accelerator)
            owes_a_look = self._looks_at(progress.step) and not self._has_looked(progress.step)
            self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            checkpoints.forget_old(self.folder)
        log = TrainingLog(self.folder, progress.step) if self._accelerator.is_main_process else None
        with stops_wait() as self._stop:
            try:
                if owes_a_look:
                    self._look(progress, log)
                self._loop(progress, log)
            finally:
                if log is not None:
                    log.close()
            progress.use_average()
            save_final(self.folder, self.stage, self.run.config, self._accelerator)

    def _loop(self, progress: Progress, log: TrainingLog | None) -> None:
        total = self.settings.steps
        wanted = self._accelerator.is_local_main_process
        meter = Meter()
        with (
            progress_bar(total, f"Stage {self.stage.name}", "step", wanted) as bar,
            Loader(self.stage, self._local_indices, self._chance, progress.step, total) as loader,
        ):
            bar.update(progress.step)
            while progress.step < total:
                meter.start()
                batch = loader.next()
                meter.loaded()
                loss, norm = self._update(progress, to_device(batch, self._accelerator.device))
                meter.done(loss)
                bar.update()
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                if log is not None and (progress.step % _LOG_EVERY == 0 or progress.step == total):
                    log.step(progress.step, {**meter.read(), "learning_rate": progress.rate(), "gradient_norm": norm})
                self._pause(progress, log)

    def _pause(self, progress: Progress, log: TrainingLog | None) -> None:
        """Save and validate, where it is time; end, where that was asked for."""
        step = progress.step
        looks, is_due = self._looks_at(step), _is_due(step, self.run.checkpoint_every)
        # Before looking, which takes a while and may be stopped. The last update is followed by the final weights.
        if self._ends or looks or (is_due and step < self.settings.steps):
            if log is not None:
                log.plot()
            save_checkpoint(self.folder, progress, self.run.config, self._accelerator)
        if self._ends:
            self._stop.end(self._kept(step))
        if looks:
            self._look(progress, log)

    def _looks_at(self, step: int) -> bool:
        """Whether the model is to be validated after this step."""
        return self._validate is not None and (step == self.settings.steps or _is_due(step, self.run.validate_every))

    def _has_looked(self, step: int) -> bool:
        """Whether the validation of this step is in the log."""
        return any(row["step"] == step for row in read_log(self.folder / "validation.csv"))

    def _look(self, progress: Progress, log: TrainingLog | None) -> None:
        """Validate; a signal is heard at once, since the checkpoint of this step is written."""
        assert self._validate is not None
        with _same_chance(), progress.averaged(), self._stop.at_once(self._kept(progress.step)):
            values = self._validate(progress.step)
        if log is not None and values:
            log.validation(progress.step, values)

    def _kept(self, step: int) -> str:
        return f"stage {self.stage.name} is kept up to step {step}"

    def _update(self, progress: Progress, batch: dict[str, Tensor]) -> tuple[float, float]:
        """Do one update; return its loss and the length of its gradient before clipping."""
        total = torch.zeros((), device=self._accelerator.device)
        norm = float("nan")
        self._accelerator.gradient_accumulation_steps = self._pieces_n
        for piece in split_batch(batch, self._pieces_n):
            with self._accelerator.accumulate(progress.wrapped):
                loss = progress.wrapped(piece)
                total += loss.detach() / self._pieces_n
                self._accelerator.backward(loss)
        # The same for all processes: where one loss is not finite, or one was asked to end, all must stop.
        told = torch.stack([total, total.new_tensor(float(self._stop.came))])
        mean, asked = self._accelerator.reduce(told, reduction="mean").tolist()
        self._ends = asked > 0
        if not np.isfinite(mean):
            raise TrainingError(
                f"Stage {self.stage.name}: the loss is {mean} at step {progress.step + 1}; this update was not made."
                f" {checkpoints.last_good(self.folder)} A lower stages.{self.stage.name}.learning_rate, more"
                " warmup_steps or precision: 'no' may help."
            )
        norm = float(self._accelerator.clip_grad_norm_(progress.parameters, self.settings.clip_norm))
        progress.advance()
        return mean, norm

    def _local_indices(self, step: int) -> np.ndarray:
        """Return this process's share of an update's clips."""
        indices = batch_indices(self.clips_n, self.settings.batch_size, step, self.run.seed)
        share = len(indices) // self._accelerator.num_processes
        first = share * self._accelerator.process_index
        return indices[first : first + share]

    def _chance(self, step: int) -> np.random.Generator:
        """Return what decides over an update's crops in this process."""
        return np.random.default_rng((self.run.seed, step, self._accelerator.process_index))


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


@contextmanager
def _same_chance() -> Iterator[None]:
    """Leave the random generators as they were, so that looking at the model does not change its training."""
    states = checkpoints.random_states()
    try:
        yield
    finally:
        checkpoints.restore_random_states(states)
