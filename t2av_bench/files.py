"""Hashing files of any size, writing them so that nobody ever sees half of one, and clearing up after killed runs.

Made for folders that several machines share (NFS): nothing rests on locks, and no time is compared with the clock of
another machine. A file appears under its final name by a rename. A process that is killed leaves its temporary file;
the name says which process that was, so that the next run can tell leftovers from the files of a run that goes on.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TypeVar

Found = TypeVar("Found")

_CHUNK_BYTES = 1 << 20
# ".<stem>.<machine>-<process id>-<process>-<count>.part<ending>"; a stem of 200 bytes leaves it below 255. A folder
# that makes room for another has "old" in place of "part": it is whole, and the only one until the other has its name.
_TEMPORARY = re.compile(
    r"\.(?P<stem>.*)\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-(?P<process>[0-9a-f]{8})-[0-9a-f]+"
    r"\.(?P<state>part|old)(?P<ending>\.[^.]*)?"
)
# How long a temporary file of another machine must have been left alone to count as a leftover.
_ABANDONED_S = 24 * 3600.0
_STALE = frozenset({errno.ESTALE} if hasattr(errno, "ESTALE") else ())
_READS = 3
_count = itertools.count()


def hash_stream(digest: Any, stream: IO[bytes]) -> str:
    """Feed all that is left of a stream to a hashlib object, in pieces, and return its hexadecimal digest."""
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return str(digest.hexdigest())


def reading(read: Callable[[], Found]) -> Found:
    """Call a function that opens and reads a file, again if a file server says that it was replaced meanwhile."""
    for _ in range(_READS - 1):
        try:
            return read()
        except OSError as error:
            if error.errno not in _STALE:
                raise
    return read()


@contextmanager
def replacing(path: Path, *, folder: Path | None = None, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path that takes the place of ``path`` at the end, unless something goes wrong.

    Nobody ever sees a half-written file under the final name, and of two writers at once one wins. The temporary name
    keeps the ending, which tells writers of media the format.

    Parameters
    ----------
    path
        The file to write.
    folder
        Where the temporary file lies: on the same file system, by default beside ``path``.
    durable
        Whether to wait until the content is on the disk: a power cut could otherwise leave an empty file under the
        final name. For files that cost more to make than that.
    """
    temporary = temporary_path(path, folder)
    try:
        yield temporary
        if durable:
            with temporary.open("r+b") as stream:
                os.fsync(stream.fileno())
        written = temporary.exists()
        try:
            os.replace(temporary, path)
        except FileNotFoundError:
            # A file server whose answer got lost is asked again and finds the rename done.
            if not (written and path.exists()):
                raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_path(path: Path, folder: Path | None = None) -> Path:
    """Return where a file or folder is made before it gets its name: in ``folder``, by default beside it."""
    return (folder or path.parent) / _temporary_name(path)


def is_temporary(path: Path) -> bool:
    """Whether a file or folder has a name of :func:`temporary_path`: it is not finished, or never will be."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(folder: Path, of: Path | None = None) -> None:
    """Remove the temporary files and folders of runs that are gone; what cannot be removed stays.

    Those of this machine whose process has ended, and those of other machines that nobody has touched for a day, by
    the file server's own clock. A folder that such a run had moved away and not yet replaced is put back.

    Parameters
    ----------
    folder
        Where to look; may be missing.
    of
        Only those that were to become this file.
    """
    with suppress(OSError):
        beginning = "." if of is None else f".{of.stem}."
        found = [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(beginning)]
        for path in found:
            match = _TEMPORARY.fullmatch(path.name)
            if match is None or not _is_left(path, match):
                continue
            final = path.with_name(match["stem"] + (match["ending"] or ""))
            if match["state"] == "old" and not final.exists():
                os.replace(path, final)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _is_left(path: Path, name: re.Match[str]) -> bool:
    if name["machine"] != _machine():
        return _untouched_s(path) > _ABANDONED_S
    if int(name["pid"]) == os.getpid():
        return name["process"] != _process(os.getpid())
    return not _is_running(int(name["pid"]))


def _is_running(pid: int) -> bool:
    if os.name == "nt":  # there, signal 0 is Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _untouched_s(path: Path) -> float:
    """Return how long ago a file was written, by the clock that has stamped it."""
    probe = path.with_name(_temporary_name(Path("now")))
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _temporary_name(path: Path, state: str = "part") -> str:
    return f".{path.stem}.{_machine()}-{os.getpid()}-{_process(os.getpid())}-{next(_count):x}.{state}{path.suffix}"


@lru_cache(maxsize=1)
def _process(pid: int) -> str:
    """Return what tells this process from an earlier one of the same number; a forked child has its own."""
    return uuid.uuid4().hex[:8]


@lru_cache(maxsize=1)
def _machine() -> str:
    """Return what process numbers are unique in: host, start of the system, and name space of processes."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:8]


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` that takes its place at the end, unless something goes wrong.

    What lay there before is deleted then, and what killed runs have left beside it at once. No rename takes the place
    of a folder that holds something, so there is a moment without either; what interrupts it puts the old folder back,
    and after a kill :func:`remove_leftovers` does, in the next run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path)
    temporary, old = temporary_path(path), path.with_name(_temporary_name(path, "old"))
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
