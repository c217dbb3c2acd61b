"""Scripted: a model without intelligence, for tests and for the key-less demo. It says so wherever it is shown.

It understands the sentences of a small grammar and answers each with a line or a tool call. The same patterns are the
recogniser's grammar, so that a caller is understood without a language model. It keeps nothing of a conversation: the
same messages have the same answer.

Patterns are words with `[optional]` words, `(one|or another)` and `{slot}`s:

    "look into {topic} [please]"      "what time is it [in {city}]"

Agents of one room have a script each. To hand the conversation over one calls `handoff_conversation`; the other is
asked the same sentence again, and says what it has for `taking_over` if it does not understand it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any
from uuid import uuid4

from orchestration.models.model import Delta, Message, Role, ToolCall, ToolSpec, word_by_word
from orchestration.models.patterns import Pattern, plain_words
from orchestration.tools import STARTED

log = logging.getLogger("sottovoce.scripted")

RESULT = re.compile(r"^<result (?P<key>\w+)>\s*(?P<text>.*?)\s*</result (?P=key)>$", re.DOTALL | re.MULTILINE)
"""How a result to be told is fenced in a message (see `orchestration.fence`)."""

HANDOFF = "handoff_conversation"
"""The tool that hands the conversation over (`orchestration.handoff_request`)."""
HANDED = "[Context from previous agent"
"""How the first message begins that an agent is shown to whom the conversation was handed (`HandoffMemoryProvider`)."""

Line = str | Callable[[Mapping[str, str]], str]
Arguments = Callable[[Mapping[str, str]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing it understands: `says` are patterns; `answer` is what it says, `call` a tool it calls first.

    `answer` may be a function of the slots. With `call` it is said when the tool has begun work that goes on in the
    background; a tool that gives a result has it read out, or put where `answer` says `{result}`. `before` is said
    ahead of the call, as in "One moment, I will connect you". `shown` is the example that people are shown (default:
    the first pattern).
    """

    says: Sequence[str]
    answer: Line = ""
    call: str = ""
    arguments: Arguments = dict
    shown: str = ""
    before: Line = ""


