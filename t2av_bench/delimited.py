"""Reading tables that people wrote with other programs: commas, semicolons or tabs, with or without a BOM."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from t2av_bench.errors import TableError, quoted, shown

_DELIMITERS = (",", ";", "\t")
# Reading stops there, so that no file can fill the memory.
_MAX_ROWS_N = 10_000_000
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")


class Row(NamedTuple):
    """One row of a table: its number in the file as a person counts (the header is row 1), and its cells."""

    number: int
    cells: dict[str, str]


class Table(NamedTuple):
    """A table as read: where it is from, its columns, and its rows."""

    path: Path
    columns: tuple[str, ...]
    rows: list[Row]

    def at(self, row: Row, column: str) -> str:
        """Name a cell in an error message."""
        return f"{self.path}: row {row.number}, column {quoted(column)}"

    def text(self, row: Row, column: str) -> str:
        """Return a cell that must not be empty.

        Raises
        ------
        TableError
            If it is empty.
        """
        cell = row.cells[column].strip()
        if not cell:
            raise TableError(f"{self.at(row, column)}: must not be empty")
        return cell

    def number(self, row: Row, column: str) -> float:
        """Return a cell that must be a finite number.

        Raises
        ------
        TableError
            If it is not.
        """
        cell = row.cells[column]
        try:
            value = float(cell)
        except ValueError:
            hint = " (write the decimal point as a point)" if _DECIMAL_COMMA.fullmatch(cell) else ""
            raise TableError(f"{self.at(row, column)}: must be a number, got {quoted(cell)}{hint}") from None
        if not math.isfinite(value):
            raise TableError(f"{self.at(row, column)}: must be a finite number, got {quoted(cell)}")
        return value


def read_table(path: str | Path, needed: Sequence[str]) -> Table:
    """Read a table with a header; the delimiter is the one that the header holds.

    Parameters
    ----------
    path
        CSV or TSV file in UTF-8. Names of columns are taken without spaces around them.
    needed
        Columns that must be there; others are kept.

    Raises
    ------
    TableError
        If the file cannot be read, a column is missing or named twice, or a row has another number of cells.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            delimiter = max(_DELIMITERS, key=head.count)
            numbered = _numbered(csv.reader(file, delimiter=delimiter, strict=True), path)
            header = tuple(cell.strip() for cell in next(numbered, (0, []))[1])
            _check_header(header, needed, path)
            rows = [_row(number, cells, header, path) for number, cells in numbered]
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (UnicodeError, csv.Error) as error:
        raise TableError(f"{path}: must be a CSV file in UTF-8 ({shown(str(error), 200)})") from error
    if not rows:
        raise TableError(f"{path}: must have at least one row below its header")
    return Table(path, header, rows)


def _numbered(lines: Iterator[list[str]], path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, cells in enumerate(lines, start=1):
        if number > _MAX_ROWS_N:
            raise TableError(f"{path}: has more than {_MAX_ROWS_N:,} rows")
        if any(cell.strip() for cell in cells):
            yield number, cells


def _check_header(header: tuple[str, ...], needed: Sequence[str], path: Path) -> None:
    for column in needed:
        if column not in header:
            found = shown(", ".join(header), 200) or "an empty file"
            raise TableError(f"{path}: must have the columns {','.join(needed)}; {column!r} is missing, found {found}")
    twice = [column for i, column in enumerate(header) if column in header[:i]]
    if twice:
        raise TableError(f"{path}: the column {quoted(twice[0])} stands there twice")


def _row(number: int, cells: list[str], header: tuple[str, ...], path: Path) -> Row:
    if len(cells) != len(header):
        raise TableError(f"{path}: row {number} has {len(cells)} cells, the header has {len(header)}")
    return Row(number, dict(zip(header, cells, strict=True)))
