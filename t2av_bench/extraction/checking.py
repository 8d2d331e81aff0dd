"""Look at every file before any costly work, and list all that is wrong at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import compress, count
from operator import itemgetter
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from t2av_bench.cache import EmbeddingCache, file_key, file_sha256, file_state, unchanged
from t2av_bench.errors import MediaError, Problem
from t2av_bench.media import check_audio, probe
from t2av_bench.progress import progress_bar
from t2av_bench.workers import JobFailure, run_jobs

# Raised when the same file could get another answer: remembered answers of an earlier version are asked anew.
CHECK_VERSION = 1

Answer = dict[str, Any]
_SHA256, _SHA256_BYTES = re.compile("[0-9a-f]{64}"), 32


@dataclass(frozen=True, slots=True)
class FileNeed:
    """What a clip needs of a file.

    Attributes
    ----------
    clip_id, path
        The clip and its file.
    start_s, duration_s
        The clip's range inside the file.
    audio, video
        Whether sound and pictures are needed.
    may_be_silent
        False for predictions: digital silence is a failed generation, not a sound.
    state
        The file's size and times when the check began; see :func:`t2av_bench.cache.file_state`.
    """

    clip_id: str
    path: Path
    start_s: float
    duration_s: float
    audio: bool
    video: bool
    may_be_silent: bool
    state: str = ""

    @property
    def question(self) -> str:
        """What is asked of the file; the answer is remembered under it."""
        wanted = f"{self.audio:d}{self.video:d}{self.may_be_silent:d}"
        return f"check {CHECK_VERSION}|{self.start_s:.6f}|{self.duration_s:.6f}|{wanted}"


class CheckedFile(NamedTuple):
    """A file that can be used: the SHA-256 of its bytes, and the size and times that go with it."""

    sha256: str
    state: str


class CheckedFiles(Mapping[str, CheckedFile]):
    """Path to what was found, of each usable file.

    There are two per clip: each takes its path as text, with all that a `Path` remembers of itself one takes half a
    kilobyte, and 90 bytes for the rest, where two texts in two dicts take 250.
    """

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def __getitem__(self, path: str) -> CheckedFile:
        packed = self._packed[path]
        return CheckedFile(packed[:_SHA256_BYTES].hex(), packed[_SHA256_BYTES:].decode())

    def __contains__(self, path: object) -> bool:
        return path in self._packed

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def put(self, path: str, file: CheckedFile) -> None:
        """Add a file."""
        self._packed[path] = bytes.fromhex(file.sha256) + file.state.encode()

    def update(self, others: CheckedFiles) -> None:
        """Add all files of another."""
        self._packed |= others._packed


@dataclass
class CheckReport:
    """What checking the files found.

    Attributes
    ----------
    files
        Those that can be used, by path.
    problems
        Everything that stands in the way of scoring a clip.
    padded
        Clip of each file whose sound was up to 0.1 s short and is padded with zeros.
    silent
        Clip of each file without a sound that may be silent: reference clips.
    """

    files: CheckedFiles = field(default_factory=CheckedFiles)
    problems: list[Problem] = field(default_factory=list)
    padded: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    @property
    def padded_n(self) -> int:
        """How many files are padded."""
        return len(self.padded)

    @property
    def silent_n(self) -> int:
        """How many files hold no sound."""
        return len(self.silent)


def check_files(
    needs: Iterable[FileNeed],
    cache: EmbeddingCache,
    *,
    num_workers: int,
    progress: bool,
    meanwhile: Callable[[], object] | None = None,
) -> CheckReport:
    """Check all files, those that are known from the cache by a look, the others by reading them.

    ``needs`` are a sequence or an iterator; or an object that makes them again and again, so that none is held.
    ``meanwhile`` is called in a thread of its own while workers read files, if there are new ones.

    Returns
    -------
    CheckReport
        Problems in the order of ``needs``.
    """
    needs = list(needs) if isinstance(needs, Iterator) else needs
    answers = _Answers()
    is_new = bytearray()
    for place, asked in enumerate(needs):
        need, answer = _look(asked, cache)
        is_new.append(answer is None)
        if answer is not None:
            answers.add(place, need, answer)
    new_n = sum(is_new)
    if new_n and meanwhile is not None:
        Thread(target=meanwhile).start()
    with progress_bar(new_n, "checking files", "file", progress) as bar:

        def take(place: int, need: FileNeed, answer: Answer) -> None:
            answers.add(place, need, answer)
            bar.update()

        _read(compress(enumerate(needs), is_new), cache, num_workers, take)
    return answers.report()


def _look(asked: FileNeed, cache: EmbeddingCache) -> tuple[FileNeed, Answer | None]:
    """Return a need with its file's state, and the answer where a look is enough."""
    try:
        need = replace(asked, state=file_state(asked.path))
    except MediaError as error:
        return asked, _problem("unreadable", error.reason)
    return need, _recalled(cache, file_key(need.path, need.question, need.state))


def _recalled(cache: EmbeddingCache, key: str) -> Answer | None:
    """Return what is remembered of a file, if it is an answer: what lies in a cache may be damaged."""
    known = cache.recall(key) or {}
    is_hashed = _SHA256.fullmatch(str(known.get("sha256"))) is not None
    is_told = isinstance(known.get("kind", ""), str) and isinstance(known.get("reason", ""), str)
    return known if is_hashed and is_told and ("kind" in known) == ("reason" in known) else None


