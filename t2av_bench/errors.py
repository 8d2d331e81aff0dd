"""Every error and warning that the toolkit raises on purpose.

::

    T2AVBenchError
    ├── UsageError         the call asks for something that does not exist or contradicts itself (exit code 2)
    ├── ManifestError      a manifest is malformed: names the row and the column
    ├── MediaError         one media file cannot be used: names the file and the reason
    ├── ProblemsError      one or more clips cannot be scored: carries the whole list
    ├── PrerequisiteError  something has to be fetched or installed first: says how
    ├── DownloadError      a file could not be fetched: names the address and where to put it by hand
    ├── CacheError         the embedding cache cannot be read or written
    ├── PackError          a reference pack is damaged, or not one of this manifest and these extractors
    ├── ResultError        a result file does not follow the schema
    ├── TrainingError      training cannot go on: names the stage, the step and the last good checkpoint
    ├── TableError         a table that a person wrote is malformed: names the row and the column
    ├── LeaderboardError   a leaderboard, or what is to be put on it, is refused: says why
    ├── ComparisonError    results cannot be set against each other: says what differs
    ├── ReportError        results, sounds and media do not belong together, or a report cannot be written
    └── MetricError        arrays that no score can be computed from (also a ``ValueError``)

The command line prints their message as one line and exits with 1 (``UsageError``: 2). Any other exception that
reaches a user is a bug of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


class T2AVBenchError(Exception):
    """Base of all errors raised on purpose."""


class UsageError(T2AVBenchError):
    """The call asks for something that does not exist or contradicts itself."""


def no_such_name(sentence: str, name: str, known: Iterable[str], more: str = "") -> UsageError:
    """Return the error for a name that does not exist: what was given, the nearest match, and what there is.

    Parameters
    ----------
    sentence
        Says what does not exist, without its full stop: ``"There is no metric named 'FVD'"``.
    name, known
        The name, and those that exist in the order to list them.
    more
        Anything else that would do, to stand behind the list.
    """
    from difflib import get_close_matches

    known = list(known)
    close = get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UsageError(f"{sentence}.{hint} Available: {', '.join(known)}{more}.")


def check_names(names: Sequence[str] | None, argument: str) -> None:
    """Raise if one name stands where a list of names must: its letters would pass for names.

    Raises
    ------
    UsageError
        If that is so.
    """
    if isinstance(names, str):
        raise UsageError(f"`{argument}` must be a list of names, such as [{names!r}]; got {names!r}")


def shown(text: str, limit: int = 60) -> str:
    """Return foreign text as it may stand in a message: one line, shortened, without what moves the cursor."""
    text = text if len(text) <= limit else text[:limit] + " …"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def quoted(value: object, limit: int = 100) -> str:
    """Return a foreign value as a literal of one line, shortened."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]} …"


class ManifestError(T2AVBenchError):
    """A manifest is malformed."""


class MediaError(T2AVBenchError):
    """One media file cannot be used.

    Parameters
    ----------
    path
        The file.
    reason
        What is wrong, as a clause that can stand behind the file name: ``"holds no audio stream"``.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[MediaError], tuple[Path, str]]:
        # The default would call __init__ with the one message string; this error crosses processes.
        return (type(self), (self.path, self.reason))


@dataclass(frozen=True)
class Problem:
    """One reason why one clip cannot be scored.

    Attributes
    ----------
    clip_id
        The clip, or the file stem where no clip of the manifest belongs to the file.
    kind
        Short machine-readable name: ``missing``, ``unreadable``, ``too_short``, ``silent``, ``non_finite``, …
    path
        The file, if there is one.
    reason
        A clause a person can act on.
    """

    clip_id: str
    kind: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or self.clip_id}: {self.reason}"


SKIP_ADVICE = (
    "Mend these files, or leave the clips out on both sides with --on-error skip (the result is then\n"
    "marked incomplete)."
)


class ProblemsError(T2AVBenchError):
    """One or more clips cannot be scored; ``problems`` holds all of them.

    ``advice`` says what its user can do about them, in words of the command line; it may be empty.
    """

    def __init__(self, message: str, problems: Sequence[Problem], advice: str = "") -> None:
        super().__init__(message)
        self.problems, self.advice = tuple(problems), advice

    def __reduce__(self) -> tuple[type[ProblemsError], tuple[str, tuple[Problem, ...], str]]:
        # As of MediaError.
        return (type(self), (str(self), self.problems, self.advice))


class PrerequisiteError(T2AVBenchError):
    """Something has to be fetched or installed first; the message says how."""


class DownloadError(T2AVBenchError):
    """A file could not be fetched; the message names the address and where to put the file by hand."""


class CacheError(T2AVBenchError):
    """The embedding cache cannot be read or written."""


class PackError(T2AVBenchError):
    """A reference pack cannot be written, is damaged, or is not one of this manifest and these extractors.

    Parameters
    ----------
    path
        The file.
    reason
        What is wrong, as a clause that can stand behind the file name.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


class ResultError(T2AVBenchError):
    """A result file does not follow the schema."""


class TrainingError(T2AVBenchError):
    """Training cannot go on."""


class TableError(T2AVBenchError):
    """A table that a person wrote, such as one of ratings, is malformed."""


class ComparisonError(T2AVBenchError):
    """Results cannot be set against each other or against ratings."""


class ReportError(T2AVBenchError):
    """Results, sounds and media do not belong together, or a report cannot be written."""


class LeaderboardError(T2AVBenchError):
    """A leaderboard, or a result that is to be put on it, is refused."""


class MetricError(T2AVBenchError, ValueError):
    """Arrays or statistics that no score can be computed from."""


class FewSamplesWarning(UserWarning):
    """There are fewer samples than a stable estimate of the distance needs."""


class OutOfMemoryWarning(UserWarning):
    """The device had too little memory for a batch, which was made smaller."""


class ManifestWarning(UserWarning):
    """A manifest of the toolkit was changed, so that results with it are not comparable."""
