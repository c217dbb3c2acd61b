"""The models of a troupe: of agents who talk in changing moods, who look on, who work and who review."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.models.model import Delta, Message, Role, TextDelta, ToolCall, ToolSpec, word_by_word
from orchestration.models.scripted import RESULT as FENCED
from orchestration.strategies.supervised import REFINE
from tests.orchestration.plays.troupe import Planned, Troupe
from tests.orchestration.plays.work import FOUND, TURN, job

LONG = "and so it went on and on for a good while until all of them had had enough of it"
HAND = "handoff_conversation"


@dataclass
class Player:
    """The model of an agent that talks, in changing moods."""

    troupe: Troupe
    agent: str
    name: str = "player"

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        last, turn = messages[-1], _turn(messages)
        fenced = FENCED.search(last.text) if last.role is Role.USER else None
        mood = self.troupe.mood()
        specs = {tool.name: tool for tool in tools}
        if REFINE in prompt:
            words: list[Any] = ["" if mood == "silent" else f"look into t{turn}"]
        elif fenced or last.role is Role.TOOL:
            words = [_findings(messages)]
            if not fenced and mood.endswith("hand") and HAND in specs:
                words = [self._hand(specs, mood)]
        else:
            words = list(self._reply(mood, turn, specs))
        self.troupe.called(self.agent, messages, turn, last.role is Role.USER)
        await _ponder(mood)
        if mood == "silent":
            return
        if mood == "dots":
            words = ["..."]
        for word in words:
            if isinstance(word, str):
                for delta in word_by_word(word):
                    yield delta
            else:
                yield word
        if mood == "fail late":
            raise Planned("no network")

    def _reply(self, mood: str, turn: int | None, specs: dict[str, ToolSpec]) -> Sequence[str | ToolCall]:
        """To what a caller said."""
        name = f"re{turn} {self.agent}"
        begin = [each for each in specs if each.startswith("delegate_")]
        work = [ToolCall(f"w{n}", each, {"task": f"t{turn} please"}) for n, each in enumerate(begin)]
        again = [ToolCall(f"{call.id}b", call.name, call.arguments) for call in work]
        plain: dict[str, Sequence[str | ToolCall]] = {
            "long": [f"{name}. {LONG}. {LONG}."],
            "ask": [f"{name}?"],
            "unknown": [ToolCall("u", "no_such_tool", {})],
            "bad": [ToolCall("b", next(iter(specs), "none"), {"nonsense": [1]})],
            "work": work[:1],
            "work twice": [f"{name}. ", *work, *again] if work else [],
        }
        for mood_of, tool in (("status", "task_status"), ("cancel", "cancel_task"), ("recall", "recall")):
            plain[mood_of] = [ToolCall("t", tool, {})] if tool in specs else []
        if HAND in specs and mood in ("hand", "say and hand", "hand twice", "hand wrong", "work and hand"):
            return self._handing(mood, name, work, specs)
        return plain.get(mood) or [f"{name}."]

    def _handing(
        self, mood: str, name: str, work: Sequence[ToolCall], specs: dict[str, ToolSpec]
    ) -> Sequence[str | ToolCall]:
        """An answer with a handoff in it, or two."""
        if mood == "hand wrong":
            return [ToolCall("h", HAND, {"target": "nobody", "reason": "so", "summary": "so"})]
        first = self._hand(specs, mood)
        match mood:
            case "say and hand":
                return [f"{name}. ", first]
            case "hand twice":
                return [first, self._hand(specs, mood, "h2")]
            case "work and hand":
                return [*work, first]
        return [first]

    def _hand(self, specs: dict[str, ToolSpec], mood: str, id: str = "h") -> ToolCall:
        targets = specs[HAND].schema["properties"]["target"]["enum"]
        chosen = self.troupe.draw("target", range(7)) % len(targets)
        return ToolCall(id, HAND, {"target": targets[chosen], "reason": mood, "summary": "It is about this."})


async def _ponder(mood: str) -> None:
    """Think, as long as that takes in this mood."""
    if mood == "fail":
        raise Planned("no network")
    await asyncio.sleep({"stall": 75.0, "slow": 3.0}.get(mood, 0.2))


@dataclass
class Looker:
    """The model of who looks on."""

    troupe: Troupe
    name: str = "looker"

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        if "intervene" not in {tool.name for tool in tools}:
            self.troupe.fault("who looks on is asked for an answer")
        mood = self.troupe.mood()
        if mood == "fail":
            raise Planned("no network")
        if mood == "stall":
            await asyncio.sleep(75)
        if messages[-1].role is Role.USER and mood == "long":
            yield ToolCall("i", "intervene", {"message": "Mind the gap."})
        yield TextDelta("ok")


@dataclass
class Maker:
    """The model of an agent that works, and does not talk."""

    troupe: Troupe
    name: str = "maker"

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        asked = next((m.text for m in messages if TURN.search(m.text)), "")
        yield TextDelta(await job(self.troupe, asked))


@dataclass
class Judge:
    """The model of an agent that reviews."""

    troupe: Troupe
    name: str = "judge"

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        names = [tool.name for tool in tools]
        await asyncio.sleep(0.5)
        happy = self.troupe.draw("verdict", [True, False, True]) and messages[-1].role is Role.USER
        if happy and "approve_output" in names:
            yield ToolCall("a", "approve_output", {})
        else:
            yield TextDelta("Make it better.")


def _turn(messages: Sequence[Message]) -> int | None:
    """The number of the turn that is asked."""
    for message in reversed(messages):
        if message.role is Role.USER and not FENCED.search(message.text):
            found = TURN.findall(message.text)
            return int(found[-1]) if found else None
    return None


def _findings(messages: Sequence[Message]) -> str:
    """What is to be told: all that was found since the caller spoke, and was not said."""
    words: dict[str, None] = {}
    for message in reversed(messages):
        if message.role is Role.USER and not FENCED.search(message.text):
            break
        if message.role is not Role.ASSISTANT:
            words |= dict.fromkeys(FOUND.findall(message.text))
        if message.role is Role.USER and FENCED.search(message.text):
            break
    return " ".join(["Well:", *sorted(words, key=lambda w: [int(n) for n in re.findall(r"\d+", w)]), "so."])
