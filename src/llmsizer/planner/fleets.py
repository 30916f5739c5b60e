"""The devices a plan may choose, gathered into fleets that one case stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.catalog.calibrations import covered_devices, covered_vendors
from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError, UnsupportedCombination
from llmsizer.planner.question import Choices, checked_choice_list
from llmsizer.question.limits import static_fraction
from llmsizer.question.resolve import resolve
from llmsizer.question.words import Words
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.deployment import Case
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.fleet import Fleet
from llmsizer.schema.model import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Facts of an engine that may differ within a fleet: they enter as columns, or not at all.
_COLUMNS = ("non_torch", "non_torch_parallel")


@dataclass(frozen=True, slots=True, eq=False)
class DeviceFleet:
    """Devices on which an engine behaves alike, with the base case of each."""

    devices: tuple[Accelerator, ...]
    fleet: Fleet
    engine: EngineProfile

    def case(self, words: Words, catalog: Catalog, places: NDArray[Any]) -> Case:
        """The case of some words on some of the devices at once. Raises what refuses all of them."""
        import numpy as np

        chosen = [self.devices[place] for place in places.tolist()]
        case = resolve(replace(words, hardware=chosen[0]), catalog).case
        memory = np.array([float(device.usable_memory) for device in chosen]).reshape(-1, 1)
        engine = replace(case.engine, **{name: _rows(getattr(self.engine, name), places) for name in _COLUMNS})
        return replace(
            case, accelerator=replace(chosen[0], usable_memory=memory), engine=engine, fleet=self.fleet.take(places),
            memory_fraction=self._fraction(case, chosen, words),
        )  # fmt: skip

    @staticmethod
    def _fraction(case: Case, chosen: Sequence[Accelerator], words: Words) -> Any:
        if words.gpu_memory_utilization is not None or not case.engine.memory_tiers:
            return case.memory_fraction
        import numpy as np

        tokens = int(case.max_num_batched_tokens)
        found = [static_fraction(case.engine, device, case.parallel, tokens) for device in chosen]
        return np.array(found).reshape(-1, 1)


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
    apart = {"provenance", *_COLUMNS}
    if not has_experts(case.model):
        apart.add("expert_alignment")
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
    return DeviceFleet(tuple(case.accelerator for case in cases), Fleet(cases), replace(first, **columns))
