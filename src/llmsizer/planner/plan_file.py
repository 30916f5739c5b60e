"""A plan file: YAML in, questions out. It names nothing outside the catalogs and its own folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.engines import engine_names
from llmsizer.catalog.entries import worded
from llmsizer.catalog.formats import cache_format, quantization_scheme
from llmsizer.catalog.paths import is_model_path
from llmsizer.core.errors import InvalidQuestion, LlmsizerError, UnknownName
from llmsizer.core.yaml import Document, KeyPath, load_file
from llmsizer.planner.ask import question_of
from llmsizer.planner.plan import plan_question
from llmsizer.planner.plan_fields import share
from llmsizer.planner.planning import Answer, Planning
from llmsizer.planner.prices import check_region
from llmsizer.planner.question import ANY, PlanQuestion
from llmsizer.planner.scenarios import DEMANDS, PLACES, Place, laid_over, words_of
from llmsizer.planner.traces import demand_and_lengths
from llmsizer.question.classes import class_with
from llmsizer.question.lengths import lengths_of
from llmsizer.schema.workload import Mix

# Workloads times scenarios; each takes about a second.
MOST_QUESTIONS = 64
SHARES = ("headroom", "prefix_cache_hit_rate")
# What `--class` calls the fields of a class, where it has other names.
_KEYS = {"input_tokens": "isl", "output_tokens": "osl", "prefix_cache_hit_rate": "hits"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One workload in one scenario (empty: the plan itself), as a question."""

    place: Place
    question: PlanQuestion


@dataclass(frozen=True, slots=True)
class PlanFile:
    """The questions of a plan file, scenario by scenario."""

    title: str
    description: str
    asked: tuple[Asked, ...]

    def answer(self, catalog: Catalog, progress: Callable[[int, int], None] | None = None) -> Planning:
        """The plan of every question. Raises CatalogError naming the line of a mistake."""
        answers = []
        for done, each in enumerate(self.asked):
            try:
                plan = plan_question(each.question, catalog, _part(progress, done, len(self.asked)))
            except LlmsizerError as error:
                raise each.place.error(error) from None
            answers.append(Answer(each.place.scenario, each.place.workload, plan))
        return Planning(self.title, self.description, tuple(answers))


def _part(progress: Callable[[int, int], None] | None, done: int, parts: int) -> Callable[[int, int], None] | None:
    """The progress of one of several equal parts."""
    return None if progress is None else lambda step, steps: progress(done * steps + step, parts * steps)


def read_plan_file(path: str | Path, catalog: Catalog) -> PlanFile:
    """The questions of a plan file. Raises CatalogError naming file, line and field of a mistake."""
    return plan_file_of(load_file(path), catalog)


def plan_file_of(document: Document, catalog: Catalog) -> PlanFile:
    """The questions of a parsed plan file."""
    plan = _checked(document)
    scenarios = plan.pop("scenarios", None) or {"": {}}
    found = []
    for name, scenario in scenarios.items():
        sections = laid_over(plan, scenario or {})
        for workload in sections.get("workloads") or {}:
            found.append(_asked(sections, Place(document, name, workload), catalog))
    if not found:
        raise document.error("is missing", ("workloads",), "for example:\nworkloads:\n  chat:\n    model: llama-3.1-8b")
    if len(found) > MOST_QUESTIONS:
        raise document.error(
            f"{len(found)} workloads times scenarios are too many", ("scenarios",), f"at most {MOST_QUESTIONS}"
        )
    return PlanFile(plan.get("title") or "", plan.get("description") or "", tuple(found))


