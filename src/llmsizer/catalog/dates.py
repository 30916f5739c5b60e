"""How current the catalogs are: the newest date that the sources of each of them name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from llmsizer.catalog.calibrations import FAMILIES
from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.package_data import package_data
from llmsizer.catalog.records import Record

DAY = re.compile(r"(?<!\d)\d{4}(?:-\d{2}){0,2}(?!\d)")


def catalog_dates(catalog: Catalog) -> dict[str, str]:
    """The newest date of every catalog: a day, a month or a year, as its sources say."""
    records = catalog.records
    sources = package_data("engines.yaml")["sources"].values()
    curves = (str(package_data(f"calibrations/{name}.yaml").get("date", "")) for name in dict.fromkeys(FAMILIES.values()))
    return {
        "hardware": newest(date for section in ("accelerators", "cpus", "nodes") for date in _dates(records[section].values())),
        "models": newest(_dates(records["models"].values())),
        "prices": newest(rate["date"] for each in records["prices"].values() for rate in each.data["rates"]),
        "engines": newest(str(source.get("date", "")) for source in sources),
        "calibrations": newest(curves),
    }


def _dates(records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        found = record.provenance()
        yield from (source.date for source in (found.default, *found.fields.values()))


def newest(texts: Iterable[str]) -> str:
    """The newest date of some texts; the end of a span counts.

    >>> newest(["2025", "2026-01..2026-11", "2026-08-22"])
    '2026-11'
    """
    return max((day for text in texts for day in DAY.findall(text)), default="")
