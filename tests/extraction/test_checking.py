"""What is remembered of files: kept whole, and asked anew where it is damaged."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest

from t2av_bench.cache import EmbeddingCache, file_key, file_state
from t2av_bench.extraction import checking
from t2av_bench.extraction.checking import CheckedFile, CheckedFiles, FileNeed, check_files, is_known

SHA256 = hashlib.sha256(b"sound").hexdigest()


@pytest.fixture
def need(tmp_path: Path) -> FileNeed:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"sound")
    return FileNeed("clip", path, 0.0, 4.0, audio=True, video=False, may_be_silent=False)


def test_files_come_back_as_they_were_put():
    first, second = CheckedFile(SHA256, "1|2|3"), CheckedFile("0" * 64, "")
    files, others = CheckedFiles(), CheckedFiles()
    files.put("a.wav", first)
    others.put("b.wav", second)
    files.update(others)
    assert dict(files) == {"a.wav": first, "b.wav": second}
    assert ("a.wav" in files, "c.wav" in files, len(files)) == (True, False, 2)
    assert pickle.loads(pickle.dumps(files)) == files != others


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"sha256": None},
        {"sha256": SHA256[:-1]},
        {"sha256": SHA256[:-1] + "g"},
        {"sha256": SHA256.upper()},
        {"sha256": SHA256, "kind": "silent"},
        {"sha256": SHA256, "reason": "must hold a sound"},
        {"sha256": SHA256, "kind": 1, "reason": "must hold a sound"},
        {"sha256": SHA256, "kind": "silent", "reason": None},
    ],
)
def test_a_damaged_record_is_asked_anew(
    need: FileNeed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: dict[str, object]
):
    cache = EmbeddingCache(tmp_path / "cache")
    cache.remember(file_key(need.path, need.question), record)
    assert not is_known(need, cache)
    monkeypatch.setattr(checking, "inspect", lambda need: {"sha256": SHA256})
    report = check_files([need], cache, num_workers=0, progress=False)
    assert (dict(report.files), report.problems) == ({str(need.path): CheckedFile(SHA256, file_state(need.path))}, [])
    assert is_known(need, cache)


def test_needs_may_be_an_iterator(need: FileNeed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking, "inspect", lambda need: {"sha256": SHA256})
    report = check_files(iter([need]), EmbeddingCache(tmp_path / "cache"), num_workers=0, progress=False)
    assert list(report.files) == [str(need.path)]
