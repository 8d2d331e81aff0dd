"""Sequences whose items are made when they are asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2av_bench.on_demand import OnDemand

PLACES = st.one_of(st.none(), st.integers(-12, 12))


@given(st.integers(0, 9), st.lists(st.tuples(PLACES, PLACES, PLACES.filter(lambda step: step != 0)), max_size=3))
def test_slices_and_their_slices_are_those_of_a_list(n: int, slices: list[tuple[int | None, int | None, int | None]]):
    made, whole = OnDemand(range(n), lambda place: 10 * place), [10 * place for place in range(n)]
    for bounds in slices:
        made, whole = made[slice(*bounds)], whole[slice(*bounds)]
    assert list(made) == whole
    assert list(reversed(made)) == whole[::-1]
    assert len(made) == len(whole)
    assert [made[place] for place in range(-len(whole), 0)] == whole
    for place in (len(whole), -len(whole) - 1):
        with pytest.raises(IndexError, match="out of range"):
            made[place]


def test_nothing_is_made_before_it_is_asked_for_and_nothing_is_kept():
    asked: list[int] = []
    made = OnDemand(range(5), lambda place: asked.append(place) or place)
    some = made[1:4]
    assert asked == []
    assert (some[0], some[0], some[-1]) == (1, 1, 3)
    assert asked == [1, 1, 3]
