"""How far estimates of llama.cpp lie from measurements that set nothing: its lines of ``calibrations/spread.yaml``.

``python -m llmsizer.authoring.fit.llama_cpp_spread`` writes them. Tier *measured*: a model on a device left out,
where others tell all factors of its curves. Tier *extrapolated*: a device left out, and with it the curves of which
no other device tells every factor, so that coarser ones answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmsizer.authoring.fit.llama_cpp import FILE, Asked, answered, asked, curves, fit, fit_rows, flow
from llmsizer.authoring.fit.llama_cpp_kernels import KERNELS
from llmsizer.catalog.catalog import load_catalog
from llmsizer.catalog.package_data import DATA, package_data
from llmsizer.core.explain import plain
from llmsizer.core.files import write_whole

SPREAD = "calibrations/spread.yaml"
INSIDE = 0.8
Group = Callable[[Asked], Any]
GROUPS: Mapping[str, Group] = {
    "measured": lambda each: (each.row["model"], each.row["hardware"]),
    "extrapolated": lambda each: each.row["hardware"],
}
# A group, its quantity, and ln(estimate / measured).
Error = tuple[Any, str, float]


def left_out(asked: Sequence[Asked], values: Mapping[str, float], group: Group, coarser: bool) -> list[Error]:
    """The errors of every group with factors fitted without it; ``coarser``: as if its own curves did not exist,
    otherwise only questions whose curves the others tell."""
    needs = [_factors(each, values) for each in asked]
    found = []
    for name in dict.fromkeys(map(group, asked)):
        mine = [group(each) == name for each in asked]
        others = [each for each, own in zip(asked, mine, strict=True) if not own]
        told = set().union(*(need for need, own in zip(needs, mine, strict=True) if not own))
        own = [(each, need) for each, need, own in zip(asked, needs, mine, strict=True) if own and (coarser or need <= told)]
        free = sorted(told.intersection(*[set().union(*(need for _, need in own))]))
        without = fit(others, values, free, most_evaluations=4) if free else values
        made = [curve for curve, kernel in zip(curves(without), KERNELS, strict=True) if {*kernel.factors()} <= told]
        found += [(name, _quantity(each), error) for each, _ in own for error in answered(each, without, made)[0]]
    return found


def _factors(each: Asked, values: Mapping[str, float]) -> set[str]:
    made = curves(values)
    kernel_of = {id(curve): kernel for curve, kernel in zip(made, KERNELS, strict=True)}
    return {name for curve in answered(each, values, made)[1] for name in kernel_of[id(curve)].factors()}


def _quantity(each: Asked) -> str:
    return "ttft" if plain(each.case.workload.output_tokens) == 1 else "tpot"


def width(errors: Sequence[tuple[Any, float]]) -> float:
    """What holds four fifths of the errors either way, every group counting the same: which of two kinds of device
    happened to be measured, and so the sign, says nothing of the next."""
    counts = {name: sum(group == name for group, _ in errors) for name, _ in errors}
    sorted_ = sorted((abs(error), 1 / counts[group] / len(counts)) for group, error in errors)
    reached = 0.0
    for error, weight in sorted_:
        reached += weight
        if reached >= INSIDE:
            return error
    return sorted_[-1][0]


def spread_lines(asked: Sequence[Asked], values: Mapping[str, float]) -> list[str]:
    """The engine's lines of the file."""
    lines = []
    for tier, group in GROUPS.items():
        errors = left_out(asked, values, group, coarser=tier == "extrapolated")
        for quantity in ("tpot", "ttft"):
            own = [(name, error) for name, kind, error in errors if kind == quantity]
            half = round(width(own), 3)
            row = {"quantity": quantity, "engine": "llama.cpp", "tier": tier, "low": -half, "high": half, "n": len(own)}
            lines.append(f"  - {flow(row)}")
    return lines


def main() -> None:
    """Writes the engine's lines anew."""
    kept = [line for line in (DATA / SPREAD).read_text().splitlines() if "engine: llama.cpp" not in line]
    lines = spread_lines(asked(fit_rows(), load_catalog()), package_data(FILE)["factors"])
    write_whole(str(DATA / SPREAD), "\n".join([*kept, *lines]) + "\n")


if __name__ == "__main__":
    main()
