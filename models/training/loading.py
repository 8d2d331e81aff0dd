"""Batches of an update: read ahead of the network that trains on them, and cut into pieces that fit its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from torch import Tensor

from t2av_bench.models.training.stages.base import Stage


class Loader:
    """Reads the next batch in a thread while the current one is trained on.

    Parameters
    ----------
    stage
        Whose batches.
    indices, chance
        The clips of an update by its number, and what decides over their crops.
    step, steps_n
        The next update, and how many there are in all.
    """

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

    def __enter__(self) -> Loader:
        self._submit()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def next(self) -> dict[str, Tensor]:
        """Wait for the next batch."""
        assert self._coming is not None
        batch = self._coming.result()
        self._step += 1
        self._submit()
        return batch

    def _submit(self) -> None:
        if self._step < self._steps_n:
            self._coming = self._pool.submit(self._stage.batch, self._indices(self._step), self._chance(self._step))


def split_batch(batch: dict[str, Tensor], pieces_n: int) -> Iterator[dict[str, Tensor]]:
    """Yield a batch in pieces of as many clips each."""
    if pieces_n == 1:
        yield batch
        return
    chunks = {name: tensor.chunk(pieces_n) for name, tensor in batch.items()}
    for i in range(pieces_n):
        yield {name: pieces[i] for name, pieces in chunks.items()}