def _read(
    needs: Iterable[tuple[int, FileNeed]],
    cache: EmbeddingCache,
    num_workers: int,
    take: Callable[[int, FileNeed, Answer], None],
) -> None:
    """Have workers read files; hand on each need, with its place, and its answer as they finish."""
    under_way: dict[int, tuple[int, FileNeed]] = {}

    def orders() -> Iterator[FileNeed]:
        order = count()
        for place, asked in needs:
            need, answer = _look(asked, cache)  # anew: it may have vanished, or another run may have read it
            if answer is not None:
                take(place, need, answer)
            else:
                under_way[next(order)] = place, need
                yield need

    with closing(run_jobs(inspect, orders(), num_workers=num_workers)) as outcomes:
        for index, found in outcomes:
            place, need = under_way.pop(index)
            answer = _problem("unreadable", found.reason) if isinstance(found, JobFailure) else found
            # Not what the disk's or the network's trouble may have been.
            if answer.get("kind") != "unreadable":
                cache.remember(file_key(need.path, need.question, need.state), answer)
            take(place, need, answer)


def is_known(need: FileNeed, cache: EmbeddingCache) -> bool:
    """Whether checking a file will cost no more than a look."""
    try:
        return _recalled(cache, file_key(need.path, need.question)) is not None
    except MediaError:
        return True


def united(reports: Sequence[CheckReport], needs: Sequence[FileNeed]) -> CheckReport:
    """Return the report on all files from those on shares of them; problems in the order of ``needs``."""
    whole = CheckReport()
    for part in reports:
        whole.files.update(part.files)
        whole.problems += part.problems
        whole.padded += part.padded
        whole.silent += part.silent
    places = {(need.clip_id, str(need.path)): place for place, need in reversed(list(enumerate(needs)))}
    clips = {need.clip_id: place for place, need in reversed(list(enumerate(needs)))}
    whole.problems.sort(key=lambda problem: places[problem.clip_id, problem.path])
    whole.padded.sort(key=clips.__getitem__)
    whole.silent.sort(key=clips.__getitem__)
    return whole


def inspect(need: FileNeed) -> Answer:
    """Read one file as the extraction will, and say what is wrong with it; runs in a worker."""
    answer: Answer = {}
    try:
        with unchanged(need.path, need.state):
            answer["sha256"] = file_sha256(need.path)
            if need.audio:
                answer |= _inspect_audio(need)
            if need.video and "kind" not in answer:
                answer |= _inspect_video(need)
    except MediaError as error:
        answer |= _problem("unreadable", error.reason)
    except OSError as error:
        answer |= _problem("unreadable", f"cannot be read ({error.strerror})")
    return answer


def _inspect_audio(need: FileNeed) -> Answer:
    sound = check_audio(need.path, need.start_s, need.duration_s)
    if sound.non_finite:
        return _problem("non_finite", f"must hold finite samples; {sound.non_finite} are NaN or infinite")
    if sound.too_short:
        asked = f"{need.duration_s:g} s" + (f" from {need.start_s:g} s on" if need.start_s else "")
        return _problem(
            "too_short", f"must hold the manifest's {asked}; the sound there lasts {sound.available_s:.3f} s"
        )
    if sound.silent and not need.may_be_silent:
        return _problem("silent", "must hold a sound; all samples are zero")
    return {"padded": sound.padded_s > 0.0, "silent": sound.silent}


def _inspect_video(need: FileNeed) -> Answer:
    """Judge by the headers; a file that breaks further in is found when its frames are read."""
    info = probe(need.path)
    if info.video_width is None:
        return _problem("no_video", "must hold pictures; it has no video stream")
    if info.video_duration_s is not None and info.video_duration_s <= need.start_s:
        return _problem(
            "too_short", f"must hold pictures from {need.start_s:g} s on; they end at {info.video_duration_s:.3f} s"
        )
    return {}


def _problem(kind: str, reason: str) -> Answer:
    return {"kind": kind, "reason": reason}


class _Answers:
    """What was found, in whatever order."""

    def __init__(self) -> None:
        self._report = CheckReport()
        self._problems: list[tuple[int, Problem]] = []
        self._padded: list[tuple[int, str]] = []
        self._silent: list[tuple[int, str]] = []

    def add(self, place: int, need: FileNeed, answer: Answer) -> None:
        """Take the answer of the file that is at this place among all."""
        path = str(need.path)
        if "kind" in answer:
            self._problems.append((place, Problem(need.clip_id, answer["kind"], path, answer["reason"])))
            return
        self._report.files.put(path, CheckedFile(answer["sha256"], need.state))
        self._padded += [(place, need.clip_id)] if answer.get("padded") else []
        self._silent += [(place, need.clip_id)] if answer.get("silent") else []

    def report(self) -> CheckReport:
        """Return the report, in the order of the places."""
        by_place = itemgetter(0)
        self._report.problems = [problem for _, problem in sorted(self._problems, key=by_place)]
        self._report.padded = [clip_id for _, clip_id in sorted(self._padded, key=by_place)]
        self._report.silent = [clip_id for _, clip_id in sorted(self._silent, key=by_place)]
        return self._report
