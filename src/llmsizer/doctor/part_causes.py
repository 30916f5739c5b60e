"""Causes of differences in what stands before the cache: the device, the weights, the profile run."""

from __future__ import annotations

from llmsizer.core.explain import plain
from llmsizer.core.quantities import GIB, human
from llmsizer.doctor.evidence import Evidence, engine_values
from llmsizer.doctor.figures import BYTE
from llmsizer.doctor.names import devices_of_size


def card_spread(evidence: Evidence, name: str) -> str:
    """Totals of cards of one type differ by ECC, driver and display, up to some 2 %."""
    share = abs(evidence.difference(name)) / evidence.logged[name]
    if share > 0.02:
        return ""
    return "cards of one type report totals that differ by a percent or two (ECC, driver, display)"


def other_card(evidence: Evidence, name: str) -> str:
    """A total that belongs to another card."""
    share = abs(evidence.difference(name)) / evidence.logged[name]
    device = evidence.estimated.case.accelerator.id
    return f"this is not the memory of a {device}: check --gpu" if share > 0.04 else ""


def smaller_card(evidence: Evidence, name: str) -> str:
    """A cache that would be that of another card, where the log does not print the card's memory."""
    case, device = evidence.estimated.case, evidence.estimated.memory.per_gpu
    fraction, capacity = float(plain(case.memory_fraction)), float(plain(device.capacity_bytes))
    if case.engine.accounting != "vllm" or "device_total" in evidence.logged or not fraction:
        return ""
    implied = capacity - evidence.difference(name) / fraction
    fitting = devices_of_size(implied, evidence.catalog, 0.02) if implied > 0 else []
    if abs(implied / capacity - 1) < 0.1 or not fitting or case.accelerator.id in fitting:
        return ""
    return f"it fits a card of {implied / GIB:.1f} GiB ({', '.join(fitting[:4])}): check --gpu"


def other_processes(evidence: Evidence, name: str) -> str:
    """Memory taken on the card before the engine started."""
    reading = evidence.reading
    total = reading.device_total_bytes or evidence.figures["device_total"]
    if reading.device_free_bytes is None:
        return ""
    taken = total - reading.device_free_bytes - evidence.figures.get("non_torch", 0.0)
    missing = abs(evidence.difference(name))
    sign = evidence.more(name) > 0 if name in {"non_torch", "overheads"} else evidence.more(name) < 0
    if not sign or taken < 0.5 * GIB or not 0.5 * taken <= missing <= 1.5 * taken:
        return ""
    told = f"{human(taken, BYTE)} of the card were in use by others before the start"
    doubtful = reading.device_total_bytes is None and taken > 0.15 * total
    return f"{told}, or it is another card than a {evidence.estimated.case.accelerator.id}" if doubtful else told


def shared_memory(evidence: Evidence, name: str) -> str:
    """On unified memory the engine counts what other processes hold."""
    more = evidence.more(name) if name in {"non_torch", "overheads"} else -evidence.more(name)
    if evidence.estimated.case.accelerator.unified_memory and more > 0:
        return "the device shares its memory with the host, and what others hold counts as the engine's"
    return ""


def rocm_overhead(evidence: Evidence, name: str) -> str:
    """ROCm builds hold more than CUDA builds: padded matrices, larger graphs and libraries."""
    more, log = evidence.more(name), evidence.logged[name]
    if evidence.estimated.case.accelerator.llvm_target and 0 < more < 0.5 * log:
        return "ROCm builds hold more than CUDA builds (padded matrices, libraries)"
    return ""


def offloaded_weights(evidence: Evidence, name: str) -> str:
    """Weights that the log keeps in host memory."""
    offloaded = evidence.reading.offloaded_bytes
    if offloaded and abs(evidence.difference(name) - offloaded) <= 0.25 * offloaded:
        return f"the log keeps {human(offloaded, BYTE)} of the weights in host memory"
    return ""


def draft_weights(evidence: Evidence, name: str) -> str:
    """A draft that the log loads and the estimate does not know."""
    reading = evidence.reading
    if reading.speculative_method is None or evidence.asked.words.speculative or evidence.more(name) <= 0:
        return ""
    model = reading.speculative_model or reading.speculative_method
    return f"the log loads a draft beside the model ({model[:80]}), which is not estimated" if name == "weights" else ""


def mtp_modules(evidence: Evidence, name: str) -> str:
    """Multi-token-prediction modules that are loaded though the log does not say so."""
    if evidence.asked.words.speculative or not evidence.explained_by(name, speculative={"method": "mtp"}):
        return ""
    return "the multi-token-prediction modules are loaded too: add --speculative mtp"


def adapter_slots(evidence: Evidence, name: str) -> str:
    """LoRA slots whose number or rank the log does not say."""
    reading = evidence.reading
    if not reading.lora or (reading.max_loras and reading.max_lora_rank) or evidence.more(name) <= 0:
        return ""
    for ranks in (8, 16, 32, 64, 128, 256, 512, 1024, 2048):
        if evidence.explained_by(name, adapters={"count": 1, "rank": ranks}):
            return f"LoRA slots of {ranks} ranks in all (slots × rank) would give it; the log does not name them"
    return ""


