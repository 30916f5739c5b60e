"""Figures as SVG that belongs into a page: the same bytes every time, text as text, colours left to the page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from llmsizer.report.figures import PALETTE, blank_figure

# Inches: the figure's width, a plot's height, what an axis with its name takes, a line of the legend, and margins.
WIDTH, HEIGHT, AXIS, KEY, TOP, RIGHT = 4.8, 2.4, 0.5, 0.17, 0.12, 0.16
INK, FAINT = "#1b1f24", "#8a9099"
# What a page names otherwise in dark mode; each keeps the light colour as its default.
VARIABLES = {INK: "ink", FAINT: "faint", **{colour.lower(): f"c{number}" for number, colour in enumerate(PALETTE)}}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "llmsizer", "text.parse_math": False, "font.family": "sans-serif",
    "font.size": 9, "axes.titlesize": 9, "legend.fontsize": 8, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": FAINT,
    "axes.spines.top": False, "axes.spines.right": False, "grid.color": FAINT, "grid.alpha": 0.35, "grid.linewidth": 0.5,
    "axes.grid": True, "axes.axisbelow": True, "legend.frameon": False, "lines.linewidth": 1.6,
    "axes.formatter.limits": (-4, 6),
}  # fmt: skip


class Sheet:
    """A figure under way: ``with Sheet() as sheet`` draws on ``sheet.figure``; afterwards ``svg`` holds it.

    ``height`` of the plot and ``left``, its left margin, in inches; ``keys``: lines of the legend below.
    Margins are set, not searched for: that halves the time of a drawing. ``tips``: texts that a pointer shows
    over the points of a scatter, by its gid.
    """

    def __init__(self, height: float = HEIGHT, keys: int = 0, left: float = 0.62) -> None:
        self.height, self.left, self.below = height, left, AXIS + KEY * keys
        self.svg = ""
        self.tips: dict[str, list[str]] = {}

    def __enter__(self) -> Sheet:
        self._style = _styled()
        self._style.__enter__()
        whole = self.height + self.below + TOP
        self.figure = blank_figure(WIDTH, whole)
        sides = {"left": self.left / WIDTH, "right": 1 - RIGHT / WIDTH}
        self.figure.subplots_adjust(**sides, bottom=self.below / whole, top=1 - TOP / whole, hspace=0.1)
        return self

    def __exit__(self, kind: Any, *rest: object) -> None:
        try:
            if kind is None:
                self.svg = _svg(self.figure, self.tips)
        finally:
            self._style.__exit__(kind, *rest)

    def tip(self, points: Any, texts: Sequence[str]) -> None:
        """Gives every point of a scatter a text that a pointer shows."""
        points.set_gid(f"tips{len(self.tips)}")
        self.tips[points.get_gid()] = list(texts)

    def legend(self, axes: Any, columns: int = 1) -> None:
        """The legend of some axes, below the plot."""
        handles, labels = axes.get_legend_handles_labels()
        self.figure.legend(
            handles, labels, loc="lower left", bbox_to_anchor=(self.left / WIDTH, 0.012), ncols=columns, borderaxespad=0.0,
            borderpad=0.0, labelspacing=0.3, handletextpad=0.6, columnspacing=1.2,
        )  # fmt: skip


def _styled() -> Any:
    from matplotlib import rc_context

    return rc_context(STYLE)


def _svg(figure: Any, tips: Mapping[str, Sequence[str]]) -> str:
    out = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the measuring font lacks; the page's fonts have them
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    return _for_a_page(out.getvalue(), tips)


def _for_a_page(text: str, tips: Mapping[str, Sequence[str]]) -> str:
    """The drawing alone: no prolog, no ids but those that something refers to, colours as variables, places to a
    hundredth of a point."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg [^>]*?)width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    for name, texts in tips.items():
        start = text.index(f'<g id="{name}">')
        text = text[:start] + _with_titles(text[start:], texts)
    used = set(re.findall(r"#([\w-]+)[\")]", text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px system-ui, sans-serif", text)
    for colour, name in VARIABLES.items():
        text = re.sub(f"(?<=[: ]){colour}", f"var(--{name}, {colour})", text, flags=re.IGNORECASE)
    text = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), text)
    return re.sub(r"\n\s*", "\n", text).strip()


def _with_titles(text: str, titles: Sequence[str]) -> str:
    """The first points of a drawing's rest with a title each."""
    left = iter(titles)
    return re.sub(
        r"<use ([^>]*)/>", lambda found: f"<use {found[1]}><title>{escape(next(left))}</title></use>", text, count=len(titles)
    )
