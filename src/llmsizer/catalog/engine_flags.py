"""How an engine at a version is started: its program, the flags it has, and what says each setting.

The head of ``engine_flags.yaml`` explains the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llmsizer.catalog.engines import version_key
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import UnsupportedCombination


@dataclass(frozen=True, slots=True, eq=False)
class EngineFlags:
    """The entry of an engine in ``engine_flags.yaml``, seen from one of its versions."""

    engine: str
    version: str
    entry: Mapping[str, Any]

    def has(self, name: str) -> bool:
        """Whether the version has a flag (or a key of its configuration file)."""
        return name in self._known() and self._in_span(self._known()[name])

    def takes(self, name: str, value: Any) -> bool:
        """Whether a flag takes a value; one that lists no words takes any."""
        words = self._known()[name].get("values")
        return words is None or value is True or (str(value) in words and self._in_span(words[str(value)]))

    def is_flag(self, name: str) -> bool:
        """Whether it is written on the command line, not into the configuration file."""
        return name in self.entry["flags"]

    def holds(self, name: str) -> bool:
        """Whether a part of the entry that is a span of versions holds for this one."""
        return name in self.entry and self._in_span(self.entry[name])

    def start(self) -> list[str]:
        """The words before the flags. Raises UnsupportedCombination for a version without a server of its own."""
        for way in self.entry["start"]:
            if self._in_span(way):
                return list(way["words"])
        oldest = self.entry["start"][-1]["from"]
        raise UnsupportedCombination(f"{self.engine} {self.version} has no server to start", f"since {oldest} it has")

    def way(self, setting: str, value: Any) -> Mapping[str, Any] | None:
        """What sets a setting to a value: flags with their templates, ``{value}`` translated; None where nothing does."""
        for way in self._ways(setting):
            found = self._translated(way, value)
            if found is not None:
                return found
        return None

    def image(self, vendor: str) -> str | None:
        """The container image for a vendor's devices; None where none is recorded."""
        named = self.entry["images"].get(vendor)
        numbers = version_key(self.version)
        whole = ".".join(map(str, (*numbers, 0, 0)[: max(3, len(numbers))]))
        return named.replace("{version}", whole) if named else None

    def _known(self) -> Mapping[str, Any]:
        return {**self.entry["flags"], **self.entry.get("files", {})}

    def _in_span(self, item: Mapping[str, Any]) -> bool:
        key = version_key(self.version)
        after = "from" not in item or key >= version_key(str(item["from"]))
        return after and ("until" not in item or key < version_key(str(item["until"])))

    def _ways(self, setting: str) -> Iterator[Mapping[str, Any]]:
        told = self.entry["settings"].get(setting, [])
        for way in told if isinstance(told, list) else [told]:
            yield {"set": {way: "{value}"}} if isinstance(way, str) else way

    def _translated(self, way: Mapping[str, Any], value: Any) -> Mapping[str, Any] | None:
        words = way.get("values")
        if not self._in_span(way) or not all(map(self.has, way["set"])) or (words is not None and value not in words):
            return None
        word = words[value] if words is not None else value
        made = {name: filled(template, {"value": word}) for name, template in way["set"].items()}
        return made if all(_is_open(each) or self.takes(name, each) for name, each in made.items()) else None


def filled(template: Any, names: Mapping[str, Any]) -> Any:
    """A template with the names in braces filled in; a lone ``{name}`` keeps its type.

    >>> filled({"method": "ngram", "num_speculative_tokens": "{tokens}"}, {"tokens": 3})
    {'method': 'ngram', 'num_speculative_tokens': 3}
    """
    if isinstance(template, Mapping):
        return {key: filled(each, names) for key, each in template.items()}
    if not isinstance(template, str):
        return template
    for name, value in names.items():
        if template == f"{{{name}}}":
            return value
        template = template.replace(f"{{{name}}}", str(value))
    return template


def _is_open(made: Any) -> bool:
    """Whether names are still to be filled in."""
    return isinstance(made, Mapping) or (isinstance(made, str) and made.startswith("{"))


def engine_flags(engine: str, version: str | None = None) -> EngineFlags:
    """How an engine at a version (None: its usual release) is started.

    Raises UnsupportedCombination for an engine whose flags are not recorded.
    """
    known = _document()["engines"]
    if engine not in known:
        raise UnsupportedCombination(f"no launch flags are recorded for {engine}", f"recorded: {', '.join(known)}")
    return EngineFlags(engine, version or str(known[engine]["usual"]), known[engine])


def benchmark_flags() -> EngineFlags:
    """The flags of ``vllm bench serve``."""
    entry = _document()["benchmark"]
    return EngineFlags("vllm bench serve", str(entry["checked"]), entry)


def recorded_engines() -> list[str]:
    """The engines whose flags are recorded."""
    return list(_document()["engines"])


def device_resource(vendor: str) -> str | None:
    """What Kubernetes calls a vendor's devices; None where it is not recorded."""
    name = _document()["kubernetes"]["resources"].get(vendor)
    return None if name is None else str(name)


@lru_cache(maxsize=1)
def _document() -> Any:
    return package_data("engine_flags.yaml")
