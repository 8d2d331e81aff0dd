"""Results of many systems over one manifest and protocol, from files that strangers send.

``submissions`` reads and doubts a result file, ``consistency`` says what in it cannot be true, ``board`` holds what was
accepted, ``places`` ranks it, ``exports`` and ``model_index`` write it for papers, spreadsheets and model cards, and
``rendering`` makes the page.
"""

from __future__ import annotations

from t2av_bench.leaderboard.board import Leaderboard
from t2av_bench.leaderboard.submissions import Entry

__all__ = ["Entry", "Leaderboard"]
