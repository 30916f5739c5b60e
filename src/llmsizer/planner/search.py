"""The search: every structure on every device, as one table of candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import InvalidQuestion, LlmsizerError, UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.cost.extras import extras_of
from llmsizer.formulas.cost import storage_cost
from llmsizer.planner.fleets import DeviceFleet, Held, devices_of, fleets_of, unmeasured
from llmsizer.planner.prices import DevicePrices, device_prices
from llmsizer.planner.question import PlanQuestion, headroom_of
from llmsizer.planner.screen import Loads, at, capacity, column_of, loads
from llmsizer.planner.sizes import Sizes
from llmsizer.planner.space import allowed, structures
from llmsizer.question.resolve import resolve
from llmsizer.question.words import Words
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.fleet import Refused
from llmsizer.sizing.memory import memory_estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

Progress = Callable[[int, int], None]
# The columns of the table; all but the first two are numbers of the deployment as it would run.
NUMBERS = (
    "devices", "capacity", "running_capacity", "replicas", "rate", "usd_per_second", "storage", "miss", "missed", "offer",
    "ttft_seconds", "tpot_seconds", "e2e_seconds", "output_tokens_per_second_per_gpu",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """All that was tried and fits: one row a device and structure.

    ``structure`` and ``device`` are places in ``structures`` and ``devices``; ``tried`` counts those that
    do not fit as well. ``refused`` tells by device why an engine does not run there, and ``failed`` which
    structures no device can run, with the reason; ``too_small`` the last structure that a device did not
    hold.
    """

    catalog: Catalog
    structures: Sequence[Words]
    devices: Sequence[Accelerator]
    prices: DevicePrices
    columns: Mapping[str, Array]
    tried: int
    refused: Mapping[str, str]
    failed: Mapping[str, str]
    too_small: Mapping[str, Words]

    def __len__(self) -> int:
        return len(self.columns["device"])

    def words(self, row: int) -> Words:
        """The question of one row."""
        return replace(self.structures[int(self.columns["structure"][row])], hardware=self.device(row).id)

    def device(self, row: int) -> Accelerator:
        """The device of one row."""
        return self.devices[int(self.columns["device"][row])]

    def memory_reasons(self, place: int) -> str:
        """Why the smallest structure tried on a device does not fit; empty where none was tried."""
        device = self.devices[place]
        words = self.too_small.get(device.id)
        if words is None:
            return ""
        case = resolve(replace(words, hardware=device), self.catalog).case
        split = case.parallel.devices
        return f"{split}× {words.quantization or 'own format'}: {'; '.join(memory_estimate(case).reasons)}"

    def meets(self) -> Array:
        """Which rows meet every target."""
        import numpy as np

        return np.isfinite(self.columns["capacity"])


def search(question: PlanQuestion, catalog: Catalog, progress: Progress | None = None) -> Candidates:
    """Every candidate that fits in memory, with what it bears and costs. Raises an LlmsizerError for a
    mistake, and where no device runs the model."""
    import numpy as np

    found = _Search(question, catalog)
    blocks = list(found.blocks(progress or (lambda done, whole: None)))
    names = ("structure", "device", *NUMBERS)
    columns = {name: np.concatenate([block[name] for block in blocks]) if blocks else np.zeros(0) for name in names}
    return Candidates(
        catalog, found.structures, found.devices, found.prices, columns, found.tried, found.refused, found.failed,
        found.too_small,
    )  # fmt: skip


class _Search:
    """One search under way."""

    def __init__(self, question: PlanQuestion, catalog: Catalog) -> None:
        self.question, self.catalog = question, catalog
        self.devices = devices_of(question.choices, catalog)
        self.extras = extras_of(catalog, question.words.extras, weights_bytes=1.0)
        self.prices = device_prices(question.choices, self.devices, catalog, self.extras)
        self.place = {device.id: place for place, device in enumerate(self.devices)}
        self.sizes = Sizes(question, self.prices, self.devices, headroom_of(question, catalog))
        self.wanted = {target.figure for target in question.targets}
        self.structures: list[Words] = []
        self.refused: dict[str, str] = {} if question.choices.hardware else unmeasured(self.devices, catalog)
        self._measured = [device for device in self.devices if device.id not in self.refused]
        self.failed: dict[str, str] = {}
        self.too_small: dict[str, Words] = {}
        self.tried = 0

    def blocks(self, progress: Progress) -> Iterator[Mapping[str, Array]]:
        """The table piece by piece."""
        work = [(fleet, words) for fleet in self._fleets() for words in self._structures(fleet)]
        for done, (fleet, words) in enumerate(work):
            places = allowed(words, fleet.fleet.members[0].model, fleet.engine, fleet.devices)
            block = self._block(fleet, words, places)
            if block is not None:
                yield block
            progress(done + 1, len(work))

    def _fleets(self) -> Iterator[DeviceFleet]:
        refusals: list[LlmsizerError] = []
        engines = self.question.choices.engines
        for engine in engines:
            words = replace(self.question.template(), engine=engine)
            try:
                found, refused = fleets_of(words, self._measured, self.catalog)
            except UnsupportedCombination as refusal:
                refusals.append(refusal)
                continue
            self.refused |= {**refused, **self.refused}
            yield from found
        if len(refusals) == len(engines):
            raise refusals[0]

    def _structures(self, fleet: DeviceFleet) -> Iterator[Words]:
        domain = max(device.reach for device in fleet.devices)
        words = replace(self.question.template(), engine=self._engine_word(fleet))
        return structures(words, fleet.fleet.members[0].model, fleet.engine, self.question.choices, domain)

    def _engine_word(self, fleet: DeviceFleet) -> str:
        engine = fleet.engine
        release = engine.id if engine.newest else f"{engine.id}@{engine.version}"
        return release if engine.core == engine.usual_core else f"{release}+{engine.core}"

    def _block(self, fleet: DeviceFleet, words: Words, places: Array) -> Mapping[str, Array] | None:
        """The rows of one structure on the devices that hold it."""
        self.tried += len(places)
        if not len(places):
            return None
        try:
            held = fleet.held(words, self.catalog, places)
        except (InvalidQuestion, UnsupportedCombination) as refusal:
            self.failed.setdefault(_name(words), refusal.message)
            return None
        small = set(places.tolist()) - set(held.places.tolist() if held is not None else ())
        self.too_small |= {fleet.devices[place].id: words for place in small}
        while held is not None:
            try:
                return self._rows(fleet, words, held, loads(held.case, held.most, wanted=self.wanted))
            except Refused as refusal:
                self.refused |= {fleet.devices[int(held.places[at])].id: why for at, why in refusal.reasons.items()}
                held = fleet.without(held, refusal.reasons)
        return None

    def _rows(self, fleet: DeviceFleet, words: Words, held: Held, found: Loads) -> Mapping[str, Array]:
        import numpy as np

        self.structures.append(words)
        case = held.case
        devices, borne = case.parallel.devices, capacity(found, self.question.targets)
        rows = np.array([self.place[fleet.devices[place].id] for place in held.places.tolist()])
        replicas, rate = self.sizes.of(rows, devices, borne, found)
        rented, offer = self.prices.cheapest(rows, devices, np.nan_to_num(replicas, nan=1.0))
        storage = self._storage(words, fleet.devices[int(held.places[0])])
        column = column_of(found.rate, np.nan_to_num(rate))
        output = rate * float(case.workload.output_tokens) / devices
        return {
            "structure": np.full(len(rows), len(self.structures) - 1), "device": rows,
            "devices": np.full(len(rows), float(devices)), "capacity": borne.rate, "running_capacity": borne.running,
            "replicas": replicas, "rate": rate, "usd_per_second": rented + storage,
            "storage": np.full(len(rows), storage), "miss": borne.miss, "missed": borne.missed,
            "offer": offer, "ttft_seconds": at(found.figures["ttft_seconds"], column),
            "tpot_seconds": at(found.figures["tpot_seconds"], column),
            "e2e_seconds": at(found.figures["e2e_seconds"], column), "output_tokens_per_second_per_gpu": output,
        }  # fmt: skip

    def _storage(self, words: Words, device: Accelerator) -> float:
        """USD a second for the weights of a structure in storage, where that is counted; a device that holds it."""
        if self.extras.storage_price is None:
            return 0.0
        case = resolve(replace(words, hardware=device), self.catalog).case
        weights = float(plain(memory_estimate(case).per_gpu.weights_bytes)) * case.parallel.devices
        return float(storage_cost(weights, self.extras.storage_price))


def _name(words: Words) -> str:
    split = f"tp {words.tensor_parallel_size}, pp {words.pipeline_parallel_size}, dp {words.data_parallel_size}"
    return f"{words.quantization or 'auto'}, cache {words.kv_cache_dtype}, {split}"
