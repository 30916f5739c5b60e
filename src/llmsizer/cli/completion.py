"""Names that a shell completes: models, devices, engines and weight formats of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Completed = Callable[[str], list[str]]


def models(incomplete: str) -> list[str]:
    """The names of models that begin so."""
    from llmsizer.catalog.catalog import load_catalog

    return matching(incomplete, load_catalog().known_names("models"))


def devices(incomplete: str) -> list[str]:
    """The names of devices that begin so."""
    from llmsizer.catalog.catalog import load_catalog

    return matching(incomplete, load_catalog().known_names("hardware"))


def engines(incomplete: str) -> list[str]:
    """The names of engines that begin so."""
    from llmsizer.catalog.engines import engine_names

    return matching(incomplete, engine_names())


def schemes(incomplete: str) -> list[str]:
    """The names of weight formats that begin so."""
    from llmsizer.catalog.formats import scheme_names

    return matching(incomplete, scheme_names())


def matching(incomplete: str, known: Iterable[str]) -> list[str]:
    """The known names that the last name of a comma list begins, after what stands before it.

    >>> matching("h100,h2", ["h100", "h200", "l40s"])
    ['h100,h200']
    """
    before, comma, begun = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in known if name.lower().startswith(begun.lower())]
