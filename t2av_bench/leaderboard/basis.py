"""What all entries of a leaderboard share, and whether a further one fits."""

from __future__ import annotations

from dataclasses import replace

from t2av_bench.errors import ComparisonError, LeaderboardError, shown
from t2av_bench.leaderboard.submissions import Entry
from t2av_bench.results import Result
from t2av_bench.results.comparability import Entry as Compared
from t2av_bench.results.comparability import check_comparable


def joined_basis(basis: Result | None, new: Entry) -> Result:
    """Return the shared facts with those of one more entry.

    Parameters
    ----------
    basis
        Manifest, protocol, and every extractor and score that any entry has so far; None if there is none yet. An
        entry may lack some: a later one that has them is held to those that did.
    new
        The entry to join.

    Raises
    ------
    LeaderboardError
        If anything that decides a score differs: names it.
    """
    if basis is None:
        return new.result
    shared = [name for name in basis.scores if name in new.result.scores]
    try:
        check_comparable(
            [Compared("the leaderboard", "", basis), Compared(shown(new.name), "", new.result)],
            shared,
            same_clips=False,
        )
    except ComparisonError as error:
        differing = "; ".join(line.strip() for line in str(error).splitlines()[1:-1])
        raise LeaderboardError(
            f"{shown(new.name)}: was not evaluated as the others: {shown(differing, 600)}"
        ) from error
    return replace(
        basis,
        scores={**new.result.scores, **basis.scores},
        extractors={**new.result.extractors, **basis.extractors},
    )
