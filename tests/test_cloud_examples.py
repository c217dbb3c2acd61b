"""The examples that need a cloud, or somebody's plugins, are called by way of the real SDKs, on a real event loop.

Behind the SDKs are servers of our own (`tests.fakes`); words travel hidden in the sound. All calls are held at once.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("livekit.agents", reason="pip install 'sottovoce[livekit]'")

from delivery import Status
from orchestration import InboundMessage, Runtime, TextChannel, TextContent
from orchestration.models.prepared import Prepared
from tests import sockets
from tests.e2e.voices import speech
from tests.fakes.anthropic import Answer, FakeAnthropic
from tests.fakes.cloud import Cloud, thinks
from tests.test_text_examples import loaded
from tests.voice.doubles import FakeLeg, Synthesizer, Vad, quiet, spoken
from tests.voice.livekit_plugins import Ear, Mind, Voice, frames_in
from voice import clock, pipecat
from voice.smart_turn import SmartTurn
from voice.stt.pipecat import PipecatSTT
from voice.stt.pocketsphinx import Pocketsphinx
from voice.tts.flite import Flite

LONGEST = 40.0
"""Seconds a call may take."""
FRAMES = 5
"""Of a caller's word."""
SPOKEN = 5
"""Of an agent's: much faster, and it would be taken for a sentence that broke off."""


async def hidden(text: str) -> AsyncIterator[bytes]:
    """An agent's voice."""
    for frame in spoken(text, frames=SPOKEN):
        yield frame


@dataclass
class Call:
    """One caller's, with an example. What is asserted is in the tests, once all calls are over."""

    module: ModuleType
    runtime: Runtime
    anna: FakeLeg
    text: str = ""
    """What she heard."""
    found: asyncio.Event = field(default_factory=asyncio.Event)
    """What the workers' models wait for."""
    overdue: bool = False
    statuses: list[Status] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)

    async def hears(self, text: str) -> None:
        """Say nothing until she has heard it."""
        while text not in self.anna.text:
            await self.anna.play(quiet(0.1))

    async def says(self, text: str) -> None:
        await self.anna.play([*spoken(text, frames=FRAMES), *quiet(0.4)])


async def works(call: Call) -> None:
    await call.hears("into for you?")
    await call.says("look into electric cars")
    await call.hears("else meanwhile.")
    call.found.set()
    await call.hears("electric cars You said: electric cars")


async def answers(call: Call) -> None:
    await call.hears("me anything.")
    await call.says("what is new")
    await call.hears(" new")


async def talks_on(call: Call) -> None:
    await call.hears("into for you?")
    await call.says("look into electric cars")
    await call.hears("else meanwhile.")
    await call.says("how are you")
    await call.hears("than petrol cars.")


SCENES: dict[str, Callable[[Call], Awaitable[None]]] = {
    "cloud": works,
    "flux": answers,
    "realtime": talks_on,
    "livekit_plugins": answers,
    "pipecat_services": answers,
}


@dataclass
class Calls:
    """All of them. `printed`: what the examples did."""

    held: dict[str, Call]
    printed: str
    cloud: Cloud


