"""llmsizer: the capacity planner for LLM inference.

>>> import llmsizer
>>> e = llmsizer.estimate("llama-3.1-8b", "h100")
>>> e.fits
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from llmsizer.catalog.catalog import Catalog, load_catalog
    from llmsizer.core.errors import LlmsizerError
    from llmsizer.planner.plan import Plan
    from llmsizer.question.sweep import Sweep
    from llmsizer.simulation.result import SimulationResult
    from llmsizer.sizing.estimate import Estimate

__all__ = ["Catalog", "Estimate", "LlmsizerError", "Plan", "Sweep", "estimate", "load_catalog", "plan", "simulate", "sweep"]

_HOMES = {
    "Catalog": "llmsizer.catalog.catalog",
    "load_catalog": "llmsizer.catalog.catalog",
    "Estimate": "llmsizer.sizing.estimate",
    "LlmsizerError": "llmsizer.core.errors",
    "Plan": "llmsizer.planner.plan",
    "Sweep": "llmsizer.question.sweep",
}


def __getattr__(name: str) -> Any:
    """Public names are imported on first use, so that importing llmsizer costs nothing."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'llmsizer' has no attribute '{name}'")


def estimate(model: Any, hardware: Any, *, catalog: Any = None, **words: Any) -> Estimate:
    """Whether a model fits on a device and how much of it, and where each number comes from.

    ``model``: a catalog id or alias, a path to a config.json, a model folder, a safetensors index or
    a .gguf file, or a ``Model``. ``hardware``: a catalog id or alias, or an ``Accelerator``.

    Keywords (``None``: the engine's own default): ``tensor_parallel_size``,
    ``pipeline_parallel_size``, ``data_parallel_size`` (attention ranks, as vLLM counts),
    ``enable_expert_parallel``, ``prefill_context_parallel_size``, ``decode_context_parallel_size``,
    ``quantization`` (None: the checkpoint's own format), ``dtype``, ``kv_cache_dtype``,
    ``engine`` (``vllm``, ``vllm@0.11.0``, ``vllm@0.8.5+v0``, ``sglang``,
    ``tensorrt-llm``, ``tgi``, ``llama.cpp``, ``transformers``, ``torch``, ``onnxruntime-genai``),
    ``max_model_len``, ``max_num_seqs``, ``max_num_batched_tokens``, ``gpu_memory_utilization``,
    ``block_size``, ``enforce_eager``, ``flash_attention``, ``input_tokens``, ``output_tokens``,
    ``concurrency`` (a number or "max"), ``speculative``, ``adapters``, ``offload``.

    Not fitting is an answer (``fits`` False, with ``reasons``); a mistake in the question raises
    ``LlmsizerError``.
    """
    from llmsizer.question.ask import ask
    from llmsizer.question.words import Words

    _check_words(words)
    return ask(Words(model=model, hardware=hardware, **words), _catalog_of(catalog))


def sweep(model: Any, hardware: Any, *, catalog: Any = None, **words: Any) -> Sweep:
    """The estimates of a whole grid of questions, as columns.

    Takes the words of ``estimate``; any of them may be a list, a tuple, a range or an array, and every
    combination is answered. Concurrency, request rate, lengths and hit rate run as arrays, about a
    hundred thousand points a second; other words cost an estimate for each of their combinations.

    >>> import llmsizer
    >>> found = llmsizer.sweep("llama-3.1-8b", ["h100", "l40s"], concurrency=[1, 8, 64])
    >>> len(found), sorted(found.words)
    (6, ['concurrency', 'hardware'])

    A combination that does not fit or cannot run is a row with ``fits`` False, its ``reason``, and no
    numbers. Raises ``LlmsizerError`` for a mistake, and where no combination can run.
    """
    from llmsizer.question.sweep import sweep as answer

    _check_words(words)
    return answer({"model": model, "hardware": hardware, **words}, _catalog_of(catalog))


