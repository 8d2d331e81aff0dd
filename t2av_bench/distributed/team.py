"""The process, or the processes, that a run is shared among; ``launch`` makes several of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from t2av_bench.errors import UsageError

Parameters = ParamSpec("Parameters")
Station = TypeVar("Station")
Share = TypeVar("Share")
Answer = TypeVar("Answer")


class Processes:
    """A process that is alone: it does everything itself.

    Attributes
    ----------
    rank, n
        This process, and how many there are.
    local_n
        How many of them share this machine's cores.
    """

    rank = 0
    n = 1
    local_n = 1

    @property
    def leads(self) -> bool:
        """Whether this is the first process, which prints and writes."""
        return self.rank == 0

    def each(
        self, function: Callable[[Station, Share], Answer], station: Station, shares: Sequence[Share]
    ) -> list[Answer]:
        """Call a function in every process with its share, and return all answers in order; the first process's call.

        Parameters
        ----------
        function
            Of a module; takes what its process brings, and a share.
        station
            What this process brings. The others bring their own of the same type (:meth:`serve`).
        shares
            One for each process; picklable, as the answers are.

        Raises
        ------
        Exception
            What the function raised in any process, as soon as that has happened.
        """
        return [function(station, share) for share in shares]

    def taken(self, count: int) -> Iterator[int]:
        """Yield the numbers below ``count`` that fall to this process: to whoever comes first, each to one.

        To be called once inside a function of :meth:`each`, with the same count in every process.
        """
        yield from range(count)

    def serve(self, *stations: object) -> Any:
        """Do what the first process hands out, until it is through; return what it returned; the others' call.

        Raises
        ------
        Exception
            What the first process raised.
        """
        raise UsageError("there is no other process to serve")

    def together(self, run: Callable[[], Answer]) -> Answer:
        """Run in every process; see :func:`same_outcome`."""
        return run()

    def device(self, name: str) -> str:
        """Return the device that this process takes where ``name`` is asked for: of several GPUs its own.

        Raises
        ------
        UsageError
            If all processes of this machine would take the same one of its GPUs.
        """
        return name


ALONE = Processes()


def same_outcome(function: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """Make every process of the argument ``processes`` return what the first one returns, or raise what it raises.

    All of them must call the function, with the same arguments.
    """

    @wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        processes = kwargs.get("processes", ALONE)
        assert isinstance(processes, Processes)
        return processes.together(partial(function, *args, **kwargs))

    return run
