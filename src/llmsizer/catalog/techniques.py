"""The techniques that can be tried on a deployment, with what they take and what they do to the answers.

The head of ``techniques.yaml`` explains the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from llmsizer.catalog.package_data import package_data
from llmsizer.core.explain import Source

EFFORTS = {
    "setting": "a setting",
    "migration": "another server",
    "checkpoint": "another checkpoint",
    "project": "a project",
    "contract": "other hardware or terms",
}
NO_FIGURE = "no published figure recorded"
SAME_ANSWERS = "the same answers"


@dataclass(frozen=True, slots=True, eq=False)
class Technique:
    """One entry of ``techniques.yaml``. ``tries``: words of a question with the values to try; ``formats``: the
    formats that are the technique already; ``repeated``: the share of requests that never reach the engine."""

    id: str
    title: str
    group: str
    effort: str
    quality: str
    source: Source | None
    url: str
    assumed: str = ""
    repeated: float = 0.0
    tries: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    formats: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def techniques() -> Mapping[str, Technique]:
    """All techniques by id."""
    document = package_data("techniques.yaml")
    return {name: _technique(name, entry, document["sources"]) for name, entry in document["techniques"].items()}


def _technique(name: str, entry: Mapping[str, Any], sources: Mapping[str, Any]) -> Technique:
    listed = sources.get(str(entry.get("source")), {})
    quality = {None: NO_FIGURE, "none": SAME_ANSWERS}.get(entry["quality"], entry["quality"])
    return Technique(
        id=name, title=entry["title"], group=entry["group"], effort=entry["effort"], quality=quality,
        source=Source(listed["title"], str(listed["date"]), listed.get("tier", "specified")) if listed else None,
        url=listed.get("url", ""), assumed=entry.get("assumed", ""), repeated=float(entry.get("repeated", 0.0)),
        tries={word: tuple(values) for word, values in entry.get("tries", {}).items()}, formats=tuple(entry.get("is", ())),
    )  # fmt: skip
