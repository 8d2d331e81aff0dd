"""Downloads from a server that breaks in every way: the file is right under its final name, or not there."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import web_server as web
from hypothesis import given, settings
from hypothesis import strategies as st

from t2av_bench.download import fetching as download
from t2av_bench.download import transfer as _transfer
from t2av_bench.download.fetching import fetch, url_of
from t2av_bench.download.remote import RemoteFile, fault_of, file_hash, record_path, recorded_sha256
from t2av_bench.errors import DownloadError, PrerequisiteError, UsageError
from t2av_bench.home import home

ROOT = Path(__file__).resolve().parent.parent.parent
CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(server: web.Server) -> web.Server:
    """The server with the file that most tests fetch."""
    server.files["/file.bin"] = CONTENT
    return server


def entry(server: Any, **changes: Any) -> RemoteFile:
    known = RemoteFile(name="thing", file_name="file.bin", url=f"{server.url}/file.bin", licence="CC0", sha256=SHA256)
    return replace(known, **changes)


def assert_absent(file: RemoteFile) -> None:
    assert not file.path.exists()


def test_good_file_arrives_verified_and_is_not_fetched_again(server: Any):
    file = entry(server, bytes_n=len(CONTENT))
    done = fetch(file)
    assert done == (home() / "weights" / "file.bin", "fetched", SHA256)
    assert done.path.read_bytes() == CONTENT
    assert fetch(file).origin == "was here"
    assert len(server.seen) == 1
    assert [p.name for p in (file.path.parent / ".partial").iterdir() if p.suffix != ".lock"] == []


@pytest.mark.parametrize(
    "known",
    [
        {"sha256": "0" * 64},
        {"sha256": None, "md5": "0" * 32},
        {"sha256": None, "sha256_prefix": "0" * 8},
        {"git_blob": "0" * 40},
        {"content_sha256": SHA256},
        {"bytes_n": len(CONTENT) - 1},
        {"bytes_n": len(CONTENT) + 1},
    ],
    ids=lambda known: "+".join(known),
)
def test_wrong_bytes_never_get_the_final_name(server: Any, known: dict[str, Any]):
    file = entry(server, **known)
    with pytest.raises(DownloadError, match=r"must bring the published file .* but what arrived has .*put it at /"):
        fetch(file)
    assert_absent(file)
    assert not (file.path.parent / ".partial" / "file.bin.part").exists()


def test_a_wrong_file_under_the_final_name_is_replaced(server: Any):
    file = entry(server)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(CONTENT[:100])
    assert fetch(file).origin == "fetched"
    assert file.path.read_bytes() == CONTENT


def test_truncated_transfer_goes_on_where_it_stopped(server: Any):
    server.script = [web.truncated(100_000), web.truncated(50_000)]
    assert fetch(entry(server)).path.read_bytes() == CONTENT
    assert server.seen == [("/file.bin", None), ("/file.bin", "bytes=100000-"), ("/file.bin", "bytes=150000-")]


def test_a_later_call_resumes_what_an_earlier_one_left(server: Any, monkeypatch: pytest.MonkeyPatch):
    file = entry(server)
    monkeypatch.setattr(_transfer, "_TRIES", 1)
    server.script = [web.truncated(100_000), web.status(503)]
    with pytest.raises(DownloadError, match="503"):
        fetch(file)
    assert_absent(file)
    fetch(file)
    assert server.seen[-1] == ("/file.bin", "bytes=100000-")
    assert file.path.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server: Any):
    server.script = [web.truncated(100_000), web.without_range]
    assert fetch(entry(server)).path.read_bytes() == CONTENT


def test_a_file_that_changed_between_two_parts_starts_over(server: Any):
    def changed(handler: Any) -> None:
        server.etag = '"two"'
        web.well(handler)

    server.files["/file.bin"] = CONTENT[::-1]
    server.script = [web.truncated(100_000), changed]
    file = entry(server, sha256=hashlib.sha256(CONTENT[::-1]).hexdigest())
    assert fetch(file).path.read_bytes() == CONTENT[::-1]


def test_a_resumed_mixture_of_two_versions_is_fetched_once_more_in_one_piece(server: Any):
    server.etag = None
    file = entry(server)
    part = file.path.parent / ".partial" / "file.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    assert fetch(file).path.read_bytes() == CONTENT
    assert server.seen == [("/file.bin", "bytes=1000-"), ("/file.bin", None)]


def test_an_unverifiable_file_is_not_resumed_without_the_servers_word_that_it_is_the_same(server: Any):
    server.etag = 'W/"weak"'
    file = entry(server, sha256=None)
    server.script = [web.truncated(1000)]
    assert fetch(file).path.read_bytes() == CONTENT
    assert server.seen == [("/file.bin", None), ("/file.bin", None)]


def test_an_unverifiable_file_of_unknown_length_is_refused(server: Any):
    def lengthless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT[:1000])

    server.script = [lengthless] * 2
    with pytest.raises(DownloadError, match="does not say how long it is"):
        fetch(entry(server, sha256=None))
    with pytest.raises(DownloadError, match="must bring the published file"):
        fetch(entry(server))
    assert_absent(entry(server))


@pytest.mark.parametrize("left", [len(CONTENT), len(CONTENT) + 5])
def test_a_partial_file_that_is_whole_or_too_long_does_no_harm(server: Any, left: int):
    for size in (None, len(CONTENT)):
        file = entry(server, bytes_n=size)
        part = file.path.parent / ".partial" / "file.bin.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes((CONTENT + b"12345")[:left])
        assert fetch(file).path.read_bytes() == CONTENT
        file.path.unlink()


def test_404_fails_at_once_and_names_address_and_path(server: Any):
    file = entry(server, url=f"{server.url}/gone.bin")
    with pytest.raises(DownloadError, match=r"/gone\.bin could not be downloaded: the server answered 404") as caught:
        fetch(file)
    assert f"put it at {file.path}" in str(caught.value)
    assert SHA256 in str(caught.value)
    assert len(server.seen) == 1
    assert_absent(file)


def test_500_then_good(server: Any):
    server.script = [web.status(500), web.status(429, Retry_After="0"), web.status(503, Retry_After="soon")]
    assert fetch(entry(server)).path.read_bytes() == CONTENT


def test_500_for_ever_gives_up(server: Any):
    server.script = [web.status(500)] * 20
    with pytest.raises(DownloadError, match="500 Internal Server Error; gave up after 5 tries"):
        fetch(entry(server))
    assert len(server.seen) == 5


def test_a_slow_server_is_waited_for(server: Any):
    server.script = [web.slow(0.02)]
    assert fetch(entry(server)).path.read_bytes() == CONTENT


def test_a_server_that_stops_sending_is_left_and_resumed(server: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_transfer, "_TIMEOUT_S", (1.0, 0.1))
    server.script = [web.slow(0.5)]
    assert fetch(entry(server)).path.read_bytes() == CONTENT
    assert len(server.seen) >= 2


def test_redirects_are_followed(server: Any):
    server.script = [web.status(302, Location="/elsewhere.bin")]
    server.files = {"/elsewhere.bin": CONTENT}
    assert fetch(entry(server)).path.read_bytes() == CONTENT


def test_a_redirect_in_a_circle_fails_in_words(server: Any):
    server.script = [web.status(302, Location="/file.bin")] * 60
    with pytest.raises(DownloadError, match="redirects"):
        fetch(entry(server))


def test_no_server_fails_in_words(server: Any):
    with pytest.raises(DownloadError, match=r"Connection refused; gave up after 5 tries"):
        fetch(entry(server, url="http://127.0.0.1:9/file.bin"))


def test_an_answer_labelled_as_compressed_is_kept_as_it_came(server: Any):
    packed = gzip.compress(CONTENT)

    def labelled(handler: Any) -> None:
        handler.head(200, len(packed), Content_Encoding="gzip")
        handler.wfile.write(packed)

    server.script = [labelled]
    file = entry(server, sha256=hashlib.sha256(packed).hexdigest(), content_sha256=SHA256)
    assert fetch(file).path.read_bytes() == packed


def test_an_endless_answer_is_cut_at_the_known_size(server: Any):
    server.files["/file.bin"] = bytes(50_000_000)
    with pytest.raises(DownloadError, match="must bring the published file \\(300000 bytes\\)"):
        fetch(entry(server, bytes_n=len(CONTENT)))


def test_two_processes_at_once_fetch_it_once(server: Any):
    server.script = [web.slow(0.05)]
    processes = [_fetch_in_process(server) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(server.seen) == 1
    assert entry(server).path.read_bytes() == CONTENT


def test_kill_9_in_the_middle_leaves_no_file_and_the_next_run_goes_on(server: Any):
    server.script = [web.slow(0.3)]
    file = entry(server)
    part = file.path.parent / ".partial" / "file.bin.part"
    process = _fetch_in_process(server)
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert_absent(file)
    left = part.stat().st_size
    assert 0 < left < len(CONTENT)
    assert fetch(file).path.read_bytes() == CONTENT
    assert server.seen[-1] == ("/file.bin", f"bytes={left}-")


def _fetch_in_process(server: Any) -> subprocess.Popen[bytes]:
    code = (
        "from t2av_bench.download.fetching import fetch; from t2av_bench.download.remote import RemoteFile;"
        f"fetch(RemoteFile(name='thing', file_name='file.bin', url='{server.url}/file.bin', licence='CC0',"
        f" sha256='{SHA256}'))"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_too_little_room_is_said_before_the_transfer(server: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    file = entry(server)
    with pytest.raises(DownloadError, match="0 MB must fit on the disk.*Make room"):
        fetch(file)
    assert_absent(file)


def test_a_disk_that_fills_up_fails_in_words_and_what_came_is_kept(server: Any, monkeypatch: pytest.MonkeyPatch):
    class Full:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def seek(self, place: int) -> None:
            self.stream.seek(place)

        def write(self, block: bytes) -> None:
            self.stream.write(block[:1000])
            raise OSError(28, "No space left on device")

    file = entry(server)
    opened = Path.open
    with monkeypatch.context() as patched:
        patched.setattr(
            Path, "open", lambda p, *a, **k: Full(opened(p, *a, **k)) if p.suffix == ".part" else opened(p, *a, **k)
        )
        with pytest.raises(DownloadError, match="No space left on device.*goes on from there"):
            fetch(file)
    assert_absent(file)
    assert fetch(file).path.read_bytes() == CONTENT
    assert server.seen[-1] == ("/file.bin", "bytes=1000-")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_fails_in_words(server: Any):
    file = entry(server)
    part = file.path.parent / ".partial" / "file.bin.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="No space left on device"):
        fetch(file)
    assert_absent(file)


def test_offline_is_obeyed_and_says_how_to_carry_the_file(server: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T2AV_BENCH_OFFLINE", "1")
    file = entry(server)
    with pytest.raises(PrerequisiteError, match=r"T2AV_BENCH_OFFLINE is set.*fetch http.*put it at"):
        fetch(file)
    assert server.seen == []
    monkeypatch.setenv("T2AV_BENCH_OFFLINE", "0")
    fetch(file)
    monkeypatch.setenv("T2AV_BENCH_OFFLINE", "yes")
    assert fetch(file).origin == "was here"


def test_a_mirror_is_laid_out_like_the_home_folder(server: Any, monkeypatch: pytest.MonkeyPatch):
    server.files = {"/pub/weights/a/file%3D1.bin": CONTENT}
    file = entry(server, url="http://127.0.0.1:9/", file_name="a/file=1.bin")
    assert fetch(file, mirror=f"{server.url}/pub/").path == home() / "weights/a/file=1.bin"
    monkeypatch.setenv("T2AV_BENCH_MIRROR", "https://mirror.example")
    assert url_of(file) == "https://mirror.example/weights/a/file%3D1.bin"
    with pytest.raises(UsageError, match="must be an http:// or https:// address; got 'ftp://x'"):
        url_of(file, "ftp://x")


def test_what_is_known_by_a_prefix_is_recorded_and_must_stay(server: Any):
    file = entry(server, sha256=None, sha256_prefix=SHA256[:8])
    assert fetch(file).sha256 == SHA256
    assert recorded_sha256(file.path) == SHA256
    other = replace(file, sha256_prefix=None)
    other.path.unlink()
    server.files["/file.bin"] = CONTENT[::-1]
    with pytest.raises(DownloadError, match=rf"as recorded in {record_path(file.path)} on the first download"):
        fetch(other)
    assert_absent(other)


def test_a_home_folder_that_is_a_file_fails_in_words(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("T2AV_BENCH_HOME", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(entry(server))


def test_git_names_content_as_git_does(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"hello\n")
    assert file_hash(tmp_path / "a", "git_blob") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_the_decompressed_stream_is_verified(tmp_path: Path, server: Any):
    file = entry(server, sha256=None, content_sha256=SHA256)
    for content, found in (
        (gzip.compress(CONTENT), None),
        (gzip.compress(CONTENT[:-1]), "decompressed sha256"),
        (gzip.compress(CONTENT)[:-9], "decompressed sha256"),
        (b"no gzip", "decompressed sha256"),
    ):
        (tmp_path / "f.gz").write_bytes(content)
        fault = fault_of(file, tmp_path / "f.gz", thorough=True)
        assert (fault is None) if found is None else (fault is not None and fault.expected.startswith(found))


def test_importing_needs_no_http_library():
    code = "import sys, t2av_bench.download.fetching; assert not {'requests', 'urllib3', 'filelock'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert download.OFFLINE == "T2AV_BENCH_OFFLINE"


def _garbage(handler: Any) -> None:
    """A proxy's page in place of the file."""
    body = b"<html>please log in</html>"
    handler.head(200, len(body))
    handler.wfile.write(body)


