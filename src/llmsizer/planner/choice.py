"""Which candidates win, which form the front, and why the other devices do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsizer.core.quantities import human
from llmsizer.planner.aims import HOUR, borne_in_all, figures
from llmsizer.planner.question import Choices, PlanQuestion, headroom_of
from llmsizer.planner.search import Candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# What the front weighs against each other, and which sign makes smaller better.
FRONT = (("usd_per_second", 1), ("ttft_seconds", 1), ("tpot_seconds", 1), ("output_tokens_per_second_per_gpu", -1))
# Candidates of a device that are sized again before one of them is picked, and how near their figures must be.
SHORTLIST, NEAR = 4, 1.5


@dataclass(frozen=True, slots=True)
class Rejection:
    """A ``device`` that no plan uses: the ``reason``, and how near it comes (``miss``: the worst target's figure over
    its limit; None where that is not the reason)."""

    device: str
    reason: str
    miss: float | None = None


def deployable(found: Candidates, question: PlanQuestion) -> Array:
    """Which rows meet every target within the limits of the whole deployment, at a known price."""
    import numpy as np

    priced = np.isfinite(found.columns["usd_per_second"])
    rows: Array = found.meets() & priced & (_limit_excess(found, question.choices) <= 1.0)
    return rows


def _limit_excess(found: Candidates, choices: Choices) -> Array:
    """By how much the whole deployment exceeds the tightest of its limits (1: just within)."""
    import numpy as np

    shares = [np.zeros(len(found)), *(amount / most for _, amount, most in _limits(found, choices))]
    excess: Array = np.nan_to_num(np.max(shares, axis=0), nan=np.inf)
    return excess


def _limits(found: Candidates, choices: Choices) -> list[tuple[str, Array, float]]:
    """The limits that were given: what is counted, how much of it each row takes, and the most."""
    columns = found.columns
    devices = columns["devices"] * columns["replicas"]
    given: list[tuple[str, Array, float | None]] = [
        ("devices", devices, choices.most_devices_in_all),
        ("USD/h", columns["usd_per_second"] * HOUR, choices.most_usd_per_hour),
        ("W", devices * _watts(found), choices.most_watts),
    ]
    return [(name, amount, float(most)) for name, amount, most in given if most is not None]


def _watts(found: Candidates) -> Array:
    """Board power of each row's device; unknown power exceeds any limit."""
    import numpy as np

    power = np.array([device.board_power or np.inf for device in found.devices], dtype=float)
    watts: Array = power[found.columns["device"].astype(int)]
    return watts


def ranked(found: Candidates, rows: Array, question: PlanQuestion) -> Array:
    """Rows by what the question aims at; among equals the checkpoint's own format first, then the one with more to
    spare."""
    import numpy as np

    columns = found.columns
    chosen = np.flatnonzero(rows)
    keys = [each[chosen] for each in _figures(found, question)]
    quantized = np.array([found.structures[int(place)].quantization is not None for place in columns["structure"][chosen]])
    room = columns["capacity"][chosen] / columns["rate"][chosen]
    order = np.lexsort((-room, quantized, *reversed(keys)))
    return chosen[order]


def _figures(found: Candidates, question: PlanQuestion) -> list[Array]:
    bears = borne_in_all(found.columns, headroom_of(question, found.catalog), question.spare)
    return figures(question.by, found.columns, found.devices, bears)


def best_of_each_device(found: Candidates, order: Array) -> list[int]:
    """The first row of every device, in order."""
    first: dict[int, int] = {}
    for row in order.tolist():
        first.setdefault(int(found.columns["device"][row]), row)
    return list(first.values())


def shortlists(found: Candidates, order: Array, question: PlanQuestion) -> list[list[int]]:
    """The first rows of every device, in order: those so near the first one that a finer look may turn them round."""
    near: dict[int, list[int]] = {}
    figure = _figures(found, question)[0]
    for row in order.tolist():
        rows = near.setdefault(int(found.columns["device"][row]), [])
        if not rows or (len(rows) < SHORTLIST and figure[row] <= NEAR * figure[rows[0]]):
            rows.append(row)
    return list(near.values())


