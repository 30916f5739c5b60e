"""Prints what ``--emit`` asks for: a launch command, a manifest or a benchmark command."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsizer.core.errors import InvalidQuestion
from llmsizer.report.tables import as_json
from llmsizer.sizing.estimate import Estimate

EMIT_HELP = "Print what runs it: vllm, sglang, trtllm, tgi or llama.cpp (launch command), k8s (manifest), bench (its check)."
Emit = Annotated[str | None, typer.Option("--emit", help=EMIT_HELP, metavar="WHAT")]


def print_emitted(estimate: Estimate, what: str, form: str, replicas: int = 1) -> None:
    """Prints the hand-over of an estimate in one of the output formats; of one that does not fit only the reasons."""
    from llmsizer.handover.emit import emitted
    from llmsizer.handover.launch import comments

    if form == "csv":
        raise InvalidQuestion("--emit prints a command, not a table", "leave out --format csv")
    if not estimate.fits:
        print("\n".join(comments([f"It does not fit: {reason}" for reason in estimate.reasons])))
        return
    found = emitted(estimate, what, replicas)
    if form == "json":
        print(as_json({"manifest": found} if isinstance(found, str) else found.to_dict()))
    elif form == "markdown":
        print(f"```{'yaml' if isinstance(found, str) else 'sh'}\n{found}\n```")
    else:
        print(found)
