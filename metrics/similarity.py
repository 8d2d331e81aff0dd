"""Similarity of two embeddings in a shared space, such as CLAP's of sounds and texts.

The *CLAP score* of a set is the mean over clips of the cosine between the generated sound's embedding and the
caption's: from -1 to 1, higher is better. Its scale is that of the checkpoint: compare only scores of the same one.
Some toolkits set negative cosines to 0 or multiply by 100; neither is done here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.distances import checked_vector


def cosine_similarity(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Cosine of the angle between two vectors.

    Parameters
    ----------
    first, second
        Shape (d,), of equal length.

    Returns
    -------
    float
        From -1 to 1; symmetric; independent of the vectors' lengths.

    Raises
    ------
    MetricError
        If the lengths differ, a value is not finite, or a vector has no direction because it is zero.

    Examples
    --------
    >>> cosine_similarity([1.0, 0.0], [3.0, 4.0])
    0.6
    """
    a, b = checked_vector(first, "first"), checked_vector(second, "second")
    if len(a) != len(b):
        raise MetricError(f"both embeddings must be of one space; got {len(a)} and {len(b)} dimensions")
    lengths = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if 0.0 in lengths:
        raise MetricError("an embedding that is zero has no direction")
    return float(np.clip((a / lengths[0]) @ (b / lengths[1]), -1.0, 1.0))
