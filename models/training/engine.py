"""The loop that every stage runs through: one update after the other, checkpoints between them.

A stage that was killed and resumed ends with the same bits as one that ran through: the order of clips depends on the
step alone (:mod:`.order`), and everything else that an update depends on lies in the checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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
from t2av_bench.models.training.logs import TrainingLog
from t2av_bench.models.training.order import batch_indices
from t2av_bench.models.training.saving import Progress, load_checkpoint, save_checkpoint, save_final
from t2av_bench.models.training.stages.base import Stage, to_device
from t2av_bench.progress import progress_bar

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
        shares_n = self._pieces_n * self._accelerator.num_processes
        if settings.batch_size % shares_n:
            raise UsageError(
                f"stages.{stage.name}.batch_size must be a multiple of gradient_accumulation × processes = {shares_n};"
                f" given: {settings.batch_size}."
            )

    def train(self, resume: bool = False) -> None:
        """Run the stage to its end; with ``resume``, from the last checkpoint on.

        Raises
        ------
        TrainingError
            If the loss is no longer finite, or a checkpoint cannot be written or read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self.run.seed + self._accelerator.process_index)
        if self.settings.gradient_checkpointing:
            self.stage.checkpoint_activations()
        progress = Progress.start(self.stage, self.settings, self._accelerator)
        found = checkpoints.newest(self.folder) if resume else None
        if found is not None:
            load_checkpoint(found, progress, self.run.config, self._accelerator)
        if self._accelerator.is_main_process:
            checkpoints.forget_old(self.folder)
        log = TrainingLog(self.folder, progress.step) if self._accelerator.is_main_process else None
        try:
            self._loop(progress, log)
        finally:
            if log is not None:
                log.close()
        progress.use_average()
        save_final(self.folder, self.stage, self.run.config, self._accelerator)

    def _loop(self, progress: Progress, log: TrainingLog | None) -> None:
        total = self.settings.steps
        wanted = self._accelerator.is_local_main_process
        meter = _Meter()
        with (
            progress_bar(total, f"Stage {self.stage.name}", "step", wanted) as bar,
            _Loader(self.stage, self._local_indices, self._chance, progress.step, total) as loader,
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
        """Validate and save, where it is time."""
        step, last = progress.step, progress.step == self.settings.steps
        if self._validate is not None and (last or _is_due(step, self.run.validate_every)):
            with _same_chance(), progress.averaged():
                values = self._validate(step)
            if log is not None and values:
                log.validation(step, values)
        if _is_due(step, self.run.checkpoint_every) and not last:
            if log is not None:
                log.plot()
            save_checkpoint(self.folder, progress, self.run.config, self._accelerator)

    def _update(self, progress: Progress, batch: dict[str, Tensor]) -> tuple[float, float]:
        """Do one update; return its loss and the length of its gradient before clipping."""
        total = torch.zeros((), device=self._accelerator.device)
        norm = float("nan")
        self._accelerator.gradient_accumulation_steps = self._pieces_n
        for piece in _split(batch, self._pieces_n):
            with self._accelerator.accumulate(progress.wrapped):
                loss = progress.wrapped(piece)
                total += loss.detach() / self._pieces_n
                self._accelerator.backward(loss)
        # One number for all processes: where one loss is not finite, all must stop.
        mean = float(self._accelerator.reduce(total, reduction="mean"))
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


class _Loader:
    """Reads the next batch in a thread while the current one is trained on."""

    def __init__(
        self,
        stage: Stage,
        indices: Callable[[int], np.ndarray],
        chance: Callable[[int], np.random.Generator],
        step: int,
        steps_n: int,
    ) -> None:
        self._stage, self._indices, self._chance, self._step, self._steps_n = stage, indices, chance, step, steps_n
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._coming: Future[dict[str, Tensor]] | None = None

    def __enter__(self) -> _Loader:
        self._submit()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def next(self) -> dict[str, Tensor]:
        assert self._coming is not None
        batch = self._coming.result()
        self._step += 1
        self._submit()
        return batch

    def _submit(self) -> None:
        if self._step < self._steps_n:
            self._coming = self._pool.submit(self._stage.batch, self._indices(self._step), self._chance(self._step))


class _Meter:
    """Means since they were last read."""

    def __init__(self) -> None:
        self._began_s = self._began_cpu_s = 0.0
        self._clear()

    def _clear(self) -> None:
        self._losses: list[float] = []
        self._loading_s = self._total_s = self._cpu_s = 0.0

    def start(self) -> None:
        self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()

    def loaded(self) -> None:
        self._loading_s += time.perf_counter() - self._began_s

    def done(self, loss: float) -> None:
        self._total_s += time.perf_counter() - self._began_s
        self._cpu_s += time.process_time() - self._began_cpu_s
        self._losses.append(loss)

    def read(self) -> dict[str, float]:
        count = len(self._losses)
        values = {
            "loss": float(np.mean(self._losses)),
            "step_s": self._total_s / count,
            "step_cpu_s": self._cpu_s / count,
            "loading_share": self._loading_s / max(self._total_s, 1e-9),
        }
        self._clear()
        return values


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _split(batch: dict[str, Tensor], pieces_n: int) -> Iterator[dict[str, Tensor]]:
    if pieces_n == 1:
        yield batch
        return
    chunks = {name: tensor.chunk(pieces_n) for name, tensor in batch.items()}
    for i in range(pieces_n):
        yield {name: pieces[i] for name, pieces in chunks.items()}


@contextmanager
def _same_chance() -> Iterator[None]:
    """Leave the random generators as they were, so that looking at the model does not change its training."""
    states = checkpoints.random_states()
    try:
        yield
    finally:
        checkpoints.restore_random_states(states)
