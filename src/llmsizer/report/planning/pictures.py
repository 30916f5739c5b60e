"""The drawings of a plan, each with its numbers as a table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.core.quantities import GIB, human
from llmsizer.planner.curves import load_curve, price_curve
from llmsizer.planner.picks import Pick
from llmsizer.planner.plan import Plan
from llmsizer.planner.targets import Target
from llmsizer.report.figures import PALETTE
from llmsizer.report.plan import SIZES, borne_changes, deployment_name, pick_name, pick_row, rows_table, sensitivity_table
from llmsizer.report.planning.blocks import Picture
from llmsizer.report.planning.svg import FAINT, INK, Sheet
from llmsizer.report.roofline_plot import roofline_on
from llmsizer.report.speed import BOUND
from llmsizer.report.tables import Table, digits

MEMORY_PARTS = {
    "weights_bytes": "weights", "activation_bytes": "activations", "non_torch_bytes": "non-torch",
    "cuda_graph_bytes": "CUDA graphs", "kv_cache_bytes": "KV cache", "unused_bytes": "free",
}  # fmt: skip
MARKERS = ("o", "s", "D", "^", "v")
# Times are drawn up to this multiple of their target, and in seconds from so many.
ABOVE_TARGET = 2.0
IN_SECONDS = 10.0
POINTS = 8
# Inches: a panel of several, a bar with its name above.
PANEL, BAR = 1.45, 0.42


def pictures(plan: Plan, drawn: Collection[str]) -> Iterator[Picture]:
    """All pictures of a plan that has picks; those that are not ``drawn`` have their numbers only."""
    for name, make in MAKERS.items():
        if name != "sensitivity" or plan.sensitivity:
            yield make(plan, name in drawn)


def _drawn(drawn: bool, draw: Callable[[Sheet], None], **sizes: Any) -> str:
    if not drawn:
        return ""
    with Sheet(**sizes) as sheet:
        draw(sheet)
    return sheet.svg


def _colour(place: int) -> str:
    return PALETTE[place % len(PALETTE)]


def _scatter(sheet: Sheet, axes: Any, plan: Plan) -> None:
    """Cost over TPOT of the front and the best of each device, with the picks marked."""
    rows = {_key(row): row for row in (*plan.alternatives, *plan.front)}
    picked = {_key(pick_row(pick)): place for place, pick in enumerate(plan.picks)}
    marks: list[tuple[list[Mapping[str, Any]], dict[str, Any]]] = [
        ([row for key, row in rows.items() if key not in picked], {"s": 14, "color": FAINT})
    ]
    for key, place in picked.items():
        shape = MARKERS[place % len(MARKERS)]
        look = {"s": 64, "marker": shape, "color": _colour(place), "label": pick_name(plan.picks[place])}
        marks.append(([rows[key]] if key in rows else [], look))
    for shown, look in marks:
        if shown:
            points = axes.scatter([1e3 * row["tpot_seconds"] for row in shown], [row["usd_per_hour"] for row in shown], **look)
            sheet.tip(points, [_tip(row) for row in shown])
    sheet.legend(axes)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("hardware", "quantization", "kv_cache_dtype", *SIZES))


def _tip(row: Mapping[str, Any]) -> str:
    times = f"TTFT {1e3 * row['ttft_seconds']:,.0f} ms, TPOT {1e3 * row['tpot_seconds']:.1f} ms"
    return f"{deployment_name(row)}: {row['usd_per_hour']:,.2f} USD/h, {times}"


def front_picture(plan: Plan, drawn: bool) -> Picture:
    """Cost against the time of a token."""

    def draw(sheet: Sheet) -> None:
        axes = sheet.figure.subplots()
        _scatter(sheet, axes, plan)
        axes.set(xlabel="mean TPOT (ms)", ylabel="cost (USD/h)")
        _wide(axes, [row["usd_per_hour"] for row in (*plan.alternatives, *plan.front)])

    about = (
        "Every deployment that nothing beats in cost, TTFT, TPOT and tokens per second and device at once, and the best of "
        "each device; at the peak. Lower left is better; the picks are in colour."
    )
    numbers = rows_table("", plan.front, None)
    return Picture("Cost against the time of a token", about, _drawn(drawn, draw, keys=len(plan.picks)), numbers)


def _wide(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers where the values spread widely."""
    from matplotlib.ticker import LogLocator, NullLocator

    if min(values, default=0.0) <= 0 or max(values) / min(values) < 8:
        axes.set_ylim(bottom=0)
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda cost, _: f"{cost:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def load_picture(plan: Plan, drawn: bool) -> Picture:
    """The times of the targets over the load, with limits and planned peak."""
    targets = plan.question.targets or (Target("ttft", float("inf")), Target("tpot", float("inf")))
    figures = [target.figure for target in targets]
    curves = [load_curve(pick, figures) for pick in plan.picks]
    peak = _peak(plan.picks[0])

    def draw(sheet: Sheet) -> None:
        panels = sheet.figure.subplots(len(targets), 1, sharex=True, squeeze=False)[:, 0]
        for axes, target in zip(panels, targets, strict=True):
            most = max(float(curve.figures[target.figure].max()) for curve in curves)
            scale, unit = (1.0, "s") if min(most, target.limit_seconds) >= IN_SECONDS else (1e3, "ms")
            for place, curve in enumerate(curves):
                label = pick_name(plan.picks[place])
                axes.plot(curve.rate, scale * curve.figures[target.figure], color=_colour(place), label=label)
            axes.set_ylabel(f"{target.title} ({unit})")
            _limit(axes, target, peak, scale)
        panels[-1].set(xlabel="load of the whole deployment (requests/s)", xlim=(0, max(curve.rate.max() for curve in curves)))
        sheet.legend(panels[-1])

    about = (
        f"Times over the load in closed form. The dotted line is the planned peak of {peak:,.4g} requests/s, the dashed one "
        "the target."
    )
    svg = _drawn(drawn, draw, height=PANEL * len(targets), keys=len(plan.picks))
    return Picture("Latency against load", about, svg, _load_table(plan, targets, curves))


