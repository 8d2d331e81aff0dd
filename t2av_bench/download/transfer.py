"""One verified transfer over HTTP: retries, resumption, hashes, rename; ``fetching`` has the rest."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from t2av_bench._version import __version__
from t2av_bench.download.hub import hub_headers
from t2av_bench.download.remote import Fault, RemoteFile, fault_of, file_hash, remember_hash
from t2av_bench.errors import DownloadError, T2AVBenchError
from t2av_bench.progress import byte_bar

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = (10.0, 60.0)  # to connect, and between two pieces
_TRIES = 5  # in a row without a new byte
_BACK_OFF_S = 1.0
_LONGEST_WAIT_S = 60.0
_PASSING_TROUBLE = frozenset({408, 425, 429})


def partial_path(file: RemoteFile) -> Path:
    """Where a file lies until it is whole and verified."""
    return file.path.parent / ".partial" / f"{file.path.name}.part"


def by_hand(file: RemoteFile, url: str) -> str:
    """Say how to do without a working download."""
    known = file.sha256 and f"sha256 {file.sha256}" or file.md5 and f"md5 {file.md5}" or "no full hash known"
    return (
        f"To carry it by hand, fetch {url} ({file.size}, {known}) on another machine, put it at {file.path}, and run "
        "`t2av-bench download all --verify`."
    )


class _PassingError(Exception):
    """Something that another try may get past."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Transfer:
    """One file on its way; the caller holds the lock."""

    def __init__(
        self, file: RemoteFile, url: str, progress: bool, check: Callable[[Path], Fault | None] | None = None
    ) -> None:
        self.file, self.url, self.progress, self.check = file, url, progress, check
        self.partial = partial_path(file)
        # The server's name for the version that the partial file is the beginning of.
        self.tag_path = self.partial.with_suffix(".tag")
        self.resumed = False

    def run(self) -> None:
        """Bring the whole file under its temporary name."""
        failures_n, furthest = 0, self._size()
        while True:
            try:
                self._attempt()
                return
            except _PassingError as trouble:
                failures_n = 0 if self._size() > furthest else failures_n + 1
                furthest = max(furthest, self._size())
                if failures_n >= _TRIES:
                    raise self._failed(f"{trouble}; gave up after {_TRIES} tries") from trouble
                wait_s = trouble.wait_s if trouble.wait_s is not None else _BACK_OFF_S * 2**failures_n
                time.sleep(min(wait_s, _LONGEST_WAIT_S))

    def install(self) -> None:
        """Verify the file and give it its final name."""
        fault = self._fault()
        if fault is not None and self.resumed:
            # The beginning may have been of another version: once more in one piece.
            self._discard()
            self.run()
            fault = self._fault()
        if fault is not None:
            self._discard()
            raise self._failed(
                f"it must bring the published file ({fault.expected}), but what arrived has {fault.found}; a proxy's "
                "page, an outdated mirror or a changed original can be the cause. It was deleted"
            )
        sha256 = self.file.sha256 or file_hash(self.partial)
        with self.partial.open("r+b") as stream:
            os.fsync(stream.fileno())  # or a power cut could leave an empty file under the final name
        os.replace(self.partial, self.file.path)
        remember_hash(self.file.path, "sha256", sha256)
        self.tag_path.unlink(missing_ok=True)

    def _fault(self) -> Fault | None:
        fault = fault_of(self.file, self.partial, thorough=True)
        return fault if fault is not None or self.check is None else self.check(self.partial)

    def _attempt(self) -> None:
        """Request what is missing, once."""
        import requests

        start = self._resume_point()
        if start and start == self.file.bytes_n:
            self.resumed = True
            return
        try:
            with requests.get(self.url, headers=self._headers(start), stream=True, timeout=_TIMEOUT_S) as response:
                start = self._judged(response, start)
                self._copy(response, start)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _PassingError(_short(error)) from error
        except requests.RequestException as error:
            raise self._failed(_short(error)) from error

    def _resume_point(self) -> int:
        """Where to go on; 0 where mixing two versions could go unnoticed."""
        size = self._size()
        too_long = self.file.bytes_n is not None and size > self.file.bytes_n
        if too_long or not (self.file.is_pinned or self._tag()):
            self._discard()
            return 0
        return size

    def _headers(self, start: int) -> dict[str, str]:
        # Without compression, so that a Range counts in the file's own bytes.
        headers = {"User-Agent": f"t2av-bench/{__version__}", "Accept-Encoding": "identity"}
        headers |= hub_headers(self.file, self.url)
        if start:
            headers["Range"] = f"bytes={start}-"
            if tag := self._tag():
                headers["If-Range"] = tag
        return headers

    def _judged(self, response: Any, start: int) -> int:
        """Return where the body belongs, or raise."""
        status = response.status_code
        if status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            self.resumed = True
            return start
        if status in (206, 416):  # another range than asked for, or nothing behind what is there
            self._discard()
            raise _PassingError(f"the server could not continue at byte {start}", wait_s=0.0)
        if status == 200:
            self.resumed = False
            return 0
        if status in _PASSING_TROUBLE or status >= 500:
            wait = response.headers.get("Retry-After", "")
            raise _PassingError(
                f"the server answered {status} {response.reason}", float(wait) if wait.isdigit() else None
            )
        raise self._failed(f"the server answered {status} {response.reason}")

    def _copy(self, response: Any, start: int) -> None:
        """Write the body behind byte ``start``."""
        from urllib3.exceptions import HTTPError

        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else self.file.bytes_n
        if total is None and not (self.file.is_pinned or self.file.sha256_prefix):
            raise self._failed("the server does not say how long it is, so a broken transfer would go unnoticed")
        self._check_room(total, start)
        tag = response.headers.get("ETag", "")
        size = start
        try:
            with (
                self.partial.open("r+b" if start else "wb") as stream,
                byte_bar(total, start, self.file.name, self.progress) as bar,
            ):
                # After the file was cut off: an old beginning must never stand beside a new version's name.
                self.tag_path.write_text("" if tag.startswith("W/") else tag, encoding="utf-8")
                stream.seek(start)
                for block in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                    stream.write(block)
                    size += len(block)
                    bar.update(len(block))
                    if self.file.bytes_n is not None and size > self.file.bytes_n:
                        return  # another file; verification says so
        except HTTPError as error:
            raise _PassingError(f"the connection broke after {size} bytes ({_short(error)})") from error
        if total is not None and size < total:
            raise _PassingError(f"the transfer ended after {size} of {total} bytes")

    def _check_room(self, total: int | None, start: int) -> None:
        free = shutil.disk_usage(self.partial.parent).free
        if total is not None and total - start > free:
            raise DownloadError(
                f"{self.file.name}: {(total - start) / 1e6:,.0f} MB must fit on the disk of {self.partial.parent}, "
                f"which has {free / 1e6:,.0f} MB free. Make room, or choose another home folder with T2AV_BENCH_HOME."
            )

    def _size(self) -> int:
        return self.partial.stat().st_size if self.partial.is_file() else 0

    def _tag(self) -> str:
        try:
            return self.tag_path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def _discard(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.tag_path.unlink(missing_ok=True)

    def _failed(self, reason: str) -> T2AVBenchError:
        return DownloadError(f"{self.url} could not be downloaded: {reason}. {by_hand(self.file, self.url)}")


def _short(error: BaseException) -> str:
    """Return the innermost reason of a stack of exceptions, on one line."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split()) or type(error).__name__
