"""A leaderboard and its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from t2av_bench.errors import LeaderboardError, shown
from t2av_bench.leaderboard.basis import joined_basis
from t2av_bench.leaderboard.places import ROUNDED_TO, places
from t2av_bench.leaderboard.submissions import Entry, make_entry, name_hash, read_submission, record_sha256
from t2av_bench.metrics import METRICS
from t2av_bench.results import Result
from t2av_bench.schemas import first_violation, read_json, readable_json, too_new, write_text

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
# Board, entries, entry, result, scores: what lies deeper stands on one line, so a diff names the score.
_EXPANDED = 5
_NUMBERS = (
    *("value", "stderr", "corrected", "corrected_stderr", "corrected_low", "corrected_high", "fd_infinity"),
    *("floor", "floor_spread", "floor_score"),
)
_COUNTS = ("n_clips", "n_windows", "d", "rank", "n_undefined")
_TYPES = {
    **dict.fromkeys(("id", "system", "score"), "object"),
    "place": "Int64",
    **dict.fromkeys(_NUMBERS, "float64"),
    **dict.fromkeys(_COUNTS, "Int64"),
    **dict.fromkeys(("higher_is_better", "comparable", "complete", "clips_checked"), "bool"),
}


@dataclass(frozen=True)
class Leaderboard:
    """Systems that were all evaluated in the same way.

    A leaderboard never changes: :meth:`add` and :meth:`merge` return another one, so a refused submission leaves
    nothing behind.

    Attributes
    ----------
    title
        Heading of the page.
    entries
        In the order of their ids.

    Examples
    --------
    >>> Leaderboard(title="Ours").scores
    []
    >>> board = Leaderboard(title="Ours").add(["a.json", "b.json"])  # doctest: +SKIP
    >>> board.save("leaderboard.json")  # doctest: +SKIP
    """

    title: str = "T2AV-Bench leaderboard"
    entries: tuple[Entry, ...] = ()
    _basis: Result | None = field(default=None, repr=False, compare=False)

    @property
    def manifest(self) -> dict[str, Any]:
        """What all entries were scored on, as in a result; a LeaderboardError if there are none."""
        return self._first().result.manifest

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind all scores, as in a result; a LeaderboardError if there are no entries."""
        return self._first().result.protocol

    @property
    def extractors(self) -> dict[str, Any]:
        """What the features of any entry are, by part; entries that have a part have the same."""
        return dict(sorted(self._basis.extractors.items())) if self._basis else {}

    def _first(self) -> Entry:
        if not self.entries:
            raise LeaderboardError("the leaderboard must have an entry; add a result first")
        return self.entries[0]

    @property
    def scores(self) -> list[str]:
        """Names of all scores, in the toolkit's order."""
        held = {name for entry in self.entries for name in entry.result.scores}
        return [name for name in METRICS if name in held]

    @property
    def not_comparable_because(self) -> list[str]:
        """What speaks against setting the whole board beside others, such as other features."""
        reasons = (reason for entry in self.entries for reason in entry.result.not_comparable_because)
        own = {entry.incomplete for entry in self.entries}
        return [reason for reason in dict.fromkeys(reasons) if reason not in own]

    def add(
        self,
        results: str | Path | Result | Iterable[str | Path | Result],
        *,
        list_not_comparable: bool = False,
        replace_same_name: bool = False,
    ) -> Leaderboard:
        """Return the board with further results.

        Parameters
        ----------
        results
            A result file or a result, or several. A table of clips beside a file is checked against it.
        list_not_comparable
            Take results that are not comparable: those that leave clips out are listed apart, without a place; any
            other reason holds for every entry, and marks the whole board.
        replace_same_name
            Let a result take the place of the one of the same name, instead of being refused.

        Raises
        ------
        ResultError
            If a file is no result.
        LeaderboardError
            If a result contradicts itself, is not comparable, was evaluated in another way than the others, or is there
            already.
        """
        several = [results] if isinstance(results, (str, Path, Result)) else list(results)
        submitted = [read_submission(given) for given in several]
        for new in submitted:
            if not list_not_comparable and not new.result.comparable:
                reasons = "; ".join(shown(reason, 200) for reason in new.result.not_comparable_because)
                raise LeaderboardError(
                    f"{shown(new.name)}: is not comparable ({reasons}). --list-not-comparable"
                    " (list_not_comparable=True) lists such results, marked"
                )
            if not replace_same_name and any(entry.name == new.name for entry in self.entries):
                raise LeaderboardError(
                    f"{shown(new.name)}: is on the board already; --replace (replace_same_name=True) takes the newer"
                    " result, --system of `evaluate` gives another name"
                )
        return self._with(submitted, replace_same_name=replace_same_name)

    def merge(self, *others: Leaderboard) -> Leaderboard:
        """Return the board with the entries of others; what several hold counts once.

        Raises
        ------
        LeaderboardError
            If the boards were evaluated in different ways, or hold different results of one system.
        """
        known = {entry.sha256 for entry in self.entries}
        unique = {e.sha256: e for other in others for e in other.entries if e.sha256 not in known}
        return self._with(unique.values())

    def _with(self, entries: Iterable[Entry], *, replace_same_name: bool = False) -> Leaderboard:
        by_id = {entry.id: entry for entry in self.entries}
        names = {entry.name: entry.id for entry in self.entries}
        scored = {_score_key(entry): entry for entry in self.entries}
        basis = self._basis
        for new in entries:
            if new.name in names and not replace_same_name:
                raise LeaderboardError(
                    f"{shown(new.name)}: there are two different results of this name; leave one out"
                )
            twin = scored.get(_score_key(new))
            if twin is not None and twin.name != new.name:
                raise LeaderboardError(
                    f"{shown(new.name)}: has exactly the scores of {shown(twin.name)}: submitted twice"
                )
            basis = joined_basis(basis, new)
            taken = new.id in by_id and by_id[new.id].name != new.name
            final = names.get(new.name) or (f"{new.id}-{name_hash(new.name)}" if taken else new.id)
            by_id[final] = replace(new, id=final)
            names[new.name] = final
            scored[_score_key(new)] = new
        ordered = tuple(by_id[entry_id] for entry_id in sorted(by_id))
        return replace(self, entries=ordered, _basis=basis)

    def save(self, path: str | Path) -> None:
        """Write the board as JSON: sorted, one line per score and short record, so that a diff shows what changed.

        Raises
        ------
        LeaderboardError
            If there are no entries.
        ResultError
            If the file cannot be written.
        """
        record = {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "manifest": self.manifest,
            "protocol": self.protocol,
            "entries": [entry.to_json() for entry in self.entries],
        }
        violation = first_violation(record, "leaderboard")
        if violation is not None:
            raise LeaderboardError(f"{path}: is no leaderboard: {violation}")
        write_text(Path(path), readable_json(record, _EXPANDED) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Leaderboard:
        """Read a leaderboard file, trusting nothing in it.

        Raises
        ------
        ResultError
            If the file is no JSON, or an entry is no result.
        LeaderboardError
            If the file breaks the schema, an entry was changed by hand or contradicts itself, or the entries were not
            evaluated in the same way.
        """
        record = read_json(Path(path))
        if reason := too_new(record, SCHEMA_VERSION):
            raise LeaderboardError(f"{path}: {reason}")
        violation = first_violation(record, "leaderboard")
        if violation is not None:
            raise LeaderboardError(f"{path}: is no leaderboard: {violation}")
        entries = [_checked_entry(path, entry) for entry in record["entries"]]
        ids = [entry.id for entry in entries]
        if len(set(ids)) < len(ids):
            raise LeaderboardError(f"{path}: two entries have the same id")
        board = cls(record["title"])._with(entries)
        if [entry.id for entry in board.entries] != sorted(ids):
            raise LeaderboardError(f"{path}: two entries have the same name")
        if (record["manifest"], record["protocol"]) != (board.manifest, board.protocol):
            raise LeaderboardError(f"{path}: its manifest and protocol must be those of its entries")
        return board

    def ranked(self, score: str) -> list[tuple[Entry, int]]:
        """Return the complete entries that have a score, best first, each with its place.

        Places tie inside the error, and inside rounding: see :func:`t2av_bench.leaderboard.places.places`.
        """
        held = [entry for entry in self.entries if score in entry.result.scores and not entry.incomplete]
        if not held:
            return []
        scores = [entry.result.scores[score] for entry in held]
        values = np.round([s.value for s in scores], ROUNDED_TO)
        stderrs = np.array([np.nan if s.stderr is None else s.stderr for s in scores], dtype=np.float64)
        high = scores[0].higher_is_better
        found = places(values, stderrs, higher_is_better=high)
        order = np.argsort(-values if high else values, kind="stable")
        return [(held[i], int(found[i])) for i in order]

    def to_dataframe(self, scores: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the board as a table with a row per system and score.

        Parameters
        ----------
        scores
            Names of scores, all by default.

        Returns
        -------
        pandas.DataFrame
            Columns ``id``, ``system``, ``score``; ``place`` (``Int64``, NA where an entry is listed apart); the numbers
            and counts of :class:`~t2av_bench.Score` (``float64`` with NaN, ``Int64`` with NA); ``higher_is_better``,
            ``comparable``, ``complete`` and ``clips_checked`` (``bool``). Best first within a score; entries listed
            apart last.
        """
        import pandas as pd

        names = self.scores if scores is None else scores
        return pd.DataFrame([row for name in names for row in self._rows(name)], columns=list(_TYPES)).astype(_TYPES)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        apart = [(entry, None) for entry in self.entries if entry.incomplete and name in entry.result.scores]
        return [
            {
                "id": entry.id,
                "system": entry.name,
                "score": name,
                "place": place,
                **{key: getattr(entry.result.scores[name], key) for key in (*_NUMBERS, *_COUNTS, "higher_is_better")},
                "comparable": entry.result.comparable,
                "complete": not entry.incomplete,
                "clips_checked": entry.clips_checked,
            }
            for entry, place in [*self.ranked(name), *apart]
        ]


def _checked_entry(path: str | Path, record: dict[str, Any]) -> Entry:
    where = f"{path}: entry {record['id']}"
    if record_sha256(record["result"]) != record["sha256"]:
        raise LeaderboardError(f"{where}: its result does not have the sha256 that stands beside it: it was changed")
    return make_entry(record["id"], record["result"], where, clips_checked=record["clips_checked"])


def _score_key(entry: Entry) -> tuple[tuple[str, float, float | None], ...]:
    """Return what two submissions of one set of sounds have in common."""
    return tuple(sorted((name, score.value, score.stderr) for name, score in entry.result.scores.items()))