@dataclass
class Scripted:
    """`slots` gives the words a slot may hold; a slot that is missing takes any words, and stays out of the grammar.

    `fallback` are lines for what it does not understand, `telling` ones for results, each with `{result}`; which of
    them is said depends on how far the conversation is. A function as `fallback` is given the text: an agent that
    talks can so do work too, whatever the task is. `taking_over` are lines for who was handed the conversation and
    does not understand what was said; one of them is said once, then come the `fallback`s. Raises ValueError for a
    pattern or line that is none.
    """

    preemptive = False
    """It answers in no time: there is nothing to be gained by asking it ahead."""

    intents: Sequence[Intent]
    slots: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fallback: Sequence[str] | Callable[[str], str] = ("I am only a script, and I did not understand that.",)
    telling: Sequence[str] = ("Here is what I found. {result}",)
    name: str = "scripted"
    taking_over: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, words in self.slots.items():
            if not all(map(plain_words, _several(f"slots[{name!r}]", words))):
                raise ValueError(f"slots[{name!r}]: one of its words is empty")
        self._patterns = [
            (Pattern(says, self.slots), intent)
            for intent in self.intents
            for says in _several("Intent.says", intent.says)
        ]
        for intent in self.intents:
            for line in (intent.answer, intent.before):
                if isinstance(line, str):
                    _names(line)
            if intent.before and not intent.call:
                raise ValueError(f"Intent.before: {intent.before!r:.60} is said before a call; name the tool in `call`")
        if not callable(self.fallback):
            _several("fallback", self.fallback)
        if self.taking_over:
            _several("taking_over", self.taking_over)
        for line in _several("telling", self.telling):
            if "result" not in _names(line):
                raise ValueError(f"telling: {line!r} leaves the result out; write where it goes, '{{result}}'")

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Answer the last message."""
        for part in self._answer(messages, {t.name for t in tools}):
            if isinstance(part, ToolCall):
                yield part
            else:
                for delta in word_by_word(part):
                    yield delta

    def understand(self, text: str) -> tuple[Intent, Mapping[str, str]] | None:
        """Which intent a sentence is, with its slots (in plain words); None when it is none. The first one counts."""
        plain = plain_words(text)
        for pattern, intent in self._patterns:
            if (slots := pattern.match(plain)) is not None:
                return intent, slots
        return None

    def grammar(self) -> str:
        """All it understands, as a JSGF grammar; without patterns that have a slot for any words ("": if all have)."""
        closed = [pattern for pattern, _ in self._patterns if pattern.closed]
        if not closed:
            return ""
        used = sorted(frozenset().union(*(pattern.slots for pattern in closed)))
        rules = [f"<{name}> = {' | '.join(map(plain_words, self.slots[name]))};" for name in used]
        said = " | ".join(pattern.jsgf() for pattern in closed)
        return "\n".join(["#JSGF V1.0;", "grammar sottovoce;", *rules, f"public <said> = {said};"])

    def examples(self) -> list[str]:
        """A sentence for each intent, to be shown to people."""
        return [intent.shown or Pattern(intent.says[0], self.slots).example() for intent in self.intents]

    # -- answers

    def _answer(self, messages: Sequence[Message], tools: set[str]) -> Sequence[str | ToolCall]:
        last = messages[-1]
        if last.role is Role.TOOL:
            return [self._after_tool(messages)]
        if told := RESULT.search(last.text):
            return [_filled(_turn(self.telling, messages), {"result": told["text"]})]
        understood = self.understand(last.text)
        if understood is None:
            return [self._pardon(messages)]
        intent, slots = understood
        if not intent.call:
            return [_line(intent.answer, slots)]
        if intent.call not in tools:
            log.warning("there is no tool %r to be called for %r", intent.call, last.text)
            return [self._pardon(messages)]
        return [_line(intent.before, slots), ToolCall(f"call-{uuid4().hex[:12]}", intent.call, intent.arguments(slots))]

    def _pardon(self, messages: Sequence[Message]) -> str:
        """What it says to what it does not understand."""
        if self.taking_over and messages[0].text.startswith(HANDED) and not self._introduced(messages):
            return _turn(self.taking_over, messages)
        return self.fallback(messages[-1].text) if callable(self.fallback) else _turn(self.fallback, messages)

    def _introduced(self, messages: Sequence[Message]) -> bool:
        """Whether it has said that it takes over, since it had the conversation last."""
        for message in reversed(messages):
            if any(call.name == HANDOFF for call in message.tool_calls):
                return False
            if message.role is Role.ASSISTANT and any(line in message.text for line in self.taking_over):
                return True
        return False

    def _after_tool(self, messages: Sequence[Message]) -> str:
        """The intent's line if work has begun, or else what the tool said; apart from what it said before the call."""
        asked = next((m for m in reversed(messages) if m.role is Role.USER), None)
        intent, slots = (asked and self.understand(asked.text)) or (None, {})
        apart = " " if intent and intent.before else ""
        said = messages[-1].text
        if said.startswith("error:"):
            return f"{apart}I am sorry, that did not work."
        result = said.removeprefix(STARTED).strip()
        answer = intent.answer if intent else ""
        if answer and (said.startswith(STARTED) or (isinstance(answer, str) and "result" in _names(answer))):
            return apart + _line(answer, {**slots, "result": result})
        return apart + result


def _turn(lines: Sequence[str], messages: Sequence[Message]) -> str:
    """One of the lines; another one a little later in the conversation."""
    return lines[len(messages) // 2 % len(lines)]


def _line(line: Line, slots: Mapping[str, str]) -> str:
    return line(slots) if callable(line) else _filled(line, slots)


def _filled(line: str, slots: Mapping[str, str]) -> str:
    return line.format(**{**dict.fromkeys(_names(line), ""), **slots})


def _names(line: str) -> list[str]:
    """The slots in a line. Raises ValueError when its braces are not those of slots."""
    try:
        names = [name for _, name, _, _ in Formatter().parse(line) if name is not None]
    except ValueError as error:
        raise ValueError(f"line {line!r}: {error}") from None
    if wrong := [name for name in names if not name.isidentifier()]:
        raise ValueError(f"line {line!r}: {wrong[0]!r} is no name of a slot; a brace itself is written '{{{{'")
    return names


def _several(what: str, given: Sequence[str]) -> Sequence[str]:
    """Raises ValueError unless it is a list of some texts."""
    if isinstance(given, str) or not given:
        raise ValueError(f"{what}: give a list of texts, not {given!r}")
    return given
