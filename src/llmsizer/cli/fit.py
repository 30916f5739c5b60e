"""``llmsizer fit``: a calibration of one's own machine from measured runs and benchmark files."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsizer.cli.options import CatalogPaths, Format, catalog_of, option
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.core.files import write_whole

EXAMPLES = """Examples:

  llmsizer fit my-run.yaml --output my-calibration.yaml

  llmsizer fit bench.json -m llama-3.1-8b -g h100 --output my-calibration.yaml
"""


def command(
    files: Annotated[list[str], typer.Argument(help="Records of llmsizer measure, or results of benchmark tools.")],
    model: Annotated[str | None, option("--model", "-m", text="The model of benchmark files, where they do not say.")] = None,
    gpu: Annotated[str | None, option("--gpu", "-g", text="The device of benchmark files, where they do not say.")] = None,
    engine: Annotated[
        str | None, option("--engine", "-e", text="The engine of benchmark files, where they do not say.")
    ] = None,
    quantization: Annotated[str | None, option("--quantization", "-q", text="The weight format of benchmark files.")] = None,
    tp: Annotated[
        str | None, option("--tensor-parallel-size", "--tp", text="The split of benchmark files.", metavar="NUMBER")
    ] = None,
    output: Annotated[
        str | None, option("--output", "-o", text="Write the calibration into this file.", metavar="FILE")
    ] = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Fits curves and engine figures to measurements of one machine; --calibration FILE then uses them."""
    from llmsizer.authoring.local_fit.calibrate import calibrate, calibration_text
    from llmsizer.report.calibration import calibrated_tables
    from llmsizer.validation.run_rows import with_measured_devices

    checked_format(format_)
    given = {"model": model, "hardware": gpu, "engine": engine, "quantization": quantization, "tensor_parallel_size": tp}
    found = calibrate(files, given, with_measured_devices(catalog_of(catalog)))
    notes = []
    if output is not None:
        write_whole(output, calibration_text(found.document), "--output")
        notes.append(f"written: {output}; use it with --calibration {output}")
    print_tables("Calibration", calibrated_tables(found.document, found.groups()), format_, notes=notes)
