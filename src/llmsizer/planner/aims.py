"""What a plan ranks its candidates by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsizer.schema.accelerator import Accelerator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Aim:
    """An aim in words. ``spends``: more replicas are better, as many as the limits allow; ``time``: the mean time at the
    peak that is to be short."""

    title: str
    spends: bool = False
    time: str = ""


AIMS = {
    "cost": Aim("cheapest"),
    "ttft": Aim("fastest to the first token", True, "ttft_seconds"),
    "tpot": Aim("fastest for a further token", True, "tpot_seconds"),
    "e2e": Aim("fastest to the last token", True, "e2e_seconds"),
    "throughput": Aim("highest throughput", True),
    "devices": Aim("smallest"),
}


def borne_in_all(columns: Mapping[str, Array], headroom: float, spare: int) -> Array:
    """Requests a second that each row's replicas bear within the targets, the spare ones and the headroom kept free."""
    borne: Array = columns["capacity"] * (columns["replicas"] - spare) * (1.0 - headroom)
    return borne


def rounded_cost(usd_per_hour: Any) -> Any:
    """Costs in steps of a thousandth: what differs by less is equal, and something else decides.

    >>> bool(rounded_cost(3.6) == rounded_cost(3.6003)), bool(rounded_cost(3.6) < rounded_cost(3.61))
    (True, True)
    """
    import numpy as np

    return np.exp(np.round(1000.0 * np.log(np.maximum(usd_per_hour, 1e-9))) / 1000.0)


def figures(by: str, columns: Mapping[str, Array], devices: Sequence[Accelerator], bears: Array) -> list[Array]:
    """What rows are ordered by, least first: the aim's own figure, then what decides between equals."""
    import numpy as np

    cost = rounded_cost(columns["usd_per_second"] * HOUR)
    if by == "throughput":
        return [1.0 / bears, cost]
    if by == "devices":
        memory = np.array([float(device.memory_capacity) for device in devices])[columns["device"].astype(int)]
        return [columns["devices"] * columns["replicas"], memory, cost]
    time = AIMS[by].time
    return [np.round(columns[time], 5), cost] if time else [cost]
