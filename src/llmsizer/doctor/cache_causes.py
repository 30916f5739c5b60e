"""Causes of differences in the cache, and in llama.cpp's buffers."""

from __future__ import annotations

from llmsizer.core.explain import plain
from llmsizer.core.quantities import GIB, human
from llmsizer.doctor.evidence import REMAINS, Evidence, Rule, engine_values
from llmsizer.doctor.figures import BYTE, TITLES


def pool_limit(evidence: Evidence, name: str) -> str:
    """A pool whose size the user fixed."""
    limit = evidence.reading.pool_limit
    return f"the log fixes the pool with {limit}, which the estimate does not know" if limit else ""


def smallest_rank(evidence: Evidence, name: str) -> str:
    """Ranks that have different room."""
    ranks = evidence.reading.kv_cache_by_rank
    if len(ranks) < 2 or max(ranks) <= 1.01 * min(ranks):
        return ""
    if name == "kv_cache" and not min(ranks) <= evidence.figures[name] <= 1.01 * max(ranks):
        return ""
    return f"ranks have from {human(min(ranks), BYTE)} to {human(max(ranks), BYTE)} left: the smallest rules"


def hidden_rank(evidence: Evidence, name: str) -> str:
    """One rank's memory beside the blocks of the smallest."""
    case = evidence.estimated.case.parallel
    ranks = case.tensor_parallel_size * case.pipeline_parallel_size
    more = evidence.more(name) / evidence.figures[name]
    if ranks > 1 and evidence.reading.engine == "vllm" and 0 < more < 0.3:
        return f"the memory is one rank's, the tokens are those of the smallest of {ranks} ranks"
    return ""


def from_parts(evidence: Evidence, name: str) -> str:
    """A cache that differs because what stands before it does, or the budget itself."""
    difference, parts = evidence.difference(name), _contributions(evidence)
    if abs(difference - sum(parts.values())) > max(REMAINS * abs(difference), 0.02 * GIB):
        return ""
    told = [f"{part} ({value / GIB:+.2f} GiB)" for part, value in parts.items() if abs(value) >= 0.15 * abs(difference)]
    return f"follows from the {' and the '.join(told)}" if told else ""


def _contributions(evidence: Evidence) -> dict[str, float]:
    """What each differing part adds to the estimate's cache, by title."""
    if evidence.reading.engine == "sglang":
        return _static_contributions(evidence)
    parts = {
        TITLES[part][0]: -evidence.difference(part)
        for part in ("weights", "overheads", "activation", "non_torch")
        if evidence.both(part) and (part in {"weights", "overheads"} or "overheads" not in evidence.logged)
    }
    graphs = evidence.reading.cuda_graph_estimate_bytes
    if graphs is not None and "overheads" not in evidence.logged and evidence.estimated.case.engine.graphs_in_budget:
        parts["CUDA graphs the engine expects"] = graphs - evidence.figures["cuda_graph"]
    label, share = _budget(evidence)
    return {part: value for part, value in (parts | {label: share}).items() if value}


def _static_contributions(evidence: Evidence) -> dict[str, float]:
    """SGLang: a share of the memory free before loading, less the weights, split between the caches."""
    fraction = float(plain(evidence.estimated.case.memory_fraction))
    cache, state = evidence.logged["kv_cache"], evidence.logged.get("state_cache", 0.0)
    share = cache / (cache + state) if cache + state > 0 else 1.0
    parts = {TITLES["weights"][0]: -evidence.difference("weights")} if evidence.both("weights") else {}
    if evidence.both("device_free"):
        parts["memory free before loading"] = fraction * evidence.difference("device_free")
    return {part: share * value for part, value in parts.items() if value}


def _budget(evidence: Evidence) -> tuple[str, float]:
    """By how much the estimate's budget exceeds the log's: that of another total, or (where the log
    prints every part) of a fraction printed with too few digits."""
    logged, device = evidence.logged, evidence.estimated.memory.per_gpu
    fraction = float(plain(evidence.estimated.case.memory_fraction))
    if evidence.both("device_total") and not evidence.agrees("device_total"):
        return TITLES["device_total"][0], evidence.difference("device_total") * fraction
    every = ("weights", "activation", "non_torch", "kv_cache")
    if evidence.reading.engine != "vllm" or not all(part in logged for part in every):
        return "budget", 0.0
    inside = evidence.reading.cuda_graph_estimate_bytes or evidence.figures["cuda_graph"]
    counted = sum(logged[part] for part in every) + (inside if evidence.estimated.case.engine.graphs_in_budget else 0.0)
    share = float(plain(device.budget_bytes)) - counted
    rounded = abs(share) <= 0.006 * float(plain(device.capacity_bytes))
    return "memory fraction, which the log prints rounded" if rounded else "budget", share


def other_fraction(evidence: Evidence, name: str) -> str:
    """A memory fraction that the log does not name: another version's default, or one that would do."""
    if evidence.named("gpu_memory_utilization"):
        return ""
    case, device = evidence.estimated.case, evidence.estimated.memory.per_gpu
    taken = float(plain(case.memory_fraction))
    for value in engine_values(evidence, "memory_fraction"):
        if value != taken and evidence.explained_by(name, gpu_memory_utilization=value):
            return f"it fits the memory fraction {value:g}, the default of other versions ({taken:g} is assumed)"
    if name != "kv_cache":
        return ""
    implied = round(taken - evidence.difference(name) / float(plain(device.capacity_bytes)), 2)
    if 0.05 <= implied <= 0.99 and implied != taken and evidence.explained_by(name, gpu_memory_utilization=implied):
        return f"a memory fraction of {implied:g} would give it; the log does not name it ({taken:g} is assumed)"
    return ""


