"""How many threads linear algebra may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# Below this dimension, threads cost a matrix routine more than they bring; on a busy machine, where they wait for one
# another, a hundred times as much.
SMALL_DIM = 600


@contextmanager
def few_threads_for_small_matrices(dim: int) -> Iterator[None]:
    """Keep BLAS to one thread while matrices have fewer than 600 columns; leave it alone above."""
    if dim >= SMALL_DIM:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
