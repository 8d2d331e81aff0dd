"""Sequences whose items are made when they are asked for: held, those of many clips would fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, overload

Item = TypeVar("Item", covariant=True)


class OnDemand(Sequence[Item]):
    """Items that are made whenever they are asked for.

    Parameters
    ----------
    places
        Number of each item, in the order of the sequence: ``range(n)`` for all of ``n``.
    make
        Returns the item of a number, always the same.

    Examples
    --------
    >>> squares = OnDemand(range(10), lambda place: place**2)
    >>> squares[-1], list(squares[2:4])
    (81, [4, 9])
    """

    def __init__(self, places: range, make: Callable[[int], Item]) -> None:
        self._places, self._make = places, make

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        if isinstance(place, slice):
            return OnDemand(self._places[place], self._make)
        return self._make(self._places[place])
