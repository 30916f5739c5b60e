"""Several devices behind one case: what is wired once is answered for all of them, as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from llmsizer.core.errors import UnsupportedCombination

if TYPE_CHECKING:
    from llmsizer.schema.deployment import Case


class Refused(UnsupportedCombination):
    """Some devices of a fleet have no answer; ``reasons`` says why, by their place in the fleet."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__(next(iter(reasons.values())))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a lookup says of every member: one record of columns, and why some have none."""

    record: Any
    reasons: Mapping[int, str]


class Fleet:
    """The devices that a case stands for; ``members`` are the case on each of them alone.

    ``answer`` asks a lookup of every member once and joins what it says: numbers that differ become
    columns of shape (devices, 1). Fleets taken from one share its answers.
    """

    def __init__(self, members: Sequence[Case]) -> None:
        self.members = tuple(members)
        self._answers: dict[Any, _Answers] = {}
        self._source: tuple[Fleet, Any] | None = None
        self._records: dict[Any, Any] = {}

    def take(self, places: Any) -> Fleet:
        """The fleet of some members, by an array of their places."""
        part = Fleet([self.members[place] for place in places.tolist()])
        part._source = (self, places)
        return part

    def answer(self, lookup: Callable[..., Any], *key: Any) -> Any:
        """The lookup's answers as one record. Raises ``Refused`` where a member has none."""
        name = (lookup.__name__, *(getattr(each, "id", each) for each in key))
        if name not in self._records:
            self._records[name] = self._record(name, lookup, key)
        return self._records[name]

    def _record(self, name: Any, lookup: Callable[..., Any], key: tuple[Any, ...]) -> Any:
        source, places = self._source or (self, None)
        answers = source._all(name, lookup, key)
        mine = range(len(source.members)) if places is None else places.tolist()
        reasons = {place: answers.reasons[each] for place, each in enumerate(mine) if each in answers.reasons}
        if reasons:
            raise Refused(reasons)
        return answers.record if places is None else _rows(answers.record, places)

    def _all(self, name: Any, lookup: Callable[..., Any], key: tuple[Any, ...]) -> _Answers:
        if name not in self._answers:
            found: list[Any] = []
            reasons: dict[int, str] = {}
            for place, member in enumerate(self.members):
                try:
                    found.append(lookup(member, *key))
                except UnsupportedCombination as refusal:
                    reasons[place] = refusal.message
                    found.append(None)
            filler = next((each for each in found if each is not None), None)
            self._answers[name] = _Answers(joined([each or filler for each in found]), reasons)
        return self._answers[name]


def joined(records: Sequence[Any]) -> Any:
    """Equal records as one: numbers that differ as a column, anything else that differs as the first's."""
    first = records[0]
    if is_dataclass(first) and not isinstance(first, type):
        changes = {each.name: joined([getattr(record, each.name) for record in records]) for each in fields(first)}
        return replace(first, **changes)
    if isinstance(first, Mapping):
        return {name: joined([record[name] for record in records]) for name in first}
    if not isinstance(first, (int, float)) or all(each == first for each in records):
        return first
    import numpy as np

    return np.array(records, dtype=float).reshape(-1, 1)


def _rows(record: Any, places: Any) -> Any:
    """Some rows of a joined record."""
    if is_dataclass(record) and not isinstance(record, type):
        return replace(record, **{each.name: _rows(getattr(record, each.name), places) for each in fields(record)})
    if isinstance(record, dict):
        return {name: _rows(each, places) for name, each in record.items()}
    return record[places] if getattr(record, "shape", ()) else record
