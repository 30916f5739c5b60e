"""Prints what ``--emit`` asks for: a launch command, a manifest or a benchmark command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmsizer.core.errors import InvalidQuestion
from llmsizer.report.tables import as_json
from llmsizer.sizing.estimate import Estimate

if TYPE_CHECKING:
    from llmsizer.handover.launch import Launch
    from llmsizer.planner.planning import Answer, Planning

EMIT_HELP = "Print what runs it: vllm, sglang, trtllm, tgi or llama.cpp (launch command), k8s (manifest), bench (its check)."
Emit = Annotated[str | None, typer.Option("--emit", help=EMIT_HELP, metavar="WHAT")]


def print_emitted(estimate: Estimate, what: str, form: str) -> None:
    """Prints the hand-over of an estimate in one of the output formats; of one that does not fit only the reasons."""
    from llmsizer.handover.emit import emitted
    from llmsizer.handover.launch import comments

    _check_form(form)
    if not estimate.fits:
        print("\n".join(comments([f"It does not fit: {reason}" for reason in estimate.reasons])))
        return
    found = emitted(estimate, what)
    print(as_json(_as_data(found)) if form == "json" else _as_text(found, form))


def print_emitted_plans(planning: Planning, what: str, form: str) -> None:
    """Prints the hand-over of the best pick of every plan; where nothing meets the targets what comes nearest."""
    _check_form(form)
    if form == "json":
        print(as_json([_plan_data(answer, what) for answer in planning.answers]))
        return
    texts = [_as_text(_emitted_plan(answer, what), form, _heading(answer)) for answer in planning.answers]
    print(("\n---\n" if what == "k8s" and form == "table" else "\n\n").join(texts))


def _check_form(form: str) -> None:
    if form == "csv":
        raise InvalidQuestion("--emit prints a command, not a table", "leave out --format csv")


def _emitted_plan(answer: Answer, what: str) -> Launch | str:
    from llmsizer.handover.emit import emitted

    best = answer.plan.best
    return "" if best is None else emitted(best.estimate, what, best.replicas, answer.workload)


def _heading(answer: Answer) -> list[str]:
    """What stands over a plan's hand-over: its name, and how many replicas are started, or what comes nearest."""
    plan, named = answer.plan, [answer.name] if answer.name else []
    if plan.best is None and plan.pools:
        return [*named, "Only separate pools for prefill and decode meet the targets: their commands are not written"]
    if plan.best is None:
        return [*named, "Nothing meets the targets", *(f"Nearest: {each}" for each in plan.nearest)]
    return [*named, *([f"{plan.best.replicas} replicas of it serve the peak"] if plan.best.replicas > 1 else [])]


def _plan_data(answer: Answer, what: str) -> dict[str, object]:
    found, best = _emitted_plan(answer, what), answer.plan.best
    place = {"scenario": answer.scenario, "workload": answer.workload, "replicas": best.replicas if best else 0}
    return {**place, **_as_data(found)} if best else {**place, "nearest": list(answer.plan.nearest)}


def _as_data(found: Launch | str) -> dict[str, object]:
    return {"manifest": found} if isinstance(found, str) else found.to_dict()


def _as_text(found: Launch | str, form: str, heading: list[str] | None = None) -> str:
    from llmsizer.handover.launch import comments

    text = "\n".join([*comments(heading or []), *([str(found)] if str(found) else [])])
    return f"```{'yaml' if isinstance(found, str) else 'sh'}\n{text}\n```" if form == "markdown" else text
