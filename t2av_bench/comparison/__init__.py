"""Is one system better than another? Paired tests of results of the same clips.

``paired`` makes the tests, ``tables`` and ``plot`` show them.
"""

from __future__ import annotations

from t2av_bench.comparison.paired import Comparison, PairedTest, compare

__all__ = ["Comparison", "PairedTest", "compare"]
