"""Answers a grid of questions at once: words with lists in, columns of numbers out.

Words that change the deployment (model, device, split, format, the engine's limits) are gone through
one by one. Words that only change the load run as arrays through the same wiring as one estimate.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination
from llmsizer.core.results import Result
from llmsizer.question.deployment_sweep import LOAD_WORDS, TEXTS, DeploymentSweep, checked_load
from llmsizer.question.words import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[Any]

LARGEST_GRID = 5_000_000
COST_WORDS = ("price", "price_date", "extras", "emissions")


@dataclass(frozen=True, slots=True, eq=False)
class Sweep(Result):
    """The answers to a grid of questions, one entry a point in every column.

    ``words`` are the words that vary with their values; ``columns`` the words of each point, then the
    figures of ``Estimate.to_dict()`` by their dotted path. A point that does not fit has ``fits``
    False and NaN for its speed; ``reason`` says why, and why a combination is refused. ``notes``: what to know besides.
    """

    words: Mapping[str, tuple[Any, ...]]
    columns: Mapping[str, Column]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.columns["fits"])

    def __getitem__(self, name: str) -> Column:
        """A column by name. Raises UnknownName with the nearest names."""
        if name not in self.columns:
            from llmsizer.core.errors import UnknownName

            raise UnknownName("column", name, list(self.columns))
        return self.columns[name]

    def to_dict(self) -> dict[str, Any]:
        """The sweep as plain data: ``words``, ``columns`` (lists; None for no number) and ``notes``."""
        return {
            "words": {name: [label(value) for value in values] for name, values in self.words.items()},
            "columns": {name: plain_list(column) for name, column in self.columns.items()},
            "notes": list(self.notes),
        }

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping a point; None for no number."""
        lists = [plain_list(column) for column in self.columns.values()]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*lists, strict=True)]

    def _frame(self) -> Any:
        return dict(self.columns)

    def __repr__(self) -> str:
        varying = " × ".join(f"{len(values)} {name}" for name, values in self.words.items())
        return f"<Sweep: {len(self):,} points{f' ({varying})' if varying else ''}, {int(self['fits'].sum()):,} fit>"


def plain_list(column: Column) -> list[Any]:
    """A column as a list that JSON can hold: None for NaN and the infinite."""
    if column.dtype.kind != "f":
        return list(column.tolist())
    return [each if math.isfinite(each) else None for each in column.tolist()]


def sweep(
    words: Mapping[str, Any], catalog: Catalog | None = None, progress: Callable[[int, int], None] | None = None
) -> Sweep:
    """The answers to every combination of the words' values. Raises an LlmsizerError for a mistake.

    A combination that no engine can run (a split the model does not allow, a length beyond the
    model's) is a row with its ``reason``, unless no combination can run. ``progress`` is told the
    points done and all of them.
    """
    chosen = catalog if catalog is not None else load_catalog()
    for name in COST_WORDS:
        if words.get(name) is not None:
            raise InvalidQuestion(f"--{name.replace('_', '-')}: a sweep has no costs", "estimate and compare have")
    varying = {name: values for name, given in words.items() if (values := values_of(name, given)) is not None}
    fixed = {name: given for name, given in words.items() if name not in varying}
    count = math.prod(len(values) for values in varying.values())
    if count > LARGEST_GRID:
        raise InvalidQuestion(f"the grid has {count:,} points", f"at most {LARGEST_GRID:,}: shorten a range")
    loads = _grid({name: values for name, values in varying.items() if name in LOAD_WORDS})
    deployments = {name: values for name, values in varying.items() if name not in LOAD_WORDS}
    blocks, notes = [], dict[str, None]()
    combinations = list(itertools.product(*deployments.values()))
    points = count // max(len(combinations), 1)
    first_refusal: UnsupportedCombination | InvalidQuestion | None = None
    for position, combination in enumerate(combinations):
        chosen_words = dict(zip(deployments, combination, strict=True))
        block = DeploymentSweep(Words(**fixed, **chosen_words), loads, points, chosen)
        try:
            columns = block.columns(partial(_tell, progress, position * points, count))
        except (UnsupportedCombination, InvalidQuestion) as refusal:
            first_refusal = first_refusal or refusal
            columns = block.refused(refusal.message)
        notes |= dict.fromkeys(block.notes)
        blocks.append({name: label(value) for name, value in chosen_words.items()} | columns)
    if first_refusal is not None and all(block["fits"] is False for block in blocks):
        raise first_refusal
    return Sweep(dict(varying), _joined(blocks, points, list(varying)), tuple(notes))


def _tell(progress: Callable[[int, int], None] | None, before: int, count: int, done: int) -> None:
    if progress is not None:
        progress(before + done, count)


def values_of(name: str, given: Any) -> tuple[Any, ...] | None:
    """The values of a word that varies; None for a word with one value."""
    if isinstance(given, (str, Path, Mapping)) or not hasattr(given, "__iter__"):
        return None
    values = tuple(given.tolist() if hasattr(given, "tolist") else given)
    if not values:
        raise InvalidQuestion(f"--{name.replace('_', '-')}: the list is empty", "give at least one value")
    return values


def label(value: Any) -> Any:
    """A word's value as it stands in a column: text, a number or None."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    return str(getattr(value, "id", value))


def _grid(loads: Mapping[str, Sequence[Any]]) -> dict[str, Column]:
    """Every combination of the values, one array a word; the last word turns fastest."""
    import numpy as np

    values = {name: np.array([checked_load(name, each) for each in given]) for name, given in loads.items()}
    lengths = [len(each) for each in values.values()]
    places = np.unravel_index(np.arange(math.prod(lengths)), lengths) if lengths else ()
    return {name: each[place] for (name, each), place in zip(values.items(), places, strict=True)}


def _joined(blocks: Sequence[Mapping[str, Any]], points: int, first: Sequence[str]) -> dict[str, Column]:
    """The columns of all deployments one after another; numbers and texts stand for a whole block."""
    import numpy as np

    names = [*first, *(name for name in dict.fromkeys(itertools.chain(*blocks)) if name not in first)]
    return {name: np.concatenate(list(_parts(blocks, points, name))) for name in names}


def _parts(blocks: Sequence[Mapping[str, Any]], points: int, name: str) -> Iterator[Column]:
    import numpy as np

    given = [block.get(name, None if name in TEXTS else math.nan) for block in blocks]
    numbers = all(isinstance(each, (int, float)) or getattr(each, "dtype", np.dtype(object)).kind in "bif" for each in given)
    for each in given:
        kept = np.asarray(each) if numbers else np.asarray(each, dtype=object)
        yield np.broadcast_to(kept, (points,))
