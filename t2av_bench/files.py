"""Hashing files of any size, and writing them so that nobody ever sees half of one."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_CHUNK_BYTES = 1 << 20


def hash_stream(digest: Any, stream: IO[bytes]) -> str:
    """Feed all that is left of a stream to a hashlib object, in pieces, and return its hexadecimal digest."""
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return str(digest.hexdigest())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place at the end, unless something goes wrong.

    Nobody ever sees a half-written file under the final name, and of two writers at once one wins. The temporary name
    keeps the ending, which tells writers of media the format.
    """
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` that takes its place at the end, unless something goes wrong.

    What lay there before is deleted then.
    """
    mark = uuid.uuid4().hex
    temporary, old = (path.with_name(f".{path.name}.{mark}.{end}") for end in ("part", "old"))
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
