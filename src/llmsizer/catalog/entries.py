"""From a YAML entry to a frozen noun: facts unwrapped, sources attached, fields validated.

A fact is written short (``80 GiB``; its source is the entry's) or long
(``{value: 80 GiB, source: smi, note: …}``). Validation is pydantic's, on the nouns' own
annotations; its messages are re-worded to name file, line, field and the nearest right thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from llmsizer.core.errors import CatalogError, nearest
from llmsizer.core.explain import TIERS, Provenance, Source
from llmsizer.core.yaml import Document, KeyPath

T = TypeVar("T")
FACT_KEYS = {"value", "source", "note", "date", "unverified"}


class Sources:
    """The ``sources`` of a document, looked up by key; ``key: detail`` keeps the detail as a note."""

    def __init__(self, document: Document) -> None:
        self.document = document
        found = document.data.get("sources") if isinstance(document.data, Mapping) else None
        self.entries: Mapping[str, Any] = found if isinstance(found, Mapping) else {}

    def source(self, reference: str, path: KeyPath) -> Source:
        """The source of a key, refused when the document does not list it."""
        key, _, detail = str(reference).partition(":")
        key, _, aside = key.strip().partition(" (")
        entry = self.entries.get(key)
        if entry is None:
            near = nearest(key, self.entries)
            hint = f"Did you mean: {', '.join(near)}?" if near else "List it under `sources:` at the top of the file."
            raise self.document.error(f"unknown source '{key[:60]}'", path, hint)
        if isinstance(entry, str):
            entry = {"title": entry}
        if not isinstance(entry, Mapping):
            raise self.document.error("expected a title, or a mapping with a title", ("sources", key))
        if entry.get("tier", "specified") not in TIERS:
            known = ", ".join(TIERS)
            raise self.document.error(f"expected one of {known}, got {str(entry['tier'])[:40]!r}", ("sources", key, "tier"))
        title = ", ".join(str(part) for part in (entry.get("title", key), entry.get("version")) if part)
        note = detail.strip() or aside.rstrip(")")
        return Source(title, str(entry.get("date", "")), entry.get("tier", "specified"), note)

    def best(self, references: Any, path: KeyPath) -> Source:
        """The most trusted of several sources: it vouches for what the others repeat."""
        keys = references if isinstance(references, Sequence) and not isinstance(references, str) else [references]
        sources = [self.source(str(key), path) for key in keys if key is not None]
        if not sources:
            raise self.document.error("has no source", path, "Add `source: KEY`, with KEY listed under `sources:`.")
        trusted = [source for source in sources if source.tier != "assumed"]
        return trusted[0] if trusted else sources[0]


def unwrap(raw: Any, sources: Sources, path: KeyPath, name: str, found: dict[str, Source]) -> Any:
    """The plain data of an entry; sources of long-form facts go to ``found`` by dotted name."""
    if isinstance(raw, Mapping):
        if "value" in raw and set(raw) <= FACT_KEYS:
            source = sources.source(raw["source"], path) if "source" in raw else None
            if raw.get("unverified"):
                source = Source(source.title if source else "unverified", tier="assumed", note=str(raw.get("note", "")))
            if source is not None:
                found[name] = source
            return raw["value"]
        return {
            key: unwrap(value, sources, (*path, key), f"{name}.{key}" if name else str(key), found)
            for key, value in raw.items()
        }
    if isinstance(raw, list):
        return [unwrap(item, sources, (*path, index), name, found) for index, item in enumerate(raw)]
    return raw


def provenance_of(raw: Mapping[str, Any], sources: Sources, path: KeyPath, found: dict[str, Source]) -> Provenance:
    """The provenance of an entry: its default source, and what ``unverified`` lists as assumed."""
    default = sources.best(raw.get("source"), (*path, "source"))
    unverified = raw.get("unverified") or ()
    if isinstance(unverified, str):
        unverified = [unverified]
    if not isinstance(unverified, Sequence):
        raise sources.document.error("expected the names of fields, or all", (*path, "unverified"))
    if "all" in unverified:
        default = Source(default.title, default.date, "assumed", "unverified")
    for name in unverified:
        found.setdefault(str(name), Source(default.title, default.date, "assumed", "unverified"))
    return Provenance(default, found)


@lru_cache(maxsize=32)
def _adapter(kind: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def validate(kind: type[T], data: Mapping[str, Any], document: Document, path: KeyPath) -> T:
    """A frozen noun from plain data; CatalogError with line, field and suggestion when it is wrong."""
    from dataclasses import fields

    from pydantic import ValidationError

    try:
        adapter: Any = _adapter(kind)  # type: ignore[arg-type]
        return cast(T, adapter.validate_python(dict(data)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = tuple(part for part in first["loc"] if isinstance(part, (str, int)))
        known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        raise worded(first, where, document, path, known) from None


_EXPECTED = {
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "dataclass_type"), "expected a mapping"),
    **dict.fromkeys(("list_type", "tuple_type"), "expected a list"),
    "string_type": "expected a text", "bool_type": "expected true or false", "bool_parsing": "expected true or false",
}  # fmt: skip


def worded(error: Any, where: KeyPath, document: Document, path: KeyPath, known: list[str]) -> CatalogError:
    """One of pydantic's errors at ``where`` below ``path``, with what was expected; ``known``: the fields there."""
    kind, full = error["type"], (*path, *where)
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        near = nearest(str(where[-1]), known)
        hint = f"Did you mean: {', '.join(near)}?" if near else f"Known fields: {', '.join(sorted(known))}"
        return document.error("not a known field", full, hint)
    if kind in {"missing", "missing_argument", "missing_keyword_only_argument"}:
        return document.error("is missing", full)
    message = _EXPECTED.get(kind) or error["msg"].replace("Input should be", "expected").replace("Value error, ", "")
    given = error.get("input")
    shown = "" if kind == "unit" or isinstance(given, (Mapping, list)) else f", got {str(given)[:60]!r}"
    return document.error(f"{message}{shown}", full)


def entries(document: Document, section: str) -> Mapping[str, Mapping[str, Any]]:
    """The mapping of one section of a catalog file, every entry a mapping."""
    if document.data is None:
        return {}
    if not isinstance(document.data, Mapping):
        raise document.error("expected a mapping with sections such as `accelerators:` or `models:`")
    found = document.data.get(section)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise document.error("expected a mapping of names to entries", (section,))
    for name, entry in found.items():
        if not isinstance(name, str):
            raise document.error("expected a name", (section, name))
        if not isinstance(entry, Mapping):
            raise document.error("expected a mapping of fields", (section, name))
    return found
