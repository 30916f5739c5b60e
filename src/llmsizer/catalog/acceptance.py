"""Published acceptances of speculative decoding, by method and content.

The head of ``acceptance.yaml`` explains the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import Source

OWN_FIGURE = "give your own: acceptance=0.7, profile=0.8/0.6/0.4, reported=0.45 or length=2.6"


@dataclass(frozen=True, slots=True)
class Published:
    """One published figure: ``guesses`` along a chain, ``tree`` guesses in all where they branch, and how many of
    them stand: by place (``profile``), as mean ``length`` of a step, or as a chance (``acceptance``)."""

    content: str
    guesses: int
    of: str
    source: Source
    tree: int | None = None
    profile: tuple[float, ...] = ()
    length: float | None = None
    acceptance: float | None = None


@lru_cache(maxsize=1)
def methods() -> Mapping[str, Mapping[str, tuple[Published, ...]]]:
    """All published figures by method and content."""
    document = package_data("acceptance.yaml")
    return {
        method: {
            content: tuple(_published(content, row, document["sources"]) for row in rows)
            for content, rows in entry["presets"].items()
        }
        for method, entry in document["methods"].items()
    }


def _published(content: str, row: Mapping[str, Any], sources: Mapping[str, Any]) -> Published:
    listed = sources[row["source"]]
    source = Source(listed["title"], str(listed["date"]), "measured")
    return Published(
        content=content, guesses=int(row["guesses"]), of=row["of"], source=source, tree=row.get("tree"),
        profile=tuple(row.get("profile", ())), length=row.get("length"), acceptance=row.get("acceptance"),
    )  # fmt: skip


def usual_content(method: str) -> str | None:
    """The content whose figures stand in where a question names none; None: there is none."""
    found: str | None = package_data("acceptance.yaml")["methods"][method].get("default")
    return found


def published(method: str, content: str, guesses: int, tree: int | None) -> Published:
    """The figure measured with the fewest guesses not below ``guesses``, or else with the most.

    Raises UnsupportedCombination where nothing is published for the method, the content or the tree.
    """
    known = methods()[method]
    if content not in known:
        named = f"published for {method}: {', '.join(known)}" if known else f"nothing is published for {method}"
        raise UnsupportedCombination(f"--speculative: no acceptance of '{content[:40]}' for {method}", f"{named}; {OWN_FIGURE}")
    alike = sorted((each for each in known[content] if each.tree == tree), key=lambda each: each.guesses)
    if not alike:
        trees = ", ".join("a chain" if each.tree is None else f"tree={each.tree}" for each in known[content])
        raise UnsupportedCombination(f"--speculative: the acceptance of '{content}' for {method} is of {trees}", OWN_FIGURE)
    return next((each for each in alike if each.guesses >= guesses), alike[-1])
