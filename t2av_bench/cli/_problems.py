"""Clips that cannot be scored, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from t2av_bench.errors import Problem

_SHOWN_N = 20


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """Return a line for each of the first problems, and how many more there are."""
    lines = [f"  {problem}" for problem in problems[:_SHOWN_N]]
    return lines + ([f"  … and {len(problems) - _SHOWN_N} more"] if len(problems) > _SHOWN_N else [])
