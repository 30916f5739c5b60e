"""Number formats of single tensors and quantization schemes of whole checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from llmsizer.blocks.operation import Role, Weight
from llmsizer.core.explain import Provenance
from llmsizer.core.quantities import Count

NATIVE = "native"
QUANTIZED_ROLES = {Role.ATTENTION, Role.MIXER, Role.MLP, Role.EXPERT, Role.SHARED_EXPERT, Role.MTP}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NumberFormat:
    """How one tensor is stored; see the head of ``number_formats.yaml`` for the fields."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    id: str
    bits: Count
    compute: str
    kernel: str | None = None
    group_size: Count | None = None
    group_bits: Count = 0
    index_bits: Count | None = None
    tensor_bytes: Count | None = None
    block: tuple[Count, Count] | None = None
    block_bits: Count = 0
    packed_elements: Count | None = None
    packed_bytes: Count = 0
    fallback: str | None = None
    flat_group: bool = False
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CacheFormat:
    """How one cached key or value element is stored: ``bits`` each, ``head_bytes`` more per token
    and head for keys and for values, ``scale_group`` elements sharing one byte of scale."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    id: str
    bits: Count
    head_bytes: Count | None = None
    scale_group: Count | None = None
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixRule:
    """One line of a GGUF mix: which tensor, in which layers, under which condition, gets what."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    tensor: str
    format: str
    layers: str = "all"
    condition: str = ""
    only_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantizationScheme:
    """Which tensors of a checkpoint use which number format.

    ``formats`` holds every format the scheme can use, ``native`` the model's unquantized type
    excepted. GGUF mixes (``is_gguf``) decide by tensor and layer, others by role; ``tensors`` is what a
    checkpoint itself says, by a weight's name and layer (None outside the layers): all of a GGUF
    file's tensors, of others those that are stored otherwise than by role.
    """

    id: str
    linear: str
    roles: Mapping[str, str]
    formats: Mapping[str, NumberFormat]
    dense_linear: str | None = None
    is_gguf: bool = False
    output: str = ""
    embedding: str = ""
    vector: str = "native"
    rules: tuple[MixRule, ...] = ()
    always: tuple[MixRule, ...] = ()
    tensors: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    note: str = ""
    provenance: Provenance = field(default_factory=Provenance)

    def by_role(self, weight: Weight, routed: bool) -> str:
        """The format id of a weight by what it is for; ``routed``: in a layer with routed experts."""
        role = weight.role.name.lower()
        if role in self.roles and (weight.quantizable or weight.role is Role.ROUTER):
            return self.roles[role]
        if weight.role not in QUANTIZED_ROLES or not weight.quantizable:
            return NATIVE
        return self.linear if self.dense_linear is None or routed else self.dense_linear
