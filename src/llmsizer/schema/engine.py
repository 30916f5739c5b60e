"""Inference engines: how a version of one accounts for memory and schedules work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from llmsizer.core.explain import Provenance
from llmsizer.core.quantities import Bytes, Count, Fraction, Seconds, SecondsPerToken, Unit

BytesPerLogit = Annotated[float, Unit("byte/element")]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeNeed:
    """Devices that an engine has kernels for, for some schemes (names or patterns): the least CUDA compute
    capability, and the vendors. ``source`` is what says so."""

    schemes: tuple[str, ...]
    compute_capability: tuple[int, int]
    vendors: tuple[str, ...]
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EngineProfile:
    """One engine at one version on one kind of device, every fact resolved.

    ``accounting`` names the way it divides memory (a module of ``sizing/accounting``);
    ``memory_fraction`` is that way's fraction (of the total, or of what is left);
    ``sampler_bytes_per_logit`` and ``hidden_copies`` size the activation peak of its profile run;
    ``chunked_prefill_tokens`` is the batched-token budget it takes by itself where the
    prompt would otherwise be processed whole (None: whole prompts). ``offload`` names what it can
    keep in host memory (fields of ``Offload``), ``host`` the processor assumed there;
    ``checkpoint_cache`` the schemes whose checkpoints ask for an fp8 cache that it then uses by itself;
    ``states_in_float32``: whether recurrent states take 32 bit where the checkpoint does not say;
    ``loads_float32_as``: the type that a checkpoint in 32 bit is cast to where --dtype is not given;
    ``cache_optional``: whether it can run without a cache; ``expert_kernels`` by format the curve of
    the kernels that run its routed experts, where those are not its own of that format, and
    ``expert_kernels_setting`` what starts it with them; ``product_kernels`` the same of its dense products;
    ``captures_graphs`` and ``captures_prompts``: whether the kernels of decoding steps, and of steps with prompt tokens,
    are launched together; those that are not wait for the host, ``launch_seconds`` each (``kernels_per_layer``: None
    for those that the layers need).
    ``prefill_context_kinds`` and ``decode_context_kinds``: attention kinds whose prompts, or cache, it divides over
    context-parallel ranks ("… with experts": in models that have some). ``core``: which of its engine cores runs, or what
    it was built for; ``usual_core``: the one it takes where none is named; ``backends``: all it can be built for there.
    """

    id: str
    version: str
    title: str
    accounting: str
    kv_layout: str
    core: str = ""
    usual_core: str = ""
    backends: tuple[str, ...] = ()
    newest: bool = True
    known_version: bool = True
    memory_fraction: Fraction = 1.0
    block_size: Count = 16
    max_num_seqs: Count = 256
    max_num_batched_tokens: Count = 2048
    chunked_prefill: bool = True
    chunked_prefill_above: Count | None = None
    sampler_bytes_per_logit: BytesPerLogit = 0.0
    hidden_copies: Count = 3
    non_torch: Bytes = 0.0
    non_torch_parallel: Bytes = 0.0
    graph_memory: Bytes = 0.0
    graph_memory_per_layer: Bytes = 0.0
    graphs_in_budget: bool = False
    hybrid_cache: str = "grouped"
    cache_figure: str = "blocks"
    latent_row_alignment: Count | None = None
    absorbed_copies: bool = False
    states_in_float32: bool = True
    loads_float32_as: str = "fp32"
    expert_alignment: tuple[Count, Count] | None = None
    load_overhead: Bytes = 0.0
    reserved: Bytes = 0.0
    state_fraction: Fraction | None = None
    vocabulary_padding: Count = 1
    memory_spread: Fraction = 0.03
    micro_batch: Count = 512
    flash_attention: bool = True
    compute_buffer_rule: str = "attention"
    memory_tiers: tuple[Mapping[str, object], ...] = ()
    embedding_on_host: bool = False
    schemes: tuple[str, ...] = ()
    scheme_needs: tuple[SchemeNeed, ...] = ()
    cache_needs: tuple[SchemeNeed, ...] = ()
    cache_formats: tuple[str, ...] = ()
    checkpoint_cache: tuple[str, ...] = ()
    cache_optional: bool = False
    attention_kinds: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    prefill_context_kinds: tuple[str, ...] = ()
    decode_context_kinds: tuple[str, ...] = ()
    offload: tuple[str, ...] = ()
    host: str = ""
    batching: str = "in-flight"
    front_end: Seconds = 0.0
    host_step_seconds: Seconds = 0.0
    host_sequence_seconds: Seconds = 0.0
    host_rank_seconds: Seconds = 0.0
    front_end_sequence_seconds: Seconds = 0.0
    front_end_token_seconds: SecondsPerToken = 0.0
    layer_seconds: Seconds = 0.0
    routed_layer_seconds: Seconds = 0.0
    captures_graphs: bool = True
    captures_prompts: bool = True
    kernels_per_layer: Count | None = None
    launch_seconds: Seconds = 5e-6
    expert_exchange: str = "all_gather"
    expert_kernels: Mapping[str, str] = field(default_factory=dict)
    expert_kernels_setting: str | None = None
    product_kernels: Mapping[str, str] = field(default_factory=dict)
    admission: str = "on_demand"
    flags: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""
    provenance: Provenance = field(default_factory=Provenance)
