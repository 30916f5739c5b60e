"""The answer to a question: every part, as numbers, as a dictionary, and explained on request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llmsizer.core.errors import UnknownName
from llmsizer.core.explain import Source, Value, lift, plain, worst_tier
from llmsizer.core.inputs import Input
from llmsizer.core.quantities import human
from llmsizer.core.render import explanation
from llmsizer.core.results import Result, flat
from llmsizer.schema.deployment import Case
from llmsizer.sizing.inputs import inputs_of
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate

if TYPE_CHECKING:
    from llmsizer.sizing.speculation_gain import SpeculationGain
    from llmsizer.sizing.speed import Latency, Phase, SpeedEstimate, Throughput

# Parts of a SpeedEstimate that are parts of the JSON, and the figures of its `load`.
SPEED_PARTS = ("latency", "throughput", "prefill", "decode")
PARTS = ("memory", *SPEED_PARTS, "cost")  # what has numbers to derive
LOAD_FIGURES = ("running", "waiting", "decode_batch")
# Percentiles that are without end where more requests come than can be served.
WAITED_PERCENTILES = ("ttft_p", "e2e_p")
# Fields of a MemoryEstimate that go into the JSON beside `per_gpu`, in order.
MEMORY_FIGURES = (
    "kv_bytes_per_token_per_gpu", "kv_bytes_per_further_token", "state_bytes_per_sequence", "kv_capacity_tokens",
    "kv_slots", "max_concurrency_at_max_model_len", "max_concurrency_at_workload", "max_context_tokens",
    "host_weights_bytes",
)  # fmt: skip


class Costed(Protocol):
    """A cost as floors above make it (``llmsizer.cost``)."""

    def inputs(self) -> Iterable[Input]:
        """The prices it rests on."""

    def to_dict(self) -> dict[str, Any]:
        """The cost as plain data."""

    def value(self, key: str) -> Value:
        """A figure with its derivation."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How far an estimate may be trusted: the worst tier among its facts, and which fact sets it."""

    tier: str
    weakest: str
    memory_interval_bytes: tuple[float, float] | None = None
    ttft_interval_seconds: tuple[float, float] | None = None
    tpot_interval_seconds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Estimate(Result):
    """What llmsizer answers to one question. Parts of the speed are None where the deployment does not fit.

    ``question``: every word resolved. ``case``: the nouns behind it (model, device, engine). ``memory``: the parts of
    one device's memory, and what the cache holds. ``speed``: latency, throughput, the steps, and the load. ``evidence``:
    how far it may be trusted. ``notes``: what to know besides. ``asked``: the words as they were typed; ``made_with``: the
    version of llmsizer and of its catalogs. ``priced`` makes ``cost`` when that is asked for.
    """

    question: Mapping[str, Any]
    case: Case
    memory: MemoryEstimate
    evidence: Evidence
    speed: SpeedEstimate | None = None
    notes: tuple[str, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)
    priced: Callable[[], Costed] | None = None

    @property
    def fits(self) -> bool:
        """Whether the deployment fits in memory."""
        return self.memory.fits

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not fit; empty when it does."""
        return self.memory.reasons

    def to_dict(self) -> dict[str, Any]:
        """The estimate as plain data: SI base units, the unit in the key (docs/json.md)."""
        memory = {"per_gpu": as_plain(self.memory.per_gpu)}
        memory |= {name: _rounded(name, getattr(self.memory, name)) for name in MEMORY_FIGURES}
        return {
            "question": dict(self.question),
            "fits": self.fits,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "memory": memory,
            **self._speed_dict(),
            **self._speculation_dict(),
            "cost": self.cost.to_dict() if self.cost is not None else {},
            "evidence": {
                "tier": self.evidence.tier,
                "weakest": self.evidence.weakest,
                "memory_interval_bytes": list(self.evidence.memory_interval_bytes or ()) or None,
                "ttft_interval_seconds": list(self.evidence.ttft_interval_seconds or ()) or None,
                "tpot_interval_seconds": list(self.evidence.tpot_interval_seconds or ()) or None,
            },
            "asked": dict(self.asked),
            "made_with": dict(self.made_with),
            "inputs": [each.to_dict() for each in self.inputs()],
        }

    def inputs(self) -> list[Input]:
        """The facts it rests on: their places in the catalogs, values and sources."""
        return [*inputs_of(self.case), *(self.cost.inputs() if self.cost is not None else ())]

    def to_rows(self) -> list[dict[str, Any]]:
        """One row, its keys the dotted paths of ``to_dict``, without lists and what it was made with."""
        data = self.to_dict()
        kept = {name: part for name, part in data.items() if name not in ("asked", "made_with")}
        return [{path: value for path, value in flat(kept) if not isinstance(value, list)}]

    @property
    def latency(self) -> Latency | None:
        """Mean times of a request; None for a deployment that does not fit."""
        return self.speed.latency if self.speed is not None else None

    @property
    def throughput(self) -> Throughput | None:
        """Rates of the replica; None for a deployment that does not fit."""
        return self.speed.throughput if self.speed is not None else None

    @property
    def prefill(self) -> Phase | None:
        """A step of prompt processing; None for a deployment that does not fit."""
        return self.speed.prefill if self.speed is not None else None

    @property
    def decode(self) -> Phase | None:
        """A step of decoding; None for a deployment that does not fit."""
        return self.speed.decode if self.speed is not None else None

    @property
    def cost(self) -> Costed | None:
        """What the deployment costs at this load; None for one that does not fit."""
        return self.priced() if self.priced is not None else None

    @property
    def speculation(self) -> SpeculationGain | None:
        """What speculation brings, and up to which batch it pays; None where nothing guesses or nothing fits."""
        if self.speed is None:
            return None
        from llmsizer.sizing.speculation_gain import gain_of

        return gain_of(self.case, max(float(self.speed.decode_batch), 1.0))

    def _speculation_dict(self) -> dict[str, Any]:
        found = self.speculation
        return {} if found is None else {"speculation": as_plain(found)}

    def _speed_dict(self) -> dict[str, Any]:
        if self.speed is None:
            return {"latency": {}, "throughput": {}, "prefill": {}, "decode": {}}
        parts = {name: as_plain(getattr(self.speed, name)) for name in SPEED_PARTS}
        if self.speed.is_overloaded:
            parts["latency"] |= dict.fromkeys(name for name in parts["latency"] if name.startswith(WAITED_PERCENTILES))
        parts["load"] = {name: _finite(_number(getattr(self.speed, name))) for name in LOAD_FIGURES}
        parts["load"]["prefix_cache_hit_rate"] = _number(self.case.workload.prefix_cache_hit_rate)
        if self.speed.goodput is not None:
            parts["goodput"] = as_plain(self.speed.goodput)
        return parts

    def value(self, path: str) -> Value:
        """A number of the estimate with its derivation, by its path in ``to_dict``.

        Raises UnknownName for a path that names no number.
        """
        part, _, key = path.partition(".")
        if part == "cost" and self.cost is not None:
            return self.cost.value(key)
        if part not in PARTS:
            raise UnknownName("number", path, PARTS)
        if part != "memory" and self.speed is None:
            raise UnknownName("number", path, [], "The deployment does not fit: it has no speed and no cost.")
        case, replay = lift(self.case), {}
        if path.split(".")[0] in SPEED_PARTS and self.speed is not None:
            from llmsizer.sizing.speed import speed_estimate

            speed = speed_estimate(case, self.memory, settled=self.speed)
            replay = {part: getattr(speed, part)}
        else:
            replay = {"memory": memory_estimate(case, only_stage=self.memory.stage)}
        return find_value(replay, path, self.case)

    def explain(self, path: str = "memory.per_gpu.weights_bytes", depth: int = 6, width: int = 100) -> str:
        """How a number of the estimate was computed: equations, numbers, and the source of each fact."""
        return explanation(self.value(path), depth, width)

    def __repr__(self) -> str:
        devices = self.case.parallel.devices
        what = f"{self.case.model.id} on {f'{devices} × ' if devices > 1 else ''}{self.case.accelerator.id}"
        if self.latency is None:
            return f"<Estimate {what}: {'fits' if self.fits else 'does not fit'}>"
        first, token = (
            human(float(plain(each)), "second", 3) for each in (self.latency.ttft_seconds, self.latency.tpot_seconds)
        )
        verdict = "fits" if self.fits else "does not fit"
        return f"<Estimate {what}: {verdict}, first token {first}, then {token} a token>"


def find_value(root: Mapping[str, Any], path: str, case: Case) -> Value:
    """The Value at a dotted path of nested results."""
    found: Any = root
    walked: list[str] = []
    for part in path.split("."):
        known = list(found) if isinstance(found, Mapping) else [f.name for f in fields(found)] if is_dataclass(found) else []
        if part not in known:
            prefix = ".".join([*walked, ""])
            raise UnknownName("number", path, [prefix + name for name in known])
        found = found[part] if isinstance(found, Mapping) else getattr(found, part)
        walked.append(part)
    if is_dataclass(found) and not isinstance(found, Value):
        names = ", ".join(f"{path}.{f.name}" for f in fields(found))
        raise UnknownName("number", path, [], f"It has parts: {names}")
    if isinstance(found, (str, bool, tuple)) or found is None:
        raise UnknownName("number", path, [], "It is no number.")
    return (
        found
        if isinstance(found, Value)
        else Value(found, unit_of(path), walked[-1], Source("found by search over the formulas above"))
    )


_UNITS = {
    "seconds": "second", "bytes": "byte", "tokens": "token", "flop": "FLOP", "bytes_per_token_per_gpu": "byte/token",
    "bytes_per_further_token": "byte/token", "bytes_per_sequence": "byte", "flop_per_byte": "FLOP/byte",
}  # fmt: skip


def unit_of(path: str) -> str:
    """The unit that a number's path ends in."""
    return next((unit for ending, unit in _UNITS.items() if f"_{path.rsplit('.', 1)[-1]}".endswith(f"_{ending}")), "1")


