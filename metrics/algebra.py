"""Decompositions and products of large matrices, and where they are computed.

The formulas of this package need few matrix routines, and at thousands of dimensions these are all that takes time. Who
has a faster place for them than NumPy and SciPy on the processor, such as a GPU, makes an :class:`Algebra` and lets
formulas run inside :func:`computed_by`; :mod:`t2av_bench.accelerated` is such a one. Arrays stay NumPy arrays in
float64 everywhere else. Matrices of fewer than 600 columns are always computed here, where carrying them elsewhere
would cost more than it brings: their results do not depend on the place, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from scipy import linalg

Float64Array = npt.NDArray[np.float64]
Shape = Literal["full", "lower", "upper"]
LARGE_DIM = 600
# Columns that a triangular matrix is solved for at a time.
BLOCK_DIM = 600


class Algebra(Protocol):
    """Matrix routines in float64, from NumPy arrays to NumPy arrays.

    Symmetric matrices may be given by their lower triangle alone, and :meth:`congruence` may return only that.

    Attributes
    ----------
    name
        For the record of a result, such as ``torch on cuda``.
    """

    name: str

    def product(self, left: Float64Array, right: Float64Array) -> Float64Array:
        """Return left @ right."""

    def squared_norms(self, rows: Float64Array, root: npt.NDArray[np.floating], shape: Shape) -> Float64Array:
        """Return |row @ root|² of each row, shape (n,); a triangular ``root`` says so by its shape."""

    def scatter(self, centred: Float64Array) -> Float64Array:
        """Return centredᵀ @ centred."""

    def cholesky(self, matrix: Float64Array) -> Float64Array:
        """Return the lower triangular L with L Lᵀ = matrix, or raise :class:`numpy.linalg.LinAlgError`."""

    def congruence(self, lower: Float64Array, matrix: Float64Array) -> Float64Array:
        """Return lowerᵀ @ matrix @ lower for a triangular and a symmetric matrix."""

    def upper_root(self, vectors: npt.NDArray[np.floating], weights: Float64Array) -> Float64Array:
        """Return the upper triangular U with U Uᵀ = vectors @ diag(weights) @ vectorsᵀ, or raise as Cholesky does."""

    def solved(self, lower: Float64Array, upper: Float64Array) -> Float64Array:
        """Return the upper triangular X with lowerᵀ @ X = upper."""

    def inverse(self, upper: Float64Array) -> Float64Array:
        """Return the inverse of an upper triangular matrix."""

    def eigenvalues(self, matrix: Float64Array) -> Float64Array:
        """Return the eigenvalues of a symmetric matrix, ascending."""

    def eigenvectors(self, matrix: Float64Array, leading: int | None = None) -> tuple[Float64Array, Float64Array]:
        """Return eigenvalues, ascending, and eigenvectors as columns; only the ``leading`` largest if that is given."""

    def single_eigenvectors(self, matrix: Float64Array) -> tuple[Float64Array, npt.NDArray[np.floating]]:
        """Return eigenvalues, ascending, and eigenvectors as columns that need to be right in single precision only."""

    def singular_values(self, matrix: Float64Array) -> Float64Array:
        """Return the singular values, descending."""

    def svd(self, matrix: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return U (m, k), singular values (k,) and Vᵀ (k, n) with k = min(m, n)."""


