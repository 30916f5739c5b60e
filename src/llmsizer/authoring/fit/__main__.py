"""Fits the calibrations anew: ``python -m llmsizer.authoring.fit kernels TABLES [FAMILY ...]`` writes the curves of
kernels, ``python -m llmsizer.authoring.fit engines [ENGINE ...]`` prints the engines' figures beside those in use.

``spread`` and ``cross_validation`` in this folder, and ``llmsizer.authoring.coverage``, write what rests on them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit.engines import FEWEST_ROWS, by_regime, figures_of, refitted
from llmsizer.authoring.fit.measured import read_measured
from llmsizer.authoring.fit.regenerate import fit_experts, fit_matmul
from llmsizer.authoring.fit.regenerate_kernels import collectives_yaml, kernel_texts
from llmsizer.authoring.fit.spread import QUANTITIES, fit_rows
from llmsizer.catalog.package_data import package_file
from llmsizer.core.files import write_whole
from llmsizer.validation.measurements import measurement_file

USAGE = "usage: python -m llmsizer.authoring.fit kernels TABLES [FAMILY ...] | engines [ENGINE ...]\n"


def kernel_files(tables: Path) -> Mapping[str, Callable[[], Mapping[str, str]]]:
    """By name what makes calibration files from the published tables: the texts by family."""
    products, today = measurement_file("kernels_matmul.yaml"), date.today().isoformat()

    def samples(name: str) -> Mapping[str, Any]:
        return read_measured(measurement_file(f"kernels_{name}.yaml"))

    return {
        "matmul": lambda: {"matmul": fit_matmul(tables, products, today)},
        "experts": lambda: {"experts": fit_experts(tables, products, today)},
        "attention": lambda: kernel_texts(tables, samples("attention"), today),
        "collectives": lambda: {"collectives": collectives_yaml(tables, samples("collectives"), today)},
    }


def write_kernels(tables: Path, names: Sequence[str]) -> None:
    """Writes the calibration files of some kernels, or of all."""
    known = kernel_files(tables)
    for name in names or known:
        for family, text in known[name]().items():
            write_whole(str(package_file(f"calibrations/{family}.yaml")), text)
            sys.stderr.write(f"calibrations/{family}.yaml\n")


def figure_lines(engines: Sequence[str]) -> Iterator[str]:
    """The figures of every engine's regimes in microseconds: in use, and fitted to the rows marked fit."""
    for rows in by_regime(row for row in fit_rows() if not engines or row.case.engine.id in engines):
        if len(rows) < FEWEST_ROWS:
            continue
        engine, now, found = rows[0].case.engine, figures_of(rows[0]), refitted(rows, tuple(QUANTITIES))
        yield f"{engine.title} {engine.version}, {len(rows)} rows"
        yield from (f"  {name:28s}{1e6 * now[name]:12.2f}{1e6 * value:12.2f}" for name, value in found.items())


def main(arguments: Sequence[str]) -> int:
    """Runs one of the two."""
    if arguments[:1] == ["kernels"] and len(arguments) > 1:
        unknown = set(arguments[2:]) - set(kernel_files(Path()))
        if not unknown:
            write_kernels(Path(arguments[1]), arguments[2:])
            return 0
    if arguments[:1] == ["engines"]:
        for line in figure_lines(arguments[1:]):
            sys.stdout.write(f"{line}\n")
        return 0
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