async def hold(name: str, scene: Callable[[Call], Awaitable[None]], found: asyncio.Event) -> Call:
    """Call an example, from greeting to goodbye."""
    module = loaded(name)
    runtime: Runtime = module.runtime
    runtime._state = None
    if name == "realtime":
        module.SECONDS = 1.5  # type: ignore[attr-defined]
    assert runtime.speech is not None
    runtime.speech.vad = Vad()
    async with runtime, asyncio.TaskGroup() as group:
        await runtime.prepare()
        call = Call(module, runtime, FakeLeg("anna"), found=found)
        group.create_task(runtime.join("lobby", call.anna))
        try:
            async with asyncio.timeout(LONGEST):
                await scene(call)
        except TimeoutError:
            call.overdue = True  # what she has not heard, the tests will say
        await call.anna.play(quiet(0.3))
        call.text = call.anna.text
        call.statuses = [entry.status for entry in await runtime.deliveries("lobby", list(Status))]
        call.usage = runtime.usage("lobby")
        call.anna.end(hung_up=True)
    return call


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    """Held once, for all that is asked of them."""
    if not PipecatSTT.check().usable:
        pytest.skip(PipecatSTT.check().fix)
    printed = io.StringIO()

    async def main() -> Calls:
        found = asyncio.Event()

        def waits(body: Mapping[str, Any]) -> Answer:
            worker = "sonnet" in body["model"]
            return [found, "You said: electric cars"] if worker else thinks(body)

        async with Cloud(voice=hidden, thinks=waits) as cloud:
            for name, value in cloud.environment.items():
                patch.setenv(name, value)
            async with asyncio.TaskGroup() as group:
                held = {name: group.create_task(hold(name, scene, found)) for name, scene in SCENES.items()}
            return Calls({name: task.result() for name, task in held.items()}, printed.getvalue(), cloud)

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        give_plugins(patch)
        give_services(patch)
        yield sockets.run(main(), seconds=60)


def give_plugins(patch: pytest.MonkeyPatch) -> None:
    """Plugins for LiveKit that hear and speak hidden words, where the vendors' would be."""
    plugins = types.ModuleType("livekit.plugins")
    plugins.assemblyai = SimpleNamespace(STT=lambda: Ear(silence=0.2))  # type: ignore[attr-defined]
    plugins.elevenlabs = SimpleNamespace(TTS=lambda: Voice(Synthesizer()))  # type: ignore[attr-defined]
    mind = Mind(Prepared(["Nothing is new."]))
    plugins.openai = SimpleNamespace(LLM=lambda model: mind)  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "livekit.plugins", plugins)


def give_services(patch: pytest.MonkeyPatch) -> None:
    """Services of Pipecat's, likewise."""
    pipecat.load("pipecat")
    from tests.voice.pipecat_services import Spoken, Streaming

    class Hearing(Streaming):
        def __init__(self, *, api_key: str) -> None:
            super().__init__()

    class Speaking(Spoken):
        Settings = SimpleNamespace

        def __init__(self, *, api_key: str, settings: SimpleNamespace) -> None:
            super().__init__(Synthesizer())

    for module, name, service in (
        ("pipecat.services.assemblyai.stt", "AssemblyAISTTService", Hearing),
        ("pipecat.services.cartesia.tts", "CartesiaTTSService", Speaking),
    ):
        made = types.ModuleType(module)
        setattr(made, name, service)
        patch.setitem(sys.modules, module, made)
    for key in ("ASSEMBLYAI_API_KEY", "CARTESIA_API_KEY", "CARTESIA_VOICE"):
        patch.setenv(key, "a-key")


HELLO = "Hello. What shall I look into for you?"
ON_IT = "I am on it. Ask me something else meanwhile."

FOUND = "Electric cars are older than petrol cars."


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("cloud", f"{HELLO} {ON_IT} I have a result for you. You said: electric cars You said: electric cars"),
        ("flux", "Hello. Ask me anything. You said: What is new."),
        (
            "realtime",
            f"{HELLO} {ON_IT} You said: how are you I have a result for you. {FOUND}",
        ),
        ("livekit_plugins", "Hello. Ask me anything. Nothing is new."),
        ("pipecat_services", "Hello. Ask me anything. You said: what is new"),
    ],
)
def test_what_the_caller_hears(calls: Calls, name: str, heard: str) -> None:
    call = calls.held[name]
    assert call.text == heard
    assert not call.overdue
    told = [Status.HEARD] if "result" in heard else []
    assert call.statuses == told