def other_scheme(evidence: Evidence, name: str) -> str:
    """Weights that fit another number format, where the log does not name one."""
    case, share = evidence.estimated.case, abs(evidence.difference(name)) / evidence.logged[name]
    if evidence.named("quantization") or evidence.reading.quantization == "none" or share < 0.06:
        return ""
    known = ("bf16", "fp8", "fp8_channel", "fp8_block", "int8", "w4a16", "gptq", "awq", "nf4-dq", "nvfp4", "mxfp4", "llm.int8")
    gguf = ("Q2_K", "Q3_K_M", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16", "IQ4_XS", "IQ3_XXS", "IQ2_XXS")
    found: list[tuple[float, str]] = []
    for scheme in gguf if case.engine.schemes == ("gguf",) else known:
        other = evidence.what_if(quantization=scheme)
        if scheme != case.scheme.id and other is not None and name in other:
            found.append((abs(other[name] / evidence.logged[name] - 1), scheme))
    off, best = min(found, default=(1.0, ""))
    return f"the weights are those of {best}, not of {case.scheme.id}: add -q {best}" if off <= 0.02 else ""


def mixed_checkpoint(evidence: Evidence, name: str) -> str:
    """Checkpoints whose maker leaves some matrices at a higher precision, by their name."""
    dynamic = any("unsloth-bnb" in each.lower() or "-ud-" in each.lower() for each in evidence.reading.model_names)
    if not dynamic or not 0 < evidence.more(name) < 0.35 * evidence.logged[name]:
        return ""
    return "the checkpoint is a dynamic mix by its name: some matrices keep a higher precision"


def stage_shares(evidence: Evidence, name: str) -> str:
    """Ranks that hold different shares of the layers."""
    ranks = evidence.reading.weights_by_rank
    if len(ranks) > 1 and max(ranks) > 1.01 * min(ranks) and min(ranks) <= evidence.figures[name] <= max(ranks):
        return f"ranks hold from {human(min(ranks), BYTE)} to {human(max(ranks), BYTE)}: the fullest is shown"
    return ""


def other_sequences(evidence: Evidence, name: str) -> str:
    """The sampler's rows: another default of max_num_seqs, or a value the log does not name."""
    if evidence.named("max_num_seqs"):
        return ""
    taken = int(plain(evidence.estimated.case.max_num_seqs))
    for value in engine_values(evidence, "max_num_seqs"):
        if value != taken and evidence.explained_by(name, max_num_seqs=value):
            return f"it fits max_num_seqs {value:,}, the default on other devices or versions ({taken:,} is assumed)"
    return ""


def implied_sequences(evidence: Evidence, name: str) -> str:
    """A max_num_seqs that the sampler's memory implies and the log does not name."""
    if evidence.named("max_num_seqs"):
        return ""
    case = evidence.estimated.case
    taken = int(plain(case.max_num_seqs))
    per_row = float(plain(case.engine.sampler_bytes_per_logit)) * float(plain(case.model.vocab_size))
    implied = round(evidence.logged[name] / per_row / 8) * 8 if per_row else 0
    if 8 <= implied <= 1024 and implied != taken and evidence.explained_by(name, max_num_seqs=implied):
        return f"max_num_seqs {implied:,} would give it; the log does not name it ({taken:,} is assumed)"
    return ""


def no_sampler(evidence: Evidence, name: str) -> str:
    """Ranks of the old engine core that do not sample: only the first does."""
    case = evidence.estimated.case
    if case.engine.core == "v0" and case.parallel.devices > 1 and evidence.explained_by(name, max_num_seqs=1):
        return "this rank does not sample: in the old engine core only the first does"
    return ""


def other_batched_tokens(evidence: Evidence, name: str) -> str:
    """Another default of max_num_batched_tokens."""
    if evidence.named("max_num_batched_tokens"):
        return ""
    taken = int(plain(evidence.estimated.case.max_num_batched_tokens))
    for value in dict.fromkeys([*engine_values(evidence, "max_num_batched_tokens"), 512, 4096, 16384]):
        if value != taken and evidence.explained_by(name, max_num_batched_tokens=value):
            return f"it fits max_num_batched_tokens {value:,}; the log does not name it ({taken:,} is assumed)"
    return ""


def fused_sampler(evidence: Evidence, name: str) -> str:
    """A fused sampler, which needs no sorted copies of the logits."""
    if not evidence.reading.fused_sampler or evidence.more(name) >= 0:
        return ""
    least = (evidence.what_if(max_num_seqs=1) or {}).get(name)
    if least is None or least > 1.1 * evidence.logged[name] + 0.05 * GIB:
        return ""
    return "the log samples with FlashInfer, which keeps no sorted copies of the logits"


def vision_profiling(evidence: Evidence, name: str) -> str:
    """Towers that the profile run fills with the largest inputs."""
    if evidence.estimated.case.model.towers and evidence.more(name) > 0.25 * GIB:
        return "the profile run encodes the largest images or sounds the model takes, as many as a step may hold"
    return ""


def freed_blocks(evidence: Evidence, name: str) -> str:
    """Graph capture that ends with less memory in use than it began."""
    if evidence.logged[name] < 0:
        return "cached blocks were freed while graphs were captured, so the difference printed is negative"
    return ""


def fewer_graphs(evidence: Evidence, name: str) -> str:
    """Fewer batch sizes to capture with few sequences."""
    sequences = evidence.reading.max_num_seqs
    most = max((int(value) for value in engine_values(evidence, "max_num_seqs")), default=0)
    if sequences and sequences < min(most, 256) and evidence.more(name) < 0:
        return f"with max_num_seqs {sequences:,} fewer batch sizes are captured than the estimate assumes"
    return ""