class HostAlgebra:
    """LAPACK by NumPy and SciPy."""

    name = "host"

    def product(self, left: Float64Array, right: Float64Array) -> Float64Array:
        """Return left @ right."""
        return np.asarray(left @ right)

    def squared_norms(self, rows: Float64Array, root: npt.NDArray[np.floating], shape: Shape) -> Float64Array:
        """Return |row @ root|² of each row in the precision of ``root``, added up in float64."""
        if shape == "full":
            found = rows.astype(root.dtype, copy=False) @ root
        else:
            multiply = linalg.blas.strmm if root.dtype == np.float32 else linalg.blas.dtrmm
            # BLAS counts columns first: rows @ root is rootᵀ @ rowsᵀ there, and a root whose rows are contiguous is its
            # own transpose to it. Given otherwise, it is copied at every call, which takes longer than the product.
            by_columns = root.flags.f_contiguous
            lower = (shape == "lower") == by_columns
            turned = rows.astype(root.dtype, copy=False).T
            found = multiply(1.0, root if by_columns else root.T, turned, trans_a=int(by_columns), lower=int(lower)).T
        return np.asarray(np.einsum("ij,ij->i", found, found, dtype=np.float64))

    def scatter(self, centred: Float64Array) -> Float64Array:
        """Return centredᵀ @ centred; NumPy computes one triangle only."""
        return np.asarray(centred.T @ centred)

    def cholesky(self, matrix: Float64Array) -> Float64Array:
        """Return the lower triangular factor."""
        return np.asarray(linalg.cholesky(matrix, lower=True, check_finite=False))

    def congruence(self, lower: Float64Array, matrix: Float64Array) -> Float64Array:
        """Return the lower triangle of lowerᵀ @ matrix @ lower, at half the cost of two products."""
        found, _ = linalg.lapack.dsygst(matrix.T, lower, itype=2, lower=1)
        return np.asarray(found)

    def upper_root(self, vectors: npt.NDArray[np.floating], weights: Float64Array) -> Float64Array:
        """Return the upper triangular root, from one triangle of the product in the precision of the vectors."""
        # Cholesky's factor is lower triangular; of the matrix turned by half a turn it gives the upper one.
        scales = np.sqrt(weights).astype(vectors.dtype)
        turned = np.multiply(vectors.T[:, ::-1], scales[:, None], order="C")
        multiply = linalg.blas.ssyrk if vectors.dtype == np.float32 else linalg.blas.dsyrk
        gram = multiply(1.0, turned.T, lower=1)
        lower, failed = linalg.lapack.dpotrf(gram, lower=1, clean=1, overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError(f"the leading minor of order {failed} is not positive definite")
        return np.asarray(lower[::-1, ::-1])

    def solved(self, lower: Float64Array, upper: Float64Array) -> Float64Array:
        """Return the upper triangular X, at less than half the cost of a full one."""
        found = np.zeros(upper.shape, order="F")
        for first in range(0, len(upper), BLOCK_DIM):
            # Columns of X up to here are zero below here.
            part = slice(first, min(first + BLOCK_DIM, len(upper)))
            leading = slice(0, part.stop)
            found[leading, part] = linalg.blas.dtrsm(
                1.0, lower[leading, leading], upper[leading, part], lower=1, trans_a=1
            )
        return found

    def inverse(self, upper: Float64Array) -> Float64Array:
        """Return the inverse of an upper triangular matrix."""
        found, _ = linalg.lapack.dtrtri(upper, lower=0)
        return np.asarray(found)

    def eigenvalues(self, matrix: Float64Array) -> Float64Array:
        """Return the eigenvalues of a symmetric matrix, ascending."""
        return np.asarray(linalg.eigvalsh(matrix, check_finite=False))

    def eigenvectors(self, matrix: Float64Array, leading: int | None = None) -> tuple[Float64Array, Float64Array]:
        """Return eigenvalues, ascending, and eigenvectors as columns."""
        if leading is None:
            values, vectors = linalg.eigh(matrix, driver="evd", check_finite=False)
        else:
            span = (len(matrix) - leading, len(matrix) - 1)
            values, vectors = linalg.eigh(matrix, subset_by_index=span, check_finite=False)
        return values, vectors

    def single_eigenvectors(self, matrix: Float64Array) -> tuple[Float64Array, npt.NDArray[np.floating]]:
        """Return eigenvalues, and eigenvectors that are carried back from a tridiagonal matrix in float32."""
        size = len(matrix)
        work, _ = linalg.lapack.dsytrd_lwork(size, lower=1)
        reduced, diagonal, beside, scales, _ = linalg.lapack.dsytrd(matrix, lower=1, lwork=int(work))
        values, vectors = linalg.eigh_tridiagonal(diagonal, beside, check_finite=False)
        # The reflections are those of a QR decomposition of what is left of the matrix below its first row.
        below, rest = (part.astype(np.float32, order="F") for part in (reduced[1:, :-1], vectors[1:]))
        scales = scales.astype(np.float32)
        rest, _, _ = linalg.lapack.sormqr("L", "N", below, scales, rest, BLOCK_DIM * size, overwrite_c=1)
        return values, np.concatenate([vectors[:1].astype(np.float32), rest])

    def singular_values(self, matrix: Float64Array) -> Float64Array:
        """Return the singular values, descending."""
        return np.asarray(linalg.svdvals(matrix, check_finite=False))

    def svd(self, matrix: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return U, singular values and Vᵀ, the short way."""
        left, values, right = linalg.svd(matrix, full_matrices=False, check_finite=False)
        return left, values, right


_HOST = HostAlgebra()
_large: ContextVar[Algebra] = ContextVar("large_algebra", default=_HOST)


@contextmanager
def computed_by(place: Algebra) -> Iterator[None]:
    """Let a place compute all large matrices inside the block.

    Examples
    --------
    >>> with computed_by(HostAlgebra()):
    ...     algebra(LARGE_DIM).name
    'host'
    """
    token = _large.set(place)
    try:
        yield
    finally:
        _large.reset(token)


def is_large(dim: int) -> bool:
    """Say whether matrices of so many columns may be computed elsewhere, and are worth some care."""
    return dim >= LARGE_DIM


def algebra(dim: int) -> Algebra:
    """Return what computes matrices of so many columns."""
    return _large.get() if is_large(dim) else _HOST
