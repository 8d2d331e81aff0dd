"""The weights register: finding, verifying and reading files that anybody may have made."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from t2av_bench.download import remote
from t2av_bench.errors import PrerequisiteError, UsageError
from t2av_bench.home import home
from t2av_bench.models.extractors.chosen_weights import ChosenWeights
from t2av_bench.models.extractors.drawn import draw_state_dict
from t2av_bench.models.extractors.vggish import VGGishExtractor
from t2av_bench.models.extractors.weights import (
    WEIGHTS,
    WeightsEntry,
    apply_state_dict,
    file_sha256,
    find_weights,
    load_checkpoint,
    load_state_dict,
    weights_path,
)

CONTENT = b"the published bytes"


def _entry(**changes: object) -> WeightsEntry:
    entry = replace(
        WEIGHTS["vggish"], file_name="file.pth", bytes_n=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest()
    )
    return replace(entry, **changes)


def _put(entry: WeightsEntry, content: bytes = CONTENT) -> Path:
    path = weights_path(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_every_entry_is_complete() -> None:
    for name, entry in WEIGHTS.items():
        assert entry.name == name
        assert entry.url.startswith("https://")
        assert entry.licence
        assert entry.source
        assert entry.preprocessing
        assert entry.bytes_n or entry.about_bytes != "size unknown"
        for digest, length in (
            (entry.sha256, 64),
            (entry.content_sha256, 64),
            (entry.md5, 32),
            (entry.sha256_prefix, 8),
        ):
            assert digest is None or (len(digest) == length and set(digest) <= set("0123456789abcdef"))
        # torch.hub's convention: a file name's suffix is the beginning of its hash
        suffix = Path(entry.file_name).stem.rpartition("-")[2]
        if len(suffix) == 8:
            assert (entry.sha256 or entry.sha256_prefix or "").startswith(suffix)


def test_verified_file_is_found_and_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    path = _put(_entry())
    assert find_weights(_entry()) == path
    monkeypatch.setattr(remote, "file_hash", None)
    assert find_weights(_entry()) == path


def test_changed_file_is_read_again() -> None:
    path = _put(_entry())
    find_weights(_entry())
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(1, 1))
    with pytest.raises(PrerequisiteError, match=r"file\.pth must be the published file"):
        find_weights(_entry())


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"bytes_and_mtime_ns": 3}'])
def test_broken_note_is_ignored(note: str) -> None:
    path = _put(_entry())
    find_weights(_entry())
    (remembered,) = (path.parent / ".verified").iterdir()
    remembered.write_text(note)
    assert find_weights(_entry()) == path


@pytest.mark.parametrize(
    ("changes", "content", "reason"),
    [
        ({}, CONTENT + b"!", "19 bytes.*has 20 bytes"),
        ({}, CONTENT[::-1], "sha256"),
        ({"sha256": None, "sha256_prefix": "12345678"}, CONTENT, "sha256 12345678"),
        ({"sha256": None, "md5": "0" * 32}, CONTENT, "md5 0000"),
    ],
)
def test_other_content_is_refused(changes: dict[str, object], content: bytes, reason: str) -> None:
    entry = _entry(**changes)
    _put(entry, content)
    with pytest.raises(PrerequisiteError, match=reason):
        find_weights(entry)


def test_prefix_or_md5_suffice_where_no_more_is_known() -> None:
    for known in (
        {"sha256_prefix": hashlib.sha256(CONTENT).hexdigest()[:8]},
        {"md5": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()},
        {},
    ):
        entry = _entry(sha256=None, **known)
        path = _put(entry)
        assert find_weights(entry) == path
        assert entry.is_pinned == ("md5" in known)


def test_missing_file_is_explained() -> None:
    with pytest.raises(PrerequisiteError, match=r"download weights --only c3d`.*openmmlab.*312 MB.*CC BY-NC") as caught:
        find_weights("c3d")
    assert str(home() / "weights" / WEIGHTS["c3d"].file_name) in str(caught.value)


def test_unknown_name_lists_what_exists() -> None:
    with pytest.raises(UsageError, match="named 'vgg'. Available: vggish"):
        find_weights("vgg")


class _Exploit:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return (os.system, ("exit 3",))


@pytest.mark.parametrize("legacy", [True, False])
def test_code_in_a_checkpoint_is_refused(legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"w": _Exploit()}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(PrerequisiteError, match="would run code, which is refused"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04garbage", pickle.dumps([1])[:-2]])
def test_broken_checkpoint_is_one_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(PrerequisiteError, match=r"broken\.pth cannot be read as a checkpoint"):
        load_checkpoint(path)


def test_truncated_checkpoint_is_one_error(tmp_path: Path) -> None:
    for legacy in (True, False):
        path = tmp_path / "short.pth"
        torch.save({"w": torch.zeros(1000)}, path, _use_new_zipfile_serialization=not legacy)
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(PrerequisiteError, match=r"short\.pth cannot be read"):
            load_checkpoint(path)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_content_of_either_numpy_is_read(legacy: bool, module: str, tmp_path: Path) -> None:
    content = {"f4": np.arange(3, dtype=np.float32), "i8": np.int64(3), "bool": np.ones(2, bool)}
    path = tmp_path / "numpy.pth"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy, pickle_protocol=2)
    if legacy:
        # What the other NumPy writes: a protocol 2 pickle names modules as lines of text.
        raw = path.read_bytes()
        assert b"multiarray\n" in raw
        for written in (b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"):
            raw = raw.replace(written, b"c" + module.encode() + b"\n")
        path.write_bytes(raw)
    read = load_checkpoint(path)
    np.testing.assert_array_equal(read["f4"], content["f4"])
    assert read["i8"] == 3


def test_state_dict_is_read_bare_and_wrapped(tmp_path: Path) -> None:
    state = {"w": torch.arange(3.0)}
    for content in (state, {"state_dict": state, "epoch": 3}):
        torch.save(content, tmp_path / "w.pth")
        assert torch.equal(load_state_dict(tmp_path / "w.pth")["w"], state["w"])


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, torch.zeros(3), {"state_dict": {"w": 3}}])
def test_content_without_tensors_by_name_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(PrerequisiteError, match="must hold tensors by name, alone or under 'state_dict'"):
        load_state_dict(tmp_path / "w.pth")


def test_half_precision_becomes_float32_and_counters_stay() -> None:
    network = torch.nn.BatchNorm1d(3)
    state = {n: v.half() if v.is_floating_point() else v for n, v in network.state_dict().items()}
    apply_state_dict(network, state, "file")
    assert {str(v.dtype) for v in network.state_dict().values()} == {"torch.float32", "torch.int64"}


def test_layout_faults_are_named() -> None:
    network = torch.nn.Linear(2, 3)
    with pytest.raises(
        PrerequisiteError, match=r"^file does not have the layout of Linear: missing bias; unknown b\.$"
    ):
        apply_state_dict(network, {"weight": torch.zeros(3, 2), "b": torch.zeros(3)}, "file")
    with pytest.raises(PrerequisiteError, match=r"weight is \(2, 3\), not \(3, 2\)"):
        apply_state_dict(network, {"weight": torch.zeros(2, 3), "bias": torch.zeros(3)}, "file")


def test_own_file_is_recorded_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    path.write_bytes(CONTENT)
    extractor = VGGishExtractor(weights=path)
    assert extractor.weights_sha256 == file_sha256(path) == hashlib.sha256(CONTENT).hexdigest()
    assert extractor.not_comparable == "the vggish weights are the user's own file own.pth"
    assert extractor.fingerprint != VGGishExtractor().fingerprint


def test_own_copy_of_the_published_file_counts_as_published(tmp_path: Path) -> None:
    path = tmp_path / "copy.pth"
    path.write_bytes(CONTENT)
    own, published = (ChosenWeights(_entry(), choice, 0) for choice in (path, "published"))
    assert own.not_comparable == published.not_comparable == ""
    assert own.options() == published.options()


def test_published_file_without_a_known_hash_is_not_comparable() -> None:
    assert "cannot be verified" in ChosenWeights(WEIGHTS["i3d"], "published", 0).not_comparable


def test_published_fingerprint_needs_no_file() -> None:
    assert VGGishExtractor().options()["weights_sha256"] == WEIGHTS["vggish"].sha256


def test_wrong_choices_are_refused() -> None:
    with pytest.raises(PrerequisiteError, match="there is no file 'nowhere.pth'"):
        VGGishExtractor(weights="nowhere.pth")
    with pytest.raises(UsageError, match="`seed` must be a whole number"):
        VGGishExtractor(weights="random", seed=0.5)  # type: ignore[arg-type]


def test_drawn_weights_are_the_recorded_ones() -> None:
    """Exact on every processor: integers from the generator, one subtraction, one multiplication."""
    with torch.device("meta"):
        network = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.BatchNorm1d(2))
    state = draw_state_dict(network, 0)
    assert state["0.weight"][0].tolist() == RECORDED
    assert torch.equal(state["0.bias"], torch.zeros(2))
    assert torch.equal(state["1.running_var"], torch.ones(2))
    assert state["1.num_batches_tracked"].dtype == torch.int64
    assert not torch.equal(draw_state_dict(network, 1)["0.weight"], state["0.weight"])


RECORDED = [-1.1023811101913452, -0.22964303195476532, -0.8466047644615173, 0.6298384070396423]
