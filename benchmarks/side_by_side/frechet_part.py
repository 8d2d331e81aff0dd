"""The Fréchet distance of two sets of features: from arrays to the number, as each tool's users would call it."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from machine import installed
from tables import row

Array = np.ndarray[Any, Any]
Solver = Callable[[Array, Array], float]
CASES = ((128, 2000), (512, 900), (1152, 900), (2048, 900))
# What takes longer than this is run once only.
LONG_S = 5.0


def ours(x: Array, y: Array) -> float:
    from t2av_bench.metrics import frechet_distance

    return frechet_distance(x, y)


def scipy_sqrtm(x: Array, y: Array) -> float:
    from scipy import linalg

    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = x.mean(axis=0) - y.mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with fewer rows than columns the product is singular: that is the case here
        root = linalg.sqrtm(first @ second)
    return float(shift @ shift + np.trace(first + second - 2 * root.real))


def torch_fidelity(x: Array, y: Array) -> float:
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    first, second = (fid_features_to_statistics(torch.from_numpy(rows)) for rows in (x, y))
    return float(fid_statistics_to_metric(first, second, False)["frechet_inception_distance"])


def torchmetrics(x: Array, y: Array) -> float:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    features = torch.nn.Identity()
    features.num_features = x.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=features)
    metric.update(torch.from_numpy(x), real=True)
    metric.update(torch.from_numpy(y), real=False)
    return float(metric.compute())


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    solvers: dict[str, Solver] = {"t2av-bench": ours, "SciPy, sqrtm": scipy_sqrtm}
    absent = [name for name in ("torch-fidelity", "torchmetrics") if not installed(name)]
    if "torch-fidelity" not in absent:
        solvers["torch-fidelity"] = torch_fidelity
    if "torchmetrics" not in absent:
        solvers["torchmetrics"] = torchmetrics
    for solver in solvers.values():  # imports, and threads
        solver(np.eye(4), np.eye(4) + np.arange(4.0))
    rows: list[dict[str, Any]] = []
    for d, n in CASES:
        rows += _case(solvers, d, n, chosen.runs)
    return {
        "title": "Fréchet distance of two arrays of n rows and d columns, float64",
        "rows": rows,
        "notes": [
            f"What takes over {LONG_S:g} s is run once. Last column: relative difference from t2av-bench's value.",
            *(f"{name} is not installed and left out." for name in absent),
        ],
    }


def _case(solvers: dict[str, Solver], d: int, n: int, runs_n: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(d + n)
    scale = np.linspace(1.0, 0.1, d)
    x, y = rng.standard_normal((n, d)) * scale, 1.1 * rng.standard_normal((n, d)) * scale + 0.05
    times: dict[str, list[float]] = {name: [] for name in solvers}
    values: dict[str, float] = {}
    for _ in range(runs_n):
        for name, solver in solvers.items():
            if times[name] and times[name][0] > LONG_S:
                continue
            start_s = time.perf_counter()
            values[name] = solver(x, y)
            times[name].append(time.perf_counter() - start_s)
    right = values["t2av-bench"]
    made = []
    for name, runs_s in times.items():
        note = "" if name == "t2av-bench" else f"{abs(values[name] - right) / right:.0e}"
        made.append(row(f"{name}, d = {d}, n = {n}", runs_s, note=note) | {"d": d, "n": n, "value": values[name]})
    made[0]["base"] = True
    return made
