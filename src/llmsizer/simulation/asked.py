"""From a question to a simulation: the engine of a case, its step times, and the traffic in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.question.lengths import lengths_of
from llmsizer.question.resolve import resolve
from llmsizer.question.words import Words, checked_integer
from llmsizer.schema.deployment import Case, Draft
from llmsizer.schema.workload import ClosedLoop, HitRate, OpenLoop, RequestClass, Targets, Trace, TraceTimes, Traffic
from llmsizer.simulation.disaggregated import KvTransfer, simulate_disaggregated
from llmsizer.simulation.replicas import LEAST_LOADED
from llmsizer.simulation.result import SimulationResult
from llmsizer.simulation.run import simulate
from llmsizer.simulation.spec import IN_FLIGHT, EngineSpec
from llmsizer.sizing import front_end
from llmsizer.sizing.batches import BATCHWISE
from llmsizer.sizing.lengths import longest_request
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate
from llmsizer.sizing.pools import Disaggregated, Pools, transfer_seconds
from llmsizer.sizing.prefix_cache import with_hits
from llmsizer.sizing.speculation import speculation_of
from llmsizer.sizing.speed import steady_state
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step

# Tokens of a cache at which the time of its transfer is asked for.
TRANSFER_TOKENS = 4096


class CaseSteps:
    """The step times of a case, as the simulation asks for them."""

    def __init__(self, case: Case) -> None:
        self.clock = StepClock(case)
        # A batch that runs to its end decodes when its prompts have left the last pipeline stage.
        self.drains = case.batching in BATCHWISE
        self.speculation = speculation_of(case)
        self.query_tokens = float(plain(self.speculation.query_tokens))

    def seconds(
        self, decode_batch: float, decode_context: float, prefill_tokens: float, prefill_context: float,
        prefill_sequences: float,
    ) -> float:  # fmt: skip
        """Seconds of one engine step."""
        step = Step(decode_batch=decode_batch, decode_context=decode_context, prefill_tokens=prefill_tokens,
                    prefill_context=prefill_context, prefill_sequences=prefill_sequences,
                    query_tokens=self.query_tokens)  # fmt: skip
        if prefill_tokens:
            seconds, fill = self.clock.timed(step)
            return float(plain(seconds)) + (float(plain(fill)) if self.drains else 0.0)
        return float(plain(self.speculation.step_seconds(self.clock, step)))


def yields_of(draft: Draft | None) -> tuple[float, ...]:
    """The chances that a verification step yields one token, two, …: guesses stand up to the first that fails."""
    if draft is None:
        return (1.0,)
    reach = [1.0, *draft.chances(), 0.0]
    return tuple(max(float(here - further), 0.0) for here, further in pairwise(reach))


def engine_spec(case: Case, memory: MemoryEstimate, replicas: int = 1) -> EngineSpec:
    """The engine of one attention rank of a case, one of so many replicas that share its load."""
    yields = yields_of(case.draft)
    verified = int(plain(speculation_of(case).query_tokens))
    block = max(1, int(plain(case.block_size)))
    slots = float(plain(memory.kv_slots)) / int(plain(case.parallel.data_parallel_size))
    sequences = int(plain(case.max_num_seqs))
    unlimited = int(plain(case.max_model_len)) * (sequences if case.batching in BATCHWISE else 1)
    tokens = int(plain(case.max_num_batched_tokens)) or unlimited
    length = longest_request(case.workload)
    return EngineSpec(
        steps=CaseSteps(case),
        kv_blocks=max(1, int(slots // block)),
        front_end_seconds=front_end_of(case, memory, replicas),
        block_size=block,
        max_num_seqs=min(sequences, tokens // verified) if case.batching == IN_FLIGHT else sequences,
        max_num_batched_tokens=tokens,
        policy=case.batching,
        batch_window_seconds=float(case.batch_window_seconds),
        chunked_prefill=bool(case.engine.chunked_prefill),
        reserve_tokens=length if case.engine.admission == "reserve" else 0,
        yields=yields,
    )


def front_end_of(case: Case, memory: MemoryEstimate, replicas: int = 1) -> float:
    """The fixed part of the time to first token, at the number of sequences the steady state streams."""
    if replicas > 1:
        rate, users = case.request_rate, case.concurrency
        case = replace(
            case,
            request_rate=None if rate is None else rate / replicas,
            concurrency=None if users is None else -(-users // replicas),
        )
    case = with_hits(case, memory)
    moment = steady_state(case, memory, StepClock(case)).moment
    outside = front_end.beside(case, moment.others)
    return float(plain(outside)) + float(plain(moment.fill_seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is simulated besides the words of the question.

    ``scatter_seconds``: users of a closed loop pause once, after their first answers, for up to this time.
    None: not at all; but where requests are alike in length, for up to one request's stay. Such users would
    otherwise stay in step for ever, which measured runs do not show (docs/traffic.md). ``prefill_replicas`` and
    ``decode_replicas``: two pools instead of ``replicas``. ``engine``: fields of ``EngineSpec`` to set.
    ``contiguous``: each sequence holds room for ``max_model_len`` tokens.
    """

    num_prompts: int = 1000
    replicas: int = 1
    routing: str = LEAST_LOADED
    seed: int = 0
    variation: float = 1.0
    scatter_seconds: float | None = None
    trace: Trace | None = None
    targets: Targets | None = None
    exact: bool = False
    prefill_replicas: int = 0
    decode_replicas: int = 0
    engine: Mapping[str, Any] = field(default_factory=dict)
    result_cache_hit_rate: float = 0.0
    contiguous: bool = False


