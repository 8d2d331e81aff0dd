"""JSON files held to the schemas that lie beside this module."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from t2av_bench.errors import ResultError
from t2av_bench.files import replacing


def first_violation(record: Any, schema: str) -> str | None:
    """Return the first place where a record breaks ``<schema>.schema.json`` and how, or None if it does not."""
    from jsonschema import Draft202012Validator

    error = next(Draft202012Validator(_schema(schema)).iter_errors(record), None)
    if error is None:
        return None
    place = "/".join(map(str, error.absolute_path)) or "the top level"
    message = error.message if len(error.message) < 200 else error.message[:200] + " …"
    return f"at {place}: {message}"


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


def write_text(path: Path, text: str) -> None:
    """Write a file that belongs to results, under a temporary name first, and its folder if that is missing.

    Raises
    ------
    ResultError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResultError(f"{path}: cannot be written ({error.strerror or error})") from error


@lru_cache(maxsize=8)
def _schema(name: str) -> dict[str, Any]:
    text = files("t2av_bench").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
