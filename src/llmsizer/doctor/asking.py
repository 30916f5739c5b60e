"""From what a log says (and what the user adds) to the question that the estimate answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog, model_hint
from llmsizer.catalog.engines import version_key
from llmsizer.catalog.formats import cache_format
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import InvalidQuestion, LlmsizerError, UnknownName, nearest, shortened
from llmsizer.core.quantities import GIB
from llmsizer.doctor.names import devices_of_size, find_device, find_model, scheme_of
from llmsizer.doctor.reading import LogReading
from llmsizer.question.resolve import DTYPES, resolve
from llmsizer.question.words import Words
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.deployment import Case
from llmsizer.schema.model import Model

# Settings that go from a log into the question under the same name.
SAME_NAME = (
    "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "enable_expert_parallel", "max_model_len",
    "max_num_seqs", "max_num_batched_tokens", "block_size", "enforce_eager", "flash_attention",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """The question put to the estimate: its words, and which of them came from where (``log``,
    ``given``, ``assumed``); notes say what was taken for what."""

    words: Words
    origins: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    """Words being gathered."""

    reading: LogReading
    catalog: Catalog
    given: Mapping[str, Any]
    words: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, name: str, value: Any, origin: str = "log") -> None:
        """Keeps a word unless the user gave it."""
        if value is not None and name not in self.given:
            self.words[name] = value
            self.origins[name] = origin


def question_of_log(reading: LogReading, given: Mapping[str, Any], catalog: Catalog) -> Asked:
    """The question of a log; words in ``given`` (not None) win over the log's.

    Raises InvalidQuestion or UnknownName, naming the flag to add, when the log leaves the model or
    the device open, or when a given word is not known.
    """
    typed = {name: value for name, value in given.items() if value is not None}
    for name in typed:
        if name not in Words.__dataclass_fields__:
            near = nearest(name, Words.__dataclass_fields__)
            raise InvalidQuestion(f"'{shortened(name)}' is not known", f"Did you mean: {', '.join(near)}?" if near else "")
    draft = _Draft(reading, catalog, typed, dict(typed), dict.fromkeys(typed, "given"))
    _take_model(draft)
    device = _take_device(draft)
    _take_engine(draft, device)
    for name in SAME_NAME:
        draft.take(name, getattr(reading, name))
    draft.take("gpu_memory_utilization", reading.memory_fraction)
    _take_formats(draft)
    _take_length(draft)
    _take_extras(draft)
    if reading.engine == "llama.cpp":
        _take_split(draft)
    return Asked(Words(**{"input_tokens": 1, "output_tokens": 1} | draft.words), draft.origins, tuple(draft.notes))


def _take_model(draft: _Draft) -> None:
    reading = draft.reading
    if "model" in draft.given:
        return
    if not reading.model_names:
        raise InvalidQuestion("the log does not name the model", "Add --model NAME, for example --model llama-3.1-8b")
    found = find_model(reading.model_names, draft.catalog)
    if found is None:
        name = reading.model_names[0]
        extra = f"Add --model NAME or a path to its config.json. {model_hint(name)}"
        raise UnknownName("model", name, draft.catalog.names("models"), extra)
    draft.take("model", found.id)
    if not found.exact:
        draft.notes.append(f"the log's model '{shortened(reading.model_names[0])}' is taken for {found.id}")
    if reading.engine == "llama.cpp":
        draft.take("quantization", reading.quantization)
        return
    scheme, sure = scheme_of(reading.quantization, found.quantization)
    draft.take("quantization", scheme)
    if not sure and reading.quantization is not None:
        taken = scheme or "the model's own format"
        draft.notes.append(
            f"the log says '{reading.quantization}' without naming the format; {taken} is assumed: add -q FORMAT"
        )


def _take_device(draft: _Draft) -> Accelerator:
    reading, catalog = draft.reading, draft.catalog
    typed = draft.given.get("hardware")
    if isinstance(typed, Accelerator):
        return typed
    if typed is not None:
        return catalog.accelerator(str(typed))
    found = find_device(reading.device, catalog, reading.device_total_bytes) if reading.device else None
    if found is not None:
        draft.take("hardware", found.id)
        draft.notes.append(f"the log's device '{reading.device}' is taken for {found.id}")
        return found
    named = (
        f"the log's device '{shortened(reading.device)}' is in no catalog"
        if reading.device
        else "the log does not name the GPU"
    )
    raise InvalidQuestion(named, f"Add --gpu NAME. {_size_hint(reading, catalog)}".strip())


def _size_hint(reading: LogReading, catalog: Catalog) -> str:
    total = reading.device_total_bytes
    if not total:
        return "For example: --gpu h100"
    fitting = devices_of_size(total, catalog)
    return f"Its {total / GIB:.2f} GiB fit: {', '.join(fitting[:6])}" if fitting else ""


def _take_engine(draft: _Draft, device: Accelerator) -> None:
    """The engine at the log's version, or at one of its time when it names none."""
    reading = draft.reading
    if "engine" in draft.given:
        typed = draft.catalog.engine(str(draft.given["engine"]), device)
        if typed.id != reading.engine:
            raise InvalidQuestion(f"--engine {typed.id}: the log is one of {reading.engine}")
        return
    core = f"+{reading.core}" if reading.core else ""
    version = reading.version.split("+")[0] if reading.version else None
    if version is not None and version_key(version) >= (0, 2):
        for name in (f"{reading.engine}@{version}{core}", f"{reading.engine}@{version}"):
            try:
                draft.catalog.engine(name, device)
            except LlmsizerError:
                continue
            draft.take("engine", name)
            return
    assumed = assumed_engine(reading, device, draft.catalog)
    draft.take("engine", assumed, "assumed")
    said = f"the log's version '{shortened(version)}' is no release" if version else "the log names no version"
    draft.notes.append(f"{said}: {assumed} is assumed; add --engine {reading.engine}@VERSION")


