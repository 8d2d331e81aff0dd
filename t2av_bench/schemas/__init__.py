"""JSON files held to the schemas that lie beside this module.

Files come from strangers: :func:`read_json` takes only what every JSON parser reads alike and what can be written back.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from t2av_bench.errors import ResultError, UsageError, shown
from t2av_bench.files import remove_leftovers, replacing

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

MAX_BYTES = 256 << 20
MAX_DEPTH = 32
_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"
# Seeds may be as large; Python alone would read more.
MAX_INTEGER = 2**64


def read_json(path: Path) -> Any:
    """Read a JSON file that anybody may have written.

    Raises
    ------
    ResultError
        If it cannot be read, is no JSON in UTF-8, or holds what parsers understand differently or cannot write back:
        NaN, infinities, numbers beyond a double or 64 bits, a key twice in an object, nesting of more than
        32 levels, half a surrogate pair.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ResultError(f"{path}: must have at most {MAX_BYTES >> 20} MiB, has {size >> 20}")
        record = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeEncodeError as error:
        raise ResultError(f"{path}: must be a JSON file (it holds half a surrogate pair)") from error
    except RecursionError as error:
        raise ResultError(f"{path}: must be a JSON file ({_TOO_DEEP})") from error
    except ValueError as error:
        raise ResultError(f"{path}: must be a JSON file ({error})") from error
    return record


def parse_json(text: str) -> Any:
    """Return what a JSON text that anybody may have written holds; :func:`read_json` says what is refused.

    Raises
    ------
    ValueError, RecursionError
        If it is no JSON that can be taken.
    """
    record = json.loads(
        text,
        parse_constant=_no_constant,
        parse_float=_finite,
        parse_int=_exact,
        object_pairs_hook=_without_duplicates,
    )
    _check_depth(record)
    if "\\u" in text:
        json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair has no UTF-8
    return record


def first_violation(record: Any, schema: str) -> str | None:
    """Return the first place where a record breaks ``<schema>.schema.json`` and how, or None if it does not."""
    error = next(_validator(schema).iter_errors(record), None)
    if error is None:
        return None
    place = "/".join(shown(str(step)) for step in error.instance_path) or "the top level"
    # The message begins with what was found, however long, and ends with the rule.
    message = error.message if len(error.message) <= 200 else f"{error.message[:100]} … {error.message[-90:]}"
    return f"at {shown(place, 200)}: {shown(message, 200)}"


def too_new(record: Any, newest: int) -> str:
    """Say that a record is of a later schema version than ``newest``; empty if it is not."""
    version = record.get("schema_version") if isinstance(record, dict) else None
    if not isinstance(version, int) or version <= newest:
        return ""
    return f"has schema version {version}; this t2av-bench reads up to {newest}: upgrade it"


def write_json(path: Path, record: Any, schema: str) -> None:
    """Write a record that follows a schema, under a temporary name first.

    Raises
    ------
    ResultError
        If the file cannot be written, or the record breaks the schema (a bug of ours).
    """
    text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    violation = first_violation(json.loads(text), schema)
    if violation is not None:
        raise ResultError(f"{path}: is no {schema}: {violation}")
    write_text(path, text)


class SavedRecord:
    """A dataclass whose JSON file follows a schema.

    Attributes
    ----------
    schema
        Name of the schema.
    """

    schema: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        record: dict[str, Any] = json.loads(json.dumps(asdict(cast(Any, self))))
        return record

    def save(self, path: str | Path) -> None:
        """Write the record as JSON, under a temporary name first, and its folder if that is missing.

        Raises
        ------
        ResultError
            If the file cannot be written, or the content breaks the schema (a bug of ours).
        """
        write_json(Path(path), self.to_json(), self.schema)


def readable_json(value: Any, levels: int, _depth: int = 0) -> str:
    """Return sorted JSON whose outer levels have a line per item, and whose inner records stand on one line each."""
    if _depth >= levels or not isinstance(value, (dict, list)) or not value:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    pad = "\n" + " " * (_depth + 1)
    if isinstance(value, dict):
        keys = sorted(value)
        items = [f"{json.dumps(k, ensure_ascii=False)}: {readable_json(value[k], levels, _depth + 1)}" for k in keys]
    else:
        items = [readable_json(item, levels, _depth + 1) for item in value]
    open_, close = "{}" if isinstance(value, dict) else "[]"
    return open_ + pad + f",{pad}".join(items) + "\n" + " " * _depth + close


def write_text(path: Path, text: str | Iterable[str]) -> str:
    """Write a file that belongs to results, under a temporary name first, and its folder if that is missing.

    Parameters
    ----------
    path
        Replaced if it is there.
    text
        All of it, or piece by piece.

    Returns
    -------
    str
        SHA-256 of the file's bytes.

    Raises
    ------
    ResultError
        If it cannot be written.
    """
    digest = hashlib.sha256()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path)
        with replacing(path, durable=True) as temporary, temporary.open("wb") as file:
            for piece in (text,) if isinstance(text, str) else text:
                content = piece.encode()
                digest.update(content)
                file.write(content)
    except OSError as error:
        raise ResultError(f"{path}: cannot be written ({error.strerror or error})") from error
    return digest.hexdigest()


def check_writable(path: Path) -> None:
    """Raise before any costly work if a file could not be written.

    Raises
    ------
    ResultError
        As :func:`write_text` would; a disk may still fill up later.
    """
    try:
        if path.is_dir():
            raise ResultError(f"{path}: cannot be written (it is a folder)")
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(_ProbedError), replacing(path) as temporary:
            temporary.touch()
            raise _ProbedError
    except (FileExistsError, NotADirectoryError) as error:
        raise ResultError(f"{path}: cannot be written (a file stands where its folder should be)") from error
    except OSError as error:
        raise ResultError(f"{path}: cannot be written ({error.strerror or error})") from error


def check_apart(*written: Path | None, read: Iterable[str | Path] = ()) -> None:
    """Raise if a file that will be written is one of those that are read, or if one would be written twice.

    Raises
    ------
    UsageError
        If that is so; says which file.
    """
    taken = {Path(path).resolve() for path in read}
    for path in filter(None, written):
        if path.resolve() in taken:
            raise UsageError(f"{path}: is read or written as something else by this command; give another file name")
        taken.add(path.resolve())


class _ProbedError(Exception):
    """Keeps a probe from taking the place of the file."""


@lru_cache(maxsize=8)
def _validator(name: str) -> Draft202012Validator:
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator(json.loads(files(__name__).joinpath(f"{name}.schema.json").read_text("utf-8")))


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {shown(text)} is too large")
    return value


def _exact(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > MAX_INTEGER:
        raise ValueError(f"the number {shown(text)} is too large")
    return int(text)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise ValueError(f"the key {shown(twice)!r} stands there twice")
    return record


def _check_depth(record: Any) -> None:
    level = [record]
    for _ in range(MAX_DEPTH):
        containers = [value for value in level if isinstance(value, (dict, list))]
        if not containers:
            return
        level = [item for value in containers for item in (value.values() if isinstance(value, dict) else value)]
    raise ValueError(_TOO_DEEP)
