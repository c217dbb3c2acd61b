"""Plain data: what JSON can hold and give back exactly; copied, bounded and read-only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

MAX_DEPTH = 20
"""Most levels of lists and mappings in each other."""
MAX_BITS = 256
"""Most bits of a whole number: more is no number that anybody counts to."""


class ReadOnly(dict[str, Any]):
    """A dict that is not changed any more. Unlike a mapping proxy it can be written as JSON, copied and pickled."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this is read-only; make a changed copy: {**it, key: value}")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __reduce__(self) -> tuple[type[ReadOnly], tuple[dict[str, Any]]]:
        return ReadOnly, (dict(self),)


_NOTHING = ReadOnly()


def plain(value: object, field: str, limit: int) -> ReadOnly:
    """A read-only copy of a mapping of plain data, of `limit` characters at most.

    Tuples become lists, which are not to be changed either. Raises ValueError naming the place in `field` that JSON
    could not hold or give back exactly.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{field}: {type(value).__name__} is no mapping; give a dict")
    if not value:
        return _NOTHING
    return _Copying(field, limit).mapping(value, field, 0)


def thawed(value: Any) -> Any:
    """A copy of plain data that is anybody's to change."""
    if isinstance(value, Mapping):
        return {key: thawed(each) for key, each in value.items()}
    return [thawed(each) for each in value] if isinstance(value, list) else value


def storable(text: str) -> bool:
    """Whether databases can hold it: no NUL, and no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


class _Copying:
    """One copy under way, and what room is left for it: also what refers to itself or to one thing often is bounded."""

    def __init__(self, field: str, limit: int) -> None:
        self._field = field
        self._limit = self._left = limit

    def mapping(self, value: Mapping[Any, Any], at: str, depth: int) -> ReadOnly:
        made = {}
        for key, each in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{at}: the key {key!r} is no text; use text")
            name = self._text(key, f"{at}, a key")
            made[name] = self._any(each, f"{at}[{name[:40]!r}]", depth + 1)
        return ReadOnly(made)

    def _any(self, value: object, at: str, depth: int) -> Any:
        self._spend(1)
        match value:
            case None | bool():
                return value
            case str():
                return self._text(value, at)
            case int():
                if value.bit_length() > MAX_BITS:
                    raise ValueError(f"{at}: a number of {value.bit_length()} bits is too big; write it as text")
                return int(value)
            case float():
                if not math.isfinite(value):
                    raise ValueError(f"{at}: {value} is nothing that JSON can hold; leave it out")
                return float(value)
        if depth > MAX_DEPTH:
            raise ValueError(f"{self._field}: more than {MAX_DEPTH} levels deep; make it flatter")
        match value:
            case Mapping():
                return self.mapping(value, at, depth)
            case list() | tuple():
                return [self._any(each, f"{at}[{place}]", depth + 1) for place, each in enumerate(value)]
        raise ValueError(f"{at}: {type(value).__name__} is nothing that JSON can hold; use text, numbers, lists, dicts")

    def _text(self, value: str, at: str) -> str:
        self._spend(len(value))
        if not storable(value):
            raise ValueError(f"{at}: it holds characters that databases do not store (NUL, half pairs); remove them")
        return str(value)

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise ValueError(f"{self._field}: more than {self._limit} characters; put less into it")
