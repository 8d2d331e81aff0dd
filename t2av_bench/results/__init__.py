"""What an evaluation found: its file, its tables, its picture.

``result`` is the result and its scores, ``records`` says what was evaluated and how, ``per_clip`` is the table beside
the file, ``tables`` and ``plot`` show it, and ``comparability`` says which results may be set against each other.
"""

from __future__ import annotations

from t2av_bench.results.result import Result, Score

__all__ = ["Result", "Score"]
