"""The devices a plan may choose, gathered into fleets that one case stands for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.catalog.calibrations import covered_devices, covered_vendors
from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError, UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.planner.question import Choices, checked_choice_list
from llmsizer.question.limits import limits_of, static_fraction
from llmsizer.question.resolve import Resolved, resolve
from llmsizer.question.words import Words
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.deployment import Case, Parallel
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.fleet import Fleet
from llmsizer.schema.model import Model
from llmsizer.sizing.memory import fleet_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Facts of an engine that may differ within a fleet, and enter as columns.
_COLUMNS = ("non_torch", "non_torch_parallel")
# Facts that are looked up device by device (sizing/machine.py).
_LOOKED_UP = ("launch_seconds",)
# Limits of an engine that may differ within a fleet: memory is asked for those that agree, speed for all.
_LIMITS = ("max_num_seqs", "max_num_batched_tokens")
# Facts that a model without experts has no use for.
_OF_EXPERTS = {"expert_alignment", "expert_kernels", "expert_kernels_setting", "routed_layer_seconds"}


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """The devices of a fleet that hold a case: their places, the sequences that run on each at a time (of one
    attention rank, a column), and the case on all of them."""

    places: NDArray[Any]
    most: NDArray[Any]
    case: Case


@dataclass(frozen=True, slots=True, eq=False)
class DeviceFleet:
    """Devices on which an engine behaves alike; ``parts`` are the places of those with the same limits."""

    devices: tuple[Accelerator, ...]
    fleet: Fleet
    engine: EngineProfile
    parts: tuple[NDArray[Any], ...]
    taken: dict[bytes, Fleet] = field(default_factory=dict)
    machines: dict[bytes, tuple[Accelerator, EngineProfile]] = field(default_factory=dict)

    def held(self, words: Words, catalog: Catalog, places: NDArray[Any]) -> Held | None:
        """The case of some words on those of the devices that hold it; None where none does. Raises what
        refuses all of them."""
        import numpy as np

        found, most, tokens = [], [], []
        resolved = resolve(replace(words, hardware=self.devices[int(places[0])]), catalog)
        among = np.zeros(len(self.devices), dtype=bool)
        among[places] = True
        for part in self.parts:
            asked = part[among[part]]
            if len(asked):
                case = self._limited(resolved, asked)
                fits, running = _held(case, len(asked))
                found.append(asked[fits])
                most.append(np.maximum(np.minimum(running[fits], float(case.max_num_seqs)), 1.0))
                tokens.append(np.full((int(fits.sum()), 1), float(case.max_num_batched_tokens)))
        if not sum(map(len, found)):
            return None
        return self._joined(resolved.case, np.concatenate(found), np.concatenate(most), np.concatenate(tokens))

    def without(self, held: Held, refused: Collection[int]) -> Held | None:
        """What is held less some of its devices, by their places in it; None where none is left."""
        import numpy as np

        count = len(held.places)
        kept = np.delete(np.arange(count), list(refused))
        tokens: Any = np.broadcast_to(held.case.max_num_batched_tokens, (count, 1))
        return self._joined(held.case, held.places[kept], held.most[kept], tokens[kept]) if len(kept) else None

    def _joined(self, case: Case, places: NDArray[Any], most: NDArray[Any], tokens: NDArray[Any]) -> Held:
        """A case on devices whose limits may differ, for its speed: ``tokens`` of a step on each are a column."""
        limit: Any = tokens if tokens.min() < tokens.max() else float(tokens[0, 0])
        return Held(places, most, replace(case, fleet=self.take(places), max_num_batched_tokens=limit))

    def take(self, places: NDArray[Any]) -> Fleet:
        """The fleet of some places, made once."""
        key = places.tobytes()
        if key not in self.taken:
            self.taken[key] = self.fleet.take(places)
        return self.taken[key]

    def _limited(self, resolved: Resolved, places: NDArray[Any]) -> Case:
        """The case of some words on devices with the same limits at once."""
        case, words = resolved.case, resolved.words
        chosen = [self.devices[place] for place in places.tolist()]
        accelerator, engine = self._machine(places)
        limits = limits_of(words, case.model, engine, chosen[0], case.parallel, case.workload)
        if words.gpu_memory_utilization is None and engine.memory_tiers:
            limits["memory_fraction"] = _fractions(engine, chosen, case.parallel, limits["max_num_batched_tokens"])
        return replace(case, accelerator=accelerator, engine=engine, **limits)

    def _machine(self, places: NDArray[Any]) -> tuple[Accelerator, EngineProfile]:
        """The devices of some places as one, with the engine on them, made once."""
        import numpy as np

        key = places.tobytes()
        if key not in self.machines:
            first = self.fleet.members[int(places[0])]
            memory: Any = np.array([float(self.devices[place].usable_memory) for place in places.tolist()]).reshape(-1, 1)
            columns = {name: _rows(getattr(self.engine, name), places) for name in _COLUMNS}
            self.machines[key] = replace(first.accelerator, usable_memory=memory), replace(first.engine, **columns)
        return self.machines[key]


def _fractions(engine: EngineProfile, devices: Sequence[Accelerator], parallel: Parallel, tokens: int) -> NDArray[Any]:
    """The fraction of its memory that an engine takes on each device, a column."""
    import numpy as np

    return np.array([static_fraction(engine, device, parallel, tokens) for device in devices]).reshape(-1, 1)


def _held(case: Case, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which of the case's devices hold it, and the sequences of one attention rank that find cache on each."""
    import numpy as np

    fits, running = fleet_memory(case)
    ranks = case.parallel.data_parallel_size
    running = np.broadcast_to(plain(running), (count, 1))
    return np.broadcast_to(fits, (count, 1))[:, 0] & (running[:, 0] >= 1), running / ranks


