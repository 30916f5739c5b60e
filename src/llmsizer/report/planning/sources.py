"""The facts that a pick rests on, by source: the least trusted first."""

from __future__ import annotations

from collections.abc import Iterator

from llmsizer.core.explain import TIERS, Source, Value
from llmsizer.core.render import shown
from llmsizer.planner.picks import Pick
from llmsizer.report.tables import Table

RESTS_ON = ("latency.ttft_seconds", "latency.tpot_seconds", "memory.per_gpu.kv_cache_bytes")
MOST_FACTS = 12


def source_table(pick: Pick) -> Table:
    """The facts under times, memory and cost, each source once."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for leaf in _leaves(pick):
        if isinstance(leaf.origin, Source):
            key = (leaf.origin.tier, str(leaf.origin))
            found.setdefault(key, {}).setdefault(f"{leaf.name} = {shown(leaf)}", "")
    rows = [
        [tier, source, _facts(list(facts))]
        for (tier, source), facts in sorted(found.items(), key=lambda item: (-TIERS.index(item[0][0]), item[0][1]))
    ]
    return Table("", ["evidence", "source", "facts"], rows)


def _leaves(pick: Pick) -> Iterator[Value]:
    for path in RESTS_ON:
        yield from pick.estimate.value(path).leaves()
    yield from pick.cost.value("usd_per_hour").leaves()


def _facts(facts: list[str]) -> str:
    more = len(facts) - MOST_FACTS
    return "; ".join(facts[:MOST_FACTS]) + (f" and {more} more" if more > 0 else "")
