"""``t2av-bench manifest show|build|filter`` and ``t2av-bench doctor``."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from t2av_bench.cli import main
from t2av_bench.home import home
from t2av_bench.manifests import load_manifest, official
from t2av_bench.manifests.official import built_path
from t2av_bench.models.extractors.catalogue import WEIGHTS


def call(*args: str | Path) -> Result:
    done = CliRunner().invoke(main, [str(arg) for arg in args])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def lists(shared: Path) -> Path:
    folder = home() / "manifests" / "upstream"
    shutil.copytree(shared / "upstream", folder, copy_function=shutil.copyfile)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    rows = ["a,a.mp4,one,dog;cat,x,test", "b,b.mp4,two,dog,y,test", "c,c.mp4,three,,x,val"]
    path.write_text("clip_id,media,caption,labels,source,split\n" + "\n".join(rows) + "\n")
    return path


def test_show_without_a_name_lists_all():
    names = call("manifest", "show").output.split()
    assert {"t2av-mini", "t2av-bench", "t2av-bench-mini", "t2av-bench/vggsound", "audiocaps"} <= set(names)


def test_show_without_a_name_says_what_is_built(lists: Path):
    call("manifest", "build", "t2av-bench-mini")
    lines = {line.split()[0]: line for line in call("manifest", "show").output.splitlines()}
    assert lines["t2av-bench-mini"].endswith("verified")
    assert lines["t2av-bench"].endswith("not built")
    assert lines["llp"].endswith("short for llp/test")


def test_a_manifest_without_a_pinned_hash_is_said_to_have_none(lists: Path, monkeypatch: pytest.MonkeyPatch):
    (lists / "vggsound" / "vggsound.csv").write_text("7tMPoaU2oL_,30,hail,train\r\n")
    monkeypatch.setattr(official, "fault_of", lambda file, path: None)
    done = call("manifest", "build", "vggsound/train")
    assert "vggsound/train: 1 clips, not pinned: sha256 " in done.output
    assert "official  no: not pinned, as its list was not at hand" in call("manifest", "show", "vggsound/train").output
    (line,) = [line for line in call("doctor").output.splitlines() if "vggsound/train " in line]
    assert "built; not pinned, it has sha256" in line


def test_show_says_that_t2av_bench_is_a_reconstruction(lists: Path):
    done = call("manifest", "show", "t2av-bench")
    assert done.exit_code == 0
    assert "clips     17620" in done.output
    assert "official  yes" in done.output
    assert "This is a reconstruction" in done.output


def test_show_of_ones_own_manifest(mine: Path):
    done = call("manifest", "show", mine)
    assert done.exit_code == 0
    assert "sources   x 2, y 1" in done.output
    assert "official  no" in done.output
    assert load_manifest(mine).sha256 in done.output


def test_show_of_a_manifest_whose_lists_are_missing_says_what_to_do():
    done = call("manifest", "show", "t2av-bench")
    assert done.exit_code == 1
    assert "Run `t2av-bench download manifests --only t2av-bench`" in done.output


def test_a_manifest_edited_by_hand_is_said_in_one_line(lists: Path):
    call("manifest", "build", "llp/val")
    path = built_path("llp/val")
    path.write_text(path.read_text().replace("person", "somebody", 1))
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as outside of tests
        done = call("manifest", "show", "llp/val")
    assert done.exit_code == 0
    (line,) = [line for line in done.output.splitlines() if line.startswith("Warning:")]
    assert "is not the manifest llp/val as it was built" in line
    assert "official  no" in done.output


def test_build_by_name_and_all_that_can_be_built(lists: Path):
    done = call("manifest", "build", "llp", "t2av-bench/llp")
    assert done.exit_code == 0
    assert done.output.count("1200 clips, verified") == 2
    done = call("manifest", "build", "vggsound/train")
    assert (done.exit_code, "vggsound.csv" in done.output) == (1, True)
    done = call("manifest", "build", "nothing")
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--label", "dog"], ["a", "b"]),
        (["--label", "cat", "--label", "dog"], ["a", "b"]),
        (["--source", "x"], ["a", "c"]),
        (["--source", "x", "--split", "val"], ["c"]),
        (["--present-in", "DATA"], ["b"]),
        (["--exclude", "IDS"], ["b"]),
    ],
)
def test_filter_keeps_what_meets_all_conditions(mine: Path, tmp_path: Path, options: list[str], kept: list[str]):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.webm").write_bytes(b"")
    (tmp_path / "ids.txt").write_text("# not these\na\n\n c \n")
    places = {"DATA": str(tmp_path / "data"), "IDS": str(tmp_path / "ids.txt")}
    out = tmp_path / "part.csv"
    done = call("manifest", "filter", mine, "-o", out, *(places.get(option, option) for option in options))
    assert done.exit_code == 0, done.output
    part = load_manifest(out)
    assert list(part.table["clip_id"]) == kept
    assert part.name == "part"
    assert not part.official
    assert part.sha256 != load_manifest(mine).sha256
    assert f"{len(kept)} of 3 clips, sha256 {part.sha256}; not comparable with mine" in done.output


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--label", "cow"], 2, "No clip of mine has the label 'cow'. There are for instance: cat, dog"),
        (["--exclude", "IDS"], 2, "No clip of mine has the clip id 'zebra'"),
        (["--exclude", "ABSENT"], 2, "must be a text file with one clip id per line"),
        (["--split", "val", "--label", "dog"], 1, "no clip meets all conditions"),
        (["--present-in", "ABSENT"], 1, "the data folder must exist"),
    ],
)
def test_filter_refuses_in_words(mine: Path, tmp_path: Path, options: list[str], code: int, words: str):
    (tmp_path / "ids.txt").write_text("zebra\n")
    places = {"ABSENT": str(tmp_path / "absent"), "IDS": str(tmp_path / "ids.txt")}
    done = call("manifest", "filter", mine, "-o", tmp_path / "p.csv", *(places.get(o, o) for o in options))
    assert (done.exit_code, words in done.output) == (code, True), done.output


def test_filter_overwrites_nothing(mine: Path, tmp_path: Path):
    done = call("manifest", "filter", mine, "-o", mine, "--label", "dog")
    assert (done.exit_code, "exists already" in done.output) == (2, True)
    done = call("manifest", "filter", mine, "-o", tmp_path / "p.txt", "--label", "dog")
    assert (done.exit_code, "must end in .csv" in done.output) == (2, True)


def test_doctor_says_what_is_here_and_how_to_get_the_rest(lists: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T2AV_BENCH_OFFLINE", "1")
    call("manifest", "build", "llp")
    done = call("doctor")
    assert done.exit_code == 0, done.output
    lines = {line.split("  ")[1]: line for line in done.output.splitlines() if line.startswith("  ")}
    assert lines["vggish"].endswith("missing: t2av-bench download weights --only vggish")
    assert lines["clap (8 files)"].endswith("missing: t2av-bench download weights --only clap")
    assert lines["llp/test"].endswith("verified")
    assert lines["audiocaps (3 lists)"].endswith("not built: t2av-bench download manifests --only audiocaps")
    assert lines["t2av-bench"].endswith("not built: t2av-bench download manifests --only t2av-bench")
    assert "T2AV_BENCH_OFFLINE" in lines["network"]
    assert "works" in lines["soundfile"]
    assert str(home()) in lines["folder"]


def test_doctor_fails_on_a_wrong_file():
    path = WEIGHTS["c3d"].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"truncated")
    done = call("doctor")
    assert done.exit_code == 1
    assert "WRONG: must have 311985866 bytes, but has 9 bytes: t2av-bench download weights --only c3d" in done.output
