"""The register of published weights: where they come from, how they are verified, how their files are read.

Nothing is fetched here. :func:`find_weights` looks into ``weights/`` of the home folder and either returns a verified
path or raises a :class:`~t2av_bench.errors.PrerequisiteError` that says what to fetch and where to put it. Checkpoints
are hostile input: :func:`load_checkpoint` reads tensors, containers and NumPy arrays and never runs code from a file.
"""

from __future__ import annotations

import pickletools
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from t2av_bench.download.remote import fault_of, file_hash, remembered_hash
from t2av_bench.errors import PrerequisiteError, UsageError, shown
from t2av_bench.home import home
from t2av_bench.models.extractors.catalogue import WEIGHTS, WeightsEntry

if TYPE_CHECKING:
    import torch

__all__ = [
    "WEIGHTS",
    "WeightsEntry",
    "apply_state_dict",
    "file_sha256",
    "find_weights",
    "layout_differences",
    "load_checkpoint",
    "load_state_dict",
    "verify_weights",
    "weights_entry",
    "weights_path",
]

_NAMED_AT_MOST = 4
_LONGEST_NAME = 1_000
# Magic number, protocol, system, content, keys; the tensors' numbers follow.
_LEGACY_PICKLES_N = 5


def weights_entry(name: str) -> WeightsEntry:
    """Return the register's entry of that name.

    Raises
    ------
    UsageError
        If there is none; lists what exists.
    """
    if name not in WEIGHTS:
        raise UsageError(f"There are no weights named {name!r}. Available: {', '.join(WEIGHTS)}.")
    return WEIGHTS[name]


def weights_path(entry: WeightsEntry) -> Path:
    """Return where the file of an entry belongs, whether or not it is there."""
    return entry.path


def find_weights(entry: WeightsEntry | str) -> Path:
    """Return the path of a published weights file, verified.

    Parameters
    ----------
    entry
        An entry of :data:`WEIGHTS` or its name.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    PrerequisiteError
        If the file is missing (names URL, size, licence, command and path) or is not the published one.

    Notes
    -----
    Hashing 300 MB takes about a second, so a verified file's size, modification time and hashes are remembered in
    ``weights/.verified/`` and the file is read again only after one of the first two has changed.
    """
    entry = weights_entry(entry) if isinstance(entry, str) else entry
    path = weights_path(entry)
    if not path.is_file():
        raise PrerequisiteError(_how_to_get(entry, path))
    verify_weights(entry, path)
    return path


