"""Matrix routines of torch against LAPACK's: every formula that uses them, on the processor and on a GPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from t2av_bench import accelerated
from t2av_bench.accelerated import TorchAlgebra, large_matrices_on
from t2av_bench.errors import UsageError
from t2av_bench.metrics import Balance, JointStats, frechet_distance
from t2av_bench.metrics import algebra as places
from t2av_bench.metrics.algebra import HostAlgebra, algebra, computed_by
from t2av_bench.metrics.influence import frechet_influence

Array = npt.NDArray[np.float64]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(autouse=True)
def _large_from_four_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "LARGE_DIM", 4)


@pytest.fixture(params=DEVICES)
def place(request: pytest.FixtureRequest) -> TorchAlgebra:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return TorchAlgebra(request.param)


def drawn(n: int, d: int, constant: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -0.5
    y = 0.7 * x + 0.5 * rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -0.5 + 0.1
    x[:, d - constant :] = y[:, d - constant :] = 1.0
    return x, y


# More rows than dimensions, singular covariances, fewer rows than dimensions.
@pytest.mark.parametrize(("n", "d", "constant"), [(200, 40, 0), (200, 40, 5), (30, 60, 0)])
def test_distances_ranks_and_influences_agree(place: TorchAlgebra, n: int, d: int, constant: int) -> None:
    x, y = drawn(n, d, constant)

    def everything() -> tuple[float, int, Array, Array]:
        sides = [JointStats({"audio": d}) for _ in range(2)]
        for side, rows in zip(sides, (x, y), strict=True):
            side.update(audio=rows)
        influence = frechet_influence(x, y)
        return frechet_distance(*sides), sides[0].rank, influence.reference, influence.generated

    expected = everything()
    with computed_by(place):
        assert algebra(d) is place
        found = everything()
    traces = np.trace(np.cov(x.T)) + np.trace(np.cov(y.T))
    assert found[0] == pytest.approx(expected[0], abs=1e-9 * traces)
    assert found[1] == expected[1]
    for ours, theirs, rows in zip(found[2:], expected[2:], (x, y), strict=True):
        squares = np.square(rows - rows.mean(axis=0)).sum(axis=1)
        assert (np.abs(ours - theirs) < 3e-6 * squares + 1e-9 * traces).all()  # roots are float32


@pytest.mark.parametrize("n", [300, 30])
def test_balances_agree_up_to_the_sign_of_axes(place: TorchAlgebra, n: int) -> None:
    rng = np.random.default_rng(0)
    stats = JointStats({"audio": 6, "video": 40})
    video = rng.normal(size=(n, 40)) * np.arange(1, 41) ** -0.7
    stats.update(audio=rng.normal(size=(n, 6)), video=video)
    expected = Balance.fit(stats)
    with computed_by(place):
        found = Balance.fit(stats)
    assert found.axes == expected.axes
    for block, theirs in expected.maps.items():
        np.testing.assert_allclose(np.abs(found.maps[block]), np.abs(theirs), atol=1e-9)


def test_every_routine_is_lapacks(place: TorchAlgebra) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 8))
    matrix = np.cov(rows.T)
    host = HostAlgebra()
    lower = host.cholesky(matrix)
    rows.flags.writeable = False  # as memory-mapped rows are
    for name, arguments in {
        "product": (rows, matrix), "scatter": (rows,), "cholesky": (matrix,), "solved": (lower, np.triu(matrix)),
        "upper_root": (matrix, np.arange(1.0, 9.0)), "inverse": (np.triu(matrix),),
        "eigenvalues": (matrix,), "singular_values": (rows,),
    }.items():  # fmt: skip
        found, expected = (getattr(which, name)(*arguments) for which in (place, host))
        np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=name)
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float64
    shaped = ((lower, "lower"), (lower.T, "upper"), (rows.T, "full"), (np.float32(lower), "lower"))
    orders = (np.asfortranarray, np.ascontiguousarray)
    for root, shape in ((order(root), shape) for root, shape in shaped for order in orders):
        given = rows if shape != "full" else matrix
        expected = np.square(given @ np.float64(root)).sum(axis=1)
        for which in (place, host):
            np.testing.assert_allclose(which.squared_norms(given, root, shape), expected, rtol=1e-6)
    for which in (place, host):
        np.testing.assert_allclose(np.tril(which.congruence(lower, matrix)), np.tril(lower.T @ matrix @ lower))
        values, vectors = which.eigenvectors(np.tril(matrix), leading=3)
        np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-12)
        np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[-3:], atol=1e-12)
        values, vectors = which.single_eigenvectors(np.tril(matrix))
        np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=2e-6)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(8), atol=2e-6)
        np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), atol=1e-12)
        left, singular, right = which.svd(rows)
        np.testing.assert_allclose((left * singular) @ right, rows, atol=1e-12)
        with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
            which.cholesky(matrix - 10 * np.eye(8))


@pytest.mark.parametrize("block", [3, 8, 20])
def test_triangular_solutions_are_those_of_full_matrices(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(places, "BLOCK_DIM", block)
    rng = np.random.default_rng(0)
    lower, upper = np.tril(rng.normal(size=(8, 8))) + 4 * np.eye(8), np.triu(rng.normal(size=(8, 8)))
    found = HostAlgebra().solved(lower, upper)
    np.testing.assert_allclose(found, np.linalg.solve(lower.T, upper), atol=1e-12)
    assert (found == np.triu(found)).all()


def test_an_upper_root_is_one_and_exists_only_of_what_is_positive_definite(place: TorchAlgebra) -> None:
    vectors, weights = np.random.default_rng(0).normal(size=(8, 8)), np.arange(1.0, 9.0)
    for which in (place, HostAlgebra()):
        found = which.upper_root(vectors, weights)
        np.testing.assert_allclose(found @ found.T, (vectors * weights) @ vectors.T, atol=1e-12)
        assert (found == np.triu(found)).all()
        np.testing.assert_allclose(which.upper_root(np.float32(vectors), weights), found, atol=1e-5)
        with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
            which.upper_root(vectors, np.where(weights > 6, weights, 0.0))


def test_only_large_matrices_leave_the_host_and_only_inside_the_block(place: TorchAlgebra) -> None:
    assert algebra(100).name == "host"
    with computed_by(place):
        assert (algebra(3).name, algebra(4).name) == ("host", place.name)
    assert algebra(4).name == "host"


def test_matrices_go_where_the_networks_do(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(accelerated, "TorchAlgebra", lambda device: chosen.append(str(device)) or HostAlgebra())
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for device in ("cpu", "auto"):
        with large_matrices_on(device, 5000):
            pass
    assert chosen == []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for device, dim in (("auto", 5000), ("cuda:1", 5000), ("cpu", 5000), ("auto", 3)):
        with large_matrices_on(device, dim):
            pass
    assert chosen == ["cuda", "cuda:1"]
    with pytest.raises(UsageError, match="gpu"), large_matrices_on("gpu", 5000):
        pass
