"""Recorded requests from files: Azure and Splitwise CSV, Mooncake JSONL, BurstGPT, or plain CSV.

Files are read line by line into compact arrays; a mistake names its line and column.
"""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from llmsizer.core.errors import CatalogError
from llmsizer.schema.lengths import LONGEST
from llmsizer.schema.workload import Trace

# Columns as the known traces name them, without case, spaces and underscores.
ARRIVAL = ("arrival", "arrivalseconds", "arrivaltime", "arrivaltimestamp", "arrivedat", "timestamp", "time")
INPUT = (
    "input",
    "inputtokens",
    "inputlength",
    "contexttokens",
    "promptsize",
    "prompttokens",
    "requesttokens",
    "numprefilltokens",
)
OUTPUT = (
    "output", "outputtokens", "outputlength", "generatedtokens", "tokensize", "completiontokens", "responsetokens",
    "numdecodetokens",
)  # fmt: skip
# Mooncake's traces: tokens named by one hash, and arrivals in milliseconds.
MOONCAKE_PIECE, MOONCAKE_PER_SECOND = 512, 1000.0
MOST_REQUESTS = 20_000_000
_LONGEST_LINE = 10_000_000

_Row = tuple[float, int, int, tuple[int, ...]]


def read_trace(path: str | Path, limit: int | None = None, skip_failed: bool = False) -> Trace:
    """The requests of a trace file, at most ``limit`` of them, in order of arrival.

    A CSV file has a header with columns for arrival (seconds, or a date and time), input and output
    tokens, under the names of the known traces; without a header these three in that order. A JSONL
    file is Mooncake's: ``timestamp`` in milliseconds, ``input_length``, ``output_length`` and
    ``hash_ids`` of 512 tokens each. ``skip_failed`` leaves out rows without output (failed requests).

    Raises CatalogError naming the line and the column.
    """
    file = str(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as lines:
            return _collected(_rows(lines, file), file, limit, skip_failed)
    except OSError as error:
        raise CatalogError(f"cannot read the trace: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise CatalogError("not a text file in UTF-8", file=file, hint="Unpack it first, if it is compressed.") from error


def _collected(rows: Iterable[tuple[int, _Row]], file: str, limit: int | None, skip_failed: bool) -> Trace:
    times, inputs, outputs = array("d"), array("q"), array("q")
    keys: list[tuple[int, ...]] = []
    for line, (time, prompt, answer, pieces) in rows:
        if answer == 0 and skip_failed:
            continue
        for count, column in ((prompt, "input"), (answer, "output")):
            if not 1 <= count <= LONGEST:
                hint = "Rows without output are failed requests: leave them out with skip_failed." if count == 0 else ""
                raise CatalogError(
                    f"expected 1 to {LONGEST:,} tokens, got {count:,}", file=file, line=line, field=column, hint=hint
                )
        times.append(time)
        inputs.append(prompt)
        outputs.append(answer)
        keys.append(pieces)
        if len(times) > MOST_REQUESTS:
            raise CatalogError(f"more than {MOST_REQUESTS:,} requests", file=file, line=line, hint="Read a part with limit.")
        if limit is not None and len(times) >= limit:
            break
    if not times:
        raise CatalogError("no requests", file=file, hint="Expected columns arrival, input, output.")
    return _ordered(times, inputs, outputs, keys, file)


def _ordered(times: array[float], inputs: array[int], outputs: array[int], keys: list[tuple[int, ...]], file: str) -> Trace:
    order: Sequence[int] = range(len(times))
    if any(later < earlier for earlier, later in pairwise(times)):
        order = sorted(order, key=times.__getitem__)
    first = times[order[0]]
    shared = any(keys)
    return Trace(
        source=file,
        arrival_seconds=array("d", (times[place] - first for place in order)),
        input_tokens=array("q", (inputs[place] for place in order)),
        output_tokens=array("q", (outputs[place] for place in order)),
        prefix_keys=tuple(keys[place] for place in order) if shared else (),
        piece_tokens=MOONCAKE_PIECE if shared else 0,
    )


def _rows(lines: Iterable[str], file: str) -> Iterator[tuple[int, _Row]]:
    checked = _checked_lines(lines, file)
    try:
        number, first = next((number, line) for number, line in checked if line.strip())
    except StopIteration:
        return
    if first.lstrip().startswith("{"):
        yield from _json_rows(number, first, checked, file)
    else:
        yield from _csv_rows(number, first, checked, file)


def _checked_lines(lines: Iterable[str], file: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if len(line) > _LONGEST_LINE or "\0" in line:
            raise CatalogError("not a text file of lines", file=file, line=number)
        yield number, line


def _json_rows(number: int, first: str, rest: Iterator[tuple[int, str]], file: str) -> Iterator[tuple[int, _Row]]:
    yield number, _json_row(first, file, number)
    for place, line in rest:
        if line.strip():
            yield place, _json_row(line, file, place)


def _json_row(line: str, file: str, number: int) -> _Row:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"not JSON: {error}", file=file, line=number) from error
    if not isinstance(found, dict):
        raise CatalogError("expected an object on each line", file=file, line=number)
    values = {_plain(str(key)): value for key, value in found.items()}
    milliseconds = "timestamp" in values
    time = _number(_pick(values, ARRIVAL, file, number), file, number, "arrival")
    pieces = found.get("hash_ids") or []
    if not isinstance(pieces, list) or not all(isinstance(key, int) for key in pieces):
        raise CatalogError("expected a list of whole numbers", file=file, line=number, field="hash_ids")
    return (
        time / MOONCAKE_PER_SECOND if milliseconds else time,
        _count(_pick(values, INPUT, file, number), file, number, "input"),
        _count(_pick(values, OUTPUT, file, number), file, number, "output"),
        tuple(pieces),
    )


def _pick(values: Mapping[str, Any], names: tuple[str, ...], file: str, line: int) -> Any:
    for name in names:
        if name in values:
            return values[name]
    raise CatalogError(f"no field {names[0]}", file=file, line=line, hint=f"Expected one of: {', '.join(names)}.")


def _csv_rows(number: int, first: str, rest: Iterator[tuple[int, str]], file: str) -> Iterator[tuple[int, _Row]]:
    header = next(csv.reader([first]))
    places = _places(header, file, number)
    if places is None:
        places = (0, 1, 2)
        yield number, _csv_row(header, places, file, number)
    for place, line in rest:
        if line.strip():
            try:
                cells = next(csv.reader([line]))
            except csv.Error as error:
                raise CatalogError(f"not CSV: {error}", file=file, line=place) from error
            yield place, _csv_row(cells, places, file, place)


def _places(header: list[str], file: str, line: int) -> tuple[int, int, int] | None:
    """Where the three columns stand; None where the first line is a row of numbers already."""
    names = [_plain(name) for name in header]
    found = [next((names.index(name) for name in wanted if name in names), None) for wanted in (ARRIVAL, INPUT, OUTPUT)]
    arrival, prompt, answer = found
    if arrival is not None and prompt is not None and answer is not None:
        return arrival, prompt, answer
    if len(header) == 3 and all(cell.strip()[:1].isdigit() for cell in header):
        return None
    lacking = [kind for kind, place in zip(("arrival", "input", "output"), found, strict=True) if place is None]
    raise CatalogError(
        f"no column for {' and '.join(lacking)} among: {', '.join(header)[:200]}", file=file, line=line,
        hint="Name the columns arrival, input, output (seconds, tokens, tokens).",
    )  # fmt: skip


def _csv_row(cells: list[str], places: tuple[int, int, int], file: str, line: int) -> _Row:
    if len(cells) <= max(places):
        raise CatalogError(f"expected at least {max(places) + 1} columns, got {len(cells)}", file=file, line=line)
    arrival, prompt, answer = (cells[place].strip() for place in places)
    return _moment(arrival, file, line), _count(prompt, file, line, "input"), _count(answer, file, line, "output"), ()


def _moment(text: str, file: str, line: int) -> float:
    if not text.replace(".", "", 1).replace("-", "", 1).isdigit() and any(mark in text for mark in ":-"):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return _number(text, file, line, "arrival")


def _number(value: Any, file: str, line: int, column: str) -> float:
    try:
        found = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not abs(found) < 1e15:
        expected = "seconds or a date and time" if column == "arrival" else "a number"
        raise CatalogError(f"expected {expected}, got {str(value)[:60]!r}", file=file, line=line, field=column)
    return found


def _count(value: Any, file: str, line: int, column: str) -> int:
    found = _number(value, file, line, column)
    if found != int(found):
        raise CatalogError(f"expected a whole number of tokens, got {str(value)[:60]!r}", file=file, line=line, field=column)
    return int(found)


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "").replace(" ", "")
