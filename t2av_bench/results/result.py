"""The result of an evaluation, and its JSON file.

The file's layout is ``schemas/result.schema.json``; it is checked on writing and on reading.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2av_bench.errors import ResultError
from t2av_bench.results.per_clip import ClipTable, PerClip, per_clip_path, per_clip_rows, read_per_clip
from t2av_bench.schemas import first_violation, read_json, too_new, write_text

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
_COLUMN_TYPES = {
    **dict.fromkeys(("value", "stderr"), "float64"),
    "kind": "object",
    "higher_is_better": "bool",
    **dict.fromkeys(("version", "n_clips", "n_windows", "d", "rank", "n_undefined"), "Int64"),
    **dict.fromkeys(("corrected", "corrected_stderr", "corrected_low", "corrected_high"), "float64"),
    **dict.fromkeys(("fd_infinity", "floor", "floor_spread", "floor_score"), "float64"),
}


@dataclass(frozen=True)
class Score:
    """One number and what is needed to judge it.

    Attributes
    ----------
    value
        The score.
    stderr
        Standard error over clips; None where it is not estimated. Of a distance of at least 4 d windows and 8 clips it
        is of second order (``settings["stderr"]``), of other Fréchet scores of first order and rather too large
        (:mod:`t2av_bench.metrics.uncertainty`).
    kind
        As of :data:`t2av_bench.metrics.METRICS`: ``raw`` or ``balanced`` squared Fréchet distance, alignment ``index``,
        or the kind of a companion.
    higher_is_better, version
        As the metric declares them.
    n_clips, n_windows
        Clips on each side, and samples the score is over: windows, or clips where a clip is a sample.
    d, rank
        Dimension of the features a distance is over, and rank of the reference's covariance; None where a score knows
        neither.
    n_undefined
        Clips for which the score is undefined and that it leaves out; not among ``n_clips``.
    corrected
        What the Fréchet distance would be over very many clips like these: without the part that a finite set adds to
        any distance. An estimate, which may fall slightly below 0 where the truth is near 0. ``settings["correction"]``
        says how it was made: ``quarter-split`` (from 4 d windows and 8 clips on) or ``half-split``, which leaves some
        of that part in place where windows of a clip resemble each other; see
        :func:`~t2av_bench.metrics.grouped_bias.grouped_correction`.
    corrected_stderr
        Standard error of ``corrected``; None where a bias of unknown size is left.
    corrected_low, corrected_high
        95 % interval for the distance of very many clips, not symmetric
        (:func:`~t2av_bench.metrics.intervals.corrected_interval`). None where ``corrected_stderr`` is, and in results
        from before there were any.
    fd_infinity
        The same, estimated by another way: extrapolated over subsets of clips. Noisier.
    floor, floor_spread
        What reality scores against other clips of reality: mean distance between two disjoint halves of the reference,
        and its standard deviation over the halvings. Not 0, as the halves hold different clips, and few of them.
    floor_score
        What the system scores in the place of the second half: mean distance of its sounds for one half of the clips
        from the real sounds of the other. To be compared with ``floor``, and with ``floor`` alone: a system as good as
        reality scores the floor. ``value`` is over more clips, and the same ones on both sides, and may lie below it.
    withheld
        Why any of these is None, by name.
    settings
        Choices behind the score, such as the bandwidth of a kernel or the seed of an index's re-pairings, and what it
        is to be compared with, such as an index's zero point ``random_pairing``: the balanced distance with other
        clips' sounds, from which and from FAD-b and FAVD-b or FATD-b the index follows.
    """

    value: float
    stderr: float | None
    kind: str
    higher_is_better: bool
    version: int
    n_clips: int
    n_windows: int
    d: int | None = None
    rank: int | None = None
    n_undefined: int = 0
    corrected: float | None = None
    corrected_stderr: float | None = None
    corrected_low: float | None = None
    corrected_high: float | None = None
    fd_infinity: float | None = None
    floor: float | None = None
    floor_spread: float | None = None
    floor_score: float | None = None
    withheld: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the result file, without what the score does not have."""
        record = asdict(self)
        return {name: value for name, value in record.items() if name == "stderr" or value not in (None, {})}


