"""Processes of one run, played by threads: with a store as torchrun gives it, and without its time to start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from torch.distributed import HashStore

from t2av_bench.distributed.launch import Processes, _Launched
from t2av_bench.distributed.messages import Pulse, Store


def in_team(n: int, run: Callable[[Processes], Any]) -> list[Any]:
    """Call a function as each of ``n`` processes does, the first one here, and return what each returned or raised."""
    shared = HashStore()
    outcomes: list[Any] = [None] * n

    def one(rank: int) -> None:
        store = Store(shared, "test/")
        with closing(Pulse(store, rank)) as pulse:
            try:
                outcomes[rank] = run(_Launched(store, pulse, rank, n, rank, n))
            except BaseException as error:
                outcomes[rank] = error

    threads = [threading.Thread(target=one, args=(rank,), daemon=True) for rank in range(1, n)]
    for thread in threads:
        thread.start()
    one(0)
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive(), outcomes
    return outcomes
