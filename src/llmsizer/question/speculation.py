"""The words of speculative decoding: who guesses, how much, and how many guesses stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from llmsizer.catalog.acceptance import OWN_FIGURE, Published, published, usual_content
from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.formats import published_scheme
from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination
from llmsizer.core.explain import QUESTION, Provenance, Source
from llmsizer.formulas.speculation import tokens_of_reported_rate
from llmsizer.question.words import checked_choice, checked_fraction, checked_integer, checked_mapping
from llmsizer.schema.deployment import Draft
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import QuantizationScheme
from llmsizer.sizing.draft import first_layers
from llmsizer.sizing.speculation import acceptance_of_length

METHODS = ("draft", "ngram", "mtp", "eagle", "eagle3", "medusa", "self")
# Ways to say how many guesses stand; a question takes one of them.
MEASURES = ("acceptance", "profile", "reported", "length")
KEYS = {"method", "model", "num_speculative_tokens", "quantization", "tree", "layers", *MEASURES}
USUAL_GUESSES, MOST_GUESSES = 3, 64


def draft_of(
    words: Mapping[str, Any] | None, model: Model, scheme: QuantizationScheme, catalog: Catalog, notes: list[str]
) -> Draft | None:
    """The draft that the word ``speculative`` asks for; what is assumed of it goes into the notes.

    Raises an LlmsizerError that names the part at fault.
    """
    if not words:
        return None
    given = checked_mapping("speculative", words, KEYS)
    method = _method(given, model)
    profile = _profile(given)
    guesses = given.get("num_speculative_tokens", len(profile) or USUAL_GUESSES)
    guesses = checked_integer("speculative.num_speculative_tokens", guesses, most=MOST_GUESSES)
    if profile and len(profile) != guesses:
        raise InvalidQuestion(f"--speculative: {guesses} guesses, but a profile of {len(profile)}", "one chance for each guess")
    tree = given.get("tree")
    tree = None if tree is None else checked_integer("speculative.tree", tree, least=guesses, most=1024)
    standing = {"profile": profile} if profile else _standing(given, method, guesses, tree, notes)
    drafter = _drafter(given, method, model, scheme, catalog)
    return Draft(method=method, num_speculative_tokens=guesses, tree=tree, **drafter, **standing)


def _method(given: Mapping[str, Any], model: Model) -> str:
    usual = "draft" if given.get("model") else "ngram"
    method = checked_choice("speculative.method", str(given.get("method", usual)), METHODS)
    if method == "mtp" and model.mtp is None:
        raise UnsupportedCombination(f"--speculative mtp: {model.id} has no multi-token-prediction modules")
    if method == "draft" and not given.get("model"):
        raise InvalidQuestion("--speculative draft: expected a draft model", "for example: draft:llama-3.2-1b:5")
    if (method == "self") != ("layers" in given):
        raise InvalidQuestion("--speculative self: expected the layers that draft", "for example: self:4:layers=8:length=2.5")
    return method


def _drafter(
    given: Mapping[str, Any], method: str, model: Model, scheme: QuantizationScheme, catalog: Catalog
) -> dict[str, Any]:
    """What drafts beside the target: a model of its own, or the target's first layers."""
    if method == "self":
        layers = checked_integer("speculative.layers", given["layers"], most=model.num_hidden_layers - 1)
        return {"model": first_layers(model, layers), "scheme": scheme}
    if not given.get("model"):
        return {}
    drafter = catalog.model(str(given["model"]))
    asked = given.get("quantization")
    return {"model": drafter, "scheme": catalog.scheme(str(asked)) if asked else published_scheme(drafter)}


def _profile(given: Mapping[str, Any]) -> tuple[float, ...]:
    """A profile as typed: the chance that the first guess stands, that the first two stand …"""
    told = [name for name in MEASURES if given.get(name) is not None]
    if len(told) > 1:
        raise InvalidQuestion(f"--speculative: {' and '.join(told)} say the same thing", "give one of them")
    text = given.get("profile")
    if text is None:
        return ()
    parts = text.split("/") if isinstance(text, str) else text if isinstance(text, Sequence) else [text]
    profile = tuple(checked_fraction("speculative.profile", part) for part in parts)
    if any(later > earlier for earlier, later in pairwise(profile)):
        raise InvalidQuestion(f"--speculative: the profile {text!r:.60} rises", "a guess stands only if all before it do")
    return profile


def _standing(given: Mapping[str, Any], method: str, guesses: int, tree: int | None, notes: list[str]) -> dict[str, Any]:
    """How many guesses stand, with where that comes from."""
    if given.get("reported") is not None:
        share = checked_fraction("speculative.reported", given["reported"])
        return _converted(
            float(tokens_of_reported_rate(share, guesses)), guesses, f"from a reported acceptance rate of {share:g}"
        )
    if given.get("length") is not None:
        length = checked_fraction("speculative.length", given["length"], least=1.0, most=guesses + 1.0)
        return _converted(length, guesses, f"from a mean accepted length of {length:g}")
    told = given.get("acceptance")
    if told is not None and not _is_word(told):
        return {"acceptance": checked_fraction("speculative.acceptance", told)}
    content = str(told) if told is not None else usual_content(method)
    if content is None:
        raise InvalidQuestion(f"--speculative {method}: how many guesses stand is not known", OWN_FIGURE)
    found = published(method, content, guesses, tree)
    beyond = guesses > found.guesses
    assumed = "; assumed, as none is given" if told is None else ""
    notes.append(_note(found, beyond) + assumed)
    tier = "assumed" if told is None else "extrapolated" if beyond else "measured"
    return _as_published(found, guesses, replace(found.source, tier=tier))


def _is_word(told: Any) -> bool:
    return isinstance(told, str) and not told.replace(".", "", 1).strip("+-").replace("e-", "").isdigit()


def _note(found: Published, beyond: bool) -> str:
    further = f", extrapolated beyond its {found.guesses} guesses" if beyond else ""
    told = f"{found.source.title}, {found.source.date}"
    return f"guesses: accepted as published of {found.of} ('{found.content}': {told}){further}"


def _converted(length: float, guesses: int, how: str) -> dict[str, Any]:
    source = Source(f"the question, {how} with {guesses} guesses")
    return {"acceptance": acceptance_of_length(length, guesses), "provenance": _provenance(source)}


def _as_published(found: Published, guesses: int, source: Source) -> dict[str, Any]:
    if found.profile:
        return {"profile": continued(found.profile, guesses), "provenance": _provenance(source)}
    if found.acceptance is not None:
        return {"acceptance": found.acceptance, "provenance": _provenance(source)}
    assert found.length is not None
    return {"acceptance": acceptance_of_length(found.length, found.guesses), "provenance": _provenance(source)}


def _provenance(source: Source) -> Provenance:
    return Provenance(QUESTION, {"acceptance": source, "profile": source})


def continued(profile: tuple[float, ...], guesses: int) -> tuple[float, ...]:
    """A profile cut to so many guesses, or continued as its last place fell off.

    >>> continued((0.8, 0.4), 4)
    (0.8, 0.4, 0.2, 0.1)
    """
    ratio = profile[-1] / profile[-2] if len(profile) > 1 else profile[0]
    found = list(profile[:guesses])
    while len(found) < guesses:
        found.append(found[-1] * ratio)
    return tuple(found)