def simulate_question(
    words: Words, asked: Asked, catalog: Catalog | None = None, progress: Callable[[int, int], None] | None = None
) -> tuple[SimulationResult, Case]:
    """Runs the traffic of a question against its deployment. Raises LlmsizerError for a mistake, or where it
    does not fit."""
    if asked.trace is not None and words.workload is None:
        words = replace(words, workload=Traffic(arrivals=TraceTimes(), trace=asked.trace))
    whole = words.workload if isinstance(words.workload, Traffic) else None
    resolved = resolve(words, catalog if catalog is not None else load_catalog())
    case, words = resolved.case, resolved.words
    memory = memory_estimate(case)
    if not memory.fits:
        why = "; ".join(memory.reasons)
        raise UnsupportedCombination(f"the deployment does not fit: {why}", "`llmsizer estimate` says what would")
    traffic = whole or traffic_of(words, asked, case, _scatter(asked, case, memory))
    settings = {**asked.engine, **({"reserve_tokens": int(case.max_model_len)} if asked.contiguous else {})}
    if asked.prefill_replicas or asked.decode_replicas:
        return _two_pools(traffic, case, case, asked, settings, progress), case
    spec = replace(engine_spec(case, memory, asked.replicas), **settings)
    replicas = asked.replicas * case.parallel.data_parallel_size
    return simulate(traffic, spec, replicas=replicas, **_common(asked, progress)), case


def _common(asked: Asked, progress: Callable[[int, int], None] | None) -> dict[str, Any]:
    """What every simulation is told."""
    return {
        "routing": asked.routing, "num_prompts": asked.num_prompts, "seed": asked.seed, "exact": asked.exact,
        "targets": asked.targets, "progress": progress,
    }  # fmt: skip


def simulate_pools(prefill: Words, decode: Words, asked: Asked, catalog: Catalog) -> SimulationResult:
    """Runs the traffic of a question through two pools with deployments of their own. Raises LlmsizerError for a mistake."""
    first, second = (resolve(words, catalog) for words in (prefill, decode))
    return _two_pools(traffic_of(second.words, asked, second.case), first.case, second.case, asked, asked.engine, None)


def _two_pools(
    traffic: Traffic, prefill: Case, decode: Case, asked: Asked, settings: Mapping[str, Any],
    progress: Callable[[int, int], None] | None,
) -> SimulationResult:  # fmt: skip
    """Both pools under some traffic; the front end streams what the decode pool has in flight."""
    first, second = memory_estimate(prefill), memory_estimate(decode)
    alone = replace(decode, workload=replace(decode.workload, prefix_cache_hit_rate=1.0))
    settings = {"front_end_seconds": front_end_of(alone, second, asked.decode_replicas), **settings}
    return simulate_disaggregated(
        traffic, replace(engine_spec(prefill, first), **settings), replace(engine_spec(decode, second), **settings),
        transfer=transfer_of(prefill, first, (decode, second)),
        prefill_replicas=asked.prefill_replicas * prefill.parallel.data_parallel_size,
        decode_replicas=asked.decode_replicas * decode.parallel.data_parallel_size, **_common(asked, progress),
    )  # fmt: skip


def pools_of(case: Case, asked: Asked) -> Pools:
    """The closed form of two pools under the load of a case."""
    pools = Disaggregated(case, memory_estimate(case), asked.prefill_replicas, asked.decode_replicas)
    return pools.at_rate(case.request_rate) if case.request_rate is not None else pools.at_concurrency(case.concurrency or 1)


def transfer_of(case: Case, memory: MemoryEstimate, other: tuple[Case, MemoryEstimate] | None = None) -> KvTransfer:
    """How long a prompt's cache takes to the decode pool (``other``: of another deployment): a start, and a time for
    each token."""
    first, more = (float(plain(transfer_seconds(case, memory, float(tokens), other))) for tokens in (0, TRANSFER_TOKENS))
    return KvTransfer(latency_seconds=first, seconds_per_token=(more - first) / TRANSFER_TOKENS)


def _scatter(asked: Asked, case: Case, memory: MemoryEstimate) -> float:
    if asked.scatter_seconds is not None:
        return asked.scatter_seconds
    several = case.request_rate is None and (case.concurrency or 1) > 1
    if not several or case.workload.spread is not None or case.think_seconds or case.batching in BATCHWISE:
        return 0.0
    return float(plain(steady_state(case, memory, StepClock(case)).e2e_seconds))


def traffic_of(words: Words, asked: Asked, case: Case, scatter_seconds: float = 0.0) -> Traffic:
    """The traffic of a question: a rate, or a number of requests in flight."""
    classes = words.workload.classes if words.workload is not None else (_one_class(words, case),)
    stored = asked.result_cache_hit_rate
    if case.request_rate is not None:
        open_loop = OpenLoop(requests_per_second=case.request_rate, variation=asked.variation, max_concurrency=case.concurrency)
        return Traffic(arrivals=open_loop, classes=classes, result_cache_hit_rate=stored)
    concurrency = checked_integer("concurrency", case.concurrency if case.concurrency is not None else 1)
    closed = ClosedLoop(concurrency=concurrency, think_seconds=case.think_seconds, scatter_seconds=scatter_seconds)
    return Traffic(arrivals=closed, classes=classes, result_cache_hit_rate=stored)


def _one_class(words: Words, case: Case) -> RequestClass:
    """All requests alike but for the lengths of the words."""
    hits = float(case.workload.prefix_cache_hit_rate)
    lengths: dict[str, Any] = {
        name: lengths_of(name, given if given is not None else int(getattr(case.workload, name)))
        for name, given in (("input_tokens", words.input_tokens), ("output_tokens", words.output_tokens))
    }
    return RequestClass(**lengths, sharing=HitRate(rate=hits) if hits else None)
