"""Files of the Hugging Face Hub: the user's cache, endpoint, token and offline switch, and the Hub's own hashes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
import web_server as web
from huggingface_hub import constants

from t2av_bench.download import hub as _hub
from t2av_bench.download.fetching import fetch, url_of
from t2av_bench.download.remote import HubFile, RemoteFile, recorded_sha256
from t2av_bench.errors import DownloadError, PrerequisiteError
from t2av_bench.models.extractors.catalogue import WEIGHTS

CONTENT = b"the Hub's bytes"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REVISION = "0123456789abcdef0123456789abcdef01234567"
PATH = f"/someone/model/resolve/{REVISION}/part/config.json"


@pytest.fixture
def file(server: web.Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RemoteFile:
    """A file whose Hub is the server, and a Hub cache that is empty."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    server.files[PATH] = CONTENT
    hub = HubFile("someone/model", REVISION, "part/config.json")
    url = f"https://huggingface.co{PATH}"
    return RemoteFile(
        name="model/config", file_name="model/part/config.json", url=url, licence="CC0", sha256=SHA256, hub=hub
    )


def put_into_hub_cache(content: bytes, blob_name: str = SHA256) -> Path:
    """Lay out a file as huggingface_hub does; return the blob."""
    model = Path(constants.HF_HUB_CACHE) / "models--someone--model"
    blob, pointer = model / "blobs" / blob_name, model / "snapshots" / REVISION / "part" / "config.json"
    for path in (blob, pointer):
        path.parent.mkdir(parents=True)
    blob.write_bytes(content)
    pointer.symlink_to(blob)
    return blob


def test_every_entry_of_the_hub_names_the_address_that_its_library_makes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.delenv("T2AV_BENCH_MIRROR", raising=False)
    entries = [entry for entry in WEIGHTS.values() if entry.hub is not None]
    assert len(entries) == 8 + 3 * (4 + 10)
    for entry in entries:
        assert url_of(entry) == entry.url
        assert entry.hub is not None
        assert len(entry.hub.revision) == 40


def test_a_copy_in_the_hub_cache_is_taken_over_and_nothing_fetched(server: web.Server, file: RemoteFile):
    blob = put_into_hub_cache(CONTENT)
    done = fetch(file)
    assert done.origin == "taken over from the Hub's cache"
    assert done.path.read_bytes() == CONTENT
    assert done.path.stat().st_ino == blob.stat().st_ino
    assert not done.path.is_symlink()
    assert server.seen == []
    assert fetch(file).origin == "was here"


def test_a_copy_on_another_disk_is_copied(file: RemoteFile, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    blob = put_into_hub_cache(CONTENT)
    monkeypatch.setattr(os, "link", refused)
    path = fetch(file).path
    assert path.read_bytes() == CONTENT
    assert path.stat().st_ino != blob.stat().st_ino


@pytest.mark.parametrize("offline", ["T2AV_BENCH_OFFLINE", "HF_HUB_OFFLINE"])
def test_without_network_the_hub_cache_still_serves(offline: str, file: RemoteFile, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(offline, "1")
    with pytest.raises(PrerequisiteError, match=f"missing and {offline} is set"):
        fetch(file)
    put_into_hub_cache(CONTENT)
    assert fetch(file).path.read_bytes() == CONTENT


def test_a_wrong_copy_in_the_hub_cache_is_passed_over(server: web.Server, file: RemoteFile):
    blob = put_into_hub_cache(CONTENT[::-1])
    done = fetch(file)
    assert done.origin == "fetched"
    assert done.path.read_bytes() == CONTENT
    assert blob.read_bytes() == CONTENT[::-1]


def test_a_damaged_copy_of_a_file_without_a_known_hash_is_found_by_its_blobs_name(file: RemoteFile):
    put_into_hub_cache(CONTENT[::-1])
    assert fetch(replace(file, sha256=None)).origin == "fetched"


def test_the_token_goes_to_the_hub_alone(server: web.Server, file: RemoteFile, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    elsewhere = f"http://localhost:{server.server_port}/store"  # another host name for the same server
    server.script = [web.status(302, Location=elsewhere)]
    server.files["/store"] = CONTENT
    fetch(file)
    assert server.tokens == [(PATH, "Bearer hf_secret"), ("/store", None)]
    file.path.unlink()
    server.files["/weights/model/part/config.json"] = CONTENT
    fetch(file, mirror=server.url)
    assert server.tokens[-1] == ("/weights/model/part/config.json", None)


def test_files_of_other_publishers_get_no_token(server: web.Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.files["/f"] = CONTENT
    fetch(RemoteFile(name="f", file_name="f", url=f"{server.url}/f", licence="CC0", sha256=SHA256))
    assert server.tokens == [("/f", None)]


@pytest.mark.parametrize("kind", ["sha256", "git blob"])
def test_the_hubs_own_hash_proves_the_transfer_of_a_file_that_is_not_pinned(
    kind: str, server: web.Server, file: RemoteFile
):
    right = SHA256 if kind == "sha256" else hashlib.sha1(b"blob 15\0" + CONTENT, usedforsecurity=False).hexdigest()
    unpinned = replace(file, sha256=None)
    server.hub_hashes[PATH] = "0" * len(right)
    with pytest.raises(DownloadError, match=f"must bring the published file .* 00000000.*has {right}"):
        fetch(unpinned)
    assert not unpinned.path.exists()
    server.hub_hashes[PATH] = right
    assert fetch(unpinned).sha256 == SHA256
    assert recorded_sha256(unpinned.path) == SHA256
    assert not unpinned.is_pinned


def test_a_hub_that_tells_nothing_does_not_stop_the_transfer(server: web.Server, file: RemoteFile):
    assert _hub.with_the_hubs_hash(replace(file, sha256=None), url_of(file)).sha256 is None
    assert fetch(replace(file, sha256=None)).origin == "fetched"
