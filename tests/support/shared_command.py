"""Run by torchrun in each process: the command, as if on machines of their own, or with something that goes wrong.

``OWN_HOMES`` gives every process its own home folder. ``GOES_WRONG`` says what happens when files are embedded:
``failure`` raises an error in process 1, ``death`` kills it, and the others would take a minute.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from t2av_bench.cli import main
from t2av_bench.distributed import shares
from t2av_bench.errors import CacheError


def going_wrong(*_: Any, **__: Any) -> dict[str, str]:
    if os.environ["RANK"] == "1" and os.environ["GOES_WRONG"] == "failure":
        raise CacheError("the disk of process 1 is full")
    if os.environ["RANK"] == "1" and os.environ["GOES_WRONG"] == "death":
        os.kill(os.getpid(), signal.SIGKILL)
    print("embedding", flush=True)
    time.sleep(60.0)
    return {}


if __name__ == "__main__":
    if "OWN_HOMES" in os.environ:
        os.environ["T2AV_BENCH_HOME"] = os.path.join(os.environ["T2AV_BENCH_HOME"], os.environ["RANK"])
    if "GOES_WRONG" in os.environ:
        shares.embed_missing = going_wrong
    main()