@dataclass(frozen=True)
class Result:
    """What :func:`t2av_bench.evaluate` returns.

    Attributes
    ----------
    scores
        By name, in the order of the table.
    absent
        Scores that could not be computed, each with its reason.
    system, manifest, protocol, extractors, counts, environment
        What was scored, on what, by which choices, with which features; as in the file.
    problems
        Clips that were left out, with file and reason.
    comparable, not_comparable_because
        Whether the result may stand beside others on a leaderboard, and what speaks against it.
    notes
        What a reader of the scores should know.
    per_clip
        Clip id to what the clip adds to each score, in the score's unit; see
        :func:`t2av_bench.scoring.contributions.clip_contributions`. Without the scores that are no sum over
        clips even to first order. Not part of the result file, which stays small, nor of equality: :meth:`save` writes
        it as a table beside the file, and :meth:`load` reads it if asked to.
    clip_halves
        As ``per_clip``, by the influence functions of the clip's own half: what standard errors of second order need.
        Kept as ``per_clip`` is.
    clip_values
        Clip id to the clip's own value of each score that is a mean over clips, such as ``KL-softmax``; without the
        clips it is undefined for. Kept as ``per_clip`` is.
    per_clip_file
        Name and SHA-256 of that table, in a loaded result.
    reference_pack
        Name, SHA-256 and number format of the reference pack, where the reference was read from one.
    """

    scores: dict[str, Score]
    absent: dict[str, str]
    system: dict[str, Any]
    manifest: dict[str, Any]
    protocol: dict[str, Any]
    extractors: dict[str, Any]
    counts: dict[str, int]
    problems: list[dict[str, str]]
    not_comparable_because: list[str]
    notes: list[str]
    environment: dict[str, Any]
    seed: int
    command: str
    created: str
    tool_version: str
    schema_version: int = field(default=SCHEMA_VERSION)
    per_clip: PerClip = field(default_factory=dict, compare=False, repr=False)
    clip_halves: PerClip = field(default_factory=dict, compare=False, repr=False)
    clip_values: PerClip = field(default_factory=dict, compare=False, repr=False)
    per_clip_file: dict[str, str] | None = field(default=None, compare=False, repr=False)
    reference_pack: dict[str, Any] | None = None

    @property
    def comparable(self) -> bool:
        """Whether nothing speaks against putting the result on a leaderboard."""
        return not self.not_comparable_because

    def to_json(self) -> dict[str, Any]:
        """Return the content of the result file."""
        record = asdict(replace(self, scores={}, per_clip={}, clip_halves={}, clip_values={}))
        del record["per_clip"], record["clip_halves"], record["clip_values"]
        for optional in ("per_clip_file", "reference_pack"):
            if record[optional] is None:
                del record[optional]
        record["scores"] = {name: score.to_json() for name, score in self.scores.items()}
        record["comparable"] = self.comparable
        return record

    def save(self, path: str | Path) -> None:
        """Write the result as JSON, and beside it the contributions of clips, if it holds any.

        Both under a temporary name first; see :mod:`t2av_bench.results.per_clip` for the second.

        Raises
        ------
        ResultError
            If the file cannot be written, or the content breaks the schema (a bug of ours).
        """
        path = Path(path)
        record = self.to_json()
        check_result(json.loads(json.dumps(record, allow_nan=False)), str(path))
        if self.per_clip:
            table = per_clip_path(path)
            record["per_clip_file"] = {"name": table.name, "sha256": write_text(table, self._clip_rows())}
        write_text(path, json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n")

    def save_per_clip(self, path: str | Path) -> None:
        """Write what each clip adds to each score as a table of its own; see :mod:`t2av_bench.results.per_clip`.

        Raises
        ------
        ResultError
            If the file cannot be written, or the result was loaded without its contributions.
        """
        if not self.per_clip:
            raise ResultError(f"{path}: the result was loaded without contributions: Result.load(…, per_clip=True)")
        write_text(Path(path), self._clip_rows())

    def _clip_rows(self) -> Iterator[str]:
        return per_clip_rows(ClipTable(self.per_clip, self.clip_halves, self.clip_values), list(self.scores))

    def worst_clips(self, score: str, count: int) -> list[tuple[str, float]]:
        """Return the clips that harm a score most, worst first, each with its contribution.

        Those that draw a distance up, or an index down; clips that do not harm it are never among them.
        """
        sign = -1.0 if self.scores[score].higher_is_better else 1.0
        found = [(clip_id, values[score]) for clip_id, values in self.per_clip.items() if score in values]
        harmful = [(clip_id, value) for clip_id, value in found if sign * value > 0.0]
        return sorted(harmful, key=lambda item: -sign * item[1])[:count]

    def to_dataframe(self) -> pd.DataFrame:
        """Return the scores as a table.

        Returns
        -------
        pandas.DataFrame
            A row per score, in the order of the result; the index ``score`` is its name. Columns as the attributes of
            :class:`Score`, without ``withheld`` and ``settings``: numbers as ``float64`` with NaN for what the score
            does not have, counts as ``Int64`` with NA, ``kind`` as text, ``higher_is_better`` as ``bool``.
        """
        import pandas as pd

        rows = [{name: getattr(score, name) for name in _COLUMN_TYPES} for score in self.scores.values()]
        index = pd.Index(list(self.scores), name="score", dtype="object")
        return pd.DataFrame(rows, index=index, columns=list(_COLUMN_TYPES)).astype(_COLUMN_TYPES)

    @classmethod
    def from_json(cls, record: Any, where: str) -> Result:
        """Return the result that the content of a file holds; ``where`` names the file in errors.

        Raises
        ------
        ResultError
            If the content breaks the schema: names the place.
        """
        check_result(record, where)
        fields = dict(record)
        scores = {name: Score(**score) for name, score in fields.pop("scores").items()}
        stated = fields.pop("comparable")
        result = cls(scores=scores, **fields)
        if stated != result.comparable:
            raise ResultError(f"{where}: `comparable` contradicts `not_comparable_because`")
        return result

    @classmethod
    def load(cls, path: str | Path, *, per_clip: bool = False) -> Result:
        """Read a result file.

        Parameters
        ----------
        path
            The file.
        per_clip
            Whether to read the contributions of clips too, from the table beside the file.

        Raises
        ------
        ResultError
            If the file is missing, no JSON, or breaks the schema: names the place in the file. With ``per_clip``, if
            the table is missing, malformed or of another run.
        """
        result = cls.from_json(read_json(Path(path)), str(path))
        if not per_clip:
            return result
        table = read_per_clip(Path(path), result.per_clip_file, list(result.scores))
        return replace(result, per_clip=table.contributions, clip_halves=table.own_half, clip_values=table.values)


def check_result(record: Any, where: str) -> None:
    """Hold a result file's content to the schema.

    Raises
    ------
    ResultError
        Naming the first place that breaks it.
    """
    if reason := too_new(record, SCHEMA_VERSION):
        raise ResultError(f"{where}: {reason}")
    violation = first_violation(record, "result")
    if violation is not None:
        raise ResultError(f"{where}: is no t2av-bench result: {violation}")
    for name, score in record["scores"].items():
        numbers = [*score.values(), *score.get("settings", {}).values()]
        if not all(math.isfinite(value) for value in numbers if isinstance(value, float)):
            raise ResultError(f"{where}: the score {name} must be finite")
