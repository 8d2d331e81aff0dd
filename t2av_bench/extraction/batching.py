"""Batches of rows of several clips, and what happens when the device runs out of memory.

A batch that does not fit is halved, and so is, from then on, the number of rows that go through the network at once.
Only a single row that does not fit fails, and takes its own clip with it.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.cache import EmbeddingCache
from t2av_bench.errors import OutOfMemoryWarning
from t2av_bench.models.extractors import Extractor
from t2av_bench.models.extractors.arithmetic import free_memory, is_out_of_memory
from t2av_bench.models.extractors.base import Finish

Float32Array = npt.NDArray[np.float32]


class _Clip(NamedTuple):
    """A clip in the queue: for each extractor the cache's key, None where nothing is missing; and its rows."""

    keys: Sequence[str | None]
    rows_n: int


class Batcher:
    """Fills batches with rows of different clips and hands finished clips to the cache.

    Parameters
    ----------
    extractors
        All with one ``pass_key``: they take the same rows, and one pass serves them all.
    batch_size
        Least number of rows per batch, made a multiple of what the network takes at once.
    cache
        Gets every clip as soon as its last row is embedded.
    """

    def __init__(self, extractors: Sequence[Extractor], batch_size: int, cache: EmbeddingCache) -> None:
        self._extractors, self._cache = extractors, cache
        self._lead = extractors[0]
        self._batch_size = _rounded_up(batch_size, self._lead.pass_rows_n)
        self._rows: deque[npt.NDArray[Any]] = deque()  # inputs waiting for the network
        self._clips: deque[_Clip] = deque()  # in order of their rows
        self._running: deque[Finish] = deque()  # batches on the device
        self._done: list[list[Float32Array]] = []  # embeddings of the clips in front, by batch
        # False while rows, clips and embeddings are moved on: an error there leaves them out of step.
        self._in_step = True
        self.failures: dict[str, str] = {}

    def add(self, keys: Sequence[str | None], inputs: npt.NDArray[Any]) -> None:
        """Take one clip's rows; run the network when a batch is full."""
        if self._rows and self._rows[0].shape != inputs.shape[1:]:
            self.flush()  # clips of another duration give rows of another shape
        self._rows.extend(inputs)
        self._clips.append(_Clip(keys, len(inputs)))
        while len(self._rows) >= self._batch_size:
            self._run()

    def flush(self) -> None:
        """Run the network on what is left."""
        while self._rows:
            self._run()
        self._settle(0)

    def finish(self) -> None:
        """Run the network on what is left and let go of it; after an error in the midst of storing only the latter."""
        if self._in_step:
            self.flush()
        self._lead.release()

    def _run(self) -> None:
        """Start one batch, as large as the device takes, and collect those before it."""
        count = min(self._batch_size, len(self._rows))
        batch = np.stack(list(islice(self._rows, count)))
        try:
            started = self._lead.start(batch, self._extractors)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            problem = str(error).strip().partition("\n")[0]
        else:
            self._in_step = False
            self._running.append(started)
            for _ in range(count):
                self._rows.popleft()
            self._in_step = True
            self._settle(1 if self._lead.works_ahead else 0)
            return
        # Outside the handler: the error's traceback holds on to the tensors that filled the memory.
        self._settle(0)
        free_memory()
        if not self._shrink(count):
            self._give_up(batch.shape[1:], problem)

    def _shrink(self, count: int) -> bool:
        """Halve the batch and the rows per pass; False if both are one already."""
        smaller_pass = self._lead.use_less_memory()
        if count == 1 and not smaller_pass:
            return False
        self._batch_size = max(1, count // 2)
        warnings.warn(
            f"{self._lead.name}: out of memory with {count} rows at once; going on with {self._batch_size}"
            + (", so embeddings may differ from others by rounding" if smaller_pass else ""),
            OutOfMemoryWarning,
            stacklevel=2,
        )
        return True

    def _give_up(self, row_shape: tuple[int, ...], problem: str) -> None:
        """Fail the clip whose row does not fit even alone, and drop the rest of its rows."""
        clip = self._clips.popleft()
        done_n = sum(len(batch[0]) for batch in self._done)
        self._done = []
        for _ in range(clip.rows_n - done_n):
            self._rows.popleft()
        reason = f"needs more memory than there is, even one row of shape {row_shape} at a time ({problem})"
        for extractor, key in zip(self._extractors, clip.keys, strict=True):
            if key is not None:
                self.failures[key] = f"{reason}: {extractor.name}"

    def _settle(self, most_n: int) -> None:
        """Collect started batches until at most so many are left, and store the clips that are complete."""
        while len(self._running) > most_n:
            self._in_step = False
            self._done.append(self._running.popleft()())
            available = [np.concatenate(parts) for parts in zip(*self._done, strict=True)]
            while self._clips and self._clips[0].rows_n <= len(available[0]):
                clip = self._clips.popleft()
                for key, rows in zip(clip.keys, available, strict=True):
                    if key is not None:
                        self._cache.store(key, np.ascontiguousarray(rows[: clip.rows_n], dtype=np.float32))
                available = [rows[clip.rows_n :] for rows in available]
            self._done = [available]
            self._in_step = True


def _rounded_up(count: int, step: int) -> int:
    return -(-count // step) * step
