"""The memory of an estimate as people read it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from llmsizer.core.quantities import GIB, human
from llmsizer.question.suggest import Suggestion
from llmsizer.report.tables import Table
from llmsizer.sizing.breakdown import capacity_by_length, longest_contexts, weights_by_part
from llmsizer.sizing.estimate import Estimate
from llmsizer.sizing.paging import paging_gain

BAR = 30


def heading(estimate: Estimate) -> str:
    """One line: what runs where, and the verdict."""
    case, split = estimate.case, estimate.case.parallel
    devices = f"{split.devices} × " if split.devices > 1 else ""
    sizes = [f"{name} {size}" for name, size in (
        ("tp", split.tensor_parallel_size), ("pp", split.pipeline_parallel_size), ("dp", split.data_parallel_size),
        ("pcp", split.prefill_context_parallel_size), ("dcp", split.decode_context_parallel_size),
    ) if size > 1]  # fmt: skip
    if split.enable_expert_parallel:
        sizes.append("ep")
    how = f" ({', '.join(sizes)})" if sizes else ""
    verdict = "fits" if estimate.fits else "does not fit"
    engine = case.engine
    shown = engine.core if engine.core != engine.usual_core or engine.core == "v0" else ""
    version = f"{engine.title} {engine.version}" + (f" ({shown})" if shown else "")
    return f"{case.model.id} on {devices}{case.accelerator.name}{how}, {version}: {verdict}"


def device_table(estimate: Estimate) -> Table:
    """The parts of one device's memory."""
    gpu, case = estimate.memory.per_gpu, estimate.case
    cache = case.cache_format.id if case.cache_format.id == case.value_format.id else "mixed"
    parts = [
        (f"weights ({case.scheme.id})", gpu.weights_bytes),
        ("activations", gpu.activation_bytes),
        ("non-torch", gpu.non_torch_bytes),
        ("CUDA graphs", gpu.cuda_graph_bytes),
        (f"KV cache ({cache})", gpu.kv_cache_bytes),
        ("free" if float(gpu.unused_bytes) >= 0 else "missing", gpu.unused_bytes),
    ]
    capacity = float(gpu.capacity_bytes)
    rows = [[name, f"{float(size) / GIB:,.2f}", _bar(float(size), capacity)] for name, size in parts]
    rows.append(["usable in all", f"{capacity / GIB:,.2f}", ""])
    of = " (fullest stage)" if case.parallel.pipeline_parallel_size > 1 else ""
    return Table("", [f"One device{of}", "GiB", ""], rows, right=(1,))


def _bar(size: float, capacity: float) -> str:
    cells = max(0.0, min(size / capacity, 1.0)) * BAR
    return "█" * int(cells) + ("▌" if cells - int(cells) >= 0.5 else "")


def capacity_lines(estimate: Estimate) -> list[str]:
    """How many tokens and users fit, and the longest context."""
    memory, case = estimate.memory, estimate.case
    if not estimate.fits:
        return []
    wanted = int(case.workload.input_tokens + case.workload.output_tokens)
    per_token = human(float(memory.kv_bytes_per_token_per_gpu), "byte/token")
    lines = [f"KV cache    {int(memory.kv_capacity_tokens):,} tokens at {per_token} a device"]
    if memory.kv_bytes_per_further_token != memory.kv_bytes_per_token_per_gpu:
        further = human(float(memory.kv_bytes_per_further_token), "byte/token")
        state = human(float(memory.state_bytes_per_sequence), "byte")
        lines.append(f"            {further} for each further token of a long sequence, {state} of state a sequence")
    at_once, at_most = _count(float(memory.max_concurrency_at_workload)), _count(float(memory.max_concurrency_at_max_model_len))
    lines.append(
        f"Requests    {at_once} at once of {wanted:,} tokens (this workload), "
        f"{at_most} of {case.max_model_len:,} (max_model_len)"
    )
    limit = case.model.max_position_embeddings
    longest = int(memory.max_context_tokens)
    why = ", the model's limit" if limit is not None and longest >= limit else ""
    lines.append(f"Context     up to {longest:,} tokens for one request{why}")
    if float(memory.host_weights_bytes) and (case.offload is not None or float(memory.host_weights_bytes) > GIB):
        lines.append(f"Host        {float(memory.host_weights_bytes) / GIB:,.1f} GiB of weights in host memory")
    return lines