def plan(model: Any, *, catalog: Any = None, **words: Any) -> Plan:
    """The cheapest hardware and settings that serve a workload within its targets, and why the rest does not.

    The demand is one of ``request_rate`` (the peak), ``concurrency`` or ``demand`` (24 or 168 rates, the hours
    of a day or week). ``targets``: a preset (``interactive``, ``agent``, ``batch``) or a mapping such as
    ``{"ttft_p95": "500 ms", "tpot": "40 ms"}``. Choices, each a name or a list: ``hardware``, ``vendors``,
    ``engines``, ``formats``, ``cache_formats`` (``any``: all), ``providers``, ``regions``, ``markets``; ``price`` as
    in ``estimate``; limits ``most_devices`` (of a replica), ``most_devices_in_all``, ``most_usd_per_hour``,
    ``most_watts``. ``by``: what the best is (``cost``, ``ttft``, ``tpot``, ``e2e``, ``throughput``, ``devices``); what
    bears most needs no demand. ``headroom``, ``spare``, ``growth``, ``picks``, ``confirm`` (simulate the picks); and
    the words of ``estimate`` that a plan does not choose itself.

    >>> import llmsizer
    >>> found = llmsizer.plan("llama-3.1-8b", request_rate=2, targets={"tpot": "50 ms"}, hardware=["l40s", "h100"])
    >>> found.best.estimate.case.accelerator.id
    'l40s'

    Raises LlmsizerError for a mistake; where nothing meets the targets ``best`` is None and ``nearest`` tells
    how near it comes.
    """
    from llmsizer.planner.ask import question_of
    from llmsizer.planner.plan import plan_question

    return plan_question(question_of({"model": model, **words}), _catalog_of(catalog))


def simulate(
    model: Any,
    hardware: Any,
    *,
    catalog: Any = None,
    num_prompts: int = 1000,
    replicas: int = 1,
    routing: str = "least-loaded",
    seed: int = 0,
    variation: float = 1.0,
    scatter_seconds: float | None = None,
    trace: Any = None,
    targets: Any = None,
    exact: bool = False,
    prefill_replicas: int = 0,
    decode_replicas: int = 0,
    engine_settings: Any = None,
    **words: Any,
) -> SimulationResult:
    """Runs the traffic of a question through the engine step by step, seeded and reproducible.

    ``words`` as in ``estimate``; ``input_tokens`` and ``output_tokens`` may also be ``"800..1000"``
    (uniform), ``"lognormal:1024:0.5"`` (mean, variation) or a ``Lengths``. ``request_rate`` gives an open
    loop with gaps of ``variation`` (1: Poisson), ``concurrency`` a closed loop whose users pause
    once for up to ``scatter_seconds``, ``trace`` a ``Trace`` (``llmsizer.catalog.traces.read_trace``). ``targets``: a
    ``Targets`` for goodput. ``prefill_replicas`` and ``decode_replicas``: two pools instead of ``replicas``.
    ``engine_settings``: fields of ``llmsizer.simulation.EngineSpec``, such as ``{"prefix_caching": False}``.
    ``workload``, a ``Traffic``, stands for lengths and load. Raises LlmsizerError for a mistake, or where the
    deployment does not fit.
    """
    from llmsizer.question.words import Words
    from llmsizer.simulation.asked import Asked, simulate_question

    _check_words(words)
    asked = Asked(
        num_prompts=num_prompts, replicas=replicas, routing=routing, seed=seed, variation=variation,
        scatter_seconds=scatter_seconds, trace=trace, targets=targets, exact=exact,
        prefill_replicas=prefill_replicas, decode_replicas=decode_replicas, engine=engine_settings or {},
    )  # fmt: skip
    return simulate_question(Words(model=model, hardware=hardware, **words), asked, _catalog_of(catalog))[0]


def _check_words(words: dict[str, Any]) -> None:
    from llmsizer.core.errors import InvalidQuestion, nearest
    from llmsizer.question.words import Words

    known = Words.__dataclass_fields__
    for word in words:
        if word not in known:
            near = nearest(word, known)
            raise InvalidQuestion(f"'{word}' is not known", f"Did you mean: {', '.join(near) or ', '.join(known)}?")


def _catalog_of(given: Any) -> Any:
    """The catalog given, or read from the paths given."""
    if isinstance(given, (str, list, tuple)) or hasattr(given, "__fspath__"):
        from llmsizer.catalog.catalog import load_catalog as load

        return load(given)
    return given
