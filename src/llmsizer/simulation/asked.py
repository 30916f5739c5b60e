"""From a question to a simulation: the engine of a case, its step times, and the traffic in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.formulas.latency import front_end_seconds
from llmsizer.question.resolve import resolve
from llmsizer.question.words import LARGEST_LENGTH, Words, checked_fraction, checked_integer
from llmsizer.schema.deployment import Case
from llmsizer.schema.lengths import Fixed, Lengths, LogNormal, Uniform
from llmsizer.schema.workload import ClosedLoop, HitRate, OpenLoop, RequestClass, Targets, Trace, TraceTimes, Traffic
from llmsizer.simulation.replicas import LEAST_LOADED
from llmsizer.simulation.result import SimulationResult
from llmsizer.simulation.run import simulate
from llmsizer.simulation.spec import IN_FLIGHT, EngineSpec
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate
from llmsizer.sizing.speed import steady_state
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step


class CaseSteps:
    """The step times of a case, as the simulation asks for them."""

    def __init__(self, case: Case) -> None:
        self.clock = StepClock(case)

    def seconds(
        self, decode_batch: float, decode_context: float, prefill_tokens: float, prefill_context: float,
        prefill_sequences: float,
    ) -> float:  # fmt: skip
        """Seconds of one engine step."""
        step = Step(decode_batch=decode_batch, decode_context=decode_context, prefill_tokens=prefill_tokens,
                    prefill_context=prefill_context, prefill_sequences=prefill_sequences)  # fmt: skip
        return float(plain(self.clock.seconds(step)))


def engine_spec(case: Case, memory: MemoryEstimate) -> EngineSpec:
    """The engine of one attention rank of a case. UnsupportedCombination for what is not simulated."""
    if case.draft is not None:
        raise UnsupportedCombination("speculative decoding is not simulated", "`llmsizer estimate` answers its mean times")
    block = max(1, int(plain(case.block_size)))
    slots = float(plain(memory.kv_slots)) / int(plain(case.parallel.data_parallel_size))
    tokens = int(plain(case.max_num_batched_tokens)) or int(plain(case.max_model_len))
    sequences = int(plain(case.max_num_seqs))
    length = int(plain(case.workload.input_tokens) + plain(case.workload.output_tokens))
    return EngineSpec(
        steps=CaseSteps(case),
        kv_blocks=max(1, int(slots // block)),
        front_end_seconds=front_end_of(case, memory),
        block_size=block,
        max_num_seqs=min(sequences, tokens) if case.batching == IN_FLIGHT else sequences,
        max_num_batched_tokens=tokens,
        policy=case.batching,
        chunked_prefill=bool(case.engine.chunked_prefill),
        reserve_tokens=length if case.engine.admission == "reserve" else 0,
    )


def front_end_of(case: Case, memory: MemoryEstimate) -> float:
    """The fixed part of the time to first token, at the number of sequences the steady state streams."""
    moment = steady_state(case, memory, StepClock(case)).moment
    engine = case.engine
    return float(plain(front_end_seconds(engine.front_end, engine.front_end_sequence_seconds, moment.others)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is simulated besides the words of the question."""

    num_prompts: int = 1000
    replicas: int = 1
    routing: str = LEAST_LOADED
    seed: int = 0
    variation: float = 1.0
    think_seconds: float = 0.0
    trace: Trace | None = None
    targets: Targets | None = None
    exact: bool = False


def simulate_question(
    words: Words, asked: Asked, catalog: Catalog | None = None, progress: Callable[[int, int], None] | None = None
) -> tuple[SimulationResult, Case]:
    """Runs the traffic of a question against its deployment. ``input_tokens`` and ``output_tokens`` may be
    lengths in words (see ``lengths_of``). Raises LlmsizerError for a mistake, or where it does not fit."""
    prompts = lengths_of("input_tokens", words.input_tokens, 1024)
    answers = lengths_of("output_tokens", words.output_tokens, 256)
    mean = replace(words, input_tokens=round(float(prompts.mean())), output_tokens=max(1, round(float(answers.mean()))))
    case = resolve(mean, catalog if catalog is not None else load_catalog()).case
    memory = memory_estimate(case)
    if not memory.fits:
        why = "; ".join(memory.reasons)
        raise UnsupportedCombination(f"the deployment does not fit: {why}", "`llmsizer estimate` says what would")
    result = simulate(
        traffic_of(words, asked, prompts, answers), engine_spec(case, memory),
        replicas=asked.replicas * case.parallel.data_parallel_size, routing=asked.routing, num_prompts=asked.num_prompts,
        seed=asked.seed, exact=asked.exact, targets=asked.targets, progress=progress,
    )  # fmt: skip
    return result, case


def traffic_of(words: Words, asked: Asked, prompts: Lengths, answers: Lengths) -> Traffic:
    """The traffic of a question: a trace, a rate, or a number of requests in flight."""
    if asked.trace is not None:
        return Traffic(arrivals=TraceTimes(), trace=asked.trace)
    rate = words.prefix_cache_hit_rate
    hits = checked_fraction("prefix_cache_hit_rate", rate)
    kind = RequestClass(input_tokens=prompts, output_tokens=answers, sharing=HitRate(rate=hits) if hits else None)
    if words.request_rate is not None:
        per_second = checked_fraction("request_rate", words.request_rate, least=1e-9, most=1e6)
        return Traffic(arrivals=OpenLoop(requests_per_second=per_second, variation=asked.variation), classes=(kind,))
    concurrency = checked_integer("concurrency", words.concurrency if words.concurrency is not None else 1)
    return Traffic(arrivals=ClosedLoop(concurrency=concurrency, think_seconds=asked.think_seconds), classes=(kind,))


def lengths_of(name: str, given: Any, default: int) -> Lengths:
    """Token lengths in words: ``1024``, ``800..1000`` (uniform), ``lognormal:1024:0.5`` (mean, variation)."""
    if given is None:
        return Fixed(default)
    if not isinstance(given, (str, int, float)):
        return given  # type: ignore[no-any-return]
    text = str(given).strip()
    if text.startswith("lognormal:"):
        parts = text.split(":")
        if len(parts) != 3:
            raise InvalidQuestion(f"--{name.replace('_', '-')}: expected lognormal:MEAN:VARIATION, got '{text[:40]}'")
        mean, variation = checked_fraction(name, parts[1], 1.0, LARGEST_LENGTH), checked_fraction(name, parts[2], 1e-6, 10.0)
        return LogNormal(mean_tokens=mean, variation=variation)
    low, dots, high = text.partition("..")
    if dots:
        first, last = (checked_integer(name, end, most=LARGEST_LENGTH) for end in (low, high))
        return Uniform(first, last)
    return Fixed(checked_integer(name, given, most=LARGEST_LENGTH))