def _checked(document: Document) -> dict[str, Any]:
    """The sections of a file that obeys the schema, without what is not said."""
    from pydantic import ValidationError

    from llmsizer.planner.plan_schema import PlanSchema

    if not isinstance(document.data, Mapping):
        raise document.error("expected a mapping with sections such as `workloads:` and `targets:`")
    try:
        return PlanSchema.model_validate(document.data).model_dump(exclude_none=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where: KeyPath = tuple(part for part in first["loc"] if part != "[key]")
        section = _section_of(str(where[-1]))
        if first["type"] == "extra_forbidden" and section:
            raise document.error("not a known field here", where, f"It belongs under `{section}:`.") from None
        raise worded(first, _deeper(first, where, document), document, (), _fields_at(where[:-1])) from None


def _deeper(error: Any, where: KeyPath, document: Document) -> KeyPath:
    """The path of the target that a message about all of them names."""
    named = re.match(r"'?(\w+)'?[: ]", error["msg"])
    path = (*where, named[1]) if named else where
    return path if where[-1:] == ("targets",) and path in document.lines else where


def _section_of(field: str) -> str:
    """The section that has a field; empty where none or several have it."""
    found = [section for section, known in PLACES.values() if known == field]
    return found[0] if len(found) == 1 else ""


def _fields_at(path: KeyPath) -> list[str]:
    """The fields of a plan file's section."""
    from llmsizer.planner import plan_schema

    path = path[2:] if path[:1] == ("scenarios",) and len(path) > 1 else path
    if path[:1] == ("workloads",) and path[2:3] == ("classes",):
        return list(plan_schema.Kind.model_fields)
    if path[:1] == ("workloads",):
        return list(plan_schema.Workload.model_fields)
    section = getattr(plan_schema, str(path[0]).title(), None) if path else plan_schema.PlanSchema
    return list(section.model_fields) if section is not None else []


def _asked(sections: Mapping[str, Any], place: Place, catalog: Catalog) -> Asked:
    words = words_of(sections, place.workload)
    if "model" not in words:
        raise place.document.error("model is missing", place.path("model"), "for example: model: llama-3.1-8b")
    given = [name for name in DEMANDS if name in words]
    if len(given) > 1 or (not given and words.get("by") != "throughput"):
        message = f"{given[0]} and {given[1]} exclude each other" if given else "the demand is missing"
        raise place.document.error(message, place.path(given[1] if given else place.workload), f"one of: {', '.join(DEMANDS)}")
    for word in [word for word in words if word in _READERS]:
        try:
            words[word] = _READERS[word](words[word], catalog, Path(place.document.file).parent)
        except LlmsizerError as error:
            raise place.error(error, word) from None
    if "classes" in words:
        words["workload"] = _mix(words.pop("classes"), place, catalog)
    step = words.pop("trace_step", None)
    if "trace" in words:
        words = {**demand_and_lengths(words.pop("trace"), step), **words}
    try:
        return Asked(place, question_of(words))
    except LlmsizerError as error:
        raise place.error(error) from None


def _mix(classes: Mapping[str, Any], place: Place, catalog: Catalog) -> Mix:
    """The classes of a workload."""
    found = []
    for name, fields in classes.items():
        try:
            for word in set(fields) & {"input_tokens", "output_tokens"}:
                _READERS[word](fields[word], catalog, Path(place.document.file).parent)
            found.append(class_with(name, {_KEYS.get(key, key): value for key, value in fields.items()}))
        except LlmsizerError as error:
            message = error.message.removeprefix("--class: ")
            raise place.document.error(message, (*place.path("classes"), name)) from None
    return Mix(tuple(found))


def _model(name: str, catalog: Catalog, _: Path) -> str:
    """A name of the catalog; a path is none, even where a file has that name."""
    if is_model_path(name) or catalog.model_id(name) is None:
        hint = "A model's own file is imported first (`llmsizer import`) and laid over with --catalog."
        raise UnknownName("model", name, catalog.all_model_names(), hint)
    return name


def _inside(text: str, folder: Path) -> Path:
    """A file in the plan file's folder or below. Raises InvalidQuestion for any other."""
    try:
        path = (folder / text).resolve()
        inside = path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise InvalidQuestion(f"'{text[:60]}' is no file in the plan file's folder")
    return path


def _lengths(word: str) -> Callable[[Any, Catalog, Path], Any]:
    def read(given: Any, _: Catalog, folder: Path) -> Any:
        is_file = isinstance(given, str) and given.lower().endswith((".csv", ".txt"))
        found = lengths_of(word, str(_inside(given, folder)) if is_file else given)
        return found if is_file else given

    return read


def _each(check: Callable[[str, Catalog], Any]) -> Callable[[Any, Catalog, Path], Any]:
    """Checks every name of a list, which stays as written."""

    def read(given: Any, catalog: Catalog, _: Path) -> Any:
        for name in given.split(",") if isinstance(given, str) else given:
            if name.strip() not in (ANY, "auto"):
                check(name.strip(), catalog)
        return given

    return read


def _engine(name: str, _: Catalog) -> None:
    if name.partition("@")[0].lower() not in engine_names():
        raise UnknownName("engine", name, engine_names())


_READERS: dict[str, Callable[[Any, Catalog, Path], Any]] = {
    "model": _model,
    "trace": lambda given, _, folder: _inside(given, folder),
    "input_tokens": _lengths("input_tokens"),
    "output_tokens": _lengths("output_tokens"),
    "hardware": _each(lambda name, catalog: catalog.accelerator(name)),
    "formats": _each(lambda name, _: quantization_scheme(name)),
    "cache_formats": _each(lambda name, _: [cache_format(part) for part in name.split("/")]),
    "engines": _each(_engine),
    "regions": _each(check_region),
    **{name: lambda given, *_: share(given) for name in SHARES},
}
