"""The embedding cache: content-addressed, atomic, and never inside the dataset's folder.

An entry's key is a hash of the media file's bytes, the clip's range and the extractor's fingerprint, so an entry can
never belong to another file, another option or other weights. Hashing every file on every run would cost more than
the lookup saves, so the hash of a file, and what checking it found, are remembered under its path, size and times.

A folder holds ``entries/ab/<key>.npy`` and ``files/ab/<key>.json``. Every file is written under a temporary name in
``partial/`` and renamed: a killed run leaves no half entry, and runs on several machines may share a folder, without
locks. An entry that cannot be read, or has another shape than expected, counts as absent and is computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import CacheError, MediaError
from t2av_bench.files import hash_stream, reading, remove_leftovers, replacing


class EmbeddingCache:
    """Embeddings by content.

    Parameters
    ----------
    folder
        Created when the first entry is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self._partial = self.folder / "partial"
        self._is_tidy = False

    def load(self, key: str, shape: tuple[int, int]) -> npt.NDArray[np.float32] | None:
        """Return an entry, or None if there is none that can be used."""
        try:
            array = reading(lambda: np.load(self._path("entries", key, ".npy"), allow_pickle=False))
        except (OSError, ValueError, EOFError):
            return None
        usable = isinstance(array, np.ndarray) and array.dtype == np.float32 and array.shape == shape
        return array if usable and bool(np.isfinite(array).all()) else None

    def store(self, key: str, array: npt.NDArray[np.float32]) -> None:
        """Write an entry.

        Raises
        ------
        CacheError
            If the folder cannot be written; entries already there stay.
        """
        self._write(self._path("entries", key, ".npy"), lambda file: np.save(file, array, allow_pickle=False))

    def recall(self, key: str) -> dict[str, Any] | None:
        """Return what is remembered of a file under :func:`file_key`."""
        try:
            found = json.loads(reading(self._path("files", key, ".json").read_bytes))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def remember(self, key: str, record: dict[str, Any]) -> None:
        """Remember a file's content hash and what checking it found."""
        self._write(self._path("files", key, ".json"), lambda file: file.write(json.dumps(record).encode()))

    def check_writable(self) -> None:
        """Raise before any costly work if no entry could be written.

        Raises
        ------
        CacheError
            Naming the folder and the operating system's reason.
        """
        probe = self._path("entries", "00" + os.urandom(8).hex(), ".probe")
        self._write(probe, lambda file: file.write(b"x"))
        probe.unlink(missing_ok=True)

    def _path(self, kind: str, key: str, suffix: str) -> Path:
        return self.folder / kind / key[:2] / (key + suffix)

    def _write(self, path: Path, write: Callable[[IO[bytes]], object]) -> None:
        try:
            if not self._is_tidy:
                remove_leftovers(self._partial)
                self._is_tidy = True
            for folder in (self._partial, path.parent):
                folder.mkdir(parents=True, exist_ok=True)
            with replacing(path, folder=self._partial) as temporary, temporary.open("wb") as file:
                write(file)
        except OSError as error:
            raise CacheError(
                f"{self.folder}: the embedding cache cannot be written ({error.strerror or error}). Choose another"
                " folder with --cache-dir (cache_dir=...), or make room; what is already in it is kept."
            ) from error


def entry_key(content: str, start_s: float, duration_s: float, fingerprint: str) -> str:
    """Return the key of an embedding: content hash, clip range to the microsecond, extractor fingerprint."""
    return hashlib.sha256(f"{content}|{start_s:.6f}|{duration_s:.6f}|{fingerprint}".encode()).hexdigest()


def file_state(path: Path, *, fresh: bool = False) -> str:
    """Return a file's size and times: another state means that its bytes may be others, and that alone.

    Times are compared for equality only, as a file server's clock may be wrong, or go backwards.

    Parameters
    ----------
    path
        An existing file.
    fresh
        Whether to open it, so that a file server is asked, and not what this machine remembers of it.

    Raises
    ------
    MediaError
        If there is no such file, or it may not be read.
    """
    try:
        # A pipe or a device would be waited for on opening.
        if fresh and path.is_file():
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
        else:
            found = path.stat()
    except OSError as error:
        raise MediaError(path, f"cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(found.st_mode):
        raise MediaError(path, "is no regular file")
    return f"{found.st_size}|{found.st_mtime_ns}|{found.st_ctime_ns}"


@contextmanager
def unchanged(path: Path, state: str) -> Iterator[None]:
    """Hold a file to its state before and after the block, which reads it.

    Parameters
    ----------
    path
        A media file.
    state
        From :func:`file_state`; empty to take the file as it is.

    Raises
    ------
    MediaError
        If the file has changed: what was read does not belong to the content that is known of it.
    """
    changed = MediaError(path, "was changed while it was in use; run again when nothing writes to it any more")
    if state and file_state(path, fresh=True) != state:
        raise changed
    yield
    if state and file_state(path, fresh=True) != state:
        raise changed


def file_key(path: Path, question: str, state: str | None = None) -> str:
    """Return the key under which what is known of a file is remembered.

    Parameters
    ----------
    path
        An existing file.
    question
        What was asked of it; other questions have other answers.
    state
        From :func:`file_state`, where it is known already.
    """
    identity = f"{path.absolute()}|{file_state(path) if state is None else state}|{question}"
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""

    def read() -> str:
        with path.open("rb") as file:
            return hash_stream(hashlib.sha256(), file)

    return reading(read)


def text_sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
