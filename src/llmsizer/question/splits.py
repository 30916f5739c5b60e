"""Which parallel splits a model allows, and why others are refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from llmsizer.blocks.operation import Split, Weight
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.schema.deployment import Parallel
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import lower
from llmsizer.sizing.tensor_formats import is_routed

# Ends the name of an attention kind that an engine divides only in models with experts.
WITH_EXPERTS = " with experts"


def check_split(model: Model, parallel: Parallel) -> None:
    """Refuses a split that no engine can run, naming the sizes that work."""
    tp = parallel.tensor_parallel_size
    problem = tensor_problem(model, tp)
    if problem:
        legal = ", ".join(str(size) for size in legal_tensor_sizes(model))
        raise UnsupportedCombination(f"--tensor-parallel-size {tp}: {problem}", f"{model.id} allows: {legal}")
    if parallel.pipeline_parallel_size > model.num_hidden_layers:
        raise UnsupportedCombination(
            f"--pipeline-parallel-size {parallel.pipeline_parallel_size}: {model.id} has only {model.num_hidden_layers} layers"
        )
    routed = [group.feed_forward for group in model.layers if is_routed(group)]
    if parallel.enable_expert_parallel and not routed:
        raise UnsupportedCombination(f"--enable-expert-parallel: {model.id} has no experts")
    ranks = tp * parallel.data_parallel_size * parallel.prefill_context_parallel_size
    for ffn in routed:
        experts = getattr(ffn, "num_experts", 0)
        if parallel.enable_expert_parallel and ranks > experts:
            raise UnsupportedCombination(
                f"--enable-expert-parallel: {ranks} ranks for {experts} experts", "Use fewer ranks than experts."
            )


def check_context_split(model: Model, parallel: Parallel, engine: EngineProfile) -> None:
    """Refuses a division along the tokens that the engine does not make, or that leaves ranks without work."""
    sizes = {
        "prefill": (parallel.prefill_context_parallel_size, engine.prefill_context_kinds),
        "decode": (parallel.decode_context_parallel_size, engine.decode_context_kinds),
    }
    for phase, (size, known) in sizes.items():
        missing = _kinds(model) - _divided_kinds(model, known) if size > 1 else set()
        if missing:
            problem = f"{engine.title} {engine.version} does not divide {', '.join(sorted(missing))} attention ({model.id})"
            what = f"it divides: {', '.join(known) or 'none'}; docs/context-parallel.md lists who divides what"
            raise UnsupportedCombination(f"--{phase}-context-parallel-size {size}: {problem}", what)
    if parallel.prefill_context_parallel_size > 1 and parallel.data_parallel_size > 1:
        raise UnsupportedCombination(
            "--prefill-context-parallel-size does not go together with --data-parallel-size", "leave one of them out"
        )
    shared, most = parallel.decode_context_parallel_size, cache_copies(model, parallel.tensor_parallel_size)
    if shared > 1 and most % shared:
        raise UnsupportedCombination(
            f"--decode-context-parallel-size {shared}: {parallel.tensor_parallel_size} tensor-parallel ranks keep {most} "
            f"copies of the cache of {model.id}",
            f"it has to divide {most}",
        )


def _kinds(model: Model) -> set[str]:
    return {group.attention.kind for group in model.layers if group.attention is not None}


def _divided_kinds(model: Model, known: Collection[str]) -> set[str]:
    """The attention kinds of a list, those "with experts" where the model has some."""
    routed = any(is_routed(group) for group in model.layers)
    return {name.removesuffix(WITH_EXPERTS) for name in known if routed or not name.endswith(WITH_EXPERTS)}


def cache_copies(model: Model, ranks: int) -> int:
    """How often tensor-parallel ranks keep the same keys and values: as often as the fewest heads are repeated."""
    heads = [getattr(group.attention, "num_key_value_heads", 1) for group in model.layers if group.attention is not None]
    return max(ranks // max(int(plain(most)) for most in heads), 1) if heads else 1


def tensor_problem(model: Model, size: int) -> str:
    """Why a tensor-parallel size does not divide a model; empty when it does."""
    if size == 1:
        return ""
    for group in model.layers:
        attention = group.attention
        heads = getattr(attention, "num_attention_heads", None)
        if heads is not None and heads % size:
            return f"does not divide {heads} attention heads"
        key_value = getattr(attention, "num_key_value_heads", None)
        if key_value is not None and key_value % size and size % key_value:
            return f"neither divides nor is a multiple of {key_value} key/value heads"
    for weight in _divided(model):
        units = weight.units if weight.units is not None else _split_width(weight)
        if units % size and size % units:
            return f"does not divide {int(units)} ({weight.name})"
    return ""


def _divided(model: Model) -> Iterable[Weight]:
    for stack in lower(model).layers:
        for operation in stack.operations:
            yield from (w for w in operation.weights if w.split in {Split.COLUMN, Split.ROW} and w.quantizable)


def _split_width(weight: Weight) -> float:
    return float(weight.out_features if weight.split is Split.COLUMN else weight.in_features)


def legal_tensor_sizes(model: Model, most: int = 64) -> list[int]:
    """The tensor-parallel sizes a model allows, smallest first."""
    return [size for size in range(1, most + 1) if not tensor_problem(model, size)]
