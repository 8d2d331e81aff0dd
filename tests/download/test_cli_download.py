"""``t2av-bench download`` as a user types it, against a server on loopback."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import web_server as web
from serving_weights import call, saved, serve_weights

from t2av_bench.home import home
from t2av_bench.manifests import load_manifest
from t2av_bench.manifests.sources import LISTS
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.extractors.catalogue import WEIGHTS
from t2av_bench.models.extractors.mel import panns_matrix
from t2av_bench.models.extractors.network import NetworkExtractor
from t2av_bench.models.extractors.weights import find_weights, load_checkpoint


@pytest.fixture
def mirror(server: web.Server, shared: Path) -> web.Server:
    """A server with the lists that are at hand."""
    for file in LISTS.values():
        path = shared / "upstream" / file.file_name
        if path.is_file():
            server.files[f"/{file.folder}/{file.file_name}"] = path.read_bytes()
    return server


def test_the_benchmark_is_downloaded_built_and_proven(mirror: web.Server):
    done = call("download", "manifests", "--only", "t2av-bench", "--mirror", mirror.url)
    assert done.exit_code == 0, done.output
    assert "t2av-bench: 17620 clips, 1 left out, verified" in done.output
    assert len(mirror.seen) == 3
    assert load_manifest("t2av-bench").official
    again = call("download", "manifests", "--only", "t2av-bench")
    assert again.exit_code == 0
    assert "vggsound/test: was here" in again.output
    assert len(mirror.seen) == 3


def test_what_can_be_had_is_had_and_the_rest_is_named(mirror: web.Server):
    done = call("download", "manifests", "--only", "vggsound,t2av-bench/llp", "--mirror", mirror.url)
    assert done.exit_code == 1
    assert "vggsound/test: 15446 clips, verified" in done.output
    assert "t2av-bench/llp: 1200 clips, verified" in done.output
    assert "vggsound.csv could not be downloaded: the server answered 404" in done.output
    assert "The manifest vggsound/train could not be built without vggsound/full." in done.output


def test_the_environment_names_the_mirror(mirror: web.Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T2AV_BENCH_MIRROR", mirror.url)
    assert call("download", "manifests", "--only", "llp/val").exit_code == 0


def test_list_shows_size_licence_and_state_and_fetches_nothing(mirror: web.Server):
    call("download", "manifests", "--only", "llp/val", "--mirror", mirror.url)
    mirror.seen.clear()
    done = call("download", "all", "--list")
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line for line in done.output.splitlines() if line}
    assert "312 MB" in lines["c3d"]
    assert "CC BY-NC 3.0" in lines["c3d"]
    assert "missing" in lines["c3d"]
    assert "missing" in lines["audioldm-l/unet"]
    assert "audioldm-l (10 settings)" in lines["audioldm-l"]
    assert "verified" in lines["llp/val"]
    assert call("download", "--list").output == done.output
    assert mirror.seen == []


def test_verify_finds_what_was_changed(mirror: web.Server):
    call("download", "manifests", "--only", "llp/val", "--mirror", mirror.url)
    assert call("download", "manifests", "--verify").exit_code == 0
    path = LISTS["llp/val"].path
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    done = call("download", "manifests", "--only", "llp/val", "--verify")
    assert done.exit_code == 1
    assert "WRONG: must have sha256 1811813b" in done.output
    assert "1 of these must be fetched or built anew" in done.output
    call("download", "manifests", "--only", "llp/val", "--mirror", mirror.url)
    assert call("download", "manifests", "--only", "llp/val", "--verify").exit_code == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["weights", "--only", "vgish"], "There is no weights 'vgish'. Did you mean 'vggish'?"),
        (["manifests", "--only", "t2av-mini"], "There is no manifest 't2av-mini'."),
        (["all", "--only", "vggish"], "--only needs to know of what"),
        (["all", "--list", "--verify"], "cannot be combined"),
        (["weights", "--only", "vggish", "--mirror", "ftp://x"], "must be an http:// or https:// address"),
        ([], "Say what to download: manifests, weights or all."),
        (["everything"], "'everything' is not one of"),
    ],
)
def test_wrong_usage_exits_with_2(args: list[str], words: str):
    done = call("download", *args)
    assert done.exit_code == 2
    assert words in done.output


def test_offline_says_how_to_carry_each_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T2AV_BENCH_OFFLINE", "1")
    done = call("download", "weights", "--only", "clap/config,vggish")
    assert done.exit_code == 1
    assert done.output.count("To carry it by hand, fetch https://") == 2
    assert str(WEIGHTS["vggish"].path) in done.output


def test_a_group_is_fetched_into_its_folder(server: web.Server, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in WEIGHTS if name.startswith("clap/")]:
        serve_weights(server, monkeypatch, name, name.encode())
    done = call("download", "weights", "--only", "clap")
    assert done.exit_code == 0, done.output
    folder = home() / "weights" / "clap-htsat-unfused"
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [
        "config.json", "merges.txt", "preprocessor_config.json", "pytorch_model.bin", "special_tokens_map.json",
        "tokenizer.json", "tokenizer_config.json", "vocab.json",
    ]  # fmt: skip


def test_a_hash_that_is_known_in_part_is_recorded_and_said_to_be(server: web.Server, monkeypatch: pytest.MonkeyPatch):
    content = saved({"pca_eigen_vectors": np.eye(128, dtype=np.float32), "pca_means": np.zeros((128, 1), np.float32)})
    sha256 = hashlib.sha256(content).hexdigest()
    serve_weights(server, monkeypatch, "vggish-pca", content, sha256=None, sha256_prefix=sha256[:8])
    done = call("download", "weights", "--only", "vggish-pca")
    assert done.exit_code == 0
    assert f"its first 8 hash digits could be verified, sha256 {sha256} is recorded" in done.output
    loaded = load_checkpoint(find_weights("vggish-pca"))
    np.testing.assert_array_equal(loaded["pca_eigen_vectors"], np.eye(128))


def test_word2vec_is_verified_on_the_decompressed_stream_and_used(server: web.Server, monkeypatch: pytest.MonkeyPatch):
    vectors = np.random.default_rng(0).standard_normal((2, 300)).astype("<f4")
    plain = b"2 300\ndog " + vectors[0].tobytes() + b"barks " + vectors[1].tobytes()
    packed = gzip.compress(plain)
    known = {"sha256": None, "md5": hashlib.md5(packed, usedforsecurity=False).hexdigest()}
    serve_weights(server, monkeypatch, "word2vec", packed, **known, content_sha256="0" * 64)
    wrong = call("download", "weights", "--only", "word2vec")
    assert wrong.exit_code == 1
    assert "decompressed sha256 0000" in wrong.output
    assert not WEIGHTS["word2vec"].path.exists()
    content = hashlib.sha256(plain).hexdigest()
    serve_weights(server, monkeypatch, "word2vec", packed, **known, content_sha256=content)
    assert call("download", "weights", "--only", "word2vec").exit_code == 0
    extractor = get_extractor("word2vec")
    np.testing.assert_allclose(extractor.embed_captions(["Dog barks"])[0], vectors.mean(axis=0), rtol=1e-6)  # type: ignore[attr-defined]
    assert extractor.not_comparable == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vggish", "c3d", "panns", "i3d"])
def test_each_layout_is_downloaded_loaded_and_run(name: str, server: web.Server, monkeypatch: pytest.MonkeyPatch):
    extractor = get_extractor(name, weights="random", device="cpu")
    assert isinstance(extractor, NetworkExtractor)
    state = extractor.network.state_dict()
    if name == "panns":  # a file of PANNs holds its filter bank, and one with another is refused
        state["logmel_extractor.melW"] = torch.from_numpy(panns_matrix()).float()
    serve_weights(server, monkeypatch, name, saved({extractor.load_key: state}))
    assert call("download", "weights", "--only", name).exit_code == 0
    extractor = get_extractor(name, device="cpu")
    assert isinstance(extractor, NetworkExtractor)
    rows = np.zeros((1, *(size or 16_000 for size in extractor.row_shape)), extractor.row_dtype)
    assert extractor.embed_batch(rows).shape == (1, extractor.dim)
    assert extractor.not_comparable == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [({"embeddings.0.weight": torch.zeros(3)}, "does not have the layout of"), ([1, 2], "must hold tensors by name")],
)
def test_another_layout_is_refused_by_name(
    content: object, words: str, server: web.Server, monkeypatch: pytest.MonkeyPatch
):
    from t2av_bench.errors import PrerequisiteError

    serve_weights(server, monkeypatch, "vggish", saved(content))
    assert call("download", "weights", "--only", "vggish").exit_code == 0
    extractor = get_extractor("vggish", device="cpu")
    assert isinstance(extractor, NetworkExtractor)
    with pytest.raises(PrerequisiteError, match=words):
        _ = extractor.network
