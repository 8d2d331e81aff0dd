"""YAML into dataclasses, strictly: unknown keys and wrong types are errors that name the key.

Any frozen dataclass whose fields are numbers, text, booleans, ``Literal``, tuples of these, ``None`` or other such
dataclasses can be read. :func:`as_mapping` is the way back.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from t2av_bench.errors import UsageError, no_such_name, quoted

Config = TypeVar("Config")

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}


def from_mapping(cls: type[Config], values: Mapping[str, Any], where: str = "") -> Config:
    """Make a dataclass from nested mappings.

    Parameters
    ----------
    cls
        A dataclass.
    values
        One entry per field; fields with a default may be absent.
    where
        Path of the mapping, for messages: ``"stages.control"``.

    Raises
    ------
    UsageError
        For an unknown key (with the nearest match), a missing one, or a value of the wrong type.
    """
    hints = _hints(cls)  # type: ignore[arg-type]  # classes are hashable
    for key in values:
        if key not in hints:
            raise no_such_name(f"There is no setting {quoted(_path(where, str(key)))}", str(key), hints)
    given = {key: _value(hints[key], value, _path(where, key)) for key, value in values.items()}
    missing = [f.name for f in _init_fields(cls) if f.name not in given and _is_required(f)]
    if missing:
        raise UsageError(f"The setting {_path(where, missing[0])!r} must be given: {_words(hints[missing[0]])}.")
    return cls(**given)


def as_mapping(config: Any) -> Any:
    """Turn a dataclass into nested dicts and lists that YAML can hold.

    Raises
    ------
    TypeError
        If ``config`` is no dataclass.
    """
    return _plain(dataclasses.asdict(config))


def assign(values: dict[str, Any], assignment: str) -> None:
    """Put ``a.b.c=value`` into nested dicts; the value is read as YAML.

    Raises
    ------
    UsageError
        If the text is no assignment, or a key on the way holds no mapping.
    """
    import yaml

    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise UsageError(f"--set takes KEY=VALUE, such as stages.control.steps=100; given: {assignment!r}.")
    *parents, last = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {assignment}: {parent!r} holds a value, no group of settings.")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {assignment}: {text!r} cannot be read as YAML.") from error


@cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in _init_fields(cls)}


def _init_fields(cls: Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(cls) if field.init]


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _value(hint: Any, value: Any, where: str) -> Any:
    """Bring a value to the type that a field asks for."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return from_mapping(hint, value, where)
    if get_origin(hint) in (Union, types.UnionType):
        return _first_fit(hint, value, where)
    if get_origin(hint) is Literal:
        if value not in get_args(hint) or isinstance(value, bool):
            raise no_such_name(f"{where!r} cannot be {quoted(value)}", str(value), map(str, get_args(hint)))
        return value
    if get_origin(hint) is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        return _items(hint, value, where)
    if hint is float:
        return _number(value, where)
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise _wrong(hint, value, where)


def _first_fit(hint: Any, value: Any, where: str) -> Any:
    if value is None and type(None) in get_args(hint):
        return None
    options = [option for option in get_args(hint) if option is not type(None)]
    for option in options[:-1]:
        try:
            return _value(option, value, where)
        except UsageError:
            continue
    return _value(options[-1], value, where)


def _items(hint: Any, values: Sequence[Any], where: str) -> tuple[Any, ...]:
    kinds = get_args(hint)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(values)
    if len(kinds) != len(values):
        raise UsageError(f"{where!r} must hold {len(kinds)} values, given: {quoted(list(values))}.")
    return tuple(_value(kind, value, f"{where}.{i}") for i, (kind, value) in enumerate(zip(kinds, values, strict=True)))


def _number(value: Any, where: str) -> float:
    # YAML 1.1 takes 1e-4, without a point, for text.
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise _wrong(float, value, where)


def _wrong(hint: Any, value: Any, where: str) -> UsageError:
    kind = "a group of settings" if isinstance(value, Mapping) else _WORDS.get(type(value), type(value).__name__)
    return UsageError(f"{where!r} must be {_words(hint)}, given: {quoted(value)} ({kind}).")


def _words(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_words(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return "a list"
    if dataclasses.is_dataclass(hint):
        return "a group of settings"
    return _WORDS.get(hint, str(hint))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
