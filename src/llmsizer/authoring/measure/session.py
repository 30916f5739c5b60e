"""A measuring session: ceilings, then one model after the other, written as it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from llmsizer.authoring.measure.all_reduce import all_reduce_rows
from llmsizer.authoring.measure.ceilings import SMALL, Grid, ceiling_rows, host_launch_seconds
from llmsizer.authoring.measure.model_runs import Loads, layers_that_fit, model_run
from llmsizer.authoring.measure.timing import Deadline, Patience, quietest
from llmsizer.authoring.measure.torch_device import TorchDevice, say
from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import CatalogError, LlmsizerError
from llmsizer.core.explain import plain
from llmsizer.core.yaml import load_file
from llmsizer.schema.model import Model
from llmsizer.validation.run_files import KIND, write_run

# Of the time there is, at most this share goes to the ceilings.
SHARE_OF_CEILINGS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a session measures: ``layers`` bounds the depth of every model (None: as many as fit);
    ``grid`` None leaves the ceilings out."""

    models: tuple[str, ...]
    dtype: str = "bf16"
    layers: int | None = None
    loads: Loads = field(default_factory=Loads)
    grid: Grid | None = None
    patience: Patience = field(default_factory=Patience)
    seconds: float = 1500.0
    role: str = "validate"
    hardware: str | None = None


def grid_of(device: TorchDevice) -> Grid:
    """The shapes whose ceilings are worth measuring on a kind of device."""
    return Grid() if device.is_cuda else SMALL


def plan_of_file(path: Path) -> Mapping[str, Any]:
    """The words of a suite: models, batches, lengths, contexts, most_tokens. Raises CatalogError."""
    document = load_file(path)
    known = {"models": str, "batches": int, "lengths": int, "contexts": int}
    data = document.data
    if not isinstance(data, Mapping) or not data.get("models"):
        raise CatalogError("expected a mapping with models", file=str(path))
    for name, value in data.items():
        if name == "most_tokens" and isinstance(value, int):
            continue
        kind = known.get(name)
        if kind is None:
            raise document.error("is not known", (name,), f"known: {', '.join(known)}, most_tokens")
        if not isinstance(value, list) or not all(isinstance(each, kind) for each in value):
            raise document.error("expected a list of names" if kind is str else "expected a list of whole numbers", (name,))
    return data


def measure(device: TorchDevice, plan: Plan, catalog: Catalog, output: Path | None = None) -> dict[str, Any]:
    """Runs a plan and returns its record, written to ``output`` after each part.

    A part that fails is told in the record (``errors``) and does not stop the others.
    """
    models = [catalog.model(name) for name in plan.models]
    torch_version = str(device.torch.__version__).split("+")[0]
    record: dict[str, Any] = {
        "record": KIND, "role": plan.role, "hardware": plan.hardware, "engine": "torch", "engine_version": torch_version,
        "environment": device.environment(), "ceilings": [], "models": [], "errors": [],
    }  # fmt: skip
    deadline = Deadline(plan.seconds)

    def part(name: str, into: list[Any], work: Callable[[], list[Any]]) -> None:
        say(f"{name} ({max(deadline.left(), 0):.0f} s left)")
        try:
            into += work()
        except LlmsizerError as error:
            record["errors"].append({"part": name, "error": error.message})
        except (RuntimeError, MemoryError, ValueError, OSError) as error:
            record["errors"].append({"part": name, "error": str(error).split("\n")[0][:300]})
        device.release()
        if output is not None:
            write_run(output, record)

    if plan.grid is not None:
        share = deadline.part(SHARE_OF_CEILINGS if models else 1.0)
        part("ceilings", record["ceilings"], partial(_ceilings, device, plan, share))
    for index, model in enumerate(models):
        share = deadline.part(1 / (len(models) - index))
        part(model.id, record["models"], partial(_models, device, plan, model, share))
    return record


def _ceilings(device: TorchDevice, plan: Plan, deadline: Deadline) -> list[dict[str, Any]]:
    assert plan.grid is not None
    rows = [{"kind": "host_launch", **host_launch_seconds(device, plan.patience).to_dict()}]
    count = device.torch.cuda.device_count() if device.is_cuda else 1
    for ranks in (2, 4, 8):
        if ranks <= count:
            rows += all_reduce_rows(device, ranks, plan.patience)
    for _ in range(plan.patience.rounds):
        rows += ceiling_rows(device, plan.grid, plan.patience, deadline)
    return quietest(rows)


def _models(device: TorchDevice, plan: Plan, model: Model, deadline: Deadline) -> list[dict[str, Any]]:
    """The run of one model."""
    whole = int(plain(model.num_hidden_layers))
    layers = min(layers_that_fit(device, model, plan.dtype), plan.layers or whole)
    if layers < 1:
        raise LlmsizerError(f"{model.id}: not one layer fits")
    found = model_run(device, model, layers, plan.dtype, plan.loads, plan.patience, deadline)
    if layers < whole:
        found["note"] = (
            f"the first {layers} of {whole} layers: times of the layers are those of the whole model per layer, "
            "and the estimate beside them is asked of as many"
        )
    return [found]


def standard_suite() -> Path:
    """The suite that ships with llmsizer."""
    module = import_module("llmsizer.authoring.measure")
    return Path(str(module.__file__)).with_name("suite.yaml")