def assumed_engine(reading: LogReading, device: Accelerator, catalog: Catalog) -> str:
    """The engine to assume for a log without a version: the newest that has the log's engine core and
    prints its lines in the form the log has (of those at which some fact changes)."""
    newest = catalog.engine(reading.engine, device).version
    if reading.engine != "vllm" or reading.core is None:
        return f"{reading.engine}@{newest}"
    possible = []
    for version in [*era_versions("vllm"), newest]:
        if reading.version_before and version_key(version) >= version_key(reading.version_before):
            continue
        try:
            catalog.engine(f"vllm@{version}+{reading.core}", device)
        except LlmsizerError:
            continue
        possible.append(version)
    if not possible:
        return f"vllm@{newest}"
    return f"vllm@{max(possible, key=version_key)}+{reading.core}"


def era_versions(engine: str) -> list[str]:
    """The versions at which some fact of an engine changes, oldest first."""
    entry = package_data("engines.yaml")["engines"].get(engine, {})
    found: set[str] = {str(entry["versions"]["oldest"])} if "versions" in entry else set()
    for fact in (entry.get("facts") or {}).values():
        for item in fact if isinstance(fact, list) else [fact]:
            if isinstance(item, Mapping):
                found |= {str(item[key]) for key in ("from", "until") if key in item}
    return sorted(found, key=version_key)


def _take_formats(draft: _Draft) -> None:
    reading = draft.reading
    if reading.dtype in DTYPES:
        draft.take("dtype", reading.dtype)
    stored = reading.kv_cache_dtype
    if stored is None or "kv_cache_dtype" in draft.given:
        return
    try:
        for name in stored.split("/"):
            cache_format(name)
    except LlmsizerError:
        draft.notes.append(f"the log's KV cache format '{shortened(stored)}' is not known here: auto is assumed")
        return
    draft.take("kv_cache_dtype", stored)


def _take_length(draft: _Draft) -> None:
    """A length beyond the model's positions (stretched by the user) is cut to what the estimate takes."""
    model = draft.words["model"]
    length = draft.words.get("max_model_len")
    if draft.origins.get("max_model_len") != "log" or length is None:
        return
    known = _catalogued(model, draft.catalog)
    most = known.max_position_embeddings if known is not None else None
    if most is not None and length > most:
        draft.words["max_model_len"] = most
        draft.notes.append(f"the log's max_model_len {length:,} exceeds the model's {most:,} positions: {most:,} is estimated")


def _catalogued(model: Any, catalog: Catalog) -> Model | None:
    """The model of a word, when it is at hand without opening files."""
    if isinstance(model, Model):
        return model
    return catalog.model(model) if isinstance(model, str) and catalog.model_id(model) is not None else None


def _take_extras(draft: _Draft) -> None:
    reading = draft.reading
    if reading.lora:
        sizes = {"count": reading.max_loras, "rank": reading.max_lora_rank}
        draft.take("adapters", {key: value for key, value in sizes.items() if value} or {"count": 1})
    method = reading.speculative_method
    if method is None or "speculative" in draft.given:
        return
    target = _catalogued(draft.words["model"], draft.catalog)
    if ("mtp" in method or method == "nextn") and getattr(target, "mtp", None) is not None:
        draft.take("speculative", {"method": "mtp"})
        return
    drafter = find_model([reading.speculative_model], draft.catalog) if reading.speculative_model else None
    if drafter is not None and method in {"draft", "draft_model", "standalone"}:
        draft.take("speculative", {"method": "draft", "model": drafter.id})
        return
    if method not in {"ngram", "suffix"}:
        draft.notes.append(f"the draft of the log ('{shortened(method)}') is not estimated: add --speculative to count it")


def _take_split(draft: _Draft) -> None:
    """llama.cpp: layers on the accelerator; the whole model on one device otherwise, since figures are
    compared over all devices."""
    reading = draft.reading
    layers, all_layers = reading.gpu_layers, reading.model_layers
    if layers is not None and all_layers is not None and layers < all_layers:
        draft.take("offload", {"gpu_layers": layers})


def case_of(asked: Asked, reading: LogReading, catalog: Catalog, **changes: Any) -> Case:
    """The case of a question, ``changes`` made to its words; llama.cpp's micro-batch as the log has it."""
    case = resolve(replace(asked.words, **changes), catalog).case
    if reading.micro_batch and reading.engine == "llama.cpp":
        case = replace(case, engine=replace(case.engine, micro_batch=reading.micro_batch))
    return case
