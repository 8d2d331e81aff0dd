"""What scores that are fed batch by batch share: two sides, their states, and the life of a torchmetrics object.

Balanced scores whose reference was given beforehand keep balanced coordinates, of which there are at most 64 per
condition; all others keep the features as they come.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.exceptions import TorchMetricsUserError

from t2av_bench.errors import MetricError, UsageError
from t2av_bench.metrics.joint import Balance
from t2av_bench.metrics.states import (
    ClipIds,
    Rows,
    SideRows,
    clip_numbers,
    joined_rows,
    merge_moments,
    moments_matrix,
    moments_stats,
)
from t2av_bench.metrics.stats import JointStats

Coordinates = Literal["raw", "balanced"]
Side = JointStats | SideRows
Reference = JointStats | Mapping[str, npt.NDArray[Any] | Tensor]
Value = Tensor | dict[str, Tensor]


class EmbeddingScore(Metric):
    """What all scores of embeddings share: two sides, one of which may be given beforehand.

    Parameters
    ----------
    dims
        Dimension of each block, in order: ``audio``, and ``video`` and ``text`` if the score is over them.
    coordinates
        ``raw`` features or ``balanced`` ones (:class:`~t2av_bench.metrics.Balance`), fitted on the reference.
    reference
        The reference's rows by block, or their :class:`~t2av_bench.metrics.JointStats`. None: fed by
        ``update(..., real=True)``.
    reference_clip_ids
        Clip of each row of a reference that is given as rows.
    stderr
        Keep rows and clips, and let ``compute`` return ``{"value": ..., "stderr": ...}``. Every row needs its clip.
    reset_real_features
        Whether ``reset`` forgets a reference that was fed.
    **kwargs
        Of :class:`torchmetrics.Metric`.

    Raises
    ------
    UsageError
        If the options contradict each other.
    MetricError
        If the reference does not fit.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    needs_rows: ClassVar[bool] = False

    def __init__(
        self,
        dims: Mapping[str, int],
        *,
        coordinates: Coordinates = "raw",
        reference: Reference | None = None,
        reference_clip_ids: ClipIds | None = None,
        stderr: bool = False,
        reset_real_features: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        unknown = set(dims) - {"audio", "video", "text"}
        if unknown or "audio" not in dims:
            raise UsageError(f"`dims` must hold audio, and may hold video and text; got {', '.join(dims)}")
        if any(dim < 1 for dim in dims.values()):
            raise UsageError(f"dimensions must be at least 1; got {dict(dims)}")
        if stderr and reference is not None and reference_clip_ids is None:
            raise UsageError("a standard error needs the clips of the reference: its rows, and `reference_clip_ids`")
        self.dims, self.coordinates, self.stderr = dict(dims), coordinates, stderr
        self.reset_real_features = reset_real_features
        self._keeps_rows = stderr or self.needs_rows
        self._watched: list[tuple[Tensor, Tensor]] | None = None  # the batch, while forward() runs
        self._balance: Balance | None = None
        self._given: Side | None = None
        if reference is not None:
            self._give(reference, reference_clip_ids)
        for side in ("reference", "generated"):
            for name, empty in self._states(side).items():
                if name.endswith("_moments"):
                    self.add_state(name, empty, dist_reduce_fx=merge_moments, persistent=True)
                else:
                    self.add_state(name, [], dist_reduce_fx="cat", persistent=True)

    @abstractmethod
    def _score(self, reference: Side, generated: Side) -> tuple[float, float | None]:
        """Return the score of two sides in the score's coordinates, and its standard error if it is wanted."""

    def update(
        self,
        audio: Rows,
        video: Rows | None = None,
        text: Rows | None = None,
        *,
        real: bool = False,
        clip_ids: ClipIds | None = None,
    ) -> None:
        """Add windows of one side.

        Parameters
        ----------
        audio, video, text
            Embeddings of shape (windows, dimension), paired row by row. Blocks that the score is not over may be given
            and are left aside, so that all metrics of a collection can be fed in one call.
        real
            Whether these are of the reference; else they are generated.
        clip_ids
            Clip of each window; needed with ``stderr=True``, and used by kernel distances where both sides have them.

        Raises
        ------
        MetricError
            If a block is missing, shapes disagree or a value is not finite.
        UsageError
            If the reference was given beforehand, or clip ids are missing.
        """
        self._add({"audio": audio, "video": video, "text": text}, real, clip_ids)

    def compute(self) -> Value:
        """Return the score of all windows of all processes.

        Returns
        -------
        torch.Tensor or dict
            A float64 scalar; with ``stderr=True`` a dict of such with ``value`` and ``stderr``.

        Raises
        ------
        MetricError
            If the score is undefined; says why.
        """
        return self._result(self._side("reference"), self._side("generated"))

    def forward(self, *args: Any, **kwargs: Any) -> Value | None:
        """Add a batch, and score it alone against the reference that this process has so far.

        Returns
        -------
        torch.Tensor, dict or None
            As of :meth:`compute`; None for a batch of the reference, and where the batch alone has no score.
        """
        if self._is_synced:
            raise TorchMetricsUserError("forward() needs states of this process alone: call unsync() first.")
        self._watched = []
        try:
            self.update(*args, **kwargs)
            batch = self._watched
        finally:
            self._watched = None
        value: Value | None = None
        for rows, clips in batch:
            try:
                value = self._result(self._side("reference"), self._as_side(rows, clips))
            except MetricError:  # too small, or no reference yet
                value = None
        self._forward_cache = value  # type: ignore[assignment]  # where Lightning finds the value of a step
        return value

    def reset(self) -> None:
        """Forget all windows; those of the reference only with ``reset_real_features``."""
        kept = {} if self.reset_real_features else {name: getattr(self, name) for name in self._states("reference")}
        kept = {name: list(value) if isinstance(value, list) else value for name, value in kept.items()}
        super().reset()
        for name, value in kept.items():
            setattr(self, name, value)

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all processes; one that has seen no window takes part with no rows."""
        for side in ("reference", "generated"):
            for name, empty in self._states(side).items():
                state = getattr(self, name)
                if isinstance(state, list) and not state:
                    state.append(empty.to(self.device))
        super().sync(*args, **kwargs)

    def _add(self, blocks: Mapping[str, Rows | None], real: bool, clip_ids: ClipIds | None) -> None:
        """Check and count one batch."""
        if real and self._given is not None:
            raise UsageError("the reference was given beforehand: update() takes generated windows only")
        if clip_ids is None and self.stderr:
            raise UsageError("stderr=True needs `clip_ids`: clips, not windows, are the sample")
        rows = joined_rows(blocks, self.dims, self._balance, self.device)
        clips = clip_numbers(clip_ids, len(rows))
        if len(rows) == 0:
            return
        side = "reference" if real else "generated"
        held = getattr(self, f"{side}_rows")
        held.append(rows)
        if self._keeps_rows:
            getattr(self, f"{side}_clips").append(clips.to(self.device))
        elif sum(map(len, held)) > rows.shape[1]:
            so_far = getattr(self, f"{side}_moments")
            setattr(self, f"{side}_moments", merge_moments(torch.stack([so_far, moments_matrix(torch.cat(held))])))
            held.clear()
        if self._watched is not None and not real:
            self._watched.append((rows, clips))

    def _states(self, side: str) -> dict[str, Tensor]:
        """Return an empty state for each name of a side's states."""
        if side == "reference" and self._given is not None:
            return {}
        d = sum(self._state_dims.values())
        rows = {f"{side}_rows": torch.zeros((0, d), dtype=torch.float64)}
        if self._keeps_rows:
            return {**rows, f"{side}_clips": torch.zeros(0, dtype=torch.int64)}
        return {**rows, f"{side}_moments": torch.zeros((d + 1, d + 1), dtype=torch.float64)}

    @property
    def _state_dims(self) -> dict[str, int]:
        """Dimension of each block in the states: the balanced one where the reference was given."""
        return self.dims if self._balance is None else {b: self._balance.maps[b].shape[1] for b in self.dims}

    def _side(self, side: str) -> Side:
        """Return what is known of a side so far."""
        if side == "reference" and self._given is not None:
            return self._given
        found = {}
        for name, empty in self._states(side).items():
            state = getattr(self, name)
            found[name] = torch.cat([empty.to(self.device), *state]) if isinstance(state, list) else state
        if self._keeps_rows:
            return self._as_side(found[f"{side}_rows"], found[f"{side}_clips"])
        stats = moments_stats(found[f"{side}_moments"], self._state_dims)
        stats.merge(SideRows.of(found[f"{side}_rows"], self._state_dims).stats)
        return stats

    def _as_side(self, rows: Tensor, clips: Tensor) -> Side:
        side = SideRows.of(rows, self._state_dims, clips)
        return side if self._keeps_rows else side.stats

    def _give(self, reference: Reference, clip_ids: ClipIds | None) -> None:
        """Take a reference that is known beforehand."""
        if isinstance(reference, JointStats):
            absent = [block for block in self.dims if block not in reference.dims]
            if absent:
                raise MetricError(f"the reference must hold {' and '.join(self.dims)}; it has no {absent[0]} block")
            stats = reference.select(*self.dims)
            if stats.dims != self.dims:
                raise MetricError(f"the reference must have the dimensions {self.dims}; got {stats.dims}")
            rows = stats.rows
        else:
            rows = joined_rows(reference, self.dims, None, torch.device("cpu")).numpy()
            stats = SideRows.of(rows, self.dims).stats
        given: Side = stats
        if self._keeps_rows:
            if rows is None:
                raise MetricError("the score needs the rows of the reference; got their moments only")
            given = SideRows.of(rows, self.dims, clip_numbers(clip_ids, len(rows)))
        if self.coordinates == "balanced":
            self._balance = _fitted(stats)
            given = _balanced(given, self._balance)
        self._given = given

    def _result(self, reference: Side, generated: Side) -> Value:
        if self.coordinates == "balanced" and self._balance is None:
            balance = _fitted(reference.stats if isinstance(reference, SideRows) else reference)
            reference, generated = _balanced(reference, balance), _balanced(generated, balance)
        value, stderr = self._score(reference, generated)
        result = torch.tensor(value, dtype=torch.float64, device=self.device)
        if stderr is None:
            return result
        return {"value": result, "stderr": torch.tensor(stderr, dtype=torch.float64, device=self.device)}

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        for side in ("reference", "generated"):
            for name, empty in self._states(side).items():
                state = getattr(self, name)
                pieces = list(state) if isinstance(state, list) else [state]
                if any(piece.shape[1:] != empty.shape[1:] for piece in pieces):
                    raise MetricError(f"the saved {name} are of other dimensions than {self._state_dims}")
                moved = [piece.to(self.device) for piece in pieces]
                setattr(self, name, moved if isinstance(state, list) else moved[0])
        # What was saved has been counted: compute() must neither warn nor return the value from before.
        self._computed, self._update_count = None, max(self._update_count, 1)


def _balanced(side: Side, balance: Balance) -> Side:
    return side.balanced(balance) if isinstance(side, SideRows) else balance.apply(side)


def _fitted(reference: JointStats) -> Balance:
    balance = Balance.fit(reference)
    balance.check("the score", list(reference.dims))
    return balance
