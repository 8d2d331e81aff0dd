"""The cache gives back what was stored, or nothing."""

from __future__ import annotations

import errno
import io
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from t2av_bench.cache import ENTRY_BYTES, EmbeddingCache, entry_key, file_key, file_sha256
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


def fresh(cache: EmbeddingCache) -> EmbeddingCache:
    """Return the cache as another process sees it, with nothing in memory."""
    return EmbeddingCache(cache.folder)


@pytest.mark.parametrize(
    "damage",
    ["empty", "truncated", "longer", "text", "zip", "zeros", "pickle", "float64", "nan", "other shape", "folder"],
)
def test_a_broken_entry_counts_as_absent(cache: EmbeddingCache, damage: str):
    cache.store(KEY, ROWS)
    path = entry(cache)
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b"1234")
    elif damage == "text":
        path.write_text("hello")
    elif damage == "zip":
        path.write_bytes(b"PK\x03\x04" + bytes(100))
    elif damage == "zeros":  # a machine that lost power: the right size, and nothing in it
        path.write_bytes(bytes(path.stat().st_size))
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
    assert fresh(cache).load(KEY, (2, 3)) is None


def test_the_files_are_numpys_own(cache: EmbeddingCache):
    for shape in ((2, 3), (1, 1), (0, 4), (700, 2)):
        rows = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        cache.store(KEY, rows)
        np.testing.assert_array_equal(np.load(entry(cache)), rows)
        plain = io.BytesIO()
        np.save(plain, rows)
        assert entry(cache).read_bytes() == plain.getvalue() + zlib.crc32(rows.tobytes()).to_bytes(4, "little")


def test_numbers_that_changed_on_the_disk_and_are_still_numbers_are_noticed(cache: EmbeddingCache):
    cache.store(KEY, ROWS)
    content = bytearray(entry(cache).read_bytes())
    for place in (-ROWS.nbytes - 4, -5, -1):  # the first and the last number, the checksum
        changed = bytearray(content)
        changed[place] ^= 1
        entry(cache).write_bytes(changed)
        assert fresh(cache).load(KEY, (2, 3)) is None


def test_entries_of_earlier_versions_have_no_checksum_and_are_read(cache: EmbeddingCache):
    cache.store(KEY, np.zeros((2, 3), np.float32))
    np.save(entry(cache), ROWS)
    assert fresh(cache).holds(KEY, (2, 3))
    found = fresh(cache).load(KEY, (2, 3))
    assert found is not None
    np.testing.assert_array_equal(found, ROWS)


def test_headers_of_another_numpy_are_read(cache: EmbeddingCache):
    cache.store(KEY, ROWS)
    described = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    content = b"\x93NUMPY\x01\x00" + (246).to_bytes(2, "little") + described.ljust(245) + b"\n" + ROWS.tobytes()
    entry(cache).write_bytes(content)
    assert fresh(cache).holds(KEY, (2, 3))
    found = fresh(cache).load(KEY, (2, 3))
    assert found is not None
    np.testing.assert_array_equal(found, ROWS)
    entry(cache).write_bytes(content[:-4])
    assert fresh(cache).load(KEY, (2, 3)) is None
    assert not fresh(cache).holds(KEY, (2, 3))


def test_presence_is_told_without_reading(cache: EmbeddingCache):
    assert not cache.holds(KEY, (2, 3))
    cache.store(KEY, ROWS)
    assert cache.holds(KEY, (2, 3))
    assert not fresh(cache).holds(KEY, (2, 4))
    entry(cache).chmod(0)
    assert fresh(cache).holds(KEY, (2, 3))
    entry(cache).unlink()
    entry(cache).mkdir()
    assert not fresh(cache).holds(KEY, (2, 3))


def test_what_was_used_last_is_in_memory_and_the_rest_is_read_again(cache: EmbeddingCache):
    keys = [f"{i:02x}" * 32 for i in range(4)]
    small = EmbeddingCache(cache.folder, memory_bytes=3 * (ROWS.nbytes + ENTRY_BYTES))
    for key in keys:
        small.store(key, ROWS)
    assert small.load(keys[1], (2, 3)) is not None  # so keys[2] is the next to go
    small.store(keys[0], ROWS)
    for path in cache.folder.rglob("*.npy"):
        path.unlink()
    assert [small.load(key, (2, 3)) is not None for key in keys] == [True, True, False, True]


def test_what_is_handed_out_cannot_be_written(cache: EmbeddingCache):
    rows = ROWS.copy()
    cache.store(KEY, rows)
    rows[:] = 7
    for found in (cache.load(KEY, (2, 3)), fresh(cache).load(KEY, (2, 3))):
        assert found is not None
        np.testing.assert_array_equal(found, ROWS)
        with pytest.raises(ValueError, match="read-only"):
            found[0, 0] = 1


def test_an_entry_larger_than_the_memory_is_read_every_time(cache: EmbeddingCache):
    none = EmbeddingCache(cache.folder, memory_bytes=0)
    none.store(KEY, ROWS)
    assert none.load(KEY, (2, 3)) is not None
    entry(cache).unlink()
    assert none.load(KEY, (2, 3)) is None


def test_threads_share_the_memory(cache: EmbeddingCache):
    keys = [f"{i:02x}" * 32 for i in range(32)]
    for i, key in enumerate(keys):
        cache.store(key, ROWS + i)
    shared = EmbeddingCache(cache.folder, memory_bytes=5 * (ROWS.nbytes + ENTRY_BYTES))

    def read(seed: int) -> bool:
        order = np.random.default_rng(seed).integers(0, len(keys), 500)
        found = [(i, shared.load(keys[i], (2, 3))) for i in order]
        return all(rows is not None and rows[0, 0] == i for i, rows in found)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))


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
