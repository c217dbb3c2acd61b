"""Deepgram's Voice Agent: /v1/agent/converse, as its API reference describes it.

What it hears is up to an `Ear` (`tests.fakes.hearing`), what it thinks up to a function of the turn, what it sounds
like up to another. Nothing depends on time unless `speed` is given: a turn ends after so much silence in the sound it
is sent, and with `in_step` it speaks a frame for each of the caller's: a test can break in wherever it likes.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.fakes.deepgram import Garbled, Peer, Query
from tests.fakes.faults import Faults
from tests.fakes.hearing import Ear, MakeEar
from tests.voice.doubles import spoken
from voice.leg import FRAME_BYTES, FRAME_SECONDS

IDLE = 12.0
"""Seconds without a message after which it gives up."""
PLAIN = {"conversational_behavior": "default"}
"""It is no backchannel and no filler: those come only where they are switched on."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function that it calls. `arguments`: JSON, broken if you like."""

    name: str
    arguments: str = "{}"
    client_side: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """What it is to think about: what the caller said, and what functions came to that it called for that."""

    text: str
    prompt: str
    functions: tuple[str, ...]
    results: Mapping[str, str] = field(default_factory=dict)


Think = Callable[[Asked], str | Sequence[Call]]
"""What it says, sentence by sentence, or calls."""
Sound = Callable[[str], AsyncIterator[bytes]]


async def hidden(text: str) -> AsyncIterator[bytes]:
    """Words hidden in the samples (`tests.voice.doubles`), 60 ms each."""
    for frame in spoken(text, frames=3):
        yield frame


def echo(asked: Asked) -> str:
    """The prompt, what was said, and what functions came to."""
    return " ".join(filter(None, [asked.prompt, asked.text, *asked.results.values()]))


class FakeAgent:
    """`over`: seconds of silence that end a turn. `in_step`: see above. `speed`: times real time at which it speaks;
    None: at once. `chunk`: bytes a message of sound. `announces`: it sends AgentStartedSpeaking. `texts_last`: the text
    of a sentence comes after its sound. `done_after_cut`: AgentAudioDone comes for what the caller cut, too.
    `refusals`: the messages by which it refuses an injected line.

    `received`: every JSON message, of all connections. `sound`: bytes of the caller's. `agents`: the connections' own.
    """

    path = "/v1/agent/converse"

    def __init__(
        self,
        make_ear: MakeEar,
        think: Think = echo,
        sound: Sound = hidden,
        *,
        over: float = 0.2,
        in_step: bool = False,
        speed: float | None = None,
        chunk: int = FRAME_BYTES,
        announces: bool = False,
        texts_last: bool = False,
        done_after_cut: bool = True,
        refusals: Sequence[str] = ("InjectionRefused",),
        idle: float = IDLE,
    ) -> None:
        self.faults = Faults()
        self.opened = 0
        self.make_ear, self.think, self.voice = make_ear, think, sound
        self.over, self.in_step, self.speed, self.chunk = over, in_step, speed, chunk
        self.announces, self.texts_last, self.done_after_cut = announces, texts_last, done_after_cut
        self.refusals, self.idle = tuple(refusals), idle
        self.received: list[dict[str, Any]] = []
        self.sound = 0
        self.agents: list[Agent] = []

    def refusal(self, query: Query) -> str:
        return "No query is known." if query else ""

    async def serve(self, peer: Peer, query: Query) -> None:
        agent = Agent(self, peer, self.make_ear())
        self.agents.append(agent)
        await agent.live()

    def count(self, kind: str) -> int:
        """How many messages of this type have come."""
        return sum(message.get("type") == kind for message in self.received)


