"""This toolkit and public ones side by side, in one run on one machine.

    pip install -e '.[bench]'
    pip install --no-deps frechet-audio-distance      # left out of the table if it is not there
    python benchmarks/side_by_side [--only fad,frechet,c3d,processes] [--json]
    python benchmarks/side_by_side --files 20 --process-clips 40 --runs 1         # a quick try
    python benchmarks/side_by_side --show                       # the table of the results that are there

frechet-audio-distance is installed without its dependencies because one of them, for CLAP, wants NumPy below 2; its
VGGish loop needs neither that nor EnCodec. Nothing is downloaded: every tool gets the same drawn VGGish weights, which
take the same time as the published ones. At the default sizes the first three parts take about ten minutes on two
cores; the last one, ``processes``, is of long runs and takes about as long again.

Within a part everything is run in turn, round by round, so that a machine that slows down slows all; medians count.
With --json each part is written to a folder as soon as it is done, and --only leaves the other parts' files alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import c3d_part
import fad_part
import frechet_part
import processes_part
from machine import machine
from tables import as_text

RESULTS = Path(__file__).resolve().parent.parent / "results"
PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "fad": fad_part.measure,
    "frechet": frechet_part.measure,
    "c3d": c3d_part.measure,
    "processes": processes_part.measure,
}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--files", type=int, default=500, help="WAV files that FAD is computed over")
    parser.add_argument("--peer-files", type=int, default=20, help="of these, how many the other tools embed")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a file")
    parser.add_argument("--clips", type=int, default=3, help="videos of 10 s for C3D")
    parser.add_argument("--process-clips", type=int, default=200, help="clips of 10 s for one and two processes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", nargs="?", type=Path, const=RESULTS, metavar="DIR", help=f"[{RESULTS}]")
    parser.add_argument("--show", nargs="?", type=Path, const=RESULTS, metavar="DIR", help="print and stop")
    chosen = parser.parse_args()
    chosen.only = [name.strip() for name in chosen.only.split(",")]
    for name in chosen.only:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    if min(chosen.files, chosen.peer_files) < 4 or chosen.files % 2 or chosen.peer_files % 2:
        parser.error("--files and --peer-files must be even and at least 4: half of them are the reference")
    if min(chosen.clips, chosen.runs) < 1 or chosen.seconds < 1.0:
        parser.error("--clips, --runs and --seconds must be at least 1")
    if chosen.process_clips <= 32:
        parser.error("--process-clips must be over 32: that many are run as well, to tell the start from the rest")
    chosen.peer_files = min(chosen.peer_files, chosen.files)
    return chosen


def main() -> None:
    chosen = parsed()
    if chosen.show is not None:
        paths = [chosen.show / f"{name}.json" for name in PARTS]
        print("\n".join(as_text(json.loads(path.read_text())) for path in paths if path.is_file()), end="")
        return
    found, failed = [], []
    for name in chosen.only:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            found.append({"part": name, **PARTS[name](chosen), "machine": machine()})
        except (Exception, SystemExit) as error:  # the other parts are run all the same
            failed.append(f"{name} is left out: {error or type(error).__name__}")
            continue
        if chosen.json is not None:
            chosen.json.mkdir(parents=True, exist_ok=True)
            (chosen.json / f"{name}.json").write_text(json.dumps(found[-1], indent=2) + "\n")
    print("\n".join(map(as_text, found)), end="")
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
