"""Grammars of several models made one, so that a recogniser understands what any agent of a room does.

JSGF is read as far as is needed to tell the rules apart: https://www.w3.org/TR/jsgf/. Rules get a prefix, so names
never clash; weights, tags and repetitions stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<reference><[^<>]*>)
      | (?P<end>;)
      | (?P<text>"(?:[^"\\]|\\.)*"|\{(?:[^}\\]|\\.)*\}|[^"{<;/]+)
      | (?P<open>["{<]|/\*)
      | (?P<weight>/)""",
    re.DOTALL | re.VERBOSE,
)
_RULE = re.compile(r"(public\s+)?(<[^<>]+>)\s*=(.*)", re.DOTALL)
_SPECIAL = ("<NULL>", "<VOID>")
"""Rules that are in every grammar: nothing, and what cannot be said."""


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    body: str
    public: bool


def merged(grammars: Sequence[str]) -> str:
    """One grammar of all that the given ones understand; "" if there is none.

    Empty ones and repeated ones are left out; one that is alone stays as it is. Every public rule of each may be said.
    Raises ValueError for what is no JSGF, saying which grammar and why.
    """
    distinct = list(dict.fromkeys(grammar for grammar in grammars if grammar.strip()))
    if len(distinct) < 2:
        return "".join(distinct)
    rules: list[str] = []
    said: list[str] = []
    for number, grammar in enumerate(distinct, 1):
        for rule in _rules(grammar):
            name = _prefixed(rule.name, number)
            body = "".join(_prefixed(token, number) for token, _ in _tokens(rule.body)).strip()
            rules.append(f"{name} = {body};")
            if rule.public:
                said.append(name)
    return "\n".join(["#JSGF V1.0;", "grammar sottovoce;", *rules, f"public <said> = {' | '.join(said)};"])


def _rules(grammar: str) -> list[_Rule]:
    """The rules of a whole grammar. Raises ValueError."""
    header, *statements = _statements(grammar)
    if not header.startswith("#JSGF"):
        raise _wrong(grammar, "it does not begin with '#JSGF V1.0;'")
    rules: list[_Rule] = []
    for statement in statements:
        if match := _RULE.fullmatch(statement):
            rules.append(_Rule(match[2], match[3], bool(match[1])))
        elif not re.match(r"grammar\s", statement):  # its name does not matter any more
            raise _wrong(grammar, f"{statement[:40]!r} is no rule, '<name> = words;' ('import' is not known)")
    if not any(rule.public for rule in rules):
        raise _wrong(grammar, "it has no public rule, 'public <sentence> = ...;'")
    return rules


def _statements(grammar: str) -> list[str]:
    """What stands between semicolons, without comments; at least one, which may be empty."""
    statements, now = [], ""
    for token, kind in _tokens(grammar):
        if kind == "open":  # it would swallow what comes after it, of another grammar too
            raise _wrong(grammar, f"{token!r} is not closed")
        if kind == "end":
            statements.append(now.strip())
            now = ""
        else:
            now += " " if kind == "comment" else token
    if now.strip() or not statements:
        statements.append(now.strip())
    return statements


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Its tokens, each with its kind."""
    for match in _TOKEN.finditer(text):
        yield match[0], match.lastgroup or ""


def _prefixed(token: str, number: int) -> str:
    """A rule's name, or a reference to it, in the grammar of all; other tokens as they are."""
    if not (token.startswith("<") and token.endswith(">")) or token in _SPECIAL:
        return token
    name = token[1:-1].rpartition(".")[2]  # a reference may name the grammar too
    return f"<m{number}_{name}>"


def _wrong(grammar: str, what: str) -> ValueError:
    return ValueError(f"grammar {grammar.strip()[:40]!r}: {what}")
