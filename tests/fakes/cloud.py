"""The cloud: all fake services at once, with the environment by which the real SDKs find them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

from tests.fakes.anthropic import Answer, Answerer, FakeAnthropic, Use, converse
from tests.fakes.anthropic_rules import whole
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_agent import Asked, Call, FakeAgent, Think
from tests.fakes.deepgram_listen import FakeFlux, FakeListen
from tests.fakes.deepgram_speak import FakeSpeak, Voice
from tests.fakes.deepgram_speak import hidden as hidden_words
from tests.fakes.hearing import HiddenWords, MakeEar

KEY = "fake-key"
ON_IT = "I am on it. Ask me something else meanwhile."
WORK = re.compile(r"\b(?:look into|find out about|find out|compare)\s+(.+?)[.?!]*$", re.IGNORECASE)
"""What is handed to workers."""


def thinks(body: Mapping[str, Any]) -> Answer:
    """A language model's answer: what is to be looked into is handed to workers; see `converse` for the rest."""
    last = whole(body["messages"][-1])["content"][-1]
    delegate = _delegate([tool["name"] for tool in body.get("tools", ())])
    wanted = WORK.search(str(last.get("text", "")).strip())
    if delegate and wanted and body.get("tool_choice", {}).get("type") != "none":
        return [Use(delegate, {"task": wanted[1]})]
    answer = converse(body)
    return ON_IT if answer == "I am on it." else answer


def talks(asked: Asked) -> str | list[Call]:
    """The Voice Agent's, likewise."""
    if asked.results:
        begun = any(result.startswith("started:") for result in asked.results.values())
        return ON_IT if begun else f"Here it is. {' '.join(asked.results.values())}"
    delegate, wanted = _delegate(asked.functions), WORK.search(asked.text.strip())
    if delegate and wanted:
        return [Call(delegate, json.dumps({"task": wanted[1]}))]
    return f"You said: {asked.text}"


def _delegate(names: list[str] | tuple[str, ...]) -> str:
    """The tool by which work is handed on; "": there is none."""
    return next((name for name in names if name.startswith("delegate_")), "")


class Cloud:
    """`make_ear`: what Deepgram hears with. `voice`: what it speaks with. `over`: seconds of silence that end a turn
    for the Voice Agent. `ports`: Deepgram's and Anthropic's, 0: any free one. The services are its attributes."""

    def __init__(
        self,
        make_ear: MakeEar = HiddenWords,
        voice: Voice = hidden_words,
        *,
        thinks: Answerer = thinks,
        talks: Think = talks,
        over: float = 0.2,
        ports: tuple[int, int] = (0, 0),
        key: str = KEY,
    ) -> None:
        self.listen, self.flux, self.speak = FakeListen(make_ear), FakeFlux(make_ear), FakeSpeak(voice)
        self.agent = FakeAgent(make_ear, talks, voice, over=over)
        self.deepgram = FakeDeepgram(self.listen, self.flux, self.speak, self.agent, key=key, port=ports[0])
        self.anthropic = FakeAnthropic(thinks, key=key, port=ports[1])
        self._key = key
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.deepgram)
            await stack.enter_async_context(self.anthropic)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def environment(self) -> dict[str, str]:
        """What leads the SDKs here."""
        return {
            "DEEPGRAM_BASE_URL": self.deepgram.url,
            "DEEPGRAM_API_KEY": self._key,
            "ANTHROPIC_BASE_URL": self.anthropic.url,
            "ANTHROPIC_API_KEY": self._key,
        }
