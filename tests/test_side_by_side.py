"""The benchmark against other tools runs, and all of them get the same FAD."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "side_by_side"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_all_tools_get_the_same_fad_and_stand_in_one_table(tmp_path: Path):
    sizes = ["--files", "12", "--peer-files", "8", "--seconds", "2", "--runs", "1"]
    done = run("--only", "fad", *sizes, "--json", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "fad.json").read_text())
    values = found["fad_of_few_files"]
    assert {"t2av-bench", "torchvggish", "torch-fidelity"} <= set(values)
    # Theirs is resampy's sound, ours soxr's.
    assert list(values.values()) == pytest.approx([values["torchvggish"]] * len(values), rel=0.01)
    assert {line.get("scale", 1.0) for line in found["rows"]} == {1.0, 1.5}
    shown = run("--show", str(tmp_path)).stdout
    assert shown == done.stdout
    assert "torchvggish, one file at a time" in shown
    assert "from 8 files" in shown
    assert found["machine"]["cpu"] in shown


@pytest.mark.slow
def test_a_part_or_a_size_that_makes_no_sense_is_refused():
    assert "there is no part 'fid'" in run("--only", "fid").stderr
    assert "must be even" in run("--files", "5").stderr
