"""What a plan file may say: its sections and their fields, checked by pydantic and published as a JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmsizer.planner.plan_fields import (
    Count,
    Emissions,
    Extras,
    Length,
    Line,
    MoneyPerTime,
    Names,
    Positive,
    Power,
    Price,
    Rates,
    Share,
    Targets,
    Time,
    Tokens,
)
from llmsizer.question.words import LARGEST_LENGTH

MOST_PICKS = 20


class Section(BaseModel):
    """A mapping of known fields; ``None``: not said."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Kind(Section):
    """A class of the requests that share a deployment. It shares prompts in one way: prefix_cache_hit_rate, prefix or turns."""

    share: Positive | None = None
    """Its weight among the classes (1)."""
    input_tokens: Length = None
    """Tokens of a prompt, as in a workload (1024)."""
    output_tokens: Length = None
    """Tokens of an answer (256)."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] | None = None
    """Lower is served first (0)."""
    prefix_cache_hit_rate: Share = None
    """Share of its prompt tokens found in the prefix cache."""
    prefix: Tokens | None = None
    """First tokens of a prompt that are those of one of some groups."""
    groups: Count | None = None
    """How many groups of prefixes there are (1)."""
    skew: Annotated[float, Field(ge=0, le=10)] | None = None
    """How unevenly the groups are used (0: evenly)."""
    turns: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Turns of a conversation, each sent with all earlier ones."""
    think: Time = None
    """Pause of a user between turns."""
    shared: Annotated[int, Field(ge=0, le=LARGEST_LENGTH)] | None = None
    """Tokens of a system prompt that all conversations begin with."""


class Workload(Section):
    """One model and its traffic; the demand is one of request_rate, concurrency, demand and trace."""

    model: str | None = None
    """A model of the catalog, by id or alias."""
    input_tokens: Length = None
    """Tokens of a prompt: a number, a law (800..1000, lognormal:1024:0.5) or a .csv file of lengths."""
    output_tokens: Length = None
    """Tokens of an answer, written as input_tokens."""
    classes: dict[Line, Kind] | None = None
    """Classes of requests that share the deployment, by name, in place of the two lengths."""
    max_model_len: Tokens | None = None
    """The longest sequence the engine is started for."""
    prefix_cache_hit_rate: Share = None
    """Share of the prompt tokens found in the prefix cache."""
    request_rate: Positive | None = None
    """Requests per second at the peak."""
    concurrency: Count | None = None
    """Requests in flight, in place of a rate."""
    demand: Rates = None
    """Requests per second in each hour of a day (24 numbers) or week (168)."""
    trace: str | None = None
    """A file of arrivals and lengths in the plan file's folder."""
    trace_step: Time = None
    """Time over which the arrivals of the trace are counted (1 min)."""
    targets: Targets = None
    """Targets of this workload, in place of the shared ones."""
    transform: str | None = None
    """A variant of the model, e.g. prune:2:4."""
    adapters: dict[str, Any] | None = None
    """LoRA adapters, e.g. {count: 4, rank: 16}."""
    speculative: dict[str, Any] | None = None
    """Speculative decoding, e.g. {method: draft, model: llama-3.2-1b, num_speculative_tokens: 5, acceptance: code}."""


class Candidates(Section):
    """What may be chosen from."""

    hardware: Names = None
    """Devices of the catalog, or any (the default)."""
    vendors: Names = None
    """Vendors of devices, or any."""
    engines: Names = None
    """Engines (vllm)."""
    formats: Names = None
    """Weight formats: auto (the checkpoint's own), fp8 … or any (auto, fp8)."""
    cache_formats: Names = None
    """KV cache formats: auto, fp8 … or any (auto)."""
    max_devices: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Most devices of one replica (16)."""
    disaggregated: bool | None = None
    """Whether separate pools for prefill and decode are tried too (false)."""


class Prices(Section):
    """Which prices hold."""

    price: Price = None
    """One price for every device: 2.5 USD/h, a provider, owned (default: the cheapest offer of each device)."""
    providers: Names = None
    """Providers to rent from, or any."""
    regions: Names = None
    """Regions to rent in, or any."""
    markets: Names = None
    """on-demand (the default), spot, reserved."""
    price_date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    """Prices as of this day, YYYY-MM-DD (default: the newest)."""


class Limits(Section):
    """Bounds of the whole deployment."""

    devices: Count | None = None
    """Most devices in all, such as a quota."""
    budget: MoneyPerTime = None
    """Most money per time, e.g. 50 USD/h."""
    power: Power = None
    """Most board power in all, e.g. 10 kW."""


class Availability(Section):
    """What is kept free, spare and for later."""

    headroom: Share = None
    """Share of every replica's capacity that is kept free."""
    spare: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Replicas beyond the need (1: N+1)."""
    growth: Annotated[float, Field(ge=0.01, le=1e4)] | None = None
    """Demand to come, as a multiple of the peak (3)."""


class Settings(Section):
    """Engine settings that are fixed, spelt as vLLM spells them (default: the engine's own)."""

    max_num_seqs: Count | None = None
    """Sequences in one step."""
    max_num_batched_tokens: Tokens | None = None
    """Tokens in one step."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """The engine's own memory fraction."""
    block_size: Count | None = None
    """Tokens in a cache block."""
    enforce_eager: bool | None = None
    """No CUDA graphs."""
    batching: str | None = None
    """static, dynamic, continuous or in-flight."""
    dtype: str | None = None
    """Type of unquantized weights and activations."""


class Assumptions(Section):
    """What the numbers rest on."""

    calibration: Literal["auto", "ideal"] | None = None
    """auto, or ideal for lower bounds at peak rates."""
    emissions: Emissions = None
    """Emissions of the grid, e.g. 400 g/kWh."""
    extras: Extras = None
    """Costs beside the devices: all, some names, or values such as {monitoring: 20 USD/month, staff: 0.25}."""
    expert_skew: Annotated[float, Field(ge=0, le=100)] | None = None
    """How unevenly the experts are used (0: evenly)."""


class Outputs(Section):
    """How much of the answer is worked out."""

    picks: Annotated[int, Field(ge=1, le=MOST_PICKS)] | None = None
    """How many devices, cheapest first, are asked again and simulated (5)."""
    by: Literal["cost", "ttft", "tpot", "e2e", "throughput", "devices"] | None = None
    """What the best is (cost); all but cost and devices use what the limits allow."""
    simulate: bool | None = None
    """Whether the picks are confirmed by simulation (true)."""


class Scenario(Section):
    """What a scenario says otherwise than the plan."""

    workloads: dict[Line, Workload] | None = None
    """The workloads by name."""
    targets: Targets = None
    """Targets of all workloads: interactive, agent, batch, or times such as {ttft: 500 ms, tpot: 40 ms}."""
    candidates: Candidates | None = None
    prices: Prices | None = None
    limits: Limits | None = None
    availability: Availability | None = None
    settings: Settings | None = None
    assumptions: Assumptions | None = None
    outputs: Outputs | None = None


class PlanSchema(Scenario):
    """A plan of llmsizer: workloads, targets and what may be chosen; scenarios are laid over it."""

    model_config = ConfigDict(title="llmsizer plan")

    title: Line | None = None
    """What the report is called."""
    description: Annotated[str, Field(max_length=4000)] | None = None
    """A few sentences at its head."""
    scenarios: dict[Line, Scenario | None] | None = None
    """Variants by name, each laid over the plan; without any the plan itself is the only one."""


def plan_json_schema() -> dict[str, Any]:
    """The JSON Schema of a plan file, for editors."""
    schema = PlanSchema.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "required": ["workloads"]}
