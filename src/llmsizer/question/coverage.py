"""Which deployments were measured end to end, and how near to one of them a case is.

``coverage.yaml`` lists the combinations of the rows in ``measurements/``. A case is *measured* where its
own combination is in the list, *interpolated* where a model of its architecture was measured under its
engine on its device, and otherwise *extrapolated*, however well the kernels of the device are known.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import lru_cache

from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.catalog.package_data import package_data
from llmsizer.core.explain import plain
from llmsizer.schema.deployment import Case
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import total_parameters

FILE = "coverage.yaml"
# Parameters that part the classes of size, in billions.
SIZES = (4, 15, 50, 150)


@dataclass(frozen=True, slots=True)
class Combination:
    """What decides how a deployment behaves, in coarse terms."""

    family: str
    size: str
    hardware: str
    engine: str
    version: str
    quantization: str
    split: str
    regime: str


def combination_of(case: Case) -> Combination:
    """The combination of a case."""
    family, size = _kind(case.model)
    engine, parallel = case.engine, case.parallel
    version = ".".join(str(engine.version).split(".")[:2])
    widths = {
        "tp": parallel.tensor_parallel_size, "pp": parallel.pipeline_parallel_size, "dp": parallel.data_parallel_size,
    }  # fmt: skip
    split = " ".join(f"{name}{int(plain(width))}" for name, width in widths.items() if plain(width) != 1)
    return Combination(
        family=family, size=size, hardware=case.accelerator.id, engine=engine.id, version=version,
        quantization=case.scheme.id, split=split or "one device", regime="batch" if case.batching == "static" else "load",
    )  # fmt: skip


@lru_cache(maxsize=512)
def _kind(model: Model) -> tuple[str, str]:
    """The architecture of a model (attention kinds, feed-forward), and its class of size."""
    kinds = sorted({group.attention.kind for group in model.layers if group.attention is not None})
    routed = any(isinstance(group.feed_forward, MixtureOfExperts) for group in model.layers)
    return f"{'+'.join(kinds)}, {'experts' if routed else 'dense'}", size_class(plain(total_parameters(model)))


def size_class(parameters: float) -> str:
    """The class of a number of parameters.

    >>> size_class(8e9), size_class(671e9)
    ('4B to 15B', 'above 150B')
    """
    billions = parameters / 1e9
    low, high = (
        max((size for size in SIZES if size < billions), default=0),
        min((size for size in SIZES if size >= billions), default=0),
    )
    return f"above {low}B" if not high else f"{low}B to {high}B" if low else f"up to {high}B"


@lru_cache(maxsize=1)
def _known() -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, str, str]]]:
    """The combinations that were measured, whole and by architecture, device and engine."""
    rows = package_data(FILE)["combinations"]
    whole = {
        (row["family"], row["size"], row["hardware"], row["engine"], version, row["quantization"], row["split"], row["regime"])
        for row in rows
        for version in row["versions"]
    }
    return frozenset(whole), frozenset((row["family"], row["hardware"], row["engine"]) for row in rows)


def covered(case: Case) -> tuple[str, str]:
    """The tier that measured deployments give a case, and what is measured of it."""
    own = combination_of(case)
    whole, near = _known()
    if astuple(own) in whole:
        return "measured", "runs of such deployments"
    if (own.family, own.hardware, own.engine) in near:
        return "interpolated", f"runs of other models, formats or splits under {case.engine.title}"
    return "extrapolated", f"no run of such a model under {case.engine.title} on this device was measured"
