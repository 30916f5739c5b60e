"""The facts that a pick rests on, by source: the least trusted first."""

from __future__ import annotations

from collections.abc import Sequence

from llmsizer.core.explain import TIERS, Source, Value
from llmsizer.core.render import shown
from llmsizer.report.tables import Table

MOST_FACTS = 12


def source_table(values: Sequence[Value]) -> Table:
    """The facts under some numbers, each source once."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for leaf in (leaf for value in values for leaf in value.leaves()):
        if isinstance(leaf.origin, Source):
            key = (leaf.origin.tier, str(leaf.origin))
            found.setdefault(key, {}).setdefault(f"{leaf.name} = {shown(leaf)}", "")
    rows = [
        [tier, source, _facts(list(facts))]
        for (tier, source), facts in sorted(found.items(), key=lambda item: (-TIERS.index(item[0][0]), item[0][1]))
    ]
    return Table("", ["evidence", "source", "facts"], rows)


def _facts(facts: list[str]) -> str:
    more = len(facts) - MOST_FACTS
    return "; ".join(facts[:MOST_FACTS]) + (f" and {more} more" if more > 0 else "")
