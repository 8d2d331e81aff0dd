"""The embedding cache: content-addressed, atomic, and never inside the dataset's folder.

An entry's key is a hash of the media file's bytes, the clip's range and the extractor's fingerprint, so an entry can
never belong to another file, another option or other weights. Hashing every file on every run would cost more than
the lookup saves, so the hash of a file, and what checking it found, are remembered under its path, size and times.

A folder holds ``entries/ab/<key>.npy`` and ``files/ab/<key>.json``. Every file is written under a temporary name in
``partial/`` and renamed: a killed run leaves no half entry, and runs on several machines may share a folder, without
locks. An entry that cannot be read, has another shape than expected, or whose numbers do not have the checksum (CRC-32)
that stands behind them, counts as absent and is computed again. Entries of earlier versions have none and are read.

An evaluation asks for each entry several times: whether it is there, then once in every pass over the clips. The first
question is answered from the file's size alone, each reading is one call, and what was read or written last stays in
memory, up to :data:`MEMORY_BYTES`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import CacheError, MediaError
from t2av_bench.files import hash_stream, reading, remove_leftovers, replacing

Float32Array = npt.NDArray[np.float32]

_CHECKSUM_BYTES = 4
MEMORY_BYTES = 8 << 20
"""How much of the entries a cache keeps in memory: all of some hundreds of clips. Every pass goes over all clips in one
order, so of a set that does not fit, nothing is there when it is asked for again; more would only let the memory of a
run grow with its clips, for files that the operating system keeps at hand anyway."""
ENTRY_BYTES = 500  # of memory besides its numbers: its key, and the objects of Python and NumPy around it


class EmbeddingCache:
    """Embeddings by content.

    Parameters
    ----------
    folder
        Created when the first entry is written.
    memory_bytes
        How much of the entries is kept in memory; what was used longest ago goes first.
    """

    def __init__(self, folder: str | Path, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self._partial = self.folder / "partial"
        self._is_tidy = False
        self._memory = _Memory(memory_bytes)

    def holds(self, key: str, shape: tuple[int, int]) -> bool:
        """Tell whether there is an entry that looks right from outside, without reading it.

        An entry of the right size can still be damaged: :meth:`load` finds that, and whoever asked computes it again.
        """
        if self._memory.get(key, shape) is not None:
            return True
        try:
            found = os.stat(self._entry(key))
        except OSError:
            return False
        whole = stat.S_ISREG(found.st_mode) and _file_bytes(shape) - found.st_size in (0, _CHECKSUM_BYTES)
        # Another version of NumPy writes headers of another length.
        return whole or self.load(key, shape) is not None

    def load(self, key: str, shape: tuple[int, int]) -> Float32Array | None:
        """Return an entry, read-only, or None if there is none that can be used."""
        kept = self._memory.get(key, shape)
        if kept is None:
            kept = _read_entry(self._entry(key), shape)
            if kept is not None:
                self._memory.put(key, kept)
        return kept

    def store(self, key: str, array: Float32Array) -> None:
        """Write an entry.

        Raises
        ------
        CacheError
            If the folder cannot be written; entries already there stay.
        """
        rows = np.array(array, dtype="<f4", order="C")
        rows.flags.writeable = False
        # NumPy reads as many numbers as the header says, and not what stands behind them.
        content = _npy_header(rows.shape) + rows.data + _checksum(rows.data)
        self._write(self._path("entries", key, ".npy"), lambda file: file.write(content))
        self._memory.put(key, rows)

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

    def _entry(self, key: str) -> str:
        # As text: making a Path takes as long as reading a small file.
        return f"{self.folder}/entries/{key[:2]}/{key}.npy"

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


class _Memory:
    """Entries that were used last, up to a number of bytes; several threads may use it."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, Float32Array] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, shape: tuple[int, int]) -> Float32Array | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None or found.shape != shape:
                return None
            self._entries.move_to_end(key)
            return found

    def put(self, key: str, array: Float32Array) -> None:
        with self._lock:
            before = self._entries.pop(key, None)
            self._entries[key] = array
            self._bytes += _weight(array) - (0 if before is None else _weight(before))
            while self._bytes > self._most_bytes:
                self._bytes -= _weight(self._entries.popitem(last=False)[1])


def _weight(array: Float32Array) -> int:
    return array.nbytes + ENTRY_BYTES


@lru_cache(maxsize=1024)
def _npy_header(shape: tuple[int, ...]) -> bytes:
    """Return what precedes the numbers in the ``.npy`` file of a float32 array, as this NumPy writes it."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def _file_bytes(shape: tuple[int, int]) -> int:
    return len(_npy_header(shape)) + 4 * shape[0] * shape[1] + _CHECKSUM_BYTES


def _checksum(numbers: bytes | memoryview) -> bytes:
    return zlib.crc32(numbers).to_bytes(_CHECKSUM_BYTES, "little")


def _read_entry(path: str, shape: tuple[int, int]) -> Float32Array | None:
    """Read an entry's file, read-only; None if it is missing, damaged, of another shape, or not finite."""
    header = _npy_header(shape)
    wanted_n = _file_bytes(shape)
    try:
        content = reading(lambda: _content(path, wanted_n))
    except OSError:
        return None
    if not content.startswith(header):
        header = _other_header(content, shape)
    numbers_end = len(header) + 4 * shape[0] * shape[1]
    numbers, checksum = memoryview(content)[len(header) : numbers_end], content[numbers_end:]
    if not header or len(content) < numbers_end or checksum not in (b"", _checksum(numbers)):
        return None
    rows = np.frombuffer(content, "<f4", count=shape[0] * shape[1], offset=len(header)).reshape(shape)
    return rows if bool(np.isfinite(rows).all()) else None


def _content(path: str, wanted_n: int) -> bytes:
    with open(path, "rb", buffering=0) as file:
        content = file.read(wanted_n + 1)
        if len(content) != wanted_n:  # another header, or a file system of a network that cuts calls short
            content += file.readall()
    return content


def _other_header(content: bytes, shape: tuple[int, int]) -> bytes:
    """Return the header of a float32 array of this shape as another version of NumPy wrote it; empty if it is none."""
    file = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            return b""
        found = np.lib.format.read_array_header_1_0(file)
    except ValueError:
        return b""
    return content[: file.tell()] if found == (shape, False, np.dtype("<f4")) else b""


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
