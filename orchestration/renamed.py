"""Renamed: arguments that are known by other names elsewhere are answered with the names they have here."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed(what: str, **ours: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: of `what`, an argument called like a key raises TypeError naming what it is called here.

    Before anything else is said of the arguments, as who writes the one name leaves the other one out.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def checked(*args: P.args, **given: P.kwargs) -> R:
            for name in given:
                if name in ours:
                    raise TypeError(f"{what} got an unknown argument {name!r}; it is called {ours[name]!r} here")
            return function(*args, **given)

        return checked

    return decorate
