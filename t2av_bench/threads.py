"""How many threads linear algebra may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

# Below this dimension, threads cost a matrix routine more than they bring; on a busy machine, where they wait for one
# another, a hundred times as much.
SMALL_DIM = 600


@contextmanager
def few_threads_for_small_matrices(dim: int, processes_n: int = 1) -> Iterator[None]:
    """Keep BLAS to one thread while matrices have fewer than 600 columns.

    Above, leave it alone, unless there are more processes on this machine, which wait for this one: torchrun gives each
    of them one thread, and this one takes those of all.
    """
    if dim >= SMALL_DIM and processes_n == 1:
        yield
        return
    from threadpoolctl import threadpool_info, threadpool_limits

    threads_n = 1
    if dim >= SMALL_DIM:
        mine_n = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
        threads_n = min(os.cpu_count() or 1, processes_n * mine_n)
    with threadpool_limits(limits=threads_n, user_api="blas"):
        yield
