"""What a start-up log says: the settings of the run and the memory the engine measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# How a start ended, as far as the log shows.
STARTED = "started"
NO_ROOM = "no_kv_memory"
TOO_LONG = "max_model_len_exceeds_kv"
OUT_OF_MEMORY = "out_of_memory"
TAKEN = "memory_taken_by_others"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Buffers:
    """llama.cpp: what one backend device (``CUDA0``, ``Metal``, ``CPU`` …) holds, in bytes."""

    device: str
    on_host: bool
    model_bytes: float = 0.0
    cache_bytes: float = 0.0
    state_bytes: float = 0.0
    compute_bytes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReading:
    """A start-up log, read. None: the log does not say.

    Settings are spelt as vLLM spells them; ``mem_fraction_static`` is SGLang's own fraction, of
    another meaning; ``version_before`` bounds an unnamed version by the form of its lines. Measured
    figures are bytes per device: of the rank with the least room for the cache (``kv_cache_bytes``,
    ``kv_tokens``), of the fullest rank (all others). Token counts and concurrency are of one
    data-parallel rank. ``outcome`` says how the start ended.
    """

    engine: str
    version: str | None = None
    version_before: str | None = None
    core: str | None = None
    model: str | None = None
    model_names: tuple[str, ...] = ()
    device: str | None = None
    devices: int | None = None
    device_total_bytes: float | None = None
    device_free_bytes: float | None = None
    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    data_parallel_size: int | None = None
    enable_expert_parallel: bool | None = None
    dtype: str | None = None
    quantization: str | None = None
    kv_cache_dtype: str | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    micro_batch: int | None = None
    gpu_memory_utilization: float | None = None
    mem_fraction_static: float | None = None
    block_size: int | None = None
    enforce_eager: bool | None = None
    flash_attention: bool | None = None
    gpu_layers: int | None = None
    model_layers: int | None = None
    lora: bool | None = None
    max_loras: int | None = None
    max_lora_rank: int | None = None
    speculative_method: str | None = None
    speculative_model: str | None = None
    num_speculative_tokens: int | None = None
    offloaded_bytes: float | None = None
    pool_limit: str | None = None
    fused_sampler: bool | None = None

    weights_bytes: float | None = None
    activation_bytes: float | None = None
    non_torch_bytes: float | None = None
    cuda_graph_bytes: float | None = None
    cuda_graph_estimate_bytes: float | None = None
    kv_cache_bytes: float | None = None
    state_cache_bytes: float | None = None
    kv_tokens: int | None = None
    kv_blocks: int | None = None
    max_concurrency: float | None = None
    concurrency_length: int | None = None
    kv_needed_bytes: float | None = None
    longest_length: int | None = None
    weights_by_rank: tuple[float, ...] = ()
    kv_cache_by_rank: tuple[float, ...] = ()
    buffers: tuple[Buffers, ...] = ()
    outcome: str = UNKNOWN
    notes: tuple[str, ...] = ()

    @property
    def memory_fraction(self) -> float | None:
        """The engine's own memory fraction, whichever it uses."""
        return self.gpu_memory_utilization if self.mem_fraction_static is None else self.mem_fraction_static

    @property
    def has_figures(self) -> bool:
        """Whether the log holds any measured figure."""
        figures = (
            self.weights_bytes, self.activation_bytes, self.non_torch_bytes, self.cuda_graph_bytes, self.kv_cache_bytes,
            self.state_cache_bytes, self.kv_tokens, self.kv_blocks, self.max_concurrency, self.kv_needed_bytes,
            self.longest_length, self.device_total_bytes, self.device_free_bytes,
        )  # fmt: skip
        return bool(self.buffers) or any(figure is not None for figure in figures)

    def to_dict(self) -> dict[str, Any]:
        """The reading as plain data: bytes, tokens and the settings as read."""
        found = asdict(self)
        for name in ("model_names", "weights_by_rank", "kv_cache_by_rank", "buffers", "notes"):
            found[name] = list(found[name])
        return found