def as_plain(noun: Any) -> dict[str, Any]:
    """A dataclass of numbers (and lists of kernels) as plain data."""
    return {f.name: _number(getattr(noun, f.name)) for f in fields(noun)}


def _number(value: Any) -> Any:
    number = plain(value)
    if isinstance(number, tuple):
        return list(number)
    return float(number) if isinstance(number, (int, float)) and not isinstance(number, bool) else number


def _finite(number: Any) -> Any:
    """A number that JSON can hold: None for a queue that grows without end."""
    return None if number == float("inf") else number


def _rounded(name: str, value: Any) -> Any:
    number = _number(value)
    whole = name.endswith(("tokens", "slots"))
    return int(number) if whole and isinstance(number, float) else number


MODEL_FIELDS_IN_MEMORY = (
    "all", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "num_key_value_heads",
    "head_dim", "vocab_size", "layer_types", "sliding_window", "tie_word_embeddings",
)  # fmt: skip
ENGINE_FACTS_IN_MEMORY = ("memory_fraction", "sampler_bytes_per_logit", "non_torch", "graph_memory", "hybrid_cache")


def memory_evidence(case: Case, interval: tuple[float, float] | None) -> Evidence:
    """The evidence of a memory estimate: the worst tier among the facts it rests on."""
    found: list[tuple[str, str]] = [("usable_memory", case.accelerator.provenance.of("usable_memory").tier)]
    found.append(("the model's config", case.model.provenance.default.tier))
    unverified = set(case.model.unverified) & set(MODEL_FIELDS_IN_MEMORY)
    found += [(f"{name} of the model", "assumed") for name in sorted(unverified)]
    found += [(name, case.engine.provenance.of(name).tier) for name in ENGINE_FACTS_IN_MEMORY]
    if not case.engine.known_version:
        found.append((f"{case.engine.title} {case.engine.version}", "extrapolated"))
    tier = worst_tier([each for _, each in found])
    weakest = next((name for name, each in found if each == tier), "")
    return Evidence(tier, weakest if tier != "specified" else "", interval)
