"""Whether sounds come when they should: against the real sound, the picture, or known events.

Every score takes the onsets of a sound from its onset strength, and the moments of a picture from its motion energy
(:mod:`t2av_bench.metrics.peaks`); formulas in :mod:`t2av_bench.metrics.onsets` and
:mod:`t2av_bench.metrics.envelopes`.

**The value of one clip is weak evidence**: much moves without a sound, and much sounds that is not seen. Read means
over sets, with their errors, between the two that :class:`PairedWithPicture` puts beside them: the real sound, and the
same sounds with the pictures of other clips.

What the two scores of sound with picture can tell, measured (± standard error):

==============================  =============  ===============  ===================
sound                           AV-Align       AV-offset, s     signed offset, s
==============================  =============  ===============  ===================
mini world, 128 clips: real     0.280 ± 0.028  0.155 ± 0.021    0.020 ± 0.003
… half a second late            0.026 ± 0.008  0.473 ± 0.016    0.520 ± 0.005
… of another clip               0.029 ± 0.009  0.433 ± 0.027    no confidence
22 real clips of 6 s: real      0.045 ± 0.011  0.466 ± 0.075    no confidence
… with other clips' pictures    0.054 ± 0.014  0.563 ± 0.063    no confidence
==============================  =============  ===============  ===================

On so few real clips, of which the camera moves in many, neither tells the real sound from another: motion energy is too
plain a sign of what sounds. There DeSync is the measure to ask for.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from t2av_bench.companions.base import ClipArrays, ClipMeasure, ClipSet, Float32Array, Ratio, Undefined
from t2av_bench.metrics.distances import mean_row, row_blocks
from t2av_bench.metrics.envelopes import best_offset, correlation_by_offset, peak_confidence, resampled
from t2av_bench.metrics.onsets import OnsetScores, count_matches, onset_scores
from t2av_bench.metrics.peaks import motion_peaks, onset_times
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import contributions_stderr
from t2av_bench.models.extractors.motion_energy import MotionEnergyExtractor
from t2av_bench.models.extractors.onset_strength import OnsetStrengthExtractor
from t2av_bench.scratch import RowFile

SOUND_HZ, PICTURE_HZ = OnsetStrengthExtractor.rate_hz, MotionEnergyExtractor.rate_hz
ONSET_TOLERANCE_S = 0.1
EVENT_TOLERANCE_S = 0.05
MAX_OFFSET_S = 1.0
_BOOTSTRAPS_N = 200
_DRAWN_N = 5  # bootstraps, a divisor of their number, and clips, that are in memory at once
_BLOCK_CLIPS = 1024


def _onsets(rows: Float32Array) -> Float64Array:
    return onset_times(rows[:, 0], SOUND_HZ)


@dataclass(frozen=True)
class OnsetScore(ClipMeasure):
    """Onset accuracy or average precision of the generated sound against the real one, after CondFoleyGen.

    Attributes
    ----------
    attribute
        Of :class:`~t2av_bench.metrics.onsets.OnsetScores`.
    """

    attribute: str

    @property
    def settings(self) -> dict[str, Any]:
        """Return the tolerance."""
        return {"tolerance_s": ONSET_TOLERANCE_S}

    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        """Measure one clip; undefined where the real sound has no onset."""
        value: float | None = getattr(self._scores(arrays), self.attribute)
        return Undefined("the reference has no onset") if value is None else Ratio(value)

    @staticmethod
    def _scores(arrays: ClipArrays) -> OnsetScores:
        generated = arrays.generated["onset_strength"]
        found = _onsets(generated)
        confidence = peak_confidence(generated[:, 1], found, SOUND_HZ)
        return onset_scores(_onsets(arrays.reference["onset_strength"]), found, confidence, tolerance=ONSET_TOLERANCE_S)


@dataclass(frozen=True)
class EventScore(ClipMeasure):
    """F1 of the generated sound's onsets against the event times that the manifest knows.

    Events weigh equally, not clips: 2 · hits / (events + onsets), all summed over clips. A clip without events counts
    by the onsets that are found in it.
    """

    @property
    def settings(self) -> dict[str, Any]:
        """Return the tolerance."""
        return {"tolerance_s": EVENT_TOLERANCE_S}

    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        """Measure one clip."""
        events = np.asarray(arrays.reference["events"], dtype=np.float64)[:, 0]
        found = _onsets(arrays.generated["onset_strength"])
        return Ratio(2.0 * count_matches(events, found, EVENT_TOLERANCE_S), float(len(events) + len(found)))


@dataclass(frozen=True)
class PairedWithPicture(ClipMeasure):
    """A score of how well a sound goes with a picture, and its two controls.

    The controls stand in the score's settings. ``shuffled``: generated sounds with the pictures of other clips, by one
    seeded derangement. ``reference``: the real sounds with their own pictures. A score means something where it lies
    between the two, and where they lie apart by more than their errors.
    """

    sound: ClassVar[str] = "onset_strength"
    picture: ClassVar[str] = "motion_energy"

    @abstractmethod
    def compare(self, picture: Float32Array, sound: Float32Array) -> Ratio | Undefined:
        """Measure a sound with a picture; they are of equal duration, or the shorter one counts."""

    def measure(self, arrays: ClipArrays) -> Ratio | Undefined:
        """Measure the generated sound with the clip's picture."""
        return self.compare(arrays.reference[self.picture], arrays.generated[self.sound])

    def controls(self, clips: ClipSet, seed: int) -> dict[str, Any]:
        """Return both controls, each as value, standard error and number of clips, and the seed of the pairing."""
        others = derangement(len(clips), seed)
        shuffled, reference = [], []
        for place, arrays in enumerate(clips.arrays([self.picture, self.sound])):
            picture = arrays.reference[self.picture]
            other = clips.read(int(others[place]), [self.sound]).generated[self.sound]
            shuffled.append(self.compare(picture, other))
            reference.append(self.compare(picture, arrays.reference[self.sound]))
        return {**_summary("shuffled", shuffled), "shuffle_seed": seed, **_summary("reference", reference)}


