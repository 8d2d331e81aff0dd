"""Who speaks where torchrun has started several processes: the first one."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

# How long a process that has failed leaves it to the first one to say why, and to end; and where that is on another
# machine, whose torchrun does not know of this process.
_HELD_BACK_S, _ELSEWHERE_S = 10.0, 1.0


@contextmanager
def only_the_first_speaks() -> Iterator[None]:
    """Keep all but the first of torchrun's processes silent, and from ending before it when they fail.

    torchrun ends all processes when it sees the first one fail; were that another than the one that speaks, nobody
    would learn why. A process that has failed before it found the others, and that nobody ends, speaks after all.
    """
    from t2av_bench.distributed import has_joined, is_first

    if is_first():
        yield
        return
    # torch's own warnings, such as that the first process has ended.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    said = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            yield
    except SystemExit as end:
        if end.code in (1, 2) and not _ended(has_joined()) and not has_joined():
            sys.stderr.write(said.getvalue())
        raise
    except Exception:
        # A bug. The first process knows of it, if there is contact.
        if has_joined():
            _ended(True)
            raise SystemExit(1) from None
        raise


def _ended(told: bool) -> bool:
    """Wait to be ended; False if nobody does. ``told``: whether the first process knows of the failure."""
    ended = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.append(True))
    is_elsewhere = told and os.environ.get("GROUP_RANK", "0") != "0"
    # One after the other, so that not all speak.
    held_back_s = (_ELSEWHERE_S if is_elsewhere else _HELD_BACK_S) + float(os.environ.get("LOCAL_RANK", "0"))
    end_s = time.monotonic() + held_back_s
    while not ended and time.monotonic() < end_s:
        time.sleep(0.05)
    return bool(ended)
