"""What a validation found, and its JSON file (``validation.schema.json``)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from t2av_bench.errors import ResultError
from t2av_bench.schemas import SavedRecord, first_violation, read_json

SCHEMA_VERSION = 1
Verdict = Literal["orders", "sees", "blind", "rewards", "unknown"]


@dataclass(frozen=True)
class Point:
    """A score at one level.

    Attributes
    ----------
    level
        In the distortion's unit.
    value
        The score.
    worsening
        Change from the undistorted sound against the score's better direction.
    stderr
        Paired standard error of the worsening; None where the score has none.
    detected, fooled
        Whether the score is worse, or better, than for the undistorted sound by more than two standard errors.
    above_floor
        Whether the distorted sound lies further from other clips' real sound than real sound does; None where the
        score has no floor.
    """

    level: float
    value: float
    worsening: float
    stderr: float | None
    detected: bool | None
    fooled: bool | None
    above_floor: bool | None


@dataclass(frozen=True)
class Response:
    """How a score responds to a distortion; see :mod:`t2av_bench.validation.responses`.

    Attributes
    ----------
    metric, distortion
        Their names.
    points
        In order of strength.
    spearman, interval
        Order of the levels by the score, 1 for a faithful one, and its 95 % interval over clips.
    first_detected, first_above_floor
        First level that is detected, or above the floor.
    verdict
        ``orders``: the strongest level is detected, and the interval of the order lies above 0. ``sees``: some level
        is detected. ``blind``: none is. ``rewards``: the strongest level scores better than the real sound.
        ``unknown``: changes of the score have no standard error.
    withheld
        Why any of these is None, by name.
    """

    metric: str
    distortion: str
    points: list[Point]
    spearman: float | None
    interval: tuple[float, float] | None
    first_detected: float | None
    first_above_floor: float | None
    verdict: Verdict
    withheld: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation(SavedRecord):
    """What :func:`t2av_bench.validate_metrics` returns.

    Attributes
    ----------
    responses
        One per score and distortion, scores in the order of the table.
    distortions
        Name to what it does, unit, level of none, and levels tried; null stands for infinity.
    undistorted
        Score name to its value for the real sound itself.
    absent
        What could not be computed, each with its reason: levels as ``"late 2"``, scores by name, and scores at a level
        as ``"FAD at late 2"``.
    manifest, protocol, extractors, environment
        As in a result.
    n_clips
        Clips that were distorted and scored.
    notes
        What a reader should know.
    """

    schema = "validation"

    responses: list[Response]
    distortions: dict[str, dict[str, Any]]
    undistorted: dict[str, float]
    absent: dict[str, str]
    manifest: dict[str, Any]
    protocol: dict[str, Any]
    extractors: dict[str, Any]
    n_clips: int
    notes: list[str]
    environment: dict[str, Any]
    seed: int
    command: str
    created: str
    tool_version: str
    schema_version: int = SCHEMA_VERSION

    def of(self, metric: str, distortion: str) -> Response:
        """Return one score's response to one distortion.

        Raises
        ------
        KeyError
            If it was not computed.
        """
        for response in self.responses:
            if (response.metric, response.distortion) == (metric, distortion):
                return response
        raise KeyError(f"{metric} under {distortion}")

    @property
    def metrics(self) -> list[str]:
        """Names of the scores, in order."""
        return list(dict.fromkeys(response.metric for response in self.responses))

    @classmethod
    def load(cls, path: str | Path) -> Validation:
        """Read a validation file.

        Raises
        ------
        ResultError
            If the file is missing, no JSON, or breaks the schema; names the place in the file.
        """
        record = read_json(Path(path))
        violation = first_violation(record, cls.schema)
        if violation is not None:
            raise ResultError(f"{path}: is no t2av-bench validation: {violation}")
        return cls(**{**record, "responses": [_response(found, path) for found in record["responses"]]})


def _response(record: dict[str, Any], path: str | Path) -> Response:
    points = [Point(**point) for point in record["points"]]
    if not all(math.isfinite(number) for point in points for number in (point.value, point.worsening)):
        raise ResultError(f"{path}: the values of {record['metric']} must be finite")
    interval = record["interval"]
    return Response(**{**record, "points": points, "interval": None if interval is None else tuple(interval)})
