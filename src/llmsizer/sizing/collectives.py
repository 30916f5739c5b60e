"""The collectives that a split implies, and the fabric they run on."""

from __future__ import annotations

from collections.abc import Iterator

from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.core.explain import plain
from llmsizer.core.numerics import ceil
from llmsizer.core.quantities import Count
from llmsizer.formulas.parameters import repeated_width
from llmsizer.formulas.storage import bytes_per_value
from llmsizer.schema.deployment import Case
from llmsizer.schema.model import LayerGroup
from llmsizer.sizing.kernels import AcrossNodes, Collective
from llmsizer.sizing.machine import link_machine, network_machine, stage_machine
from llmsizer.sizing.stages import Stage
from llmsizer.sizing.token_ranks import expert_ranks, token_ranks


def collective(case: Case, name: str, kind: str, ranks: Count, width: Count, rows_of: str = "rows") -> Collective | AcrossNodes:
    """A collective of one kind over some ranks; over more than a machine joins, inside machines and between them."""
    values, reach = bytes_per_value(case.native.bits), case.accelerator.reach
    if plain(ranks) <= plain(reach):
        return Collective(name, rows_of, width, values, ranks, link_machine(case, kind, ranks))
    nodes = ceil(plain(ranks) / plain(reach))
    inside = Collective(name, rows_of, width, values, reach, link_machine(case, kind, reach))
    # In an all-to-all every rank has other data for every node; the others divide theirs among the node's ranks.
    shared = 1 if kind == "all_to_all" else reach
    return AcrossNodes(name, inside, Collective(name, rows_of, width, values, nodes, network_machine(case, kind), shared))


def layer_collectives(case: Case, group: LayerGroup) -> Iterator[Collective | AcrossNodes]:
    """The collectives of one layer: hidden states are summed after each block that is split by rows;
    experts that attention ranks share are reached by an exchange there and back."""
    hidden, tensor = case.model.hidden_size, case.parallel.tensor_parallel_size
    blocks = [group.attention, group.cross_attention]
    if plain(tensor) > 1:
        for block in blocks:
            if block is not None:
                yield collective(case, "all-reduce after attention", "all_reduce", tensor, hidden)
    if group.feed_forward is None:
        return
    routed = isinstance(group.feed_forward, MixtureOfExperts)
    if routed and plain(token_ranks(case.parallel)) > 1:
        yield from _exchange(case, group)
    elif plain(tensor) > 1:
        yield collective(case, "all-reduce after feed-forward", "all_reduce", tensor, hidden)


def _exchange(case: Case, group: LayerGroup) -> Iterator[Collective | AcrossNodes]:
    """Tokens travel to the experts of all ranks and their results back."""
    ranks = expert_ranks(case.parallel)
    hidden, ffn = case.model.hidden_size, group.feed_forward
    if case.engine.expert_exchange == "all_to_all" and isinstance(ffn, MixtureOfExperts):
        width = repeated_width(hidden, ffn.num_experts_per_tok)
        yield collective(case, "dispatch to experts", "all_to_all", ranks, width)
        yield collective(case, "combine from experts", "all_to_all", ranks, width)
        return
    yield collective(case, "gather for experts", "all_gather", ranks, hidden, rows_of="joint")
    yield collective(case, "scatter from experts", "reduce_scatter", ranks, hidden, rows_of="joint")


def output_collectives(case: Case, stage: Stage) -> Iterator[Collective | AcrossNodes]:
    """The sum over vocabulary shards after the embedding, the gathering of logits."""
    tensor = case.parallel.tensor_parallel_size
    if plain(tensor) == 1:
        return
    if stage.is_first:
        yield collective(case, "all-reduce after embedding", "all_reduce", tensor, case.model.hidden_size)
    if stage.is_last and case.model.lm_head:
        yield collective(case, "gather of logits", "all_gather", tensor, case.model.vocab_size, rows_of="logits")


def stage_transfer(case: Case) -> Collective:
    """Hidden states sent from one pipeline stage to the next."""
    split = case.parallel
    devices = plain(expert_ranks(split)) * plain(split.pipeline_parallel_size)
    values = bytes_per_value(case.native.bits)
    return Collective("send to the next stage", "rows", case.model.hidden_size, values, 2, stage_machine(case, devices))