def verify_weights(entry: WeightsEntry, path: Path) -> None:
    """Check a file against everything the register knows about it: size, SHA-256 or its prefix, MD5.

    Raises
    ------
    PrerequisiteError
        Names the file, what was expected and what was found.
    """
    fault = fault_of(entry, path)
    if fault is not None:
        raise PrerequisiteError(
            f"{path} must be the published file {entry.file_name} ({fault.expected}), but has {fault.found}. It may be "
            f"truncated or another version; `t2av-bench download weights --only {entry.name}` replaces it."
        )


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits; of a file of the home folder, the remembered one."""
    path = Path(path)
    return remembered_hash(path) if home() / "weights" in path.parents else file_hash(path)


def load_checkpoint(path: str | Path) -> Any:
    """Read a ``torch.save`` file, current or legacy format, without running code from it.

    NumPy arrays and scalars are allowed besides tensors and containers: the published PANNs and VGGish PCA files hold
    some, pickled by NumPy 1, whose module names differ from NumPy 2's. Tensors of files in the current (zip) format
    are mapped into memory, not read.

    Raises
    ------
    PrerequisiteError
        If the file is missing, truncated or no checkpoint, or wants to import anything else.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise PrerequisiteError(f"The weights file {path} does not exist.")
    try:
        _check_names(path)
        with _numpy_content_allowed(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged stream sends the unpickler anywhere
        first_line = shown(str(error).strip().partition("\n")[0] or type(error).__name__, 300)
        raise PrerequisiteError(
            f"{path} cannot be read as a checkpoint of tensors; it may be truncated, or hold objects whose loading "
            f"would run code, which is refused: {first_line}"
        ) from error


def _check_names(path: Path) -> None:
    """Raise if a file asks for an object by a huge name: torch's search in its own message would take for ever."""
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for member in archive.infolist():
                    if member.filename.endswith("data.pkl"):
                        _check_pickle(archive.open(member))
            return
        file.seek(0)
        for _ in range(_LEGACY_PICKLES_N):
            if not _check_pickle(file):
                return


def _check_pickle(stream: IO[bytes]) -> bool:
    """Look at a pickle without running it; false if it is none, which whoever runs it says better."""
    try:
        for operation, argument, _ in pickletools.genops(stream):
            if operation.name == "GLOBAL" and len(str(argument)) > _LONGEST_NAME:
                raise _LongNameError(f"it asks for an object whose name has {len(str(argument)):,} characters")
    except _LongNameError:
        raise
    except Exception:
        return False
    return True


class _LongNameError(Exception):
    """No class has a name as long."""


def load_state_dict(path: str | Path, *, key: str = "state_dict") -> dict[str, torch.Tensor]:
    """Read a state dict, either bare or wrapped in a dictionary under ``key``.

    Parameters
    ----------
    path
        A ``torch.save`` file.
    key
        Name of the wrapper's entry that holds the state dict.

    Returns
    -------
    dict
        Names to CPU tensors, as stored.

    Raises
    ------
    PrerequisiteError
        If the file cannot be read or holds no state dict.
    """
    import torch

    content = load_checkpoint(path)
    state = content.get(key, content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        held = (
            f"a dictionary with the keys {_some(content)}" if isinstance(content, Mapping) else type(content).__name__
        )
        raise PrerequisiteError(f"{path} must hold tensors by name, alone or under {key!r}, but holds {held}.")
    return {str(name): tensor for name, tensor in state.items()}


def apply_state_dict(network: torch.nn.Module, state: Mapping[str, torch.Tensor], source: str | Path) -> None:
    """Put tensors into a network, which may live on torch's ``meta`` device; floating-point ones become float32.

    Raises
    ------
    PrerequisiteError
        If names or shapes differ from the network's: says which, so that a file of another network is recognised.
    """
    expected = network.state_dict()
    differences = layout_differences(
        *({n: tuple(v.shape) for n, v in tensors.items()} for tensors in (expected, state))
    )
    if differences:
        raise PrerequisiteError(f"{source} does not have the layout of {type(network).__name__}: {differences}.")
    network.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in state.items()}, assign=True)


def layout_differences(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]]) -> str:
    """Say which tensors are missing, unknown or of another shape; empty if all are as they must be."""
    missing, unknown = sorted(set(wanted) - set(given)), sorted(set(given) - set(wanted))
    shapes = [
        f"{name} is {given[name]}, not {shape}" for name, shape in wanted.items() if given.get(name, shape) != shape
    ]
    faults = [f"missing {_some(missing)}"] * bool(missing) + [f"unknown {_some(unknown)}"] * bool(unknown)
    return "; ".join(faults + shapes[:_NAMED_AT_MOST])


def _how_to_get(entry: WeightsEntry, path: Path) -> str:
    return (
        f"The weights {entry.name!r} are missing. Run `t2av-bench download weights --only {entry.name}`, or fetch "
        f"{entry.url} ({entry.size}; licence: {entry.licence}) and put it at {path}. "
        "`t2av-bench doctor` shows all that are missing."
    )


@contextmanager
def _numpy_content_allowed() -> Iterator[None]:
    """Let the restricted unpickler build NumPy arrays and scalars, under NumPy 1's and NumPy 2's module names."""
    import numpy as np
    import torch

    try:
        from numpy._core import multiarray
    except ImportError:  # NumPy 1
        from numpy.core import multiarray  # type: ignore[no-redef, unused-ignore]
    builders: list[Any] = [
        (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
        for name in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ]
    kinds = [type(np.dtype(code)) for code in ("?", "i1", "u1", "i2", "i4", "i8", "u4", "u8", "f2", "f4", "f8")]
    with torch.serialization.safe_globals([*builders, np.ndarray, np.dtype, *kinds]):
        yield


def _some(names: Any) -> str:
    listed = [shown(str(name), 200) for name in names]
    more = f" and {len(listed) - _NAMED_AT_MOST} more" if len(listed) > _NAMED_AT_MOST else ""
    return ", ".join(listed[:_NAMED_AT_MOST]) + more
