"""A planning report as one HTML file that needs nothing else: no network, no script to be read."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from llmsizer.report.planning.blocks import Report

TEMPLATE = "report.html.jinja"


def as_html(report: Report) -> str:
    """The whole report. Text is escaped; the drawings alone are taken as they are."""
    style, script = _file("report.css"), _file("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return str(_environment().get_template(TEMPLATE).render(report=report, style=style, script=script, digest=digest)) + "\n"


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import DictLoader, Environment, StrictUndefined

    made = Environment(
        loader=DictLoader({TEMPLATE: _file(TEMPLATE)}), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["kind"] = lambda block: type(block).__name__
    return made


def _file(name: str) -> str:
    return (files("llmsizer.report.planning") / "templates" / name).read_text(encoding="utf-8").strip()
