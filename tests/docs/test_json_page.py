"""docs/json.md lists every key of an estimate's JSON, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from documents import TOP, run

PAGE = TOP / "docs" / "json.md"
QUESTIONS = (
    "-m llama-3.1-8b -g h100",
    "-m deepseek-v3 -g h200 --tp 8 --ep --rate 2",
    "-m llama-3.1-70b -g h100",
    "-m llama-3.1-8b -g h100 --speculative ngram",
    "-m llama-3.1-8b -g h100 --rate 2 --class chat:isl=500,osl=100,ttft=200ms",
    "-m qwen3-30b-a3b -g rtx-4090 -e llama.cpp -q Q4_K_M --max-model-len 8192",
)


WHOLE = ("asked", "inputs[].value")  # documented as they are: their keys depend on the question


def paths(data: Any, prefix: str = "") -> Iterator[str]:
    """The paths of all leaves; the entries of a list share one."""
    if isinstance(data, dict) and prefix not in WHOLE:
        for key, value in data.items():
            yield from paths(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(data, list) and not prefix.endswith("[]") and prefix not in WHOLE:
        for item in data:
            yield from paths(item, f"{prefix}[]")
    else:
        yield prefix


def documented() -> set[str]:
    """The keys of the page; those of a prefill step are also those of a decode step."""
    found = set(re.findall(r"^\| `([\w.\[\]]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    return found | {key.replace("prefill.", "decode.", 1) for key in found if key.startswith("prefill.")}


@pytest.fixture(scope="module")
def printed() -> set[str]:
    found: set[str] = set()
    for words in QUESTIONS:
        found |= set(paths(json.loads("\n".join(run(f"llmsizer estimate {words} --format json")))))
    return found


def test_every_key_is_documented(printed):
    known = documented()
    missing = {key for key in printed if key not in known and f"{key}[]" not in known}
    assert not missing


def test_no_documented_key_is_missing(printed):
    optional = {"reasons[]", "notes[]", "cost.depends_on[]", "made_with.overlays[]"}
    assert not {key for key in documented() - optional if key not in printed and key.removesuffix("[]") not in printed}


def test_the_command_line_and_python_print_the_same():
    import llmsizer

    told = json.loads("\n".join(run("llmsizer estimate -m llama-3.1-8b -g h100 --format json")))
    assert told == json.loads(json.dumps(llmsizer.estimate("llama-3.1-8b", "h100").to_dict()))
