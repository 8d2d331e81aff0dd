"""Do the scores agree with people? Results against human ratings.

``ratings`` reads what people said, ``pairs`` puts it opposite the scores, ``agreement`` correlates, ``tables`` shows.
"""

from __future__ import annotations

from t2av_bench.correlation.agreement import Agreement, Correlation, correlate

__all__ = ["Agreement", "Correlation", "correlate"]
