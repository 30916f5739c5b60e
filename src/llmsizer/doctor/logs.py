"""Opens a start-up log, finds out which engine wrote it, and reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llmsizer.core.errors import LlmsizerError, shortened
from llmsizer.doctor import llama_cpp_log, sglang_log, vllm_log
from llmsizer.doctor.reading import LogReading
from llmsizer.doctor.text import LARGEST, Log, readable

# To add an engine: write its reader and the phrases that only it prints, and name both here.
READERS: dict[str, tuple[tuple[str, ...], Callable[[Log], LogReading]]] = {
    "vLLM": (vllm_log.SIGNS, vllm_log.read_vllm),
    "SGLang": (sglang_log.SIGNS, sglang_log.read_sglang),
    "llama.cpp": (llama_cpp_log.SIGNS, llama_cpp_log.read_llama_cpp),
}


class UnreadableLog(LlmsizerError):
    """A file that is no start-up log of a known engine, or cannot be opened."""


def read_log(path: str | Path) -> LogReading:
    """What a start-up log file says; only its first 20 MiB are read.

    Raises UnreadableLog for a file that cannot be opened or that no known engine wrote.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(LARGEST)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{shortened(str(path), 200)}: cannot be read: {reason}"
        raise UnreadableLog(message, "Give the file an engine's log was written to.") from None
    return parse_log(raw, str(path))


def parse_log(text: bytes | str, name: str = "the text") -> LogReading:
    """What the text of a start-up log says. ``name`` is what messages call it.

    Raises UnreadableLog when no phrase of a known engine occurs.
    """
    log = Log(readable(text))
    scores = {engine: sum(sign in log.text for sign in signs) for engine, (signs, _) in READERS.items()}
    best = max(scores, key=lambda engine: scores[engine])
    if not scores[best]:
        raise UnreadableLog(f"{shortened(name, 200)}: no start-up log of vLLM, SGLang or llama.cpp recognised", _looked_for())
    return READERS[best][1](log)


def _looked_for() -> str:
    shown = [f"{engine}: " + ", ".join(f"'{sign}'" for sign in signs[:4]) for engine, (signs, _) in READERS.items()]
    return "Looked for lines such as " + "; ".join(shown) + ". Start the engine with its usual log level."