def front(found: Candidates, rows: Array) -> list[int]:
    """The rows that no other beats in every respect of ``FRONT`` at once, cheapest first."""
    import numpy as np

    chosen = np.flatnonzero(rows)
    points = np.stack([sign * found.columns[name][chosen] for name, sign in FRONT], axis=1)
    order = np.lexsort(points.T[::-1])
    kept: list[int] = []
    for place in order.tolist():
        if not kept or not (points[kept] <= points[place]).all(axis=1).any():
            kept.append(place)
    return [int(chosen[place]) for place in kept]


def rejections(found: Candidates, question: PlanQuestion) -> list[Rejection]:
    """Every device without a row that is deployable, with its reason and nearest miss."""
    good = deployable(found, question)
    winners = {int(place) for place in found.columns["device"][good]}
    return [_rejection(found, question, place) for place in range(len(found.devices)) if place not in winners]


def _rejection(found: Candidates, question: PlanQuestion, place: int) -> Rejection:
    import numpy as np

    device = found.devices[place]
    rows = np.flatnonzero(found.columns["device"] == place)
    if not len(rows):
        return Rejection(device.id, found.refused.get(device.id) or _too_small(found, question, place))
    meets = rows[found.meets()[rows]]
    if not len(meets):
        return _missed(found, question.targets, rows, device.id)
    if device.id in found.prices.unpriced:
        columns = found.columns
        row = int(meets[np.argmin(columns["devices"][meets] * columns["replicas"][meets])])
        enough = f"{columns['replicas'][row]:.0f} × {columns['devices'][row]:.0f} would do"
        return Rejection(device.id, f"{enough}, but {found.prices.unpriced[device.id]}")
    return Rejection(device.id, _over_limit(found, question.choices, meets))


def _too_small(found: Candidates, question: PlanQuestion, place: int) -> str:
    """Why nothing fits: what the largest split and smallest format lacks, from the memory estimate."""
    most = question.choices.most_devices
    return found.memory_reasons(place) or f"does not hold the model on up to {most} devices"


def _missed(found: Candidates, targets: Sequence[Any], rows: Array, device: str) -> Rejection:
    """The nearest miss of a device: by how much, with what, and what the same count of devices misses in the
    checkpoint's own format."""
    import numpy as np

    miss = found.columns["miss"][rows]
    if not len(targets) or not np.isfinite(miss).any() or np.nanmin(miss) <= 1:
        return Rejection(device, "the engine bears no steady load of such requests")
    best = int(rows[np.nanargmin(miss)])
    text = _miss_text(found, targets, best)
    own = [row for row in rows.tolist() if found.words(row).quantization is None]
    nearest_own = min(own, key=lambda row: float(found.columns["miss"][row]), default=best)
    if nearest_own != best:
        text = f"{_miss_text(found, targets, nearest_own)}; nearest: {text}"
    return Rejection(device, text, float(found.columns["miss"][best]))


def _miss_text(found: Candidates, targets: Sequence[Any], row: int) -> str:
    target = targets[int(found.columns["missed"][row])]
    value = float(found.columns["miss"][row]) * target.limit_seconds
    words, count = found.words(row), int(found.columns["devices"][row])
    return (
        f"{count}× {words.quantization or 'own format'}: {target.title} {human(value, 'second', 3)} > "
        f"{human(target.limit_seconds, 'second', 3)} even when idle"
    )


def _over_limit(found: Candidates, choices: Choices, rows: Array) -> str:
    """Which limit of the whole deployment the nearest row exceeds."""
    import numpy as np

    excess = _limit_excess(found, choices)[rows]
    row = int(rows[np.argmin(excess)])
    name, amount, most = max(_limits(found, choices), key=lambda limit: float(limit[1][row]) / limit[2])
    return f"takes {float(amount[row]):,.4g} {name}, more than {most:,.4g}"


def nearest_misses(found: Candidates, question: PlanQuestion) -> list[str]:
    """Where nothing will do: what comes nearest, device by device, best first. Where targets are met, that is what
    exceeds a limit or has no price; else what misses a target least."""
    import numpy as np

    meets = found.meets()
    if meets.any():
        names = {device.id: device.name for device in found.devices}
        rows = {found.device(row).id for row in np.flatnonzero(meets).tolist()}
        return [f"{names[each.device]}: {each.reason}" for each in rejections(found, question) if each.device in rows][:3]
    order = np.argsort(found.columns["miss"], kind="stable")
    best = best_of_each_device(found, order)[:3]
    targets = question.targets
    return [f"{found.device(row).name}, {_miss_text(found, targets, row)}" for row in best] if targets else []
