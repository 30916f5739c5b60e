"""For the documentation's site: links to files beside the documents become their names."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(
    r"\[([^\]]+)\]\((?:\.\./)+(?:CONTRIBUTING|README|CHANGELOG|examples|src|tests|benchmarks|measurements)[^)]*\)"
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page without links that lead out of the site."""
    return OUTSIDE.sub(r"\1", markdown)