class Agent:
    """One connection's."""

    def __init__(self, server: FakeAgent, peer: Peer, ear: Ear) -> None:
        self.server, self.peer = server, peer
        self._ear = ear
        self._settings: dict[str, Any] | None = None
        self._hears = False
        self._to_say: deque[str] = deque()
        self._speech: asyncio.Task[None] | None = None
        self._steps = asyncio.Semaphore(0)
        self._asked: Asked | None = None
        self._calls: dict[str, str] = {}

    @property
    def think(self) -> dict[str, Any]:
        """The settings by which it thinks now."""
        assert self._settings is not None
        think: dict[str, Any] = self._settings["agent"]["think"]
        return think

    async def live(self) -> None:
        try:
            await self.peer.send({"type": "Welcome", "request_id": str(uuid.uuid4())})
            while True:
                await self._take(await self.peer.receive(self.server.idle))
        except TimeoutError:
            await self.fail("CLIENT_MESSAGE_TIMEOUT", "no message came in time")
        finally:
            await self._hush()
            await self._ear.aclose()

    async def fail(self, code: str, description: str) -> None:
        """Send an Error and close."""
        await self.peer.send({"type": "Error", "code": code, "description": description})
        await self.peer.close(1005 if code == "" else 1011, code)

    async def cancel_calls(self) -> None:
        """The functions that were called are no longer wanted."""
        functions = [{"id": call, "name": name} for call, name in self._calls.items()]
        self._calls.clear()
        await self.peer.send({"type": "FunctionCallCancelled", "functions": functions})

    async def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            if self._settings is None:
                await self.fail("BINARY_MESSAGE_BEFORE_SETTINGS", "send Settings first")
                return
            self.server.sound += len(message)
            for at in range(0, len(message), FRAME_BYTES):
                await self._listen(message[at : at + FRAME_BYTES])
            return
        try:
            control = json.loads(message)
            kind = control["type"]
        except (ValueError, TypeError, KeyError):
            kind, control = "", {}
        self.server.received.append(control)
        take = getattr(self, f"_take_{kind}", None)
        if take is None:
            await self.fail("UNPARSABLE_CLIENT_MESSAGE", "no such message")
        else:
            await take(control)

    # what it is told

    async def _take_KeepAlive(self, control: dict[str, Any]) -> None: ...  # noqa: N802 (the message's name)

    async def _take_Settings(self, control: dict[str, Any]) -> None:  # noqa: N802
        if wrong := _wrong(control):
            await self.fail("INVALID_SETTINGS", wrong)
            return
        self._settings = control
        await self.peer.send({"type": "SettingsApplied"})

    async def _take_UpdateThink(self, control: dict[str, Any]) -> None:  # noqa: N802
        assert self._settings is not None
        if wrong := _wrong_thought(control.get("think")):
            await self.fail("INVALID_SETTINGS", wrong)
            return
        self._settings["agent"]["think"] = control["think"]
        await self.peer.send({"type": "ThinkUpdated"})

    async def _take_InjectAgentMessage(self, control: dict[str, Any]) -> None:  # noqa: N802
        text, behavior = control["message"], control.get("behavior", "default")
        if behavior == "default" and (self._hears or self._speech or self._asked):
            for kind in self.server.refusals:
                who = "USER" if self._hears else "AGENT"
                code = {"code": f"INJECT_AGENT_MESSAGE_DURING_{who}_SPEECH", "description": "it was ignored"}
                more = {"message": "somebody speaks"} if kind == "InjectionRefused" else code
                await self.peer.send({"type": kind, **more})
            return
        if behavior == "interrupt":
            await self._hush()
        self._say([text])

    async def _take_FunctionCallResponse(self, control: dict[str, Any]) -> None:  # noqa: N802
        name = self._calls.pop(control["id"], None)
        if name is None or name != control["name"]:
            await self.peer.send({"type": "Warning", "code": "FUNCTION_CALL_UNKNOWN", "description": "no such call"})
            return
        if self._asked is None:
            return
        results = {**self._asked.results, name: control["content"]}
        self._asked = Asked(self._asked.text, self._asked.prompt, self._asked.functions, results)
        if not self._calls:
            await self._reply(self._asked)

    # what it does

    async def _listen(self, pcm: bytes) -> None:
        self._ear.push(pcm)
        self._steps.release()
        if not self._hears and self._ear.silent == 0:
            self._hears, self._asked = True, None
            spoke = await self._hush()
            await self.peer.send({"type": "UserStartedSpeaking"})
            if spoke and self.server.done_after_cut:
                await self.peer.send({"type": "AgentAudioDone"})
        elif self._hears and self._ear.silent >= self.server.over:
            self._hears = False
            text = " ".join(word.text for word in await self._ear.words(settle=True))
            if text:
                await self.peer.send({"type": "ConversationText", "role": "user", "content": text, **PLAIN})
                await self.peer.send({"type": "History", "role": "user", "content": text})
                functions = tuple(each["name"] for each in self.think.get("functions") or ())
                self._asked = Asked(text, self.think.get("prompt") or "", functions)
                await self._reply(self._asked)

    async def _reply(self, asked: Asked) -> None:
        await self.peer.send({"type": "AgentThinking", "content": "hm"})
        thought = self.server.think(asked)
        if isinstance(thought, str):
            self._asked = None
            self._say(re.split(r"(?<=[.!?]) +", thought))
            return
        functions = []
        for call in thought:
            number = f"call-{uuid.uuid4().hex[:8]}"
            if call.client_side:
                self._calls[number] = call.name
            given = {"id": number, "name": call.name, "arguments": call.arguments, "client_side": call.client_side}
            functions.append(given)
        await self.peer.send({"type": "FunctionCallRequest", "functions": functions})

    def _say(self, texts: Sequence[str]) -> None:
        self._to_say.extend(texts)
        if self._speech is None:
            self._speech = asyncio.create_task(self._speak())

    async def _speak(self) -> None:
        """All there is to say, one after the other, as one reply."""
        self._steps = asyncio.Semaphore(0)
        try:
            first = self.server.announces
            while self._to_say:
                text = self._to_say.popleft()
                said = {"type": "ConversationText", "role": "assistant", "content": text, **PLAIN}
                if not self.server.texts_last:
                    await self.peer.send(said)
                if first:
                    first = False
                    latencies = {"total_latency": 0.9, "tts_latency": 0.3, "ttt_latency": 0.6}
                    await self.peer.send({"type": "AgentStartedSpeaking", **latencies})
                await self._sound(text)
                if self.server.texts_last:
                    await self.peer.send(said)
            await self.peer.send({"type": "AgentAudioDone"})
        except (Garbled, ConnectionClosed):
            return  # who listens meets the same
        finally:
            self._speech = None

    async def _sound(self, text: str) -> None:
        rest = b""
        async for pcm in self.server.voice(text):
            if self.server.in_step:
                await self._steps.acquire()
            elif self.server.speed is not None:
                await asyncio.sleep(FRAME_SECONDS / self.server.speed)
            rest += pcm
            while len(rest) >= self.server.chunk:
                await self.peer.send(rest[: self.server.chunk])
                rest = rest[self.server.chunk :]
        if rest:
            await self.peer.send(rest)

    async def _hush(self) -> bool:
        """Stop speaking, and forget what was to be said; whether there was anything."""
        self._to_say.clear()
        speech = self._speech
        if speech is None:
            return False
        speech.cancel()
        await asyncio.wait([speech])
        return True


