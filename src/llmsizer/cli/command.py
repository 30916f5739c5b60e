"""The command classes of ``llmsizer``: texts go to the question as typed.

Every word of a question has its own check with its own message (question/words.py), so validating
the same text beforehand adds nothing but start-up time: the parser's own validation imports a
schema library and builds one schema per option.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from typer.core import TyperCommand, TyperGroup


class PlainCommand(TyperCommand):
    """A command whose text and flag options are handed on as the parser found them; options whose
    default is a number keep their conversion."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parent's parameters (help included), without their own validation."""
        return _hand_on(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """The same for a group's own options."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parent's parameters (help included), without their own validation."""
        return _hand_on(super().get_params(ctx))


def _hand_on(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        is_number = isinstance(parameter.default, (int, float)) and not isinstance(parameter.default, bool)
        if not (is_number or isinstance(parameter.process_value, partial)):
            parameter.process_value = partial(_as_typed, parameter, parameter.process_value)
    return parameters


def _as_typed(parameter: Any, full: Any, context: Any, value: Any) -> Any:
    """The parsed value where it needs no conversion; the parser's own way for all else."""
    if value is None and parameter.required:
        return full(context, value)
    if parameter.multiple and (value is None or isinstance(value, (list, tuple))):
        value = list(value or ())
    elif not (value is None or isinstance(value, (str, bool))):
        return full(context, value)
    return value if parameter.callback is None else parameter.callback(context, parameter, value)