def _count(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{int(value):,}"


def evidence_lines(estimate: Estimate) -> list[str]:
    """How far the figures may be trusted."""
    evidence = estimate.evidence
    weakest = f" (weakest: {evidence.weakest})" if evidence.weakest else ""
    line = f"Trust       {evidence.tier}{weakest}; 8 of 10 measurements lie in: "
    if evidence.memory_interval_bytes is not None:
        low, high = (size / GIB for size in evidence.memory_interval_bytes)
        line += f"KV cache {low:,.1f} to {high:,.1f} GiB"
    if evidence.tpot_interval_seconds is not None and evidence.ttft_interval_seconds is not None:
        first, token = evidence.ttft_interval_seconds, evidence.tpot_interval_seconds
        line += (
            f"; first token {1e3 * first[0]:,.0f} to {1e3 * first[1]:,.0f} ms, "
            f"{1e3 * token[0]:,.1f} to {1e3 * token[1]:,.1f} ms a token"
        )
    return [line]


def paragraphs(lines: Sequence[str], width: int, indent: int = 12) -> list[str]:
    """Lines wrapped to a width, continuation lines indented."""
    wrapped: list[str] = []
    for line in lines:
        wrapped += textwrap.wrap(line, width, subsequent_indent=" " * indent, break_long_words=False) or [""]
    return wrapped


def trouble_lines(estimate: Estimate, suggestions: Sequence[Suggestion]) -> list[str]:
    """Why it does not fit, and what would."""
    lines = [f"Why         {reason}" for reason in estimate.reasons]
    if suggestions:
        lines.append("Would fit")
        lines += [f"  {each.flag:28s} {each.change} ({each.kv_capacity_tokens:,} KV tokens)" for each in suggestions]
    elif not estimate.fits:
        lines.append("Would fit   none of: a smaller format, an 8-bit cache, a shorter length, more devices, a larger device")
    return lines


def weights_table(estimate: Estimate) -> Table:
    """Weights of one device by part of the model."""
    rows = [[name, f"{size / GIB:,.3f}"] for name, size in weights_by_part(estimate.case, estimate.memory.stage)]
    return Table("Weights of one device", ["part", "GiB"], rows, right=(1,))


LENGTHS = (1024, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576)


def capacity_table(estimate: Estimate) -> Table:
    """Requests that fit at once, by their length."""
    most = estimate.case.model.max_position_embeddings or LENGTHS[-1]
    lengths = [length for length in LENGTHS if length <= most] or [most]
    rows = [
        [f"{length:,}", f"{count:,.2f}"] for length, count in capacity_by_length(estimate.case, estimate.memory.stage, lengths)
    ]
    return Table("Requests at once, by length", ["tokens each", "requests"], rows, right=(0, 1))


SEQUENCES = (1, 4, 16, 64, 256)


def context_table(estimate: Estimate) -> Table:
    """The longest context by how many requests share the cache."""
    found = longest_contexts(estimate.case, estimate.memory.stage, SEQUENCES)
    rows = [[f"{count}", f"{length:,}" if length else "none"] for count, length in found]
    return Table("Longest context, by requests at once", ["requests", "tokens each"], rows, right=(0, 1))


def answers_table(estimate: Estimate, split: tuple[int, int] | None) -> Table:
    """The smallest split that holds the question, and the largest batch on the one asked for."""
    case = estimate.case
    rows = [["smallest split that fits", _split_text(split)]]
    if estimate.fits:
        fit = int(float(estimate.memory.max_concurrency_at_workload))
        limit = int(case.max_num_seqs) * case.parallel.data_parallel_size
        why = f"max_num_seqs; memory holds {fit:,}" if limit < fit else "by memory"
        rows.append(["largest batch of this workload", f"{min(fit, limit):,} ({why})"])
    return Table("Limits", ["question", "answer"], rows)


def _split_text(split: tuple[int, int] | None) -> str:
    if split is None:
        return "none up to 256 devices"
    tp, pp = split
    return f"{tp * pp} device{'s' if tp * pp > 1 else ''} (--tp {tp}" + (f" --pp {pp})" if pp > 1 else ")")


def paging_table(estimate: Estimate) -> Table:
    """Pages against a reservation of the whole length for every sequence."""
    gain = paging_gain(estimate.case, estimate.memory)
    length = f"{estimate.case.max_model_len:,}"
    rows = [
        [f"reserved for {length} tokens", f"{gain.contiguous_sequences:,.0f}", f"{100 * gain.contiguous_waste:.1f} %"],
        [f"pages of {estimate.case.block_size} tokens", f"{gain.paged_sequences:,.0f}", f"{100 * gain.paged_waste:.1f} %"],
    ]
    return Table("The same memory, paged and contiguous (this workload)", ["cache", "requests", "empty"], rows, right=(1, 2))
