"""Listening reports: a page that plays what was scored.

``inputs`` holds results, manifest, media and sounds together, ``selection`` chooses clips, ``clips`` makes the files of
each (with ``pictures``), ``statistics`` counts for the summary's charts, ``rendering`` makes the page, ``making`` is
the main flow.
"""

from __future__ import annotations

from t2av_bench.reporting.making import report

__all__ = ["report"]
