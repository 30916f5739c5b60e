"""Answers that were saved with ``llmsizer estimate --format json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from llmsizer.catalog.json_files import json_file
from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.inputs import Input
from llmsizer.question.ask import NOT_KEPT
from llmsizer.question.words import Words

LARGEST = 16 * 2**20
# Words that are text where they are given at all, and words that may hold several values.
TEXTS = (
    "model", "hardware", "quantization", "dtype", "kv_cache_dtype", "engine", "batching", "price_date", "calibration",
    "transform",
)  # fmt: skip
MAPPINGS = ("adapters", "offload", "extras")
PARTS = ("question", "fits", "memory", "latency", "evidence")


def read_answer(path: str | Path) -> dict[str, Any]:
    """A saved answer. Raises LlmsizerError for a file that is none."""
    if not Path(path).exists():
        raise InvalidQuestion(f"{path}: no such file", "Give the output of: llmsizer estimate … --format json")
    data, _ = json_file(Path(path), LARGEST)
    if not isinstance(data, dict) or not all(part in data for part in PARTS):
        raise InvalidQuestion(f"{path}: no saved estimate", "made with: llmsizer estimate … --format json > answer.json")
    if not all(isinstance(data[part], dict) for part in PARTS if part != "fits"):
        raise InvalidQuestion(f"{path}: not as llmsizer estimate writes it")
    return data


def words_of(answer: Mapping[str, Any], name: str) -> Words:
    """The question of a saved answer, to be asked again. Raises InvalidQuestion where it cannot be."""
    asked = answer.get("asked")
    if not isinstance(asked, dict) or not {"model", "hardware"} <= set(asked):
        hint = "ask it again by hand and save that answer too: llmsizer changes OLD.json NEW.json"
        raise InvalidQuestion(f"{name}: it does not hold its question, which older versions did not save", hint)
    for word, value in asked.items():
        if word not in Words.__dataclass_fields__:
            raise InvalidQuestion(f"{name}: '{word}' is no word of a question in this version of llmsizer")
        if isinstance(value, dict) and NOT_KEPT in value:
            hint = "save the answer of today as well: llmsizer changes OLD.json NEW.json"
            raise InvalidQuestion(f"{name}: {word} was a {value[NOT_KEPT]}, which JSON does not hold", hint)
        if not isinstance(value, str if word in TEXTS else dict if word in MAPPINGS else (str, bool, int, float, NoneType)):
            raise InvalidQuestion(f"{name}: {word} is not as llmsizer estimate writes it")
    return Words(**asked)


def inputs_of(answer: Mapping[str, Any], name: str) -> list[Input]:
    """The facts that a saved answer rests on; none where its version did not save them."""
    found: list[Input] | None
    try:
        found = [Input(**each) for each in answer.get("inputs", ())]
    except TypeError:
        found = None
    if found is None or not all(isinstance(word, str) for each in found for word in (*each.place, each.unit, each.source)):
        raise InvalidQuestion(f"{name}: its inputs are not as llmsizer estimate writes them")
    return found
