"""Renamed: who writes an argument that there is not, or by its name elsewhere, is told so, and its name here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed(what: str, **ours: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: of `what`, an argument that it does not have raises TypeError.

    For one called like a key the error says what it is called here, or what else the key has to say. That comes before
    anything else is said of the arguments, as who writes the one name leaves the other one out.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters
        passes_on = any(each.kind is each.VAR_KEYWORD for each in parameters.values())  # it knows what else there is

        @wraps(function)
        def checked(*args: P.args, **given: P.kwargs) -> R:
            for name in given:
                if name in ours or (name not in parameters and not passes_on):
                    raise TypeError(f"{what} got an unknown argument {name!r}{_instead(ours.get(name))}")
            return function(*args, **given)

        return checked

    return decorate


def _instead(ours: str | None) -> str:
    if ours is None:
        return ""
    return f"; it is called {ours!r} here" if ours.isidentifier() else f"; {ours}"