def _wrong(settings: dict[str, Any]) -> str:
    """What is wrong with settings; "": nothing."""
    audio, agent = settings.get("audio") or {}, settings.get("agent") or {}
    sound = {"encoding": "linear16", "sample_rate": 16_000}
    if audio.get("input") != sound:
        return "audio.input: this ear hears linear16 at 16 kHz"
    if audio.get("output") != {**sound, "container": "none"}:
        return "audio.output: this voice speaks linear16 at 16 kHz, raw"
    listen = (agent.get("listen") or {}).get("provider") or {}
    flux = str(listen.get("model")).startswith("flux")
    if listen.get("type") != "deepgram" or listen.get("version") != ("v2" if flux else "v1"):
        return "agent.listen.provider: the type or the version is wrong"
    if not ((agent.get("speak") or {}).get("provider") or {}).get("model"):
        return "agent.speak.provider.model is missing"
    return _wrong_thought(agent.get("think"))


def _wrong_thought(think: Any) -> str:
    provider = think.get("provider") if isinstance(think, dict) else None
    if not isinstance(provider, dict) or not provider.get("type") or not provider.get("model"):
        return "agent.think.provider: type and model are needed"
    for function in think.get("functions") or ():
        if not function.get("name") or not isinstance(function.get("parameters"), dict):
            return "agent.think.functions: a name and parameters are needed"
    return ""
