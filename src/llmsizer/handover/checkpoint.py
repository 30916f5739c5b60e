"""What an engine is told to load: a checkpoint's name, or a path to fill in where it has none."""

from __future__ import annotations

from pathlib import Path

from llmsizer.catalog.paths import is_model_path
from llmsizer.handover.settings import SIXTEEN_BIT, Target
from llmsizer.schema.deployment import Case

# GGUF names of checkpoints that are not quantized.
UNQUANTIZED = {"bf16": "BF16", "fp16": "F16", "fp32": "F32"}


def checkpoint_of(case: Case, typed: str, target: Target) -> tuple[str, list[str]]:
    """The model to load and what to say of it; ``typed``: how the question named the model."""
    name, scheme = case.model.id, case.scheme.id
    title = name.rsplit("/", 1)[-1]
    whole = scheme in UNQUANTIZED.values() and not typed.lower().endswith(".gguf")
    if target.engine.schemes == ("gguf",) or (case.scheme.is_gguf and not whole):
        if typed.lower().endswith(".gguf"):
            return typed, []
        mix = UNQUANTIZED.get(scheme, scheme)
        return f"path/to/{title}-{mix}.gguf", [f"The model is a GGUF file in {mix}: give its path."]
    if _needs_checkpoint(case, target):
        told = f"The model is a checkpoint stored in {scheme}, from which {target.engine.title} reads the format"
        return f"path/to/{title}-{scheme}", [f"{told}: give its name or path."]
    if "+" in title:
        return f"path/to/{title}", ["The model is a variant that has to be made first: give its path."]
    if is_model_path(typed):
        return str(Path(typed).parent if typed.lower().endswith((".json", ".safetensors")) else typed), []
    if typed.rsplit("/", 1)[-1].lower() not in name.lower():
        return name, [f"'{typed}' is sized as {name}, which has the same shape: put the checkpoint you mean."]
    return name, []


def _needs_checkpoint(case: Case, target: Target) -> bool:
    """Whether the format is neither the model's own nor made by the engine while it loads."""
    scheme, native = case.scheme.id, case.model.native_quantization
    if scheme == native or (scheme in (*SIXTEEN_BIT, *UNQUANTIZED.values()) and native in SIXTEEN_BIT):
        return False
    return native not in SIXTEEN_BIT or target.flags.way("quantization", scheme) is None