def _rows(value: Any, places: NDArray[Any]) -> Any:
    return value[places] if getattr(value, "shape", ()) else value


def unmeasured(devices: Sequence[Accelerator], catalog: Catalog) -> dict[str, str]:
    """The devices of vendors none of whose kernels were ever measured, with the reason to leave them out."""
    measured = set(covered_devices()) & set(catalog.names("accelerators"))
    vendors = {catalog.accelerator(name).vendor for name in measured} | set(covered_vendors())
    return {
        each.id: f"no kernel of any {each.vendor} device was measured: name it to have it tried, on assumptions"
        for each in devices if each.vendor not in vendors
    }  # fmt: skip


def devices_of(choices: Choices, catalog: Catalog) -> list[Accelerator]:
    """The devices that may be chosen, in the catalog's order. Raises UnknownName, InvalidQuestion."""
    everything = [catalog.accelerator(name) for name in catalog.names("accelerators")]
    checked_choice_list("vendors", choices.vendors, list(dict.fromkeys(each.vendor for each in everything)))
    named = {catalog.accelerator(name).id for name in choices.hardware}
    vendors = {vendor.lower() for vendor in choices.vendors}
    return [
        each for each in everything
        if (not named or each.id in named) and (not vendors or each.vendor.lower() in vendors)
    ]  # fmt: skip


def fleets_of(words: Words, devices: Sequence[Accelerator], catalog: Catalog) -> tuple[list[DeviceFleet], dict[str, str]]:
    """The fleets of an engine, and the devices on which it does not run the model with the reason.

    Raises the error of the words where no device accepts them.
    """
    cases: list[Case] = []
    refused: dict[str, str] = {}
    last: LlmsizerError | None = None
    for device in devices:
        try:
            cases.append(resolve(replace(words, hardware=device), catalog).case)
        except UnsupportedCombination as refusal:
            refused[device.id], last = refusal.message, refusal
    if not cases and last is not None:
        raise last
    alike: dict[Any, list[Case]] = {}
    for case in cases:
        alike.setdefault(_behaviour(case), []).append(case)
    return [_fleet(group) for group in alike.values()], refused


def _behaviour(case: Case) -> tuple[Any, ...]:
    """Everything of an engine's profile on a device that must be the same within a fleet."""
    apart = {"provenance", *_COLUMNS, *_LOOKED_UP, *_LIMITS}
    if not has_experts(case.model):
        apart |= _OF_EXPERTS
    return tuple(str(getattr(case.engine, each.name)) for each in fields(case.engine) if each.name not in apart)


def has_experts(model: Model) -> bool:
    """Whether some layer routes to experts."""
    return any(isinstance(group.feed_forward, MixtureOfExperts) for group in model.layers)


def _fleet(cases: Sequence[Case]) -> DeviceFleet:
    import numpy as np

    first = cases[0].engine
    columns: Mapping[str, Any] = {
        name: np.array([float(getattr(case.engine, name)) for case in cases]).reshape(-1, 1) for name in _COLUMNS
    }
    limits: dict[Any, list[int]] = {}
    for place, case in enumerate(cases):
        limits.setdefault(tuple(getattr(case.engine, name) for name in _LIMITS), []).append(place)
    parts = tuple(np.array(places) for places in limits.values())
    devices = tuple(case.accelerator for case in cases)
    return DeviceFleet(devices, Fleet(cases), replace(first, **columns), parts)
