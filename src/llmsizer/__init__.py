"""llmsizer: the capacity planner for LLM inference.

>>> import llmsizer
>>> e = llmsizer.estimate("llama-3.1-8b", "h100")
>>> e.fits
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmsizer.core.results import shown_by

__version__ = "0.1.0"

if TYPE_CHECKING:
    from llmsizer.catalog.catalog import Catalog, load_catalog
    from llmsizer.core.errors import LlmsizerError
    from llmsizer.differences.compare import Changes
    from llmsizer.doctor.compare import Diagnosis
    from llmsizer.planner.advice.advise import Advice
    from llmsizer.planner.plan import Plan
    from llmsizer.planner.planning import Planning
    from llmsizer.question.compare import Comparison
    from llmsizer.question.sweep import Sweep
    from llmsizer.simulation.result import SimulationResult
    from llmsizer.sizing.estimate import Estimate
    from llmsizer.validation.run import Validation

__all__ = [
    "Advice", "Catalog", "Changes", "Comparison", "Diagnosis", "Estimate", "LlmsizerError", "Plan", "Planning",
    "SimulationResult", "Sweep", "Validation", "advise", "changes", "compare", "diagnose", "estimate", "load_catalog",
    "plan", "plan_file", "simulate", "sweep", "validate",
]  # fmt: skip

_HOMES = {
    "Advice": "planner.advice.advise", "Catalog": "catalog.catalog", "Changes": "differences.compare",
    "Comparison": "question.compare", "Diagnosis": "doctor.compare", "Estimate": "sizing.estimate",
    "LlmsizerError": "core.errors", "Plan": "planner.plan", "Planning": "planner.planning",
    "SimulationResult": "simulation.result", "Sweep": "question.sweep", "Validation": "validation.run",
    "load_catalog": "catalog.catalog",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Public names are imported on first use, so that importing llmsizer costs nothing."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"llmsizer.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'llmsizer' has no attribute '{name}'")


def estimate(model: Any, hardware: Any, *, catalog: Any = None, **words: Any) -> Estimate:
    """Whether a model fits on a device and how much of it, and where each number comes from.

    ``model``: a catalog id or alias, a path to a config.json, a model folder, a safetensors index or
    a .gguf file, or a ``Model``. ``hardware``: a catalog id or alias, or an ``Accelerator``.

    Keywords (``None``: the engine's own default):

    - Split: ``tensor_parallel_size``, ``pipeline_parallel_size``, ``data_parallel_size`` (attention ranks, as vLLM
      counts), ``enable_expert_parallel``, ``prefill_context_parallel_size``, ``decode_context_parallel_size``.
    - Formats: ``quantization`` (None: the checkpoint's own format), ``dtype``, ``kv_cache_dtype``.
    - Engine: ``engine`` (``vllm``, ``vllm@0.11.0``, ``vllm@0.8.5+v0``, ``sglang``, ``tensorrt-llm``, ``tgi``,
      ``llama.cpp``, ``llama.cpp+vulkan``, ``transformers``, ``torch``, ``onnxruntime-genai``), ``max_model_len``,
      ``max_num_seqs``, ``max_num_batched_tokens``, ``gpu_memory_utilization``, ``block_size``, ``enforce_eager``,
      ``use_cache``, ``flash_attention``, ``flash_decoding``, ``fused_kernels``, ``batching`` (``static``,
      ``dynamic``, ``continuous``, ``in-flight``), ``batch_window_seconds``.
    - Load: ``input_tokens``, ``output_tokens`` (numbers, ``"800..1000"``, ``"lognormal:1024:0.5"``, a file of lengths),
      ``concurrency`` (a number or "max"), ``request_rate``, ``think_seconds``, ``num_prompts`` (None: a steady state),
      ``prefix_cache_hit_rate``, ``expert_skew``; or a ``workload``, a ``Traffic`` or a ``Mix`` of classes.
    - Techniques: ``speculative``, ``adapters``, ``offload``, ``transform`` (of the model).
    - Price: ``price``, ``price_date``, ``extras``, ``emissions``.
    - ``calibration``: ``auto``, ``ideal`` (lower bounds at peak rates) or a file of ``llmsizer fit``; ``ignore_memory``:
      answer the speed even of what does not fit.

    >>> import llmsizer
    >>> found = llmsizer.estimate("llama-3.1-8b", "h100", tensor_parallel_size=2)
    >>> found.fits, found.question["devices"]
    (True, 2)

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


def compare(model: Any, hardware: Any, *, catalog: Any = None, **words: Any) -> Comparison:
    """The estimates of a few questions side by side.

    Takes the words of ``estimate``; any of them may be a list, and every combination is answered (at most 60).

    >>> import llmsizer
    >>> found = llmsizer.compare("llama-3.1-8b", ["h100", "t4"])
    >>> [row["fits"] for row in found.to_rows()]
    [True, False]

    A combination that cannot run is a row with its refusal. Raises LlmsizerError for a mistake, and where no
    combination can run.
    """
    from llmsizer.question.compare import compare as answer

    _check_words(words)
    return answer({"model": model, "hardware": hardware, **words}, _catalog_of(catalog))


def advise(model: Any, hardware: Any, *, by: str | None = None, catalog: Any = None, **words: Any) -> Advice:
    """What each technique of the checklist would change about a deployment, or why it would change nothing.

    Takes the words of ``estimate``. ``by``: the figure to sort by (``cost``, ``ttft``, ``tpot``, ``throughput``,
    ``memory``).

    >>> import llmsizer
    >>> found = llmsizer.advise("llama-3.1-8b", "h100", concurrency=16)
    >>> len(found.effects) + len(found.idle) == len(found.to_rows())
    True

    Raises LlmsizerError for a mistake in the question.
    """
    from llmsizer.planner.advice.advise import advise as answer
    from llmsizer.question.words import Words

    _check_words(words)
    return answer(Words(model=model, hardware=hardware, **words), _catalog_of(catalog), by)


def plan(model: Any, *, catalog: Any = None, **words: Any) -> Plan:
    """The cheapest hardware and settings that serve a workload within its targets, and why the rest does not.

    The demand is one of ``request_rate`` (the peak), ``concurrency`` or ``demand`` (24 or 168 rates, the hours
    of a day or week). ``targets``: a preset (``interactive``, ``agent``, ``batch``) or a mapping such as
    ``{"ttft_p95": "500 ms", "tpot": "40 ms"}``. Choices, each a name or a list: ``hardware``, ``vendors``,
    ``engines``, ``formats``, ``cache_formats`` (``any``: all), ``providers``, ``regions``, ``markets``; ``price`` and
    ``price_date`` as in ``estimate``; limits ``most_devices`` (of a replica), ``most_devices_in_all``, ``most_usd_per_hour``,
    ``most_watts``. ``disaggregated``: separate pools for prefill and decode are candidates too. ``by``: what the best
    is (``cost``, ``ttft``, ``tpot``, ``e2e``, ``throughput``, ``devices``); what bears most needs no demand.
    ``headroom``, ``spare``, ``growth``, ``picks``, ``confirm`` (simulate the picks); and the words of ``estimate`` that
    a plan does not choose itself.

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


def plan_file(path: Any, *, catalog: Any = None) -> Planning:
    """The plans of the plan file at ``path``: one for each workload in each scenario.

    >>> import llmsizer
    >>> print(llmsizer.plan_file("no-such-plan.yaml"))
    Traceback (most recent call last):
        ...
    llmsizer.core.errors.CatalogError: no-such-plan.yaml: cannot be read: No such file or directory

    Raises LlmsizerError naming file, line and field of a mistake.
    """
    from llmsizer.catalog.catalog import load_catalog as load
    from llmsizer.planner.plan_file import read_plan_file

    nouns = _catalog_of(catalog) or load()
    return read_plan_file(path, nouns).answer(nouns)


def diagnose(log: Any, *, catalog: Any = None, **words: Any) -> Diagnosis:
    """The memory figures that an engine logged at its start beside the estimate of the same deployment.

    ``log``: the path of the file that vLLM, SGLang or llama.cpp logged its start to. ``words`` as in ``estimate``; they
    win over what the log says. Raises LlmsizerError for a file that is no such log, and where neither the log nor the
    words tell model and device.
    """
    from llmsizer.doctor import diagnose as answer
    from llmsizer.doctor import read_log

    _check_words(words)
    return answer(read_log(log), _catalog_of(catalog), **words)


def changes(old: Any, new: Any = None, *, catalog: Any = None, **words: Any) -> Changes:
    """Why a number differs: the facts that changed from ``old`` to ``new`` (or to what is installed), and what each moves.

    Both are paths: of answers saved as JSON (``json.dumps(estimate.to_dict())``), or of catalogs (a YAML file or a
    folder). A saved answer is asked again; two catalogs are asked the question of ``words`` (as in ``estimate``), if any.

    >>> import llmsizer
    >>> llmsizer.changes("no-such-answer.json")
    Traceback (most recent call last):
        ...
    llmsizer.core.errors.InvalidQuestion: no-such-answer.json: no such file
    Give the output of: llmsizer estimate … --format json

    Raises LlmsizerError for what cannot be compared.
    """
    from llmsizer.differences.explain import changes as answer
    from llmsizer.question.words import Words

    _check_words(words)
    return answer(old, new, _catalog_of(catalog), Words(**words) if words else None)


def validate(part: str | None = None, *, catalog: Any = None) -> Validation:
    """Recomputes the measured runs that ship with llmsizer and sets the estimates beside them.

    ``part``: ``memory`` or ``speed`` (None: both). Raises LlmsizerError for any other.
    """
    from llmsizer.question.words import checked_choice
    from llmsizer.validation.run import PARTS
    from llmsizer.validation.run import validate as answer

    return answer(_catalog_of(catalog), None if part is None else checked_choice("part", part, list(PARTS)))


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
    """Runs the traffic of a question through the engine step by step: ``num_prompts`` requests, reproducible by ``seed``.

    ``words`` as in ``estimate``; ``input_tokens`` and ``output_tokens`` may also be ``"800..1000"`` (uniform),
    ``"lognormal:1024:0.5"`` (mean, variation) or a ``Lengths``. ``request_rate`` gives an open loop with gaps of
    ``variation`` (1: Poisson), ``concurrency`` a closed loop whose users pause once for up to ``scatter_seconds``,
    ``trace`` a ``Trace`` (``llmsizer.catalog.traces.read_trace``). ``targets``: a ``Targets`` for goodput. ``routing`` over
    ``replicas``: ``round-robin``, ``least-loaded`` or ``prefix-aware``; ``exact``: every step is computed, none is taken
    together. ``prefill_replicas`` and ``decode_replicas``: two pools instead of ``replicas``. ``engine_settings``: fields
    of ``llmsizer.simulation.EngineSpec``, such as ``{"prefix_caching": False}``. ``workload``, a ``Traffic``, stands for
    lengths and load. Raises LlmsizerError for a mistake, or where the deployment does not fit.

    >>> import llmsizer
    >>> found = llmsizer.simulate("llama-3.1-8b", "h100", request_rate=5, num_prompts=50)
    >>> found.summary().requests
    50
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


def _html_of(result: Any) -> str:
    from llmsizer.report.views import html_of

    return html_of(result)


shown_by(_html_of)
