"""Pictures of results: where they may go, what stands on them, and that they leave matplotlib as it was."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from click.testing import CliRunner
from made_results import result_of_values
from matplotlib.cbook import is_math_text

import t2av_bench as tb
from t2av_bench.cli import main
from t2av_bench.comparison.plot import effect
from t2av_bench.errors import ResultError, UsageError
from t2av_bench.metrics import METRICS
from t2av_bench.models.training.ablation_plot import plot_ablation
from t2av_bench.plotting import SUFFIXES, check_plot_path, inert
from t2av_bench.results import Result, Score
from t2av_bench.results.plot import _axis_of, _columns, _panels

MAGIC = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<?xml", ".pdf": b"%PDF"}


def systems(count: int) -> list[Result]:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=40)
    return [
        result_of_values(f"system {i}", FAD=hard + i + rng.normal(size=40), AV_index=hard + 0.01 * rng.normal(size=40))
        for i in range(count)
    ]


def full_result() -> Result:
    """A result with every score the toolkit knows, each with all that is drawn."""
    scores = {
        name: Score(
            10.0**i, 10.0**i / 9, spec.kind, spec.higher_is_better, 1, 40, 160,
            **({"corrected": -1.0, "floor": 2.0, "floor_spread": 0.1, "floor_score": 3.0} if spec.is_frechet else {}),
            settings={"shuffled_value": 0.1, "reference_value": 0.4} if spec.kind == "sync" else {},
        )
        for i, (name, spec) in enumerate(METRICS.items())
    }  # fmt: skip
    return replace(systems(1)[0], scores=scores)


def labels(path: Path) -> str:
    """The texts of a picture, which matplotlib leaves as comments beside their outlines."""
    assert path.suffix == ".svg"
    return "\n".join(line for line in path.read_text().splitlines() if line.strip().startswith("<!--"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_is_written_alone_and_with_the_same_bytes_each_time(suffix: str, tmp_path: Path):
    paths = [tmp_path / name / f"plot{suffix}" for name in ("a", "b")]
    for path in paths:
        tb.plot_result(systems(1)[0], path)
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(MAGIC[suffix])
    assert first == second


def test_a_result_shows_units_directions_and_what_scores_are_judged_by(tmp_path: Path):
    tb.plot_result(full_result(), tmp_path / "p.svg")
    text = labels(tmp_path / "p.svg")
    for expected in (
        "← better   Fréchet distance (squared feature units)", "better →", "offset of sound and picture (s)", "(nats)",
        "floor: real sound of other clips", "corrected for the number of clips", "control: the real sound", *METRICS,
    ):  # fmt: skip
        assert expected in text, expected


def test_what_is_not_there_is_not_in_the_legend(tmp_path: Path):
    tb.plot_result(systems(1)[0], tmp_path / "p.svg")
    assert "score, 95 % interval" in labels(tmp_path / "p.svg")
    assert "floor" not in labels(tmp_path / "p.svg")


def test_every_score_of_the_toolkit_has_an_axis_with_a_unit():
    assert [name for name, spec in METRICS.items() if _axis_of(name, spec.kind) is None] == []


def test_scores_share_an_axis_only_where_they_share_unit_and_direction():
    result = full_result()
    panels = _panels(result, list(result.scores))
    assert [name for panel in panels for name in panel.names] == list(METRICS)
    assert all(len(panel.names) == 1 for panel in panels if METRICS[panel.names[0]].kind in ("raw", "kernel"))
    together = {frozenset(panel.names) for panel in panels}
    assert {frozenset({"AV-index", "AT-index"}), frozenset({"IS"}), frozenset({"AV-offset", "DeSync"})} <= together
    for panel in panels:
        assert {METRICS[name].higher_is_better for name in panel.names} == {panel.higher_is_better}
    left, right = _columns(panels)
    assert left + right == panels


def test_the_scores_of_another_toolkit_stand_apart(tmp_path: Path):
    result = replace(systems(1)[0], scores={f"KAD {i}": Score(1.0, None, "kernel", False, 1, 2, 2) for i in "ab"})
    assert [panel.axis for panel in _panels(result, list(result.scores))] == ["as t2av-bench/1 counts"] * 2
    tb.plot_result(result, tmp_path / "p.png")


def test_only_scores_that_exist_are_drawn(tmp_path: Path):
    (result,) = systems(1)
    tb.plot_result(result, tmp_path / "p.svg", ["AV-index"])
    assert "Fréchet" not in labels(tmp_path / "p.svg")
    with pytest.raises(UsageError, match="the result has no score 'FVD'; it has FAD, AV-index"):
        tb.plot_result(result, tmp_path / "p.svg", ["FVD"])
    with pytest.raises(UsageError, match="there is no score to draw"):
        tb.plot_result(replace(result, scores={}), tmp_path / "p.svg")


def test_a_comparison_shows_which_side_is_better_and_whether_that_is_more_than_chance(tmp_path: Path):
    tb.plot_comparison(tb.compare(systems(3)), tmp_path / "p.svg")
    text = labels(tmp_path / "p.svg")
    for expected in ("system 0 minus system 1", "← system 1 is better", "system 0 is better →", "FAD ↓", "(Holm)"):
        assert expected in text, expected
    assert "effect (spreads over clips" in text


@pytest.mark.parametrize("flipped", [False, True])
def test_an_effect_is_positive_where_the_first_system_is_better(flipped: bool):
    pair = systems(2)[:: -1 if flipped else 1]
    fad, _ = tb.compare(pair).tests
    value, interval = effect(fad)
    assert interval is not None
    assert (value > 0) == (not flipped)
    assert fad.effect_size is not None
    assert abs(value) == pytest.approx(abs(fad.effect_size))
    assert interval[0] < value < interval[1]
    assert (value - interval[0]) * abs(fad.stderr) * 40**0.5 == pytest.approx(abs(fad.high - fad.difference))


def test_a_difference_without_spread_has_no_interval(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=20)
    compared = tb.compare([result_of_values("a", FAD=values), result_of_values("b", FAD=values + 1)])
    exact = replace(compared.tests[0], stderr=0.0, effect_size=None, p_value=0.0, p_holm=0.0, better="a")
    assert effect(exact) == (float("inf"), None)
    assert effect(replace(exact, difference=0.0, better=None)) == (0.0, None)
    tb.plot_comparison(replace(compared, tests=[exact]), tmp_path / "p.png")


def test_a_plot_of_more_pairs_than_fit_asks_for_a_baseline(tmp_path: Path):
    compared = tb.compare(systems(6))
    with pytest.raises(UsageError, match="at most 12 pairs of systems; got 15: name a baseline"):
        tb.plot_comparison(compared, tmp_path / "p.png")
    tb.plot_comparison(tb.compare(systems(6), "system 0"), tmp_path / "p.png")


def test_an_ablation_shows_intervals_chance_and_the_full_recipe(tmp_path: Path):
    rows = [{"variant": "full", "event_f1": 0.9, "event_f1_stderr": 0.02, "chance_f1": 0.1, "events_n": 99.0}]
    plot_ablation([*rows, {**rows[0], "variant": "no-controlnet", "event_f1": 0.08}], tmp_path / "p.svg")
    text = labels(tmp_path / "p.svg")
    for expected in (
        "event F1 (±50 ms), 99 events, 95 % intervals   better →",
        "chance",
        "full recipe",
        "no-controlnet",
    ):
        assert expected in text, expected
    plot_ablation([{"variant": "old", "event_f1": 0.5}], tmp_path / "old.svg")
    assert "interval" not in labels(tmp_path / "old.svg")
    with pytest.raises(UsageError, match="there is no variant to draw"):
        plot_ablation([], tmp_path / "none.svg")


@pytest.mark.parametrize("attack", ["$x^$", r"\$x$", r"$\write18{id}$", "音", "a\nb\x1b[2J", "<b>&amp;"])
def test_names_are_drawn_as_they_are(attack: str, tmp_path: Path):
    results = [replace(r, system={"name": attack + str(i), "description": ""}) for i, r in enumerate(systems(2))]
    results = [replace(r, manifest={**r.manifest, "name": attack}) for r in results]
    tb.plot_comparison(tb.compare(results, metrics=["FAD"]), tmp_path / "c.svg")
    seen = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in attack)
    assert f"<!-- {escape(seen)}0 minus {escape(seen)}1 -->" in labels(tmp_path / "c.svg")
    assert not is_math_text(inert(attack))


def test_the_users_matplotlib_is_neither_used_nor_changed(tmp_path: Path):
    import matplotlib

    tb.plot_result(systems(1)[0], tmp_path / "plain.png")
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30.0, "savefig.facecolor": "black"}):
        before = dict(matplotlib.rcParams)
        tb.plot_result(systems(1)[0], tmp_path / "own.png")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "own.png").read_bytes()


def test_matplotlib_is_imported_only_for_a_plot_and_opens_no_window(tmp_path: Path):
    script = (
        "import sys, t2av_bench.results.plot, t2av_bench.comparison.plot, t2av_bench.validation.plot;"
        "import t2av_bench.cli.evaluate, t2av_bench.plotting as p; p.check_plot_path('x.png');"
        "assert 'matplotlib' not in sys.modules, 'imported'\n"
        "with p.drawing(sys.argv[1], 2, 2): pass\n"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot'"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "p.png")], check=True)


@pytest.mark.parametrize("command", [["evaluate", "--pred-dir", "x"], ["compare", "a.json"], ["ablate", "-o", "x"]])
def test_a_plot_that_cannot_be_written_is_refused_before_any_work(command: list[str], tmp_path: Path):
    done = CliRunner().invoke(main, [*command, "--plot", str(tmp_path / "plot.jpg")])
    assert done.exit_code == 2
    assert f"must be a file that ends in .png, .svg or .pdf; got {tmp_path / 'plot.jpg'}" in done.output
    (tmp_path / "file").touch()
    done = CliRunner().invoke(main, [*command, "--plot", str(tmp_path / "file" / "plot.png")])
    assert done.exit_code == 1
    assert (
        done.output
        == f"Error: {tmp_path / 'file' / 'plot.png'}: cannot be written (a file stands where its folder should be)\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_no_plot(tmp_path: Path):
    (tmp_path / "p.png").mkdir()
    with pytest.raises(ResultError, match="p.png: cannot be written"):
        check_plot_path(tmp_path / "p.png")


def test_the_command_compares_and_draws(tmp_path: Path):
    files = [tmp_path / f"{i}.json" for i in range(2)]
    for result, path in zip(systems(2), files, strict=True):
        result.save(path)
    done = CliRunner().invoke(main, ["compare", *map(str, files), "--plot", str(tmp_path / "sub" / "p.pdf")])
    assert done.exit_code == 0, done.output
    assert done.stderr == f"Plot written to {tmp_path / 'sub' / 'p.pdf'}\n"
    assert (tmp_path / "sub" / "p.pdf").read_bytes().startswith(MAGIC[".pdf"])
