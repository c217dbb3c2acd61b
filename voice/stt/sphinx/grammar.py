"""A grammar: JSGF read as far as is needed to know which words it holds and how each is pronounced.

The decoder itself compiles the grammar; what it cannot make sense of it refuses with no reason given, so the mistakes
that people make (a word without a pronunciation, no public rule) are found here and named.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from voice.stt.sphinx.lexicon import Lexicon

LARGEST = 100_000
"""Characters of a grammar; a hundred sentences have about 3,000."""

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_HEADER = re.compile(r"\s*#JSGF\s+V1\.0[^;]*;")
_NAME = re.compile(r"grammar\s+[^\s;]+$")
_RULE = re.compile(r"(public\s+)?<([^<>]+)>\s*=(.*)", re.DOTALL)
_REFERENCE = re.compile(r"<(?:[^<>]*\.)?([^<>.]*)>")
_NO_WORD = re.compile(r"<[^<>]*>|\{[^}]*\}|/[^/]*/|[()\[\]|*+]")
_CASED = re.compile(r"<[^<>]*>|[^<>]+")


@dataclass(frozen=True, slots=True)
class Grammar:
    """`text` is JSGF in lower case, `key` names it, `words` are its words with each way of saying them."""

    key: str
    text: str
    words: tuple[tuple[str, tuple[str, ...]], ...]


def parse(text: str, lexicon: Lexicon) -> Grammar:
    """Read JSGF. Raises ValueError naming what is wrong with it, for one every word that nobody can pronounce."""
    if len(text) > LARGEST:
        raise ValueError(f"the grammar has {len(text)} characters, {LARGEST} are allowed")
    bare = _COMMENT.sub(" ", text)
    header = _HEADER.match(bare)
    if not header:
        raise ValueError(f"a grammar begins with '#JSGF V1.0;', this one with {text.strip()[:40]!r}")
    lowered = _CASED.sub(lambda part: part[0] if part[0].startswith("<") else part[0].lower(), bare[header.end() :])
    words = _words(lowered)
    said = [(word, lexicon.pronunciations(word)) for word in sorted(words)]
    if unknown := [word for word, ways in said if not ways]:
        raise ValueError(
            f"the grammar has words that are in no dictionary: {', '.join(map(repr, unknown))};"
            " say how they are pronounced, Pocketsphinx(words={'postgres': 'P OW S T G R EH S'}), or use others"
        )
    whole = f"#JSGF V1.0;{lowered}"
    return Grammar(hashlib.sha256(whole.encode()).hexdigest()[:16], whole, tuple(said))


def _words(body: str) -> set[str]:
    """The words of everything after the header."""
    words: set[str] = set()
    rules = {"NULL", "VOID"}
    references: set[str] = set()
    public = named = False
    for statement in filter(None, (part.strip() for part in body.split(";"))):
        if not named:
            if not _NAME.match(statement):
                raise ValueError(f"after its header a grammar has a name, 'grammar words;', not {statement[:40]!r}")
            named = True
            continue
        rule = _RULE.fullmatch(statement)
        if not rule:
            raise ValueError(
                f"{statement[:40]!r} is no rule of a grammar: write '<name> = words;' ('import' is not known)"
            )
        public = public or bool(rule[1])
        rules.add(rule[2])
        references.update(_REFERENCE.findall(rule[3]))
        words.update(_NO_WORD.sub(" ", rule[3]).split())
    if not public:
        raise ValueError("the grammar has no public rule: write 'public <sentence> = ...;'")
    if missing := sorted(references - rules):
        raise ValueError(
            f"the grammar uses rules that it does not define: {', '.join(f'<{name}>' for name in missing)}"
        )
    if not words:
        raise ValueError("the grammar has no words")
    return words
