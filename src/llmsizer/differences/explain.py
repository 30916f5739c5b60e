"""The ways to ask what changed: a saved answer and today, two saved answers, two catalogs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.inputs import Input
from llmsizer.differences.catalogs import catalog_at, facts_of_catalog
from llmsizer.differences.compare import Asker, Changes, FactChange, changed_facts, differences, figures_of, moved, plain_answer
from llmsizer.differences.saved import inputs_of, read_answer, words_of
from llmsizer.question.words import Words


def changes(
    old: str | Path, new: str | Path | None = None, catalog: Catalog | None = None, words: Words | None = None
) -> Changes:
    """What changed from OLD to NEW, or to what is installed.

    Both are answers saved as JSON, or both are catalogs (a YAML file or a folder); with ``words`` the question whose
    answer two catalogs change. Raises an LlmsizerError for what cannot be compared.
    """
    nouns = catalog if catalog is not None else load_catalog()
    if new is not None and _is_answer(old) != _is_answer(new):
        raise InvalidQuestion(
            f"{old} and {new}: a saved answer and a catalog cannot be compared",
            "two answers or two catalogs; --catalog asks a saved question with another catalog",
        )
    if not _is_answer(old):
        return of_catalogs(old, new, nouns, words)
    if words is not None:
        raise InvalidQuestion("a saved answer holds its own question", "leave the options of a question out")
    return of_today(old, nouns) if new is None else of_answers(old, new)


def _is_answer(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ".json"


def of_today(old: str | Path, catalog: Catalog) -> Changes:
    """A saved answer beside the answer to its question today."""
    before, words = read_answer(old), words_of(read_answer(old), str(old))
    return _asked_again(before, inputs_of(before, str(old)), words, catalog, f"{Path(old).name} and today")


def of_answers(old: str | Path, new: str | Path) -> Changes:
    """Two saved answers to one question."""
    before, after = read_answer(old), read_answer(new)
    asked = differences(before.get("asked") or {}, after.get("asked") or {})
    if asked and "asked" in before and "asked" in after:
        told = "; ".join(f"{each.name}: {_shown(each.old)} and {_shown(each.new)}" for each in asked[:4])
        raise InvalidQuestion(
            f"the two answers are to different questions ({told})", "llmsizer compare sets questions side by side"
        )
    facts = changed_facts(inputs_of(before, str(old)), inputs_of(after, str(new)))
    notes = ["what each change moves is known only where a question is asked again: llmsizer changes OLD.json"]
    return _changes(f"{Path(old).name} and {Path(new).name}", before, after, facts, notes=notes if facts else ())


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)[:40]


def of_catalogs(old: str | Path, new: str | Path | None, installed: Catalog, words: Words | None) -> Changes:
    """Two catalogs: the facts that differ; with a question, those that its answer rests on and what they move."""
    before, after = catalog_at(old), catalog_at(new) if new is not None else installed
    what = f"{old} and {new if new is not None else 'the installed catalog'}"
    if words is None:
        return Changes(what, facts=tuple(changed_facts(facts_of_catalog(before), facts_of_catalog(after))))
    answer = plain_answer(words, before)
    return _asked_again(answer, inputs_of(answer, str(old)), words, after, what)


def _asked_again(before: Mapping[str, Any], inputs: Sequence[Input], words: Words, catalog: Catalog, what: str) -> Changes:
    after, asker = plain_answer(words, catalog), Asker(words, catalog)
    now = figures_of(after)
    if not inputs:
        notes = ["the saved answer does not hold the facts it rests on, so only figures are compared"]
        return _changes(what, before, after, (), notes=notes)
    facts = [
        FactChange(each.old, each.new, asker.moves(each, now)) for each in changed_facts(inputs, inputs_of(after, "the answer"))
    ]
    undoable = [each for each in facts if each.moves is not None]
    unexplained = asker.undone(undoable) if undoable else after
    rest = None if unexplained is None else dict(moved(figures_of(before), figures_of(unexplained)))
    return _changes(what, before, after, facts, rest)


def _changes(
    what: str, before: Mapping[str, Any], after: Mapping[str, Any], facts: Sequence[FactChange],
    rest: Mapping[str, float] | None = None, notes: Sequence[str] = (),
) -> Changes:  # fmt: skip
    return Changes(
        what=what, made_with=(_versions(before), _versions(after)),
        question=tuple(differences(before["question"], after["question"])),
        figures=tuple(differences(figures_of(before), figures_of(after))), facts=tuple(facts), rest=rest, notes=tuple(notes),
    )  # fmt: skip


def _versions(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    found = answer.get("made_with")
    return found if isinstance(found, Mapping) else {}
