"""Standard errors of second order from rows: influence functions fitted on all clips, and on either half of them.

What they are and how well they hold is in :mod:`t2av_bench.metrics.uncertainty`. ``evaluate`` makes the same from
statistics by group and a second pass over its cache.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.groups import clip_number, halves_of
from t2av_bench.metrics.influence import frechet_influence
from t2av_bench.metrics.uncertainty import ClipIds, Contributions, Errors, clip_contributions, second_order


def frechet_errors(
    reference: npt.ArrayLike,
    generated: npt.ArrayLike,
    reference_clips: ClipIds,
    generated_clips: ClipIds,
    *,
    seed: int = 0,
) -> Errors:
    """Estimate the standard errors of a Fréchet distance and of its bias-corrected value, over clips.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d).
    reference_clips, generated_clips
        Clip of each row, shapes (n,) and (m,).
    seed
        Of the halves.

    Returns
    -------
    Errors
        In squared feature units. With clips that are named alike and the same seed, those of ``evaluate``.

    Raises
    ------
    MetricError
        If there are fewer than 4 d windows or 8 clips; then there is only an error of first order
        (:func:`~t2av_bench.metrics.uncertainty.clustered_stderr`).
    """
    found = frechet_contributions(reference, generated, reference_clips, generated_clips, seed=seed)
    if found.own_half is None:
        raise MetricError(
            f"an error of second order needs at least 4 d windows and 8 clips; got {len(np.asarray(reference))} windows"
            f" with d = {np.asarray(reference).shape[-1]}, and {len(found.clips)} clips"
        )
    return second_order(found.values, found.own_half)


def frechet_contributions(
    reference: npt.ArrayLike,
    generated: npt.ArrayLike,
    reference_clips: ClipIds,
    generated_clips: ClipIds,
    *,
    seed: int = 0,
) -> Contributions:
    """Return what each clip adds to a Fréchet distance, also by the influence function of its own half.

    Parameters
    ----------
    reference, generated, reference_clips, generated_clips, seed
        As for :func:`frechet_errors`. Clips named by integers are put into halves by these
        (:func:`~t2av_bench.metrics.groups.grouped_by_number`), others by a hash of their names.

    Returns
    -------
    Contributions
        Without those by halves where errors of second order need more windows or clips.
    """
    rows = [np.asarray(side, dtype=np.float64) for side in (reference, generated)]
    ids = [np.asarray(side) for side in (reference_clips, generated_clips)]
    found = clip_contributions(frechet_influence(*rows), *ids)
    halves = halves_of([_number(clip, ids[0]) for clip in found.clips], seed)
    if halves is None or len(rows[0]) < 4 * rows[0].shape[1]:
        return found
    places = [np.searchsorted(found.clips, side.astype(str)) for side in ids]
    own_half = np.zeros(len(halves))
    for half in (0, 1):
        chosen = [halves[place] == half for place in places]
        influence = frechet_influence(*(side[mask] for side, mask in zip(rows, chosen, strict=True)))
        for values, side, place, mask in zip(influence, rows, places, chosen, strict=True):
            own_half += np.bincount(place[mask], weights=values / len(side), minlength=len(halves))
    return found._replace(own_half=own_half)


def _number(clip: str, ids: npt.NDArray[np.generic]) -> int:
    return int(clip) if np.issubdtype(ids.dtype, np.integer) else clip_number(clip)
