"""Several processes that share one run, on one machine or on many.

``launch`` finds them (``torchrun`` starts them), ``team`` is what a run sees of them, ``messages`` go between
them. On top of these, ``shares`` deals out files by work, ``station`` is what each works with, and ``own_caches``
exchanges what no disk shares.
"""

from __future__ import annotations

from t2av_bench.distributed.launch import has_joined, is_first, launched, processes
from t2av_bench.distributed.team import ALONE, Processes, same_outcome

__all__ = ["ALONE", "Processes", "has_joined", "is_first", "launched", "processes", "same_outcome"]
