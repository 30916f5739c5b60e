"""Words that are written in one piece: on the command line, or as a text from Python or a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmsizer.core.errors import InvalidQuestion


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def read_speculative(text: str) -> dict[str, Any]:
    """``draft:llama-3.2-1b:5:length=2.6`` as method, model, tokens and how many of them stand."""
    method, *rest = text.split(":")
    found: dict[str, Any] = {"method": method}
    for part in rest:
        name, told, value = part.partition("=")
        if told:
            found[name.strip()] = value.strip()
        elif _is_number(part):
            found["num_speculative_tokens"] = int(part) if len(part) < 10 else part
        else:
            found["model"] = part
    return found


def read_adapters(text: str) -> dict[str, Any]:
    """``4x16`` as four adapters of rank 16."""
    count, _, rank = text.lower().partition("x")
    if not (_is_number(count) and _is_number(rank)):
        raise InvalidQuestion(f"--adapters: expected COUNTxRANK, got '{text[:40]}'", "for example: --adapters 4x16")
    return {"count": count, "rank": rank}


def read_offload(text: str) -> dict[str, Any]:
    """``weights=0.3,gpu_layers=20`` as a mapping."""
    found: dict[str, Any] = {}
    for part in text.split(","):
        key, separator, value = part.partition("=")
        if not separator:
            raise InvalidQuestion(f"--offload: expected KEY=VALUE, got '{part[:40]}'", "for example: --offload weights=0.3")
        found[key.strip()] = value.strip()
    return found


READERS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "speculative": read_speculative, "adapters": read_adapters, "offload": read_offload,
}  # fmt: skip
