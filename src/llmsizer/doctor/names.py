"""Names as logs print them, and what the catalog calls the same thing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.formats import scheme_names
from llmsizer.schema.accelerator import Accelerator

# What the end of a checkpoint's name says about its format, longest first.
_FORMAT_ENDINGS = {
    "unsloth-bnb-4bit": "nf4-dq", "bnb-4bit": "nf4-dq", "bnb-8bit": "llm.int8", "fp8-dynamic": "fp8_channel",
    "fp8-block": "fp8_block", "quantized.w4a16": "w4a16", "quantized.w8a8": "int8", "w4a16": "w4a16", "w8a16": "int8wo",
    "w8a8": "int8", "gptq-int4": "gptq", "gptq-int8": "gptq-int8", "int4-gptq": "gptq", "awq-int4": "awq",
    "gptq-4bit": "gptq", "gptq": "gptq", "awq-4bit": "awq", "awq": "awq", "fp8": "fp8", "nvfp4": "nvfp4", "mxfp4": "mxfp4",
    "int8": "int8", "autoround-int4": "gptq", "4bit": None, "8bit": None, "gguf": None, "quantized": None,
    "bf16": "bf16", "fp16": "fp16", "f16": None,
}  # fmt: skip
_FORMAT_END = re.compile(
    r"[-_. ](" + "|".join(re.escape(ending) for ending in sorted(_FORMAT_ENDINGS, key=len, reverse=True)) + r")$", re.IGNORECASE
)
_MIX_END = re.compile(r"[-_.](?:UD-)?(I?Q\d\w{0,8}|B?F16|F32|MXFP4)$", re.IGNORECASE)
_VARIANT_END = re.compile(
    r"[-_ .](?:instruct|chat|it|base|hf|thinking|unsloth|mtp|qat|v\d{1,2}(?:\.\d)?|\d{4})$", re.IGNORECASE
)
_HUB_FOLDER = re.compile(r"models--([\w.-]{1,100}?)--([\w.-]{1,150})")


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A catalog model for a name in a log; ``quantization`` is what the name says about the format,
    ``exact`` whether the name stood in the catalog as printed."""

    id: str
    quantization: str | None
    exact: bool


def find_model(names: Iterable[str], catalog: Catalog) -> FoundModel | None:
    """The catalog's model for the first name that has one, endings for format and variant aside."""
    for printed in names:
        for name in _forms(printed):
            if (found := _find(name, catalog)) is not None:
                return found
    return None


def _forms(printed: str) -> Iterator[str]:
    """A printed name as it is, without its folder or the maker before ``_``, and a hub cache folder's."""
    text = printed.strip().rstrip("/\\")[:300]
    hub = _HUB_FOLDER.search(text)
    if hub is not None:
        yield f"{hub.group(1)}/{hub.group(2)}"
        yield hub.group(2)
    if text.lower().endswith(".gguf"):
        text = re.sub(r"(?i)(-\d{5}-of-\d{5})?\.gguf$", "", text)
    tail = re.split(r"[\\/]", text)[-1]
    yield text
    yield tail
    if "_" in tail:
        yield tail.split("_", 1)[1]


def _find(name: str, catalog: Catalog) -> FoundModel | None:
    rest, said = name, None
    width = _FORMAT_END.search(name)
    if width is not None and width.group(1).lower() in {"bf16", "fp16"}:
        said = _FORMAT_ENDINGS[width.group(1).lower()]
    for step in range(6):
        if rest and (found := catalog.model_id(rest)) is not None:
            return FoundModel(found, said, step == 0)
        ending = _FORMAT_END.search(rest)
        cut = ending or _MIX_END.search(rest) or _VARIANT_END.search(rest)
        if cut is None:
            return None
        if said is None and ending is not None:
            said = _FORMAT_ENDINGS[ending.group(1).lower()]
        rest = rest[: cut.start()]
    return None


# Engines' names of a quantization method where they differ from the schemes' names.
_METHODS = {"fp8": "fp8", "modelopt": "fp8", "modelopt_fp4": "nvfp4", "modelopt_mxfp8": "mxfp8", "gptq_bitblas": "gptq",
            "petit_nvfp4": "nvfp4", "w8a8_fp8": "fp8", "w8a8_int8": "int8", "moe_wna16": "w4a16"}  # fmt: skip
# Methods that name a container, not a format: the checkpoint's name has to say which.
_CONTAINERS = {"compressed-tensors", "gguf", "quark", "torchao", "inc", "auto-round"}


def scheme_of(method: str | None, said: str | None) -> tuple[str | None, bool]:
    """The quantization scheme for an engine's method and what the model's name says; and whether it
    is sure. None: the checkpoint's own format."""
    if method is None:
        return said, said is not None
    lowered = method.lower()
    if lowered == "none":
        return None, True
    if lowered in _CONTAINERS:
        return said, said is not None
    named = _METHODS.get(lowered) or scheme_names().get(lowered)
    if named is None:
        return said, False
    return (said, True) if said is not None and _family(said) == _family(named) else (named, True)


def _family(scheme: str) -> str:
    return re.split(r"[-_]", scheme)[0]


_SIZE = re.compile(r"\d+g(?:i?b)?")
# Words that make another card of a name: an RTX 5070 is no RTX 5070 Ti.
_DISTINGUISHING = {"ti", "super", "laptop", "mobile", "ultra"}
_FORM = re.compile(r"sxm\d?|pcie|nvl|ws|hgx|dgx|hbm\d?e?")


# Words of the identity that fit, all words that fit, whether the memory does, whether it is the usual one, how near.
Claim: TypeAlias = tuple[int, int, int, int, float]


def find_device(printed: str, catalog: Catalog, total_bytes: float | None = None) -> Accelerator | None:
    """The catalog's device for a driver's name such as ``NVIDIA A100-SXM4-80GB``; between several that
    fit the name equally, the one whose memory is nearest to the printed total."""
    words = _words(printed)
    best: tuple[Claim, Accelerator] | None = None
    for name in catalog.names("accelerators"):
        device = catalog.accelerator(name)
        claim = _claim(device, words, total_bytes)
        if claim is not None and (best is None or claim > best[0]):
            best = (claim, device)
    return best[1] if best else None


def _claim(device: Accelerator, words: set[str], total_bytes: float | None) -> Claim | None:
    """How well a device answers to a name: words of its identity, all words, and its memory."""
    variants = [_words(text) for text in (device.id, device.name, *device.aliases)]
    identities = [core for variant in variants if (core := _core(variant)) and core <= words]
    if not identities:
        return None
    every: set[str] = _words(device.memory_type).union(*variants)
    if words & _DISTINGUISHING - every:
        return None
    usual = int(any(variant <= words for variant in variants))
    far = abs(float(device.usable_memory) - total_bytes) / total_bytes if total_bytes else 0.0
    return max(len(core) for core in identities), len(every & words), -int(far > 0.05), usual, -far


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def _core(words: set[str]) -> set[str]:
    core = {word for word in words if not _SIZE.fullmatch(word) and not _FORM.fullmatch(word)}
    return core if any(any(character.isdigit() for character in word) for word in core) else set()


def devices_of_size(total_bytes: float, catalog: Catalog, tolerance: float = 0.015) -> list[str]:
    """The devices whose usable memory is a printed total, within a share of it."""
    return [
        name
        for name in catalog.names("accelerators")
        if abs(float(catalog.accelerator(name).usable_memory) - total_bytes) <= tolerance * total_bytes
    ]