def _peak(pick: Pick) -> float:
    return float(plain(pick.estimate.case.request_rate or 0.0)) * pick.replicas


def _limit(axes: Any, target: Target, peak: float, scale: float) -> None:
    """The planned peak, and a target's limit in an axis's unit."""
    axes.set_ylim(bottom=0)
    axes.axvline(peak, color=INK, linestyle=":", linewidth=1.0)
    if target.limit_seconds < float("inf"):
        limit, text = scale * target.limit_seconds, human(target.limit_seconds, "second")
        axes.axhline(limit, color=INK, linestyle="--", linewidth=1.0)
        axes.set_ylim(top=ABOVE_TARGET * limit)
        axes.annotate(text, (0.01, limit), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)


def _load_table(plan: Plan, targets: Sequence[Target], curves: Sequence[Any]) -> Table:
    rows = []
    for pick, curve in zip(plan.picks, curves, strict=True):
        for place in range(0, len(curve.rate), max(1, len(curve.rate) // POINTS)):
            times = [f"{1e3 * curve.figures[target.figure][place]:,.4g}" for target in targets]
            rows.append([pick_name(pick), digits(curve.rate[place]), *times])
    headers = ["replicas×devices", "requests/s", *(f"{target.title}, ms" for target in targets)]
    return Table("", headers, rows, right=tuple(range(1, len(headers))))


def price_picture(plan: Plan, drawn: bool) -> Picture:
    """Cost over the peak demand."""
    curves = [price_curve(pick, plan) for pick in plan.picks]
    peak = _peak(plan.picks[0])

    def draw(sheet: Sheet) -> None:
        axes = sheet.figure.subplots()
        for place, curve in enumerate(curves):
            axes.plot(
                curve.peak, curve.usd_per_hour, color=_colour(place), drawstyle="steps-pre", label=pick_name(plan.picks[place])
            )
        axes.axvline(peak, color=INK, linestyle=":", linewidth=1.0)
        axes.set(xlabel="peak demand (requests/s)", ylabel="cost (USD/h)", ylim=(0, None), xlim=(0, None))
        sheet.legend(axes)

    rows = []
    for pick, curve in zip(plan.picks, curves, strict=True):
        below = 0.0
        for place, replicas in enumerate(curve.replicas):
            if place == 0 or replicas != curve.replicas[place - 1]:
                rows.append(
                    [
                        pick.estimate.case.accelerator.id,
                        digits(below),
                        f"{replicas:.0f}",
                        f"{curve.usd_per_hour[place]:,.2f}",
                    ]
                )
            below = curve.peak[place]
    about = (
        "What each pick's kind costs as the peak grows, with the replicas it then takes, all of them paid. The dotted line is "
        "the planned peak."
    )
    headers = ["device", "above requests/s", "replicas", "USD/h"]
    svg = _drawn(drawn, draw, keys=len(plan.picks))
    return Picture("Cost against demand", about, svg, Table("", headers, rows, right=(1, 2, 3)))


def memory_picture(plan: Plan, drawn: bool) -> Picture:
    """The parts of one device's memory."""
    parts = {
        name: [float(plain(getattr(pick.estimate.memory.per_gpu, name))) / GIB for pick in plan.picks] for name in MEMORY_PARTS
    }

    def draw(sheet: Sheet) -> None:
        axes = sheet.figure.subplots()
        left = [0.0] * len(plan.picks)
        for place, (name, sizes) in enumerate(parts.items()):
            edge, fill = (FAINT, "none") if name == "unused_bytes" else (_colour(place), _colour(place))
            axes.barh(range(len(sizes)), sizes, left=left, height=0.5, label=MEMORY_PARTS[name], facecolor=fill, edgecolor=edge)
            left = [low + size for low, size in zip(left, sizes, strict=True)]
        _named_bars(axes, [pick_name(pick) for pick in plan.picks])
        axes.set_xlabel("memory of one device (GiB)")
        sheet.legend(axes, columns=3)

    headers = ["replicas×devices", *(f"{name}, GiB" for name in MEMORY_PARTS.values())]
    rows = [[pick_name(pick), *(f"{sizes[place]:,.2f}" for sizes in parts.values())] for place, pick in enumerate(plan.picks)]
    about = "Where the memory of one device goes; what is left for the KV cache bounds the requests in flight."
    svg = _drawn(drawn, draw, height=BAR * len(plan.picks), keys=2, left=0.12)
    return Picture("Memory of one device", about, svg, Table("", headers, rows, right=tuple(range(1, 7))))


def _named_bars(axes: Any, names: Sequence[str], at: float = 0.0) -> None:
    """Horizontal bars from the top down, each with its name above it, so that long names take no width."""
    for row, name in enumerate(names):
        axes.annotate(name, (at, row - 0.3), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.6, -0.75)
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")


def roofline_picture(plan: Plan, drawn: bool) -> Picture:
    """The operations of the best pick under its device's roof."""
    best = plan.picks[0]
    speed = best.estimate.speed
    assert speed is not None, "a pick has a speed"

    def draw(sheet: Sheet) -> None:
        axes = sheet.figure.subplots()
        roofline_on(axes, best.estimate, FAINT, names=1)
        axes.minorticks_off()
        axes.set_ylabel("rate of one device (TFLOP/s)")
        axes.yaxis.set_major_formatter(lambda rate, _: f"{rate / 1e12:g}")
        axes.xaxis.set_major_formatter(lambda intensity, _: f"{intensity:g}")
        sheet.legend(axes)

    rows = [
        [phase, each["name"], digits(1e3 * each['seconds']), f"{each['share']:.0%}",
         digits(each["intensity_flop_per_byte"]), BOUND[each["bound"]]]
        for phase in ("prefill", "decode")
        for each in getattr(speed, phase).operations
    ]  # fmt: skip
    headers = ["phase", "operation", "ms a step", "share", "FLOP/byte", "bound by"]
    about = f"What the steps of {pick_name(best)} spend their time on: the area of a mark is its share of the step."
    svg = _drawn(drawn, draw, keys=2)
    return Picture("Roofline of the pick", about, svg, Table("", headers, rows, right=(2, 3, 4)))


def sensitivity_picture(plan: Plan, drawn: bool) -> Picture:
    """What moves the best pick."""

    def draw(sheet: Sheet) -> None:
        axes = sheet.figure.subplots()
        for row, effect in enumerate(plan.sensitivity):
            for place, change in enumerate(borne_changes(effect)):
                label = ("10 % lower", "10 % higher")[place] if row == 0 else None
                offset = row + (place - 0.5) * 0.25
                axes.barh(offset, 100 * (change or 0.0), height=0.24, color=_colour(place), label=label)
                if change is None:
                    axes.annotate(" targets missed", (0, offset), fontsize=7, va="center")
        _named_bars(axes, [effect.input for effect in plan.sensitivity])
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("change of what a replica bears (%)")
        sheet.legend(axes, columns=2)

    table = sensitivity_table(plan)
    about = (
        "What a replica of the best pick bears within the targets when one input is a tenth lower or higher, the others as "
        "they are."
    )
    svg = _drawn(drawn, draw, height=BAR * len(plan.sensitivity), keys=1, left=0.12)
    return Picture("What moves the answer", about, svg, Table("", table.headers, table.rows, table.right))


MAKERS: dict[str, Callable[[Plan, bool], Picture]] = {
    "front": front_picture, "load": load_picture, "price": price_picture,
    "memory": memory_picture, "roofline": roofline_picture, "sensitivity": sensitivity_picture,
}  # fmt: skip
# What differs most between the scenarios of a plan.
OF_EVERY_SCENARIO = ("front", "load", "price")
