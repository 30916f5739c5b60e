"""A deployment: how a model is split over devices and run by an engine. And the case of a question."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmsizer.core.explain import QUESTION, Provenance
from llmsizer.core.quantities import Count, Fraction, Seconds, Tokens
from llmsizer.schema.accelerator import Accelerator, Node
from llmsizer.schema.calibration import Calibration
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.fleet import Fleet
from llmsizer.schema.model import Model
from llmsizer.schema.moments import LengthSpread
from llmsizer.schema.number_format import CacheFormat, NumberFormat, QuantizationScheme
from llmsizer.schema.prefixes import Prefixes
from llmsizer.schema.promises import Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """How a replica is divided: ``data_parallel_size`` counts attention ranks, as vLLM does.

    Devices of a replica = tensor × pipeline × data; experts are spread over tensor × data ranks,
    whole ones with ``enable_expert_parallel``, slices of each without. ``prefill_context_parallel_size``
    ranks share the tokens of every prompt and decode all the same; they too are devices of their own, and the
    experts are spread over them. ``decode_context_parallel_size`` tensor ranks share the cache of what each of
    them would keep again.
    """

    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    enable_expert_parallel: bool = False
    prefill_context_parallel_size: int = 1
    decode_context_parallel_size: int = 1

    @property
    def devices(self) -> int:
        """Devices of one replica."""
        ranks = self.tensor_parallel_size * self.data_parallel_size * self.prefill_context_parallel_size
        return ranks * self.pipeline_parallel_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """LoRA adapters kept on the device: ``count`` slots of ``rank``, on all linear layers or on the
    attention projections alone."""

    count: Count
    rank: Count
    attention_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Offload:
    """What stays in host memory: a share of the weights or cache, or (llama.cpp) all but
    ``gpu_layers`` layers, or the routed experts of ``expert_layers`` layers."""

    weights: Fraction = 0.0
    kv_cache: Fraction = 0.0
    gpu_layers: int | None = None
    expert_layers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draft:
    """Guesses for speculative decoding: by a model of its own, by modules of the target or by its first layers
    (``method`` self: ``model`` holds them).

    ``num_speculative_tokens`` is the longest chain of guesses, ``tree`` the guesses of a step in all where they
    branch. Either ``acceptance``, the chance that a guess stands given all before it, or a ``profile``: the chance
    that the first stands, that the first two stand …
    """

    method: str
    num_speculative_tokens: int
    model: Model | None = None
    scheme: QuantizationScheme | None = None
    acceptance: Fraction | None = None
    profile: tuple[Fraction, ...] = ()
    tree: Count | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance(QUESTION))

    @property
    def guesses(self) -> Count:
        """Guesses of a step in all, those of other branches among them."""
        return self.num_speculative_tokens if self.tree is None else self.tree

    def chances(self) -> tuple[Fraction, ...]:
        """The chance that the first guess stands, that the first two stand …"""
        if self.profile or self.acceptance is None:
            return self.profile
        return tuple(self.acceptance**place for place in range(1, self.num_speculative_tokens + 1))

    @property
    def brings_weights(self) -> bool:
        """Whether what drafts has weights and a cache beside the target's."""
        return self.method not in ("ngram", "self")


@dataclass(frozen=True, slots=True, kw_only=True)
class Elementwise:
    """Norms (each with the addition of the residual) and activations of a layer: kernels of each, and how often they
    pass over the values between them, in values of the model's type. Fused where nothing else is said."""

    norm_passes: Count = 4
    norm_kernels: Count = 1
    activation_passes: Count = 3
    activation_kernels: Count = 1
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a request looks like, in tokens: means where lengths ``spread`` (None: all are alike). ``prefixes``: what
    prompts share by name, which tells the hit rate of the prefix cache (None: that is given). ``promises``: the targets
    of each class, where any has some."""

    input_tokens: Tokens = 1024
    output_tokens: Tokens = 256
    prefix_cache_hit_rate: Fraction = 0.0
    spread: LengthSpread | None = None
    prefixes: Prefixes | None = None
    promises: tuple[Promise, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A question with every name resolved: the nouns, and the engine's limits for this run.

    ``max_model_len`` is the length the engine is started with; ``len_from`` says whether the user,
    the model or the workload set it. ``dtype`` is the 16-bit type of unquantized tensors and
    activations. ``think_seconds``: mean pause of a user in a closed loop. ``use_cache`` False: no keys and
    values are kept, every token reads the whole request again. ``machine``: what holds the devices, whose
    network joins it to others; ``host``: the processor beside the device, where something is kept there.
    ``fleet``: the devices it stands for where it is asked of several at once.
    """

    model: Model
    accelerator: Accelerator
    engine: EngineProfile
    scheme: QuantizationScheme
    native: NumberFormat
    cache_format: CacheFormat
    value_format: CacheFormat
    parallel: Parallel
    workload: Workload
    max_model_len: Tokens
    len_from: str
    max_num_seqs: Count
    max_num_batched_tokens: Tokens
    memory_fraction: Fraction
    block_size: Tokens
    dtype: str = "bf16"
    enforce_eager: bool = False
    use_cache: bool = True
    flash_attention: bool = True
    flash_decoding: bool = True
    elementwise: Elementwise = field(default_factory=Elementwise)
    adapters: Adapters | None = None
    offload: Offload | None = None
    draft: Draft | None = None
    concurrency: int | None = None
    request_rate: float | None = None
    num_prompts: int | None = None
    think_seconds: Seconds = 0.0
    batch_window_seconds: Seconds = 0.0
    batching: str = "in-flight"
    expert_skew: Fraction = 0.0
    calibration: Calibration | None = None
    machine: Node | None = None
    host: Accelerator | None = None
    host_calibration: Calibration | None = None
    fleet: Fleet | None = None
    provenance: Provenance = field(default_factory=Provenance)