def cache_format(evidence: Evidence, name: str) -> str:
    """A cache in another number format."""
    if evidence.asked.origins.get("kv_cache_dtype") == "given":
        return ""
    case = evidence.estimated.case
    for stored in ("fp8", "bf16", "fp16", "f16", "q8_0", "q4_0"):
        if (
            stored in case.engine.cache_formats
            and stored != case.cache_format.id
            and evidence.explained_by(name, kv_cache_dtype=stored)
        ):
            return f"the cache is stored as {stored}, not as {case.cache_format.id}: add --kv-cache-dtype {stored}"
    return ""


def draft_layers(evidence: Evidence, name: str) -> str:
    """Layers of a draft that share the cache."""
    layers = evidence.estimated.case.model.num_hidden_layers
    further = (evidence.logged[name] / evidence.figures[name] - 1) * layers
    if evidence.reading.speculative_method is None or not 0.5 <= further <= 0.15 * layers + 1:
        return ""
    if abs(further - round(further)) > 0.2:
        return ""
    return f"the cache holds {round(further)} more layer(s), the draft's"


def concurrency_figure(evidence: Evidence, name: str) -> str:
    """Tokens printed as concurrency × max_model_len, which for hybrid models is no number of slots."""
    reading = evidence.reading
    if not (reading.kv_tokens and reading.max_concurrency and reading.concurrency_length):
        return ""
    product = reading.max_concurrency * reading.concurrency_length
    if evidence.estimated.case.engine.cache_figure == "concurrency" or abs(product / reading.kv_tokens - 1) > 0.005:
        return ""
    if not (evidence.both("concurrency") and evidence.agrees("concurrency")):
        return ""
    return "newer versions print concurrency × max_model_len, which is no number of token slots"


def from_cache_and_width(evidence: Evidence, name: str) -> str:
    """Tokens that differ because both the cache's bytes and the bytes a token takes do."""
    known = evidence.both("kv_cache") and evidence.both("bytes_per_token")
    if not known or evidence.figures["kv_cache"] <= 0 or evidence.figures[name] <= 0:
        return ""
    expected = evidence.figures["kv_cache"] / evidence.figures["bytes_per_token"]
    return "follows from the KV cache and the KV bytes per token" if abs(expected / evidence.figures[name] - 1) < 0.03 else ""


def follows(*others: str) -> Rule:
    """The rule that a figure differs in the proportion in which another one does."""

    def rule(evidence: Evidence, name: str) -> str:
        here = evidence.figures[name] / evidence.logged[name]
        for other in others:
            if not evidence.both(other) or not evidence.logged[other]:
                continue
            if evidence.figures[name] <= 0 and evidence.figures[other] <= 0:
                return f"follows from the {TITLES[other][0]}"
            there = evidence.figures[other] / evidence.logged[other]
            inverse = 1 / there if other == "bytes_per_token" and there else there
            if here > 0 and abs(here - inverse) <= REMAINS * abs(here - 1):
                return f"follows from the {TITLES[other][0]}"
        return ""

    return rule


def bounded_length(evidence: Evidence, name: str) -> str:
    """A longest length that the model bounds in the estimate and the cache in the log."""
    most = evidence.estimated.case.model.max_position_embeddings
    if most is None or evidence.figures[name] < most or not evidence.both("kv_cache") or evidence.agrees("kv_cache"):
        return ""
    return f"follows from the {TITLES['kv_cache'][0]}" if evidence.difference("kv_cache") > 0 else ""


def other_attention(evidence: Evidence, name: str) -> str:
    """Flash attention on or off, contrary to what is assumed."""
    flash = evidence.estimated.case.flash_attention
    if evidence.asked.origins.get("flash_attention") == "given" or not evidence.explained_by(name, flash_attention=not flash):
        return ""
    return f"it fits flash attention {'off' if flash else 'on'} ({'on' if flash else 'off'} is assumed)"


def input_copies(evidence: Evidence, name: str) -> str:
    """Copies of the inputs that pipelined devices keep."""
    devices = evidence.reading.devices or 1
    if devices > 1 and 0 < evidence.more(name) <= 0.4 * evidence.logged[name]:
        return f"each of the {devices} devices keeps copies of a step's inputs"
    return ""


def streamed_weights(evidence: Evidence, name: str) -> str:
    """Room for weights that are copied from the host when they are used."""
    host = sum(buffer.model_bytes for buffer in evidence.reading.buffers if buffer.on_host)
    usual = float(plain(evidence.estimated.undivided.host_weights_bytes))
    if host > 1.5 * usual + 0.1 * GIB and evidence.more(name) > 0:
        return f"the buffer has room for weights copied from the host ({human(host, BYTE)} stay there)"
    return ""


def split_not_modelled(evidence: Evidence, name: str) -> str:
    """Layers left on the host."""
    reading = evidence.reading
    if reading.gpu_layers is not None and reading.model_layers and reading.gpu_layers < reading.model_layers:
        return f"{reading.gpu_layers} of {reading.model_layers} layers are on the device"
    return ""