@dataclass(frozen=True)
class PeakAlignment(PairedWithPicture):
    """AV-Align: matches over the union of onsets and motion peaks, one-to-one, within one frame of 1/25 s.

    1 for a picture without motion peaks with a sound without onsets, as both agree; 0 where only one of them has any.
    ``without_peaks`` in the settings counts the clips of the first kind: white noise, which has no onsets, scores 0.10
    on the mini world by 13 such clips of 128 alone.

    Differences from other implementations: TempoTokens takes peaks of optical flow at the video's own frame rate and
    librosa's onsets, and divides by zero where there are none. On four real clips its own code gives 0.18 for own
    sound and 0.15 for the next clip's: it takes peaks of everything that moves. Ours are fewer.
    """

    @property
    def settings(self) -> dict[str, Any]:
        """Return the tolerance."""
        return {"tolerance_s": 1.0 / PICTURE_HZ}

    def compare(self, picture: Float32Array, sound: Float32Array) -> Ratio | Undefined:
        """Measure a sound with a picture."""
        picture, sound = _same_duration(picture, sound)
        seen, heard = motion_peaks(picture[:, 0], PICTURE_HZ), _onsets(sound)
        hits = count_matches(seen, heard, 1.0 / PICTURE_HZ)
        union = len(seen) + len(heard) - hits
        return Ratio(hits / union if union else 1.0)

    def controls(self, clips: ClipSet, seed: int) -> dict[str, Any]:
        """Return the controls, and how many clips have no peak on either side."""
        peaks_n = [
            len(motion_peaks(arrays.reference[self.picture][:, 0], PICTURE_HZ))
            + len(_onsets(arrays.generated[self.sound]))
            for arrays in clips.arrays([self.picture, self.sound])
        ]
        return {"without_peaks": peaks_n.count(0), **super().controls(clips, seed)}


