"""From the sections of a plan file to the words of a plan: scenarios laid over the plan, each field at its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmsizer.core.errors import CatalogError, LlmsizerError, UnknownName
from llmsizer.core.yaml import Document, KeyPath

# Ways to say the demand: a scenario that gives one replaces the plan's.
DEMANDS = ("request_rate", "concurrency", "demand", "trace")
# Words of a plan by section; where the field is called otherwise, its name after the equals sign.
_FIELDS = {
    "candidates": "hardware vendors engines formats cache_formats most_devices=max_devices disaggregated",
    "prices": "price providers regions markets price_date",
    "limits": "most_devices_in_all=devices most_usd_per_hour=budget most_watts=power",
    "availability": "headroom spare growth",
    "settings": "max_num_seqs max_num_batched_tokens gpu_memory_utilization block_size enforce_eager batching dtype",
    "assumptions": "calibration emissions extras expert_skew",
    "outputs": "picks by confirm=simulate",
}  # fmt: skip
PLACES: dict[str, tuple[str, str]] = {
    field.partition("=")[0]: (section, field.rpartition("=")[2])
    for section, names in _FIELDS.items()
    for field in names.split()
}
# What a name that nobody knows was given as.
_WORD_OF_KIND = {
    "model": "model", "hardware": "hardware", "engine": "engines", "engine core": "engines", "provider": "providers",
    "price": "price", "KV cache format": "cache_formats", "quantization scheme": "formats", "cost item": "extras",
    "preset of targets": "targets",
}  # fmt: skip


def laid_over(plan: Mapping[str, Any], scenario: Mapping[str, Any]) -> dict[str, Any]:
    """The plan's sections with those of a scenario over them, field by field; targets and demands as a whole.

    >>> laid_over({"limits": {"devices": 8}}, {"limits": {"budget": "9 USD/h"}})
    {'limits': {'devices': 8, 'budget': '9 USD/h'}}
    """
    found = {**plan, **scenario}
    for name in set(plan) & set(scenario) - {"targets"}:
        if name == "workloads":
            both = {key: plan[name].get(key, {}) for key in {**plan[name], **scenario[name]}}
            found[name] = {key: _workload_over(below, scenario[name].get(key, {})) for key, below in both.items()}
        else:
            found[name] = {**plan[name], **scenario[name]}
    return found


def _workload_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in below.items() if key not in DEMANDS} if set(above) & set(DEMANDS) else below
    return {**kept, **above}


def words_of(sections: Mapping[str, Any], workload: str) -> dict[str, Any]:
    """The words that the sections say about one of their workloads."""
    said = {word: sections.get(section, {}).get(field) for word, (section, field) in PLACES.items()}
    words = {"targets": sections.get("targets"), **said, **sections["workloads"][workload]}
    return {word: value for word, value in words.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plan file says what concerns one workload in one scenario (empty: the plan itself)."""

    document: Document
    scenario: str
    workload: str

    def path(self, word: str) -> KeyPath:
        """The path of a word's field; of one that nobody wrote the workload's."""
        workload = ("workloads", self.workload)
        options: list[KeyPath] = [(*workload, word), PLACES.get(word, (word,)), workload]
        for option in options:
            for path in (("scenarios", self.scenario, *option), option):
                if path in self.document.lines:
                    return path
        return workload

    def error(self, error: LlmsizerError, word: str = "") -> LlmsizerError:
        """A mistake that the planner found, told with file, line and field; one that names a file stays as it is."""
        if isinstance(error, CatalogError):
            return error
        name, message = (word, error.message) if word else _word_and_message(error)
        path = self.path(name) if name else self.path(self.workload)
        if isinstance(error, UnknownName):
            path = self._where_named(path, error.name)
        return self.document.error(message, path, error.hint)

    def _where_named(self, path: KeyPath, name: str) -> KeyPath:
        """The path of a name that is written at a path or below, or else anywhere in the workload."""
        workload = ("workloads", self.workload)
        for start in (path, ("scenarios", self.scenario, *workload), workload):
            for each in self.document.lines:
                if each[: len(start)] == start and _at(self.document.data, each) == name:
                    return each
        return path


def _at(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data[part]
    return data


def _word_and_message(error: LlmsizerError) -> tuple[str, str]:
    """The word that a message begins with, and the message without it."""
    if isinstance(error, UnknownName):
        return _WORD_OF_KIND.get(error.kind, ""), error.message
    match = re.match(r"(?:--([a-z-]+)|([a-z_]+):) ?:? ?(.*)", error.message, re.DOTALL)
    word = (match[1] or match[2] or "").replace("-", "_") if match else ""
    known = word in PLACES or word in ("model", "targets", "input_tokens", "output_tokens", *DEMANDS)
    return (word, match[3]) if match and known else ("", error.message)
