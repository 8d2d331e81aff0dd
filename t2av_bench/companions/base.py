"""What a companion score is: a formula over the cached arrays of an evaluation's clips.

Two kinds. A :class:`ClipMeasure` looks at one clip at a time, and its score is a mean over clips or a ratio of sums
over clips. A :class:`SetMeasure` looks at both sets as a whole. Neither reads media or runs a network: whatever a score
needs of a clip is a *part*, an array that some extractor made and the cache holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from t2av_bench.manifests import Clip
from t2av_bench.metrics import METRICS, Balance, JointStats, MetricSpec
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.models.extractors import Extractor
from t2av_bench.scratch import RowFile

Float32Array = npt.NDArray[np.float32]
JOINT_BLOCKS = ("audio", "video", "text")
Value = TypeVar("Value")


class ClipArrays(NamedTuple):
    """One clip's features on both sides.

    Attributes
    ----------
    clip
        The clip, with its caption and its range in time.
    reference, generated
        Part to array of shape (rows, dim). The rows of ``audio``, ``video`` and ``text`` pair with each other, and
        there is one of ``clip_audio``; other parts are as their extractor gave them. Parts that are no sound are
        conditions and the same on both sides; so are the ``events`` that a manifest knows, their times in seconds in
        shape (events, 1).
    """

    clip: Clip
    reference: Mapping[str, Float32Array]
    generated: Mapping[str, Float32Array]


class Ratio(NamedTuple):
    """What one clip adds to a score that is Σ numerator / Σ denominator over clips; of a plain mean, its value."""

    numerator: float
    denominator: float = 1.0


class Undefined(NamedTuple):
    """Why a measure has no value for a clip; such clips are left out and counted."""

    reason: str


class SetValue(NamedTuple):
    """The value of a :class:`SetMeasure`.

    Attributes
    ----------
    value
        The score.
    samples_n
        Rows that it is over, per side.
    contributions
        What each clip adds to it to first order, shape (clips,), in the unit of the score; the standard error follows
        from them. None where no such thing is known.
    settings
        Choices and fitted numbers that a reader needs, as JSON values.
    d
        Dimension of the features, where that decides how far the score can be trusted.
    why_no_stderr
        Why there is no standard error.
    own_half
        The same by the influence functions of the clips' own halves, where the error is of second order.
    stderr
        Standard error over clips of a score without contributions, where it is known otherwise.
    """

    value: float
    samples_n: int
    contributions: Float64Array | None = None
    settings: Mapping[str, Any] = {}
    d: int | None = None
    why_no_stderr: str = "the standard error of this score is not estimated"
    own_half: Float64Array | None = None
    stderr: float | None = None


@dataclass(frozen=True)
class _Measure(ABC):
    """What every companion score has.

    Attributes
    ----------
    name
        Of :data:`t2av_bench.metrics.METRICS`.
    """

    name: str

    @property
    def spec(self) -> MetricSpec:
        """The score's entry in the catalogue."""
        return METRICS[self.name]


@dataclass(frozen=True)
class ClipMeasure(_Measure):
    """A score that is a mean over clips, or a ratio of sums over clips; ``name`` is one of ``METRICS``."""

    @property
    def settings(self) -> dict[str, Any]:
        """Choices that a reader of the score needs, as JSON values."""
        return {}

    def prepared(self, extractors: Mapping[str, Extractor]) -> ClipMeasure:
        """Return the measure with what it needs of the evaluation's extractors, by part; most need nothing."""
        return self

    def controls(self, clips: ClipSet, seed: int) -> dict[str, Any]:
        """Return what the score is to be compared with, such as shuffled pairs, as JSON values; joins the settings."""
        return {}

    @abstractmethod
    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        """Measure one clip.

        Raises
        ------
        MetricError
            If its features are no features at all (not finite, of another shape).
        """


@dataclass(frozen=True)
class SetMeasure(_Measure):
    """A score of the two sets of clips as a whole; ``name`` is one of ``METRICS``."""

    @abstractmethod
    def measure(self, clips: ClipSet, seed: int) -> SetValue:
        """Measure the sets.

        Raises
        ------
        MetricError
            If the score is undefined for them; the message says why.
        """


@dataclass
class ClipSet:
    """All clips of an evaluation, read from the cache one by one and as often as needed.

    Attributes
    ----------
    clips
        The clips, in the manifest's order.
    read
        Returns the arrays of some parts of the clip at a place of ``clips``.
    balance
        Of the evaluation's balanced distances, where it has one; otherwise fitted when a measure asks.
    """

    clips: Sequence[Clip]
    read: Callable[[int, Sequence[str]], ClipArrays]
    balance: Balance | None = None
    _known: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.clips)

    def arrays(self, parts: Sequence[str]) -> Iterator[ClipArrays]:
        """Yield every clip with some parts of both sides."""
        return (self.read(place, parts) for place in range(len(self.clips)))

    def stacked(self, part: str, *, generated: bool) -> tuple[Float32Array, npt.NDArray[np.intp]]:
        """Return one part of one side, all clips below each other (rows, dim), and the place of each row's clip."""
        found = [arrays.generated if generated else arrays.reference for arrays in self.arrays([part])]
        rows = [parts[part] for parts in found]
        places = np.repeat(np.arange(len(rows)), [len(clip) for clip in rows])
        return np.concatenate(rows), places

    def once(self, key: str, compute: Callable[[], Value]) -> Value:
        """Return what ``compute`` returns, which several scores share under a key."""
        if key not in self._known:
            self._known[key] = compute()
        known: Value = self._known[key]
        return known

    def stored(self, part: str) -> tuple[RowFile, RowFile]:
        """Return one part of both sides, all clips below each other (rows, dim), each side in a file."""
        return self._filed([part], lambda parts: parts[part])

    def stored_generated(self, part: str) -> RowFile:
        """Return one part of the generated side, all clips below each other (rows, dim), in a file."""
        rows = RowFile()
        for arrays in self.arrays([part]):
            rows.append(arrays.generated[part])
        return rows

    def balanced(self, score: str, blocks: Sequence[str]) -> tuple[RowFile, RowFile]:
        """Return balanced joint rows of both sides (rows, d), projected clip by clip, each side in a file.

        Raises
        ------
        MetricError
            If a block does not vary over the reference, in the name of the score that asks.
        """
        balance = self.fitted_balance
        balance.check(score, blocks)
        return self._filed(
            blocks, lambda parts: np.concatenate([parts[block] @ balance.maps[block] for block in blocks], axis=1)
        )

    def _filed(
        self, parts: Sequence[str], joined: Callable[[Mapping[str, Float32Array]], npt.NDArray[Any]]
    ) -> tuple[RowFile, RowFile]:
        sides = RowFile(), RowFile()
        for arrays in self.arrays(parts):
            sides[0].append(joined(arrays.reference))
            sides[1].append(joined(arrays.generated))
        return sides

    @cached_property
    def fitted_balance(self) -> Balance:
        """The balance, fitted on the reference's joint features if the evaluation needed none so far."""
        if self.balance is not None:
            return self.balance
        first = self.read(0, JOINT_BLOCKS).reference
        stats = JointStats({block: rows.shape[1] for block, rows in first.items()})
        for arrays in self.arrays(list(first)):
            stats.update(**arrays.reference)
        return Balance.fit(stats)
