"""The cache gives back what was stored, or nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from t2av_bench.cache import EmbeddingCache, entry_key, file_key, file_sha256
from t2av_bench.errors import CacheError, MediaError

KEY = "ab" * 32
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache")


def entry(cache: EmbeddingCache) -> Path:
    return cache.folder / "entries" / "ab" / f"{KEY}.npy"


def test_gives_back_the_bits_that_were_stored(cache: EmbeddingCache):
    assert cache.load(KEY, (2, 3)) is None
    cache.store(KEY, ROWS)
    found = cache.load(KEY, (2, 3))
    assert found is not None
    assert found.tobytes() == ROWS.tobytes()


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "pickle", "float64", "nan", "other shape", "folder"])
def test_a_broken_entry_counts_as_absent(cache: EmbeddingCache, damage: str):
    cache.store(KEY, ROWS)
    path = entry(cache)
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "text":
        path.write_text("hello")
    elif damage == "pickle":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif damage == "float64":
        np.save(path, ROWS.astype(np.float64))
    elif damage == "nan":
        np.save(path, np.where(ROWS == 0, np.nan, ROWS).astype(np.float32))
    elif damage == "other shape":
        np.save(path, ROWS.T)
    else:
        path.unlink()
        path.mkdir()
    assert cache.load(KEY, (2, 3)) is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_failed_write_leaves_no_trace_and_names_the_folder(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch, code: int
):
    cache.store("cd" * 32, ROWS)

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(CacheError, match=f"cannot be written .{os.strerror(code)}.*--cache-dir"):
        cache.store(KEY, ROWS)
    left = [path.name for path in cache.folder.rglob("*") if path.is_file()]
    assert left == ["cd" * 32 + ".npy"]


def test_the_write_probe_leaves_nothing_behind(cache: EmbeddingCache):
    cache.check_writable()
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []


def test_a_cache_below_a_file_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CacheError, match="Not a directory|File exists"):
        EmbeddingCache(tmp_path / "file" / "cache").check_writable()


def test_keys_depend_on_content_range_and_fingerprint():
    variants = [("a", 0, 1, "f"), ("b", 0, 1, "f"), ("a", 0.5, 1, "f"), ("a", 0, 2, "f"), ("a", 0, 1, "g")]
    assert len({entry_key(*variant) for variant in variants}) == len(variants)
    assert entry_key("a", 0.1 + 0.2, 1, "f") == entry_key("a", 0.3, 1, "f")


def test_what_is_known_of_a_file_is_forgotten_when_the_file_changes(cache: EmbeddingCache, tmp_path: Path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    first = file_key(path, "q")
    cache.remember(first, {"sha256": file_sha256(path)})
    assert cache.recall(file_key(path, "q")) == {"sha256": file_sha256(path)}
    assert file_key(path, "another question") != first
    os.utime(path, ns=(1, 1))
    assert file_key(path, "q") != first
    assert cache.recall(file_key(path, "q")) is None


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(MediaError, match=r"gone\.wav: cannot be opened"):
        file_key(tmp_path / "gone.wav", "q")