@dataclass(frozen=True)
class EnvelopeOffsetScore(PairedWithPicture):
    """AV-offset: mean over clips of the offset's absolute value, in seconds, from 0 to 1; lower is better.

    The offset of a clip is where onset strength and motion energy correlate best, read every 10 ms and positive where
    the sound comes after the picture. For sounds unrelated to the picture it is anything up to ±1 s, 0.5 s on average,
    and so it is for a regular beat that is late by a period.

    ``signed_offset_s`` in the settings is the offset of the whole set, where the mean of all clips' correlations is
    largest, with its bootstrap error and its confidence (the largest correlation less the median over offsets): a
    system that is late by the same time everywhere shows there, to a hundredth of a second. Without confidence, well
    below that of ``reference``, it means nothing.
    """

    @property
    def settings(self) -> dict[str, Any]:
        """Return the largest offset that is tried."""
        return {"max_offset_s": MAX_OFFSET_S}

    def compare(self, picture: Float32Array, sound: Float32Array) -> Ratio | Undefined:
        """Measure a sound with a picture."""
        curve = self._curve(picture, sound)
        return curve if isinstance(curve, Undefined) else Ratio(abs(best_offset(curve, rate=SOUND_HZ).offset))

    def controls(self, clips: ClipSet, seed: int) -> dict[str, Any]:
        """Return the controls, and the set's signed offset with error and confidence, of both sides' sound."""
        curves = RowFile(), RowFile()
        for arrays in clips.arrays([self.picture, self.sound]):
            for found, side in zip(curves, (arrays.reference, arrays.generated), strict=True):
                curve = self._curve(arrays.reference[self.picture], side[self.sound])
                if not isinstance(curve, Undefined):
                    found.append(curve[None])
        real = {f"reference_{name}": value for name, value in _signed(curves[0], seed).items()}
        return {**_signed(curves[1], seed), **super().controls(clips, seed), **real}

    @staticmethod
    def _curve(picture: Float32Array, sound: Float32Array) -> Float64Array | Undefined:
        picture, sound = _same_duration(picture, sound)
        if np.ptp(picture) == 0.0:
            return Undefined("nothing moves in the picture")
        if np.ptp(sound[:, 0]) == 0.0:
            return Undefined("nothing starts in the sound")
        if len(sound) <= MAX_OFFSET_S * SOUND_HZ:
            return Undefined(f"an offset of up to {MAX_OFFSET_S:g} s needs a longer clip")
        seen = resampled(picture[:, 0], PICTURE_HZ, SOUND_HZ, len(sound))
        return correlation_by_offset(seen, sound[:, 0], rate=SOUND_HZ, max_offset=MAX_OFFSET_S)


def derangement(n: int, seed: int) -> npt.NDArray[np.intp]:
    """Draw a pairing in which nobody keeps his own: one random cycle through all places.

    >>> sorted(derangement(5, 0).tolist()), bool((derangement(5, 0) == range(5)).any())
    ([0, 1, 2, 3, 4], False)
    """
    cycle = np.random.default_rng(seed).permutation(n)
    others = np.empty(n, dtype=np.intp)
    others[cycle] = np.roll(cycle, -1)
    return others


def shuffled_note(scores: dict[str, Any]) -> list[str]:
    """Say what scores of sound with picture are for other pictures and for the real sound, in one line."""
    parts = [
        f"{name} is {_spoken(score.settings, 'shuffled')} with other clips' pictures and"
        f" {_spoken(score.settings, 'reference')} for the real sound"
        for name, score in scores.items()
        if "shuffle_seed" in score.settings
    ]
    return [f"To compare with: {'; '.join(parts)}."] if parts else []


def _spoken(settings: dict[str, Any], control: str) -> str:
    value, stderr = settings.get(f"{control}_value"), settings.get(f"{control}_stderr")
    if value is None:
        return "undefined"
    return f"{value:.3f}" if stderr is None else f"{value:.3f} ± {stderr:.3f}"


def _same_duration(picture: Float32Array, sound: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Cut both to the shorter one: other clips' pictures may be of another duration."""
    steps = SOUND_HZ // PICTURE_HZ
    frames_n = min(len(picture), -(-len(sound) // steps))
    return picture[:frames_n], sound[: frames_n * steps]


def _summary(control: str, found: Sequence[Ratio | Undefined]) -> dict[str, Any]:
    """Mean over the clips that have a value, its standard error, and their number, as far as there are any."""
    values = np.array([clip.numerator / clip.denominator for clip in found if isinstance(clip, Ratio)])
    summary: dict[str, Any] = {f"{control}_n_clips": len(values)}
    if len(values):
        summary[f"{control}_value"] = float(values.mean())
    if len(values) > 1:
        summary[f"{control}_stderr"] = contributions_stderr((values - values.mean()) / len(values))
    return summary


def _signed(curves: RowFile, seed: int) -> dict[str, Any]:
    """Offset at which the mean of the curves is largest, its bootstrap standard error over clips, its confidence."""
    n = len(curves)
    if n == 0:
        return {}
    found = best_offset(mean_row(curves), rate=SOUND_HZ)
    rng = np.random.default_rng(seed)
    offsets: list[float] = []
    # A few at a time: there is a weight for each clip.
    for _ in range(_BOOTSTRAPS_N // _DRAWN_N):
        weights = rng.multinomial(n, np.full(n, 1 / n), size=_DRAWN_N)
        sums = sum(weights[:, block] @ curves[block] for block in row_blocks(n, _BLOCK_CLIPS))
        offsets.extend(np.argmax(sums, axis=1) / SOUND_HZ)
    return {
        "signed_offset_s": found.offset,
        "signed_offset_stderr_s": float(np.std(offsets, ddof=1)),
        "confidence": found.confidence,
    }
