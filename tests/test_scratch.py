"""Rows in a temporary file: what was appended comes back, and a file system without room says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2av_bench.errors import T2AVBenchError
from t2av_bench.metrics import kernel_distance, support_scores
from t2av_bench.metrics.coverage_errors import support_errors
from t2av_bench.scratch import RowFile


def filled(clips: list[np.ndarray]) -> RowFile:
    rows = RowFile()
    for clip in clips:
        rows.append(clip)
    return rows


def some_clips(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, 5)) for n in (3, 1, 7, 2, 20)]


def test_rows_come_back_by_block_by_place_and_by_clip():
    clips = some_clips(0)
    rows, whole = filled(clips), np.concatenate(clips)
    assert rows.shape == whole.shape
    assert np.array_equal(rows[2:9], whole[2:9])
    assert np.array_equal(rows[:], whole)
    for places in (np.array([30, 4, 5, 6, 0]), np.array([], dtype=int)):
        assert np.array_equal(rows[places], whole[places])
    assert all(np.array_equal(found, clip) for found, clip in zip(rows.by_clip, clips, strict=True))
    assert rows.places.tolist() == np.repeat(np.arange(5), [3, 1, 7, 2, 20]).tolist()


def test_a_distance_of_rows_in_a_file_has_the_bits_of_that_of_an_array():
    sides = some_clips(1), some_clips(2)
    stored = kernel_distance(*(filled(side) for side in sides))
    assert stored.value == kernel_distance(*(np.concatenate(side) for side in sides)).value


def test_supports_of_rows_in_a_file_have_the_bits_of_those_of_arrays():
    sides = some_clips(1), some_clips(2)
    stored, whole = [filled(side) for side in sides], [np.concatenate(side) for side in sides]
    assert support_scores(*stored) == support_scores(*whole)
    many = [[clip for seed in seeds for clip in some_clips(seed)] for seeds in (range(8), range(8, 16))]
    places = filled(many[0]).places
    errors = support_errors(*map(filled, many), places, places)
    assert errors == support_errors(*map(np.concatenate, many), places, places)


@pytest.mark.parametrize("when", ["opening", "writing"])
def test_without_room_the_message_names_the_variable(monkeypatch: pytest.MonkeyPatch, when: str):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    if when == "opening":
        monkeypatch.setattr("tempfile.TemporaryFile", full)
        with pytest.raises(T2AVBenchError, match=r"room for temporary files .*No space left.* TMPDIR"):
            RowFile()
    else:
        full_device = Path("/dev/full")
        if not full_device.exists():
            pytest.skip("this system has no /dev/full")
        with full_device.open("r+b") as device:
            monkeypatch.setattr("tempfile.TemporaryFile", lambda: device)
            rows = RowFile()
            with pytest.raises(T2AVBenchError, match=r"room for temporary files .*No space left.* TMPDIR"):
                rows.append(np.ones((4000, 5)))
