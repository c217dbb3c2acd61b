"""Scripted: a model without intelligence, for tests and for the key-less demo. It says so wherever it is shown.

It understands the sentences of a small grammar and answers each with a line or a tool call. The same patterns are the
recogniser's grammar, so that a caller is understood without a language model.

Patterns are words with `[optional]` words, `(one|or another)` and `{slot}`s:

    "look into {topic} [please]"      "what time is it [in {city}]"
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from orchestration.models.model import Delta, Message, Role, TextDelta, ToolCall, ToolSpec
from orchestration.tools import STARTED

RESULT = re.compile(r"<result>\s*(.*?)\s*</result>", re.DOTALL)
"""How a result to be told is fenced in a message (see `orchestration.conversation`)."""
_TOKEN = re.compile(r"\{(\w+)\}|([\[\]()|])|([^\s\[\](){}|]+)")
_WORDS = re.compile(r"[^\w' ]+")

Line = str | Callable[[Mapping[str, str]], str]
Arguments = Callable[[Mapping[str, str]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing it understands: `says` are patterns; `answer` is what it says, `call` a tool it calls before.

    `answer` may be a function of the slots. With `call` it is said when the tool has begun work that goes on in the
    background; a tool that gives a result has it read out, or put where `answer` says `{result}`. `shown` is the
    example that people are shown (default: the first pattern).
    """

    says: Sequence[str]
    answer: Line = ""
    call: str = ""
    arguments: Arguments = dict
    shown: str = ""


@dataclass
class Scripted:
    """`slots` gives the words a slot may hold; a slot that is missing takes any words, and stays out of the grammar."""

    intents: Sequence[Intent]
    slots: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fallback: Sequence[str] = ("I am only a script, and I did not understand that.",)
    telling: Sequence[str] = ("Here is what I found. {result}",)
    name: str = "scripted"

    def __post_init__(self) -> None:
        self._patterns: list[tuple[re.Pattern[str], Intent]] = [
            (self._regex(says), intent) for intent in self.intents for says in intent.says
        ]
        self._calls = count(1)
        self._random = random.Random(7)  # noqa: S311 - only picks a phrase

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Answer the last message."""
        last = messages[-1]
        if last.role is Role.TOOL:
            for piece in _pieces(self._after_tool(messages)):
                yield piece
            return
        if told := RESULT.search(last.text):
            for piece in _pieces(self._random.choice(self.telling).format(result=told[1])):
                yield piece
            return
        understood = self.understand(last.text)
        if understood is None:
            for piece in _pieces(self._random.choice(self.fallback)):
                yield piece
            return
        intent, slots = understood
        if intent.call and any(t.name == intent.call for t in tools):
            yield ToolCall(f"call-{next(self._calls)}", intent.call, intent.arguments(slots))
            return
        for piece in _pieces(_line(intent.answer, slots)):
            yield piece

    def understand(self, text: str) -> tuple[Intent, Mapping[str, str]] | None:
        """Which intent a sentence is, with its slots; None when it is none."""
        plain = " " + plain_words(text)
        for pattern, intent in self._patterns:
            if match := pattern.fullmatch(plain):
                return intent, {k: v for k, v in match.groupdict().items() if v}
        return None

    def grammar(self) -> str:
        """All it understands, as a JSGF grammar (without the patterns that have a slot for any words)."""
        rules = [f"<{name}> = {' | '.join(map(plain_words, words))};" for name, words in self.slots.items()]
        says = [self._jsgf(s) for i in self.intents for s in i.says if self._closed(s)]
        return "\n".join(["#JSGF V1.0;", "grammar sottovoce;", *rules, f"public <said> = {' | '.join(says)};"])

    def examples(self) -> list[str]:
        """A sentence for each intent, to be shown to people."""
        return [intent.shown or self._example(intent.says[0]) for intent in self.intents]

    # -- patterns

    def _closed(self, pattern: str) -> bool:
        return all(m[1] in self.slots for m in _TOKEN.finditer(pattern) if m[1])

    def _jsgf(self, pattern: str) -> str:
        out = [f"<{m[1]}>" if m[1] else m[2] or plain_words(m[3]) for m in _TOKEN.finditer(pattern)]
        return f"( {' '.join(out)} )"

    def _example(self, pattern: str) -> str:
        chosen = re.sub(r"\s*\[[^\]]*\]", "", pattern)
        chosen = re.sub(r"\(([^|)]*)[^)]*\)", r"\1", chosen)
        chosen = re.sub(r"\{(\w+)\}", lambda m: self.slots.get(m[1], ["something"])[0], chosen)
        return " ".join(chosen.split())

    def _regex(self, pattern: str) -> re.Pattern[str]:
        """Words are matched with the blank before them, so that optional parts may vanish whole."""
        out, seen = "", dict[str, int]()
        for match in _TOKEN.finditer(pattern):
            slot, mark, word = match.groups()
            if slot:
                seen[slot] = seen.get(slot, 0) + 1
                name = slot if seen[slot] == 1 else f"{slot}{seen[slot]}"
                words = self.slots.get(slot)
                inner = ".+" if words is None else "|".join(re.escape(plain_words(w)) for w in words)
                out += f"(?:\\ (?P<{name}>{inner}))"
            elif mark:
                out += {"[": "(?:", "]": ")?", "(": "(?:", ")": ")", "|": "|"}[mark]
            else:
                out += "\\ " + re.escape(plain_words(word))
        return re.compile("^" + out)

    def _after_tool(self, messages: Sequence[Message]) -> str:
        """The intent's line, or else what the tool said."""
        asked = next((m for m in reversed(messages) if m.role is Role.USER), None)
        understood = self.understand(asked.text) if asked else None
        result = messages[-1].text
        if result.startswith("error:"):
            return "I am sorry, that did not work."
        answer = understood[0].answer if understood else ""
        if not understood or not answer or not (result.startswith(STARTED) or "{result}" in str(answer)):
            return result.removeprefix(STARTED).strip()
        return _line(answer, {**understood[1], "result": result.removeprefix(STARTED).strip()})


def plain_words(text: str) -> str:
    """Lower case, without punctuation, single blanks; what a recogniser gives and a pattern is compared with."""
    return " ".join(_WORDS.sub(" ", text.lower()).split())


def _line(line: Line, slots: Mapping[str, str]) -> str:
    return line(slots) if callable(line) else line.format(**{**dict.fromkeys(_names(line), ""), **slots})


def _names(line: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", line)


def _pieces(text: str) -> list[TextDelta]:
    """As a model streams: word by word."""
    return [TextDelta(piece) for piece in re.findall(r"\S+\s*", text)]
