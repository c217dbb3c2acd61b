"""Patterns: sentences with `[optional]` words, `(one|or another)` and `{slot}`s, as a script or a grammar has them.

A pattern tells whether a sentence is one of it. It can be written in JSGF, for recognisers, and gives an example, for
people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_SENTENCE = 500
"""Most characters of a sentence that is looked at: forty seconds of talk; nothing that long is one of a pattern."""
_TOKEN = re.compile(r"\s*(?:\{([^{}]*)\}|([\[\](){}|])|([^\s\[\](){}|]+))")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NO_WORDS = re.compile(r"[^\w' ]+")

Slots = Mapping[str, Sequence[str]]
"""The words each slot may hold. One that is not here takes any words."""


def plain_words(text: str) -> str:
    """Lower case, without punctuation, single blanks; what a recogniser gives and a pattern is compared with."""
    return " ".join(_NO_WORDS.sub(" ", text.lower().replace("’", "'")).split())


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of `ways`, or nothing if it is `optional`."""

    ways: tuple[tuple[_Node, ...], ...]
    optional: bool = False


_Node = str | _Slot | _Choice
"""Words, a slot, or a choice."""


class Pattern:
    """Raises ValueError when `text` is none, naming what is wrong with it."""

    def __init__(self, text: str, slots: Slots) -> None:
        self.text = text
        self._slots = slots
        self._parsed = _Parser(text).parse()
        self._names: list[str] = []
        """The slot of each group of the regular expression."""
        self._regex = re.compile(self._regular(self._parsed))

    @property
    def slots(self) -> frozenset[str]:
        """The names of its slots."""
        return frozenset(self._names)

    @property
    def closed(self) -> bool:
        """Whether all that it may hold is known, so that it can be in a grammar."""
        return all(name in self._slots for name in self._names)

    def match(self, sentence: str) -> Mapping[str, str] | None:
        """The slots of a sentence (in `plain_words`), or None when it is not one of this pattern.

        A slot that is there again is numbered: "number", "number2".
        """
        if len(sentence) > MAX_SENTENCE or not (match := self._regex.fullmatch(f" {sentence}")):
            return None
        found: dict[str, str] = {}
        count: dict[str, int] = {}
        for name, words in zip(self._names, match.groups(), strict=True):
            if words is not None:
                count[name] = count.get(name, 0) + 1
                found[name if count[name] == 1 else f"{name}{count[name]}"] = words
        return found

    def jsgf(self) -> str:
        """The body of a JSGF rule; slots are rules of their names."""
        return _jsgf(self._parsed)

    def example(self) -> str:
        """A sentence of it: without what is optional, otherwise the first of each choice."""
        return " ".join(self._example(self._parsed))

    def _regular(self, node: _Node) -> str:
        """Words are matched with the blank before them, so that optional parts may vanish whole."""
        match node:
            case str():
                return r"\ " + re.escape(node)
            case _Slot(name):
                self._names.append(name)
                words = self._slots.get(name)
                return rf"\ ({'.+' if words is None else '|'.join(re.escape(plain_words(word)) for word in words)})"
            case _Choice(ways, optional):
                inner = "|".join("".join(map(self._regular, way)) for way in ways)
                return f"(?:{inner}){'?' if optional else ''}"

    def _example(self, node: _Node) -> Iterator[str]:
        match node:
            case str():
                yield node
            case _Slot(name):
                yield self._slots.get(name, ("something",))[0]
            case _Choice(ways, optional):
                if not optional:
                    for part in ways[0]:
                        yield from self._example(part)


def _jsgf(node: _Node) -> str:
    match node:
        case str():
            return node
        case _Slot(name):
            return f"<{name}>"
        case _Choice(ways, optional):
            inner = " | ".join(" ".join(map(_jsgf, way)) for way in ways)
            return f"[ {inner} ]" if optional else f"( {inner} )"


class _Parser:
    """Recursive descent over a pattern's tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [match.groups() for match in _TOKEN.finditer(text)]
        self._at = 0

    def parse(self) -> _Choice:
        """The whole pattern."""
        whole = _Choice(self._ways())
        if self._at < len(self._tokens):
            raise self._wrong(f"{self._tokens[self._at][1]!r} was not opened")
        if not _sure((whole,)):
            raise self._wrong("all of it may be left out")
        return whole

    def _ways(self) -> tuple[tuple[_Node, ...], ...]:
        """Alternatives, up to what closes them."""
        ways: list[tuple[_Node, ...]] = []
        way: list[_Node] = []
        while self._at < len(self._tokens):
            slot, mark, word = self._tokens[self._at]
            if mark in ("]", ")"):
                break
            self._at += 1
            if mark == "|":
                ways.append(tuple(way))
                way = []
            elif mark in ("[", "("):
                way.append(self._bracket(mark))
            elif mark:
                raise self._wrong(f"{mark!r} stands alone; a slot is written {{name}}")
            elif word is None:
                way.append(self._slot(slot))
            elif words := plain_words(word):
                way.append(words)
        ways.append(tuple(way))
        if not all(ways):
            raise self._wrong("a choice or the whole of it is empty; what may be left out is written [so]")
        return tuple(ways)

    def _bracket(self, mark: str) -> _Choice:
        ways = self._ways()
        if self._at == len(self._tokens) or self._tokens[self._at][1] != {"[": "]", "(": ")"}[mark]:
            raise self._wrong(f"{mark!r} is not closed")
        self._at += 1
        return _Choice(ways, optional=mark == "[")

    def _slot(self, name: str) -> _Slot:
        if not _NAME.fullmatch(name.strip()):
            raise self._wrong(f"{name!r} is no name of a slot; use letters, digits and '_'")
        return _Slot(name.strip())

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"pattern {self._text!r}: {what}")


def _sure(way: Sequence[_Node]) -> bool:
    """Whether something of it is always said."""
    return any(not isinstance(node, _Choice) or (not node.optional and all(map(_sure, node.ways))) for node in way)
