"""Where the toolkit keeps what it downloads, renders and computes."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the home folder: ``T2AV_BENCH_HOME``, or the platform's cache folder for ``t2av-bench``.

    Holds ``weights/``, ``manifests/``, ``embeddings/`` and ``mini/``; not created here.
    """
    chosen = os.environ.get("T2AV_BENCH_HOME")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("t2av-bench", appauthor=False)
