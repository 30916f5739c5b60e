"""Whether a model was named or given as a path."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".json", ".gguf", ".safetensors")


def is_model_path(text: str) -> bool:
    """Whether a text is meant as a path to a model's file or folder rather than as a name.

    >>> is_model_path("./models/llama/config.json"), is_model_path("meta-llama/Llama-3.1-8B")
    (True, False)
    """
    if text.lower().endswith(SUFFIXES) or text.startswith((".", "/", "~")):
        return True
    return any(separator in text for separator in "/\\") and _exists(Path(text))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
