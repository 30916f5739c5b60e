"""Causes that lie in the engine's version: another one's constants."""

from __future__ import annotations

from typing import Any

from llmsizer.catalog.engines import version_key
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.quantities import human
from llmsizer.doctor.asking import era_versions
from llmsizer.doctor.evidence import Evidence
from llmsizer.doctor.figures import BYTE

# Facts of an engine version that decide a figure, and how to print them.
_FACTS = {
    "activation": {"sampler_bytes_per_logit": "bytes per sampled logit", "max_num_seqs": "max_num_seqs"},
    "non_torch": {"non_torch": "non-torch memory", "non_torch_parallel": "non-torch memory of several ranks"},
    "cuda_graph": {"graph_memory": "graph memory", "graph_memory_per_layer": "graph memory per layer"},
    "kv_cache": {"memory_fraction": "memory fraction", "graphs_in_budget": "graphs inside the budget"},
    "bytes_per_token": {"hybrid_cache": "cache of windowed layers", "latent_row_alignment": "alignment of latent rows",
                        "cache_figure": "printed figure"},
}  # fmt: skip
_FACTS["overheads"] = _FACTS["activation"] | _FACTS["non_torch"] | _FACTS["cuda_graph"]
_FACTS["kv_cache"] |= _FACTS["overheads"]
_FACTS["kv_tokens"] = _FACTS["concurrency"] = _FACTS["bytes_per_token"]


def other_version(evidence: Evidence, name: str) -> str:
    """Constants of another version: any when the log names none, else of the version next to it."""
    engine = evidence.estimated.case.engine
    if evidence.asked.origins.get("engine") == "given":
        return ""
    eras = sorted(era_versions(engine.id), key=version_key)
    here = sum(version_key(era) <= version_key(engine.version) for era in eras) - 1
    near = sorted(range(len(eras)), key=lambda index: abs(index - here))
    if evidence.asked.origins.get("engine") != "assumed":
        near = [index for index in near if abs(index - here) == 1]
    core = f"+{engine.core}" if engine.core else ""
    for index in near:
        label = f"{engine.id}@{eras[index]}"
        if index != here and evidence.explained_by(name, engine=label + core):
            differing = _differing(evidence, name, label + core)
            if differing:
                return f"it fits the constants of {label} ({differing})"
    return ""


def _differing(evidence: Evidence, name: str, label: str) -> str:
    engine = evidence.estimated.case.engine
    try:
        other = evidence.catalog.engine(label, evidence.estimated.case.accelerator)
    except LlmsizerError:
        return ""
    told = []
    for fact, words in _FACTS.get(name, {}).items():
        there, here = getattr(other, fact), getattr(engine, fact)
        if there != here:
            told.append(f"{words}: {_fact(there)} instead of {_fact(here)}")
    return "; ".join(told[:2])


def _fact(value: Any) -> str:
    return human(value, BYTE) if isinstance(value, float) and value >= 2**20 else f"{value}"
