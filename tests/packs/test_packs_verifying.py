"""``t2av-bench pack`` from the command line, and what verification finds."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from made_packs import N, World, put_together, taken_apart

from t2av_bench.cache import file_sha256
from t2av_bench.cli import main
from t2av_bench.errors import UsageError
from t2av_bench.manifests import write_manifest
from t2av_bench.packs.verifying import verify_pack


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def with_changed(world: World, path: Path, name: str, edit: Any) -> Path:
    record, tensors = taken_apart(world.packs["float16"])
    tensors[name] = edit(tensors[name])
    return put_together(path, record, tensors)


def test_a_good_pack_passes_every_check(world: World):
    found = verify_pack(world.packs["float16"], world.list, world.data, sample=2, num_workers=0, progress=False)
    assert (found.faults, found.unchecked) == ([], [])
    for clause in (
        "the bytes have the SHA-256 that stands at the end",
        "all embeddings of 5 extractors are finite",
        "clips, times and captions are those of t2av-mini",
        "lite-video, lite-text are those that this installation computes",
        f"{N} media files are those it was made of",
        "2 clips embedded again give the same to 0.001",
    ):
        assert any(clause in held for held in found.held), clause


def test_what_cannot_be_checked_is_said(world: World, tmp_path: Path):
    record, tensors = taken_apart(world.packs["float16"])
    record["manifest"]["name"] = "/etc/passwd"
    found = verify_pack(put_together(tmp_path / "x.pack", record, tensors), progress=False)
    assert found.unchecked == ["the clips: the manifest /etc/passwd is none of the toolkit's; give it by --manifest"]
    with pytest.raises(UsageError, match="needs their media: --data-dir"):
        verify_pack(world.packs["float16"], world.list, sample=1)


@pytest.mark.parametrize(
    ("name", "edit", "fault"),
    [
        (
            "embeddings/lite-video",
            lambda x: np.where(x == x.max(), np.float16(np.inf), x),
            "must hold finite embeddings",
        ),
        ("embeddings/lite-video", lambda x: x + np.float16(0.1), "lite-video features made again for .* differ by"),
        ("embeddings/lite-audio", lambda x: x[::-1].copy(), "lite-audio features made again for .* differ by"),
        ("embeddings/onset-strength", lambda x: x * np.float32(1.01), "onset-strength features made again for"),
        (
            "clips",
            lambda x: np.frombuffer(bytes(x)[:-70] + b"0" * 64 + bytes(x)[-6:], np.uint8),
            "its table of clips cannot be read|captions of 1 clips",
        ),
    ],
)
def test_a_forged_pack_is_found_out_where_its_media_are(world: World, tmp_path: Path, name: str, edit: Any, fault: str):
    path = with_changed(world, tmp_path / "x.pack", name, edit)
    listed = write_manifest(world.manifest, tmp_path / "m.csv") or tmp_path / "m.csv"
    result = call(
        "pack", "verify", path, "--manifest", listed, "--data-dir", world.data, "--sample", N, "--num-workers", 0
    )
    assert result.exit_code == 1

    assert re.search(fault, result.output), result.output


def test_other_media_are_named(world: World, tmp_path: Path):
    data = Path(shutil.copytree(world.data, tmp_path / "data"))
    first, second, third = list(world.manifest.clips())[:3]
    (data / first.media).unlink()
    shutil.copy(data / third.media, data / second.media)
    found = verify_pack(world.packs["float16"], world.list, data, sample=N, num_workers=0, progress=False)
    assert found.unchecked == [f"the media of 1 clips ({first.clip_id}), which are not here or cannot be used"]
    assert found.faults == [f"the media of 1 clips ({second.clip_id}) are other files than those it was made of"]
    assert f"{N - 2} clips embedded again give the same to 0.001" in found.held


def test_extractors_that_are_not_here_are_faults(world: World, tmp_path: Path):
    record, tensors = taken_apart(world.packs["float16"])
    record["extractors"]["lite-vidéo"] = record["extractors"].pop("lite-video")
    for kind in ("embeddings", "offsets"):
        tensors[f"{kind}/lite-vidéo"] = tensors.pop(f"{kind}/lite-video")
    ordered = dict(sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))
    found = verify_pack(put_together(tmp_path / "x.pack", record, ordered), world.list, progress=False)
    assert len(found.faults) == 1
    assert "the lite-vidéo features are of no extractor here: There is no" in found.faults[0]


def test_build_verify_show_and_evaluate_from_the_command_line(world: World, tmp_path: Path):
    listed, pack, cache = tmp_path / "clips.csv", tmp_path / "new" / "t2av.pack", world.options["cache_dir"]
    write_manifest(world.manifest, listed)
    options = ("--manifest", listed, "--num-workers", 0, "--cache-dir", cache, "--features", "lite")
    built = call("pack", "build", "--data-dir", world.data, "-o", pack, *options)
    assert built.exit_code == 0, built.output
    assert f"{pack}: {N} clips of clips, " in built.output
    assert f"SHA-256 {file_sha256(pack)}" in built.output
    assert "onset-strength is stored in float32: rows of fewer than 16 numbers are envelopes" in built.output

    verified = call("pack", "verify", pack, "--manifest", listed)
    assert verified.exit_code == 0, verified.output
    assert verified.output.splitlines()[-1] == f"SHA-256 {file_sha256(pack)}"

    shown = call("pack", "show", pack)
    assert shown.exit_code == 0
    assert f"clips     {N} of {N}, " in shown.output
    assert json.loads(call("pack", "show", pack, "--format", "json").output)["sha256"] == file_sha256(pack)

    (tmp_path / "elsewhere").mkdir()
    shutil.copy(listed, tmp_path / "elsewhere" / "clips.csv")  # without events.csv and without media
    scored = call(
        "evaluate", "--pred-dir", world.preds["noise"], "--manifest", tmp_path / "elsewhere" / "clips.csv",
        "--reference-pack", pack, "-o", tmp_path / "r.json", *options[2:],
    )  # fmt: skip
    assert scored.exit_code == 0, scored.output
    assert json.loads((tmp_path / "r.json").read_text())["reference_pack"]["sha256"] == file_sha256(pack)


def test_mistakes_end_in_one_line_and_the_right_exit_code(world: World, tmp_path: Path):
    damaged = tmp_path / "x.pack"
    damaged.write_bytes(world.packs["float16"].read_bytes()[:-1])
    for arguments in (("pack", "verify", damaged), ("pack", "show", damaged)):
        result = call(*arguments)
        assert result.exit_code == 1
        assert len(result.output.splitlines()) == 1
    options = ("evaluate", "--pred-dir", world.preds["noise"], "-o", tmp_path / "r.json", "--features", "lite")
    listed = tmp_path / "clips.csv"
    write_manifest(world.manifest, listed)
    result = call(*options, "--manifest", listed, "--reference-pack", damaged)
    assert result.exit_code == 1
    assert str(damaged) in result.output
    result = call(*options, "--manifest", listed, "--reference-pack", world.packs["float16"], "--data-dir", world.data)
    assert result.exit_code == 2
    assert "leave out --data-dir or --reference-pack" in result.output
    assert call("pack", "build").exit_code == 2
    assert not (tmp_path / "r.json").exists()
