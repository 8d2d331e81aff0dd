"""Verified downloads: a file appears under its final name complete and right, or not at all.

A transfer goes to ``.partial/`` beside the file, is hashed there, flushed to the disk and renamed. A broken one goes on
where it stopped (HTTP Range), in this process or the next; a lock that the system releases when its holder dies keeps
two processes off the same file. ``T2AV_BENCH_OFFLINE=1`` forbids all this, and ``T2AV_BENCH_MIRROR`` names a web server
that holds a copy of somebody's home folder.

The transfer is ours because pooch has neither resumption nor locks, cannot verify a hash of which only a prefix is
known, and after a hard kill leaves a temporary file that it never uses again; with those four done here nothing would
be left for it. requests does HTTP, filelock the locks, and huggingface_hub finds the Hub's files, in the user's Hub
cache first (:mod:`t2av_bench.download.hub`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from t2av_bench.download.hub import adopt, cached_copy, hub_is_offline, hub_url, with_the_hubs_hash
from t2av_bench.download.remote import Fault, RemoteFile, fault_of, record_sha256, recorded_sha256, remembered_hash
from t2av_bench.download.transfer import Transfer, by_hand, partial_path
from t2av_bench.errors import DownloadError, PrerequisiteError, UsageError

OFFLINE = "T2AV_BENCH_OFFLINE"
MIRROR = "T2AV_BENCH_MIRROR"


class Fetched(NamedTuple):
    """What :func:`fetch` did.

    Attributes
    ----------
    path
        The verified file.
    origin
        ``was here``, ``fetched``, or ``taken over from the Hub's cache``.
    sha256
        Of the file.
    """

    path: Path
    origin: str
    sha256: str


def is_offline() -> bool:
    """Whether ``T2AV_BENCH_OFFLINE`` forbids the network."""
    return os.environ.get(OFFLINE, "").strip().lower() not in ("", "0", "false", "no")


def url_of(file: RemoteFile, mirror: str | None = None) -> str:
    """Return where a file is fetched: from its publisher, or from a mirror laid out like the home folder.

    Raises
    ------
    UsageError
        If the mirror is no ``http://`` or ``https://`` address.
    """
    mirror = mirror or os.environ.get(MIRROR, "").strip()
    if not mirror:
        return hub_url(file)
    if not mirror.startswith(("http://", "https://")):
        raise UsageError(f"A mirror (--mirror, {MIRROR}) must be an http:// or https:// address; got {mirror!r}.")
    return f"{mirror.rstrip('/')}/{quote(f'{file.folder}/{file.file_name}')}"


def fetch(
    file: RemoteFile,
    *,
    mirror: str | None = None,
    progress: bool = True,
    check: Callable[[Path], Fault | None] | None = None,
) -> Fetched:
    """Return a verified file of the home folder, downloading it if it is missing or wrong.

    Parameters
    ----------
    file
        What to fetch.
    mirror
        Base address to fetch from instead of the publisher; by default ``T2AV_BENCH_MIRROR``.
    progress
        Whether to show a progress bar when stderr is a terminal.
    check
        Looks into the file for more than hashes can tell and returns what is wrong with it, before it gets its name.

    Raises
    ------
    PrerequisiteError
        If the network is forbidden.
    DownloadError
        If the transfer failed for good or brought another file; names address and path for carrying it by hand.
    """
    if _is_right(file, check):
        return _fetched(file, "was here")
    url = url_of(file, mirror)
    copy = cached_copy(file)
    try:
        if copy is None:
            _require_network(file, url)
        with _only_process(file, progress):
            if _is_right(file, check):  # the process that held the lock has fetched it
                return _fetched(file, "was here")
            if copy is not None and (check is None or check(copy) is None):
                adopt(copy, file)
                return _fetched(file, "taken over from the Hub's cache")
            _require_network(file, url)
            transfer = Transfer(with_the_hubs_hash(file, url), url, progress, check)
            transfer.run()
            transfer.install()
    except OSError as error:
        raise DownloadError(
            f"{file.path.parent}: cannot be written ({error.strerror or error}). Make room or choose another home "
            "folder with T2AV_BENCH_HOME; what has arrived is kept, and the same command goes on from there."
        ) from error
    return _fetched(file, "fetched")


def _require_network(file: RemoteFile, url: str) -> None:
    forbidding = OFFLINE if is_offline() else "HF_HUB_OFFLINE" if hub_is_offline(file) else ""
    if forbidding:
        raise PrerequisiteError(f"{file.name!r} is missing and {forbidding} is set. {by_hand(file, url)}")


def _is_right(file: RemoteFile, check: Callable[[Path], Fault | None] | None) -> bool:
    if not file.path.is_file() or fault_of(file, file.path) is not None:
        return False
    return check is None or check(file.path) is None


def _fetched(file: RemoteFile, origin: str) -> Fetched:
    """Describe the file, recording its hash if none is published."""
    sha256 = file.sha256 or remembered_hash(file.path)
    if not file.sha256 and recorded_sha256(file.path) is None:
        with suppress(OSError):  # a read-only home folder, filled by somebody else
            record_sha256(file.path, sha256)
    return Fetched(file.path, origin, sha256)


@contextmanager
def _only_process(file: RemoteFile, progress: bool) -> Iterator[None]:
    from filelock import FileLock, Timeout

    path = partial_path(file).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        if progress:
            print(f"Waiting for another process that downloads {file.name} …", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
