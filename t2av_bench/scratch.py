"""Rows of many clips in a temporary file: what a score must go through again and again does not fill the memory.

A block comes back from the operating system's own memory in a fraction of the time that any score takes over it. The
file has no name, lies where temporary files do (``TMPDIR``), and is gone with the object or the process.
"""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import T2AVBenchError
from t2av_bench.metrics.distances import StoredRows
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.on_demand import OnDemand


class RowFile(StoredRows):
    """Rows of one width, appended clip by clip and read back by block, by place or by clip.

    Raises
    ------
    T2AVBenchError
        If there is no folder for temporary files.
    """

    def __init__(self) -> None:
        self._dim = 0
        self._bounds = array("q", [0])  # where each clip's rows begin
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object
        except OSError as error:
            raise _no_room(error) from error
        weakref.finalize(self, self._file.close)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, dim)."""
        return self._bounds[-1], self._dim

    @property
    def places(self) -> npt.NDArray[np.intp]:
        """Number of each row's clip, shape (rows,)."""
        bounds = np.array(self._bounds, dtype=np.intp)
        return np.repeat(np.arange(len(bounds) - 1), bounds[1:] - bounds[:-1])

    @property
    def by_clip(self) -> Sequence[Float64Array]:
        """The rows of each clip."""
        bounds = self._bounds
        return OnDemand(range(len(bounds) - 1), lambda number: self[bounds[number] : bounds[number + 1]])

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Add one clip's rows, shape (n, dim), of any kind of number.

        Raises
        ------
        T2AVBenchError
            If the file cannot be written.
        """
        self._dim = rows.shape[1]
        try:
            self._file.write(np.ascontiguousarray(rows, dtype=np.float64).data)
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from error
        self._bounds.append(self._bounds[-1] + len(rows))

    def __getitem__(self, places: slice | npt.NDArray[np.intp]) -> Float64Array:
        if isinstance(places, slice):
            start, stop, _ = places.indices(len(self))
            rows = np.empty((stop - start, self._dim))
            self._read(start, rows)
            return rows
        rows = np.empty((len(places), self._dim))
        ends = [*(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        for first, end in pairwise([0, *ends]):
            if first < end:  # rows that follow each other in the file
                self._read(int(places[first]), rows[first:end])
        return rows

    def _read(self, start: int, rows: Float64Array) -> None:
        """Read rows from a place on into an array."""
        self._file.seek(8 * self._dim * start)
        self._file.readinto(rows.data)


def _no_room(error: OSError) -> T2AVBenchError:
    return T2AVBenchError(
        f"There must be a folder with room for temporary files ({error}); name one in the environment variable TMPDIR"
    )
