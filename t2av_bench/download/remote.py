"""What is known of a published file, and whether a file on disk is that file.

A file is verified by all that its publisher or a careful third party says of it: size, SHA-256, a prefix of it, MD5,
git's blob id, the SHA-256 of the decompressed content. Where no full SHA-256 is known, the one seen on the first
download is recorded beside the file and later copies must have it too; that guards against change, not against a
wrong first copy, so such a file never counts as pinned.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from t2av_bench.files import hash_stream, replacing
from t2av_bench.home import home


class HubFile(NamedTuple):
    """Where a file is on the Hugging Face Hub: repository, commit, and path in the repository."""

    repository: str
    revision: str
    path: str


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One published file.

    Attributes
    ----------
    name
        What ``t2av-bench download --only`` takes; the part before a ``/`` names the whole group.
    file_name
        Where it is kept inside ``folder``.
    url, licence
        Where it is fetched, and under which terms.
    folder
        Folder of the home folder, and of a mirror.
    bytes_n
        Exact size; None where no exact figure is known, and then ``about_bytes`` says it in words.
    sha256, sha256_prefix, md5, git_blob
        What the file is verified by. The prefix is that of a torch.hub file name; ``git_blob`` is what the tree of the
        origin's commit lists.
    content_sha256
        SHA-256 of the decompressed content, for compressed files.
    unverified
        What of this entry rests on one source or none.
    hub
        Its place on the Hugging Face Hub, if it is from there.
    """

    name: str
    file_name: str
    url: str
    licence: str
    folder: str = "weights"
    bytes_n: int | None = None
    about_bytes: str = "size unknown"
    sha256: str | None = None
    sha256_prefix: str | None = None
    md5: str | None = None
    git_blob: str | None = None
    content_sha256: str | None = None
    unverified: str = ""
    hub: HubFile | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether a full hash of the content is known, so that two users can be sure to hold the same file."""
        return bool(self.sha256 or self.md5 or self.git_blob)

    @property
    def path(self) -> Path:
        """Where the file belongs in the home folder, whether or not it is there."""
        return home() / self.folder / self.file_name

    @property
    def size(self) -> str:
        """The size for people."""
        if self.bytes_n is None:
            return self.about_bytes
        return f"{self.bytes_n / 1e6:,.0f} MB" if self.bytes_n >= 1e6 else f"{self.bytes_n / 1e3:,.1f} kB"


class Fault(NamedTuple):
    """How a file differs from the published one."""

    expected: str
    found: str


def fault_of(file: RemoteFile, path: Path, *, thorough: bool = False) -> Fault | None:
    """Compare a file on disk with what is known of the published one.

    Parameters
    ----------
    file, path
        What it should be, and an existing file.
    thorough
        Compare everything that is known. Otherwise size and the strongest hash, which is remembered until the file's
        size or modification time changes.

    Returns
    -------
    Fault or None
        The first difference; None if there is none.
    """
    size = path.stat().st_size
    if file.bytes_n is not None and size != file.bytes_n:
        return Fault(f"{file.bytes_n} bytes", f"{size} bytes")
    hash_of = file_hash if thorough else remembered_hash
    for kind, expected in _known_hashes(file)[: None if thorough else 1]:
        found = hash_of(path, kind)
        if not found.startswith(expected):
            return Fault(f"{kind} {expected}", found)
    recorded = None if file.sha256 else recorded_sha256(file.path)
    if recorded and (found := hash_of(path, "sha256")) != recorded:
        return Fault(f"sha256 {recorded}, as recorded in {record_path(file.path)} on the first download", found)
    if thorough and file.content_sha256 and (found := _content_sha256(path)) != file.content_sha256:
        return Fault(f"decompressed sha256 {file.content_sha256}", found)
    return None


def _known_hashes(file: RemoteFile) -> list[tuple[str, str]]:
    """Kinds and values of what the file is verified by, the strongest first."""
    known = (("sha256", file.sha256), ("md5", file.md5), ("git_blob", file.git_blob), ("sha256", file.sha256_prefix))
    return [(kind, value) for kind, value in known if value]


def record_path(path: Path) -> Path:
    """Where the SHA-256 is recorded that a file without a published one had at first."""
    return path.parent / ".recorded" / f"{path.name}.sha256"


def recorded_sha256(path: Path) -> str | None:
    """Return the SHA-256 recorded for a file, None if there is no record."""
    try:
        return record_path(path).read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def record_sha256(path: Path, sha256: str) -> None:
    """Record the SHA-256 of the first copy that came or was built."""
    _write_text(record_path(path), sha256 + "\n")


def remembered_hash(path: Path, kind: str = "sha256") -> str:
    """Hash a file, or recall its hash if size and modification time are as they were.

    Hashing 300 MB takes about a second, so hashes are remembered in ``.verified/`` beside the file.
    """
    known = recall_hash(path, kind)
    if known is None:
        known = file_hash(path, kind)
        remember_hash(path, kind, known)
    return known


def recall_hash(path: Path, kind: str = "sha256") -> str | None:
    """Return a hash that is remembered and still applies, else None; never reads the file."""
    try:
        known = json.loads(_note_path(path, kind).read_text(encoding="utf-8"))
        return str(known[kind]) if known["bytes_and_mtime_ns"] == _stamp(path) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no note yet, or a broken one


def remember_hash(path: Path, kind: str, found: str) -> None:
    """Remember the hash of a file as it is now."""
    with suppress(OSError):  # a read-only folder is fine: every run hashes again
        _write_text(_note_path(path, kind), json.dumps({"bytes_and_mtime_ns": _stamp(path), kind: found}))


def file_hash(path: Path, kind: str = "sha256") -> str:
    """Hash a file's bytes: ``sha256``, ``md5``, or ``git_blob``, which is how git names a file's content."""
    digest: Any
    if kind == "git_blob":
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        digest = hashlib.new(kind, usedforsecurity=kind != "md5")
    with path.open("rb") as stream:
        return hash_stream(digest, stream)


def _content_sha256(path: Path) -> str:
    try:
        with gzip.open(path) as stream:
            return hash_stream(hashlib.sha256(), cast("IO[bytes]", stream))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return f"no whole gzip stream ({error})"


def _note_path(path: Path, kind: str) -> Path:
    return path.parent / ".verified" / f"{path.name}.{kind}.json"


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
