"""What lies in the bundled checkpoint's `scores.json`: the scores of what it generates, and of its retrained variants.

    python benchmarks/mini_synchrony.py --checkpoint mini --output out/
    python benchmarks/mini_scores.py --sounds out/ --output scores.json

`--variants DIR` adds one-change-at-a-time trainings: a folder of sounds for each, as `t2av-bench generate --checkpoint
ablation/VARIANT --manifest t2av-mini --out DIR/VARIANT` writes them. Everything is scored on the mini test split with
the lite descriptors; `full_minus_other` holds the paired tests. Prints the rows of the README's tables.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import t2av_bench as tb
from t2av_bench.manifests.mini import load_test_split
from t2av_bench.results import Result

SCORES = ("event-F1", "FAD-b", "FAVD-b", "AV-index")
TESTED = ("FAVD-b", "AV-index")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=Path, required=True)
    parser.add_argument("--variants", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    results = scored(arguments.sounds)
    manifest = load_test_split()
    events: dict[str, Any] = json.loads((arguments.sounds / "scores.json").read_text())
    record: dict[str, Any] = {
        "manifest": f"t2av-mini version {manifest.version}, test split, {len(manifest)} clips,"
        f" {events['full']['events_n']:.0f} events",
        "event_f1": {name: rounded(row) for name, row in events.items()},
        "lite": {name: values(result) for name, result in results.items()},
        "full_minus_other": {
            name: paired(results["full"], result) for name, result in results.items() if name != "full"
        },
    }
    for name, result in results.items():
        print(row(name, result))
    for name, tests in record["full_minus_other"].items():
        print(name, {score: round(test["difference"] / test["stderr"], 1) for score, test in tests.items()})
    if arguments.variants:
        variants = scored(arguments.variants)
        record["variants"] = {name: values(result) for name, result in variants.items()}
        for name, result in variants.items():
            print(row(name, result))
    arguments.output.write_text(json.dumps(record, indent=2) + "\n")


def scored(folder: Path) -> dict[str, Result]:
    """The result of each folder of sounds, by its name."""
    return {
        path.name: tb.evaluate(path, system=path.name, progress=False)
        for path in sorted(folder.iterdir())
        if path.is_dir()
    }


def values(result: Result) -> dict[str, dict[str, float]]:
    return {
        name: {"value": round(result.scores[name].value, 4), "stderr": round(result.scores[name].stderr or 0.0, 4)}
        for name in SCORES
    }


def paired(full: Result, other: Result) -> dict[str, dict[str, float]]:
    comparison = tb.compare([full, other], metrics=TESTED)
    return {
        test.score: {
            "difference": round(test.difference, 4),
            "stderr": round(test.stderr, 4),
            "p": float(f"{test.p_value:.2g}"),
        }
        for test in comparison.tests
    }


def rounded(row: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 4) for key, value in row.items()}


def row(name: str, result: Result) -> str:
    """A row of a Markdown table."""
    cells = (f"{result.scores[key].value:.3f} ± {result.scores[key].stderr:.3f}" for key in SCORES)
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
