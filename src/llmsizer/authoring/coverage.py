"""The list of measured deployments, made of the rows in ``measurements/``.

``python -m llmsizer.authoring.coverage`` writes ``coverage.yaml`` anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.catalog.package_data import DATA
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.files import write_whole
from llmsizer.question.coverage import FILE, Combination, combination_of
from llmsizer.question.resolve import resolve
from llmsizer.validation.local_rows import questions
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.speed_rows import words_of

HEADING = """# Deployments of which measured rows ship with llmsizer: the combinations that estimates look up for their tier.
#
# Written by `python -m llmsizer.authoring.coverage` from measurements/speed.yaml and
# measurements/llama_cpp_speed.yaml; do not edit by hand.
#
# family: attention kinds and feed-forward; size: parameters; versions: major and minor
# split: ranks of tensor, pipeline and data parallelism; regime: batch (a static batch) or load
# rows: measured rows of the combination
"""
SOURCES = """sources:
  rows: {title: "measured rows of the package, each with its own source", version: of this package}
source: rows
"""


def combinations(catalog: Catalog) -> list[dict[str, Any]]:
    """The measured combinations: one row for all versions of an engine, with the number of rows."""
    versions: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for combination in _measured(catalog):
        fields = asdict(combination)
        version = fields.pop("version")
        versions[tuple(fields.items())].append(version)
    found = [{**dict(key), "versions": sorted(set(each)), "rows": len(each)} for key, each in versions.items()]
    return sorted(found, key=lambda row: [str(row[name]) for name in ("hardware", "engine", "family", "size", "quantization",
                                                                      "split", "regime")])  # fmt: skip


def _measured(catalog: Catalog) -> Iterator[Combination]:
    """The combination of every row that the catalog can answer."""
    for row in (*measured_rows("speed.yaml"), *measured_rows("llama_cpp_speed.yaml")):
        try:
            for words in [words_of(row, catalog)] if "kind" in row else questions(row):
                yield combination_of(resolve(words, catalog).case)
        except LlmsizerError:
            continue


def coverage_text(rows: list[dict[str, Any]]) -> str:
    """The file."""
    lines = [HEADING.rstrip(), SOURCES.rstrip(), "combinations:"]
    for row in rows:
        versions = ", ".join(f'"{version}"' for version in row["versions"])
        words = [f"{name}: {value if name == 'rows' else _quoted(value)}" for name, value in row.items() if name != "versions"]
        lines.append(f"  - {{{', '.join(words)}, versions: [{versions}]}}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return f'"{text}"' if "," in text or text[:1].isdigit() else text


if __name__ == "__main__":
    write_whole(str(DATA / FILE), coverage_text(combinations(load_catalog())))
