"""What a checkpoint's settings may ask for: a file from a stranger must neither fill the memory nor never end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

from t2av_bench.errors import PrerequisiteError, quoted

LARGEST_PICTURE_PX = 4_096
# No part of any size in use has larger numbers in its configuration, or more of them in a row.
_LARGEST = 1_000_000
_LONGEST = 1_000
_DEEPEST = 16
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}


class TooManyError(Exception):
    """A network is larger than its file by far."""


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object whose numbers, lists and depths are of a size that some network could have.

    Raises
    ------
    PrerequisiteError
        If it is missing, no JSON object, or absurd.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PrerequisiteError(f"{path} is missing or cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise PrerequisiteError(f"{path} must hold a JSON object")
    _check_sizes(content, path)
    return content


def check_types(config: dict[str, Any], kind: Any, path: Path) -> None:
    """Hold the settings of our own parts and diffusers' to their types: with another, some fail as late as in use."""
    if not hasattr(kind, "from_config"):
        return
    for name, parameter in signature(kind.__init__).parameters.items():
        wanted = _TYPES.get(getattr(parameter.annotation, "__name__", str(parameter.annotation)), ())
        value = config.get(name, parameter.default)
        if name in config and wanted and (isinstance(value, bool) or not isinstance(value, wanted)):
            raise PrerequisiteError(f"{path}: {name} must be of type {wanted[-1].__name__}, got {quoted(value)}")
        if name == "image_size_px" and not 1 <= value <= LARGEST_PICTURE_PX:
            raise PrerequisiteError(f"{path}: {name} must be from 1 to {LARGEST_PICTURE_PX}, got {quoted(value)}")


@contextmanager
def at_most(parts_n: int) -> Iterator[None]:
    """Keep a network from being built without end: its numbers of layers come from a file."""
    from torch.nn.modules import module

    built_n = 0

    def count(*_: object) -> None:
        nonlocal built_n
        built_n += 1
        if built_n > parts_n:
            raise TooManyError(f"asks for more than {parts_n} tensors, far more than the file beside it has")

    hook = module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _check_sizes(content: dict[str, Any], path: Path) -> None:
    """Raise unless all numbers, lists and depths are of a size that some network could have."""
    level: list[Any] = [content]
    for _ in range(_DEEPEST):
        for value in level:
            if isinstance(value, (int, float)) and not abs(value) <= _LARGEST:
                raise PrerequisiteError(
                    f"{path} holds the number {quoted(value, 20)}; no part has a size beyond {_LARGEST:,}"
                )
            if isinstance(value, (list, dict)) and len(value) > _LONGEST:
                raise PrerequisiteError(
                    f"{path} holds a list of {len(value)} entries; no part has more than {_LONGEST:,}"
                )
        containers = [value for value in level if isinstance(value, (list, dict))]
        level = [item for value in containers for item in (value.values() if isinstance(value, dict) else value)]
        if not level:
            return
    raise PrerequisiteError(f"{path} is nested more than {_DEEPEST} levels deep")
