"""What public functions give back: frozen objects that turn into plain data, a data frame, or a page of a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmsizer.core.errors import LlmsizerError

if TYPE_CHECKING:
    import pandas


class Result:
    """An answer. A subclass has ``to_dict``, and ``to_rows`` where it is more than one row."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data, ready for JSON; the unit of a number is in its key."""
        raise NotImplementedError

    def to_rows(self) -> list[dict[str, Any]]:
        """The answer as rows of a table, one mapping each: here one row, its keys the dotted paths of ``to_dict``."""
        return [{path: value for path, value in flat(self.to_dict()) if not isinstance(value, list)}]

    def to_dataframe(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame. Raises LlmsizerError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise LlmsizerError("to_dataframe needs pandas", "pip install 'llmsizer[pandas]'") from error
        return pandas.DataFrame(self._frame())

    def _frame(self) -> Any:
        """What the data frame is made of."""
        return self.to_rows()

    def _repr_html_(self) -> str | None:
        """What a notebook shows: the tables of the reports. None (a notebook then shows ``repr``) without them."""
        return _viewers[-1](self) if _viewers else None


# The floors above know how results look; the package names the function when it is imported.
_viewers: list[Callable[[Any], str]] = []


def shown_by(viewer: Callable[[Any], str]) -> None:
    """Says what makes HTML of results in a notebook."""
    _viewers.append(viewer)


def flat(data: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Nested mappings as (dotted path, value) pairs, in order.

    >>> list(flat({"memory": {"bytes": 1}, "fits": True}))
    [('memory.bytes', 1), ('fits', True)]
    """
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
