"""The calibration files of attention, recurrent layers and collectives, made anew from measurements."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit import attention, collectives, scans
from llmsizer.authoring.fit.attention_files import attention_text
from llmsizer.authoring.fit.expert_exchange import exchange_rows
from llmsizer.authoring.fit.kernel_samples import fabrics_of, units_of
from llmsizer.authoring.fit.measured import measured_devices
from llmsizer.authoring.fit.rows import Rows
from llmsizer.authoring.fit.tables import DEVICES, read_tables


def table_rows(source: Path | None, document: Mapping[str, Any]) -> dict[str, list[Rows]]:
    """The rows of every attention and scan family from the published tables.

    ``document`` is ``measurements/kernels_attention.yaml``, for devices that the catalog lacks.
    Raises CatalogError when the tables are not there.
    """
    names = sorted(set(DEVICES.values()))
    devices, units = measured_devices(document, names=names), units_of(document, names)
    found = {}
    for name, family in attention.FAMILIES.items():
        found[name] = attention.family_rows(family, read_tables(source, family.folder, family.file), devices, units)
    prompts, decoding = scans.read_rows(read_tables(source, "linear_attention", "gdn_perf.parquet"), devices)
    return found | {"scan_prefill": prompts, "scan_decode": decoding}


def kernel_texts(source: Path | None, document: Mapping[str, Any], date: str) -> dict[str, str]:
    """The text of each attention and scan file by family."""
    rows = table_rows(source, document)
    found = {name: attention_text(family, rows[name], date) for name, family in attention.FAMILIES.items()}
    return found | {name: scans.scan_text(name, rows[name], date) for name in scans.FAMILIES}


def collective_table_rows(source: Path | None, document: Mapping[str, Any]) -> list[Rows]:
    """The rows of all collectives from the published tables; ``document`` as ``measurements/kernels_collectives.yaml``."""
    fabrics = fabrics_of(document, sorted(set(DEVICES.values())))
    return [*collectives.read_rows(source, fabrics), *exchange_rows(source, fabrics)]


def collectives_yaml(source: Path | None, document: Mapping[str, Any], date: str) -> str:
    """The text of ``calibrations/collectives.yaml``."""
    return collectives.collectives_text(collective_table_rows(source, document), document["curves"], date)