_ANSWERS = {
    "well": web.well,
    "cut early": web.truncated(1_000),
    "cut late": web.truncated(200_000),
    "500": web.status(500),
    "404": web.status(404),
    "416": web.status(416),
    "garbage": _garbage,
    "no ranges": web.without_range,
}


@settings(max_examples=60, deadline=None)
@given(
    answers=st.lists(st.sampled_from(sorted(_ANSWERS)), max_size=8),
    known=st.sampled_from(["sha256", "size too", "prefix"]),
    left=st.none() | st.binary(max_size=50) | st.integers(0, 300_000).map(lambda n: CONTENT[:n]),
)
def test_whatever_the_server_does_the_final_name_holds_the_right_file_or_nothing(
    answers: list[str], known: str, left: bytes | None
):
    with web.serving() as server, patch.object(_transfer, "_BACK_OFF_S", 0.0):
        server.files["/file.bin"] = CONTENT
        server.script = [_ANSWERS[answer] for answer in answers]
        file = entry(server)
        if known == "size too":
            file = replace(file, bytes_n=len(CONTENT))
        if known == "prefix":
            file = replace(file, sha256=None, sha256_prefix=SHA256[:8])
        file.path.unlink(missing_ok=True)
        part = file.path.parent / ".partial" / "file.bin.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        for leftover in part.parent.iterdir():
            leftover.unlink()
        if left is not None:
            part.write_bytes(left)
        for _ in range(2):
            try:
                assert fetch(file).path.read_bytes() == CONTENT
            except DownloadError:
                assert_absent(file)
        server.script = []
        assert fetch(file).path.read_bytes() == CONTENT