def test_cloud_tells_what_it_costs(calls: Calls) -> None:
    usage = calls.held["cloud"].usage
    assert {name: each["requests"] for name, each in usage["agents"].items()} == {
        "host": 3,
        "engineer": 1,
        "economist": 1,
    }
    assert set(usage["models"]) == {"claude-haiku-5-5", "claude-sonnet-5-5"}
    assert usage["unpriced"] == 0
    assert f"host: {usage['agents']['host']['output']} tokens" not in calls.printed, "an answer is not the whole room"
    assert "this room: $" in calls.printed


def test_flux_begins_its_answer_before_the_turn_is_over(calls: Calls) -> None:
    assert "s before the turn was over" in calls.printed
    assert calls.cloud.flux.opened == 1


def test_each_goes_through_what_it_is_about(calls: Calls) -> None:
    assert (calls.cloud.listen.opened, calls.cloud.agent.opened) == (1, 1)
    assert calls.cloud.speak.opened >= 2
    assert calls.cloud.agent.count("InjectAgentMessage") == 1
    models = [request.body["model"] for request in calls.cloud.anthropic.requests]
    assert models.count("claude-sonnet-5-5") == 2


def test_a_local_model_answers_without_a_key_and_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with FakeAnthropic(thinks, key="none") as server:
            monkeypatch.setenv("LOCAL_MODEL_URL", server.url)
            monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-must-stay-here")
            runtime: Runtime = loaded("local_model").runtime
            runtime._state = None
            async with runtime:
                room = await runtime.create_room()
                await runtime.attach_channel(room.id, TextChannel("cli"))
                result = await runtime.process_inbound(InboundMessage("cli", "you", TextContent("Who are you?")))
            (request,) = server.requests
            assert result.reply is not None
            assert result.reply.text == "You said: Who are you?"
            assert request.body["model"] == "qwen3:4b"
            assert "a-key-that-must-stay-here" not in str(request)
            assert runtime.usage()["cost"] == 0

    sockets.run(main())


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("livekit_plugins", "livekit.plugins"),
        ("pipecat_services", "pipecat.services.assemblyai.stt"),
    ],
)
def test_without_the_plugin_there_is_one_clear_line(name: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit, match=rf"^{name}\.py: .*{missing}.*; its first lines say what to install$"):
        loaded(name)


def test_without_the_model_smart_turn_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.smart_turn.model_path", lambda: None)
    with pytest.raises(SystemExit, match=r"^smart_turn\.py: pipecat-ai, .* is not installed: pip install 'sottovoce"):
        loaded("smart_turn")


@pytest.mark.speech
def test_smart_turn_waits_for_who_is_in_the_middle_of_a_sentence() -> None:
    for part in (SmartTurn, Pocketsphinx, Flite):
        if not part.check().usable:
            pytest.skip(part.check().fix)
    runtime: Runtime = loaded("smart_turn").runtime
    runtime._state = None
    assert runtime.speech is not None
    runtime.speech.tts = Synthesizer()

    async def main() -> str:
        async with runtime, asyncio.timeout(60), asyncio.TaskGroup() as group:
            anna = FakeLeg("anna")
            group.create_task(runtime.join("lobby", anna))
            await anna.play(quiet(3.0))
            await anna.play([*first, *quiet(1.2), *rest, *quiet(5.0)])
            anna.end(hung_up=True)
            return anna.text

    first, rest = (frames_in(speech(text)) for text in ("i would like", "a pizza please"))
    assert clock.run(main()) == "Hello. What would you like? One pizza, with pleasure."


@pytest.mark.speech
def test_all_fake_services_are_one_command_away() -> None:
    if not Pocketsphinx.check().usable:
        pytest.skip(Pocketsphinx.check().fix)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fakes", "--minutes", "0.001", "--hear", "tell me a joke"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    names = [line.partition("=")[0] for line in ran.stdout.splitlines()]
    keys = ("DEEPGRAM_BASE_URL", "DEEPGRAM_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")
    assert names[:4] == [f"export {key}" for key in keys]
