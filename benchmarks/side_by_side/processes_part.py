"""One process with two loader processes against two processes with one each, by ``benchmarks/processes.py``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tables import row

SCRIPT = Path(__file__).resolve().parent.parent / "processes.py"


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    if not SCRIPT.is_file():
        raise SystemExit(f"{SCRIPT.name} is not in this version")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        sizes = ["--clips", str(chosen.process_clips), "--runs", str(chosen.runs)]
        called = [sys.executable, str(SCRIPT), *sizes, "--json", str(path)]
        subprocess.run(called, check=True, stdout=subprocess.DEVNULL)
        found = json.loads(path.read_text())
    return {
        "title": f"FAD of {found['files']} WAV files of 10 s by one and by two processes, whole command, equal bits",
        "rows": [
            row("one process, two loader processes", found["one_process_runs_s"]) | {"base": True},
            row("two processes, one loader process each", found["two_processes_runs_s"]),
        ],
        "notes": [
            f"Of this the start takes {found['one_process_start_s']:.1f} and {found['two_processes_start_s']:.1f} s;"
            f" without it the ratio is {found['ratio_without_start']:.2f}."
        ],
    }
