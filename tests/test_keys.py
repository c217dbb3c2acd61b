"""Keys of providers: after whole turns, typed and spoken, also with keys that are refused, they are to be seen nowhere.

At the level DEBUG of all loggers, those of the vendors' too. What the fake servers log themselves is left out: they are
told the keys, and are no part of the house.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestration import Agent, Runtime, Speech
from orchestration.cli import app
from orchestration.doctor import examine
from orchestration.models import Anthropic
from orchestration.rooms import RoomError
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_agent import FakeAgent
from tests.fakes.deepgram_listen import FakeFlux, FakeListen
from tests.fakes.deepgram_speak import FakeSpeak
from tests.fakes.hearing import HiddenWords
from tests.orchestration.post import Office, Talks, reply
from tests.sockets import run
from tests.voice import doubles
from tests.voice.doubles import FakeLeg, Vad, quiet
from voice.backoff import Backoff
from voice.deepgram import Account
from voice.endpointing import FixedSilence
from voice.provider_error import ProviderError
from voice.realtime.deepgram import DeepgramAgent
from voice.realtime.session import Injection, Instructions
from voice.stt.deepgram import Deepgram as Nova
from voice.stt.deepgram_flux import DeepgramFlux
from voice.stt.recognizer import Hints, SpeechRecognizer
from voice.tts.deepgram import Deepgram as Aura

CLAUDE, DEEPGRAM, WRONG, THINK = "sk-claude-4711", "dg-right-4712", "a-wrong-one-4713", "the-minds-4714"
KEYS = (CLAUDE, DEEPGRAM, WRONG, THINK)
OF_FAKES = ("websockets.server", "uvicorn")


class Noted(logging.Handler):
    """All that any handler could show of what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(OF_FAKES):
            self.shown.setdefault(record.name, []).append(everything(record))


def everything(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    given = record.args if isinstance(record.args, tuple) else (record.args,)
    errors = [each for each in (error, *given) if isinstance(each, BaseException)]
    raised = "".join(line for each in errors for line in (*traceback.format_exception(each), repr(vars(each))))
    return f"{record.getMessage()} {record.args!r} {record.exc_text} {raised} {vars(record)!r}"


@contextmanager
def noted() -> Iterator[Noted]:
    root, handler = logging.getLogger(), Noted()
    before = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


async def typed(office: Office) -> str:
    """The answer to a typed turn."""
    await office.reader()
    return reply(await office.write("hello"))


async def spoken(runtime: Runtime) -> str:
    """What a caller hears as the answer to a spoken turn."""
    leg = FakeLeg("ann")
    session = await runtime.enter("call")
    serving = asyncio.create_task(session.serve(leg))
    await leg.play(quiet(0.1))
    await leg.say("good morning")
    while not leg.text:
        await leg.play(quiet(0.1))
    leg.end(hung_up=True)
    await serving
    return leg.text


def providers(claude: FakeAnthropic, deepgram: FakeDeepgram, *keys: str) -> list[Any]:
    """Anthropic, the recognisers, the voice and the agent, all with these keys."""
    first, second = keys
    options: dict[str, Any] = {"api_key": second, "base_url": deepgram.url}
    headers = {"authorization": f"Bearer {THINK}"}
    return [
        Anthropic(api_key=first, base_url=claude.url),
        Nova(**options),
        DeepgramFlux(**options),
        Aura(**options),
        DeepgramAgent(**options, think_url="https://mind.example/v1", think_headers=headers),
    ]


async def turns(made: list[Any], texts: list[str]) -> list[object]:
    """Both kinds of turn, with each recogniser, and a talk with the agent. Returns all that there is to look at."""
    claude, nova, flux, aura, agent = made
    seen = [*made, Account(DEEPGRAM)]
    for ears, mind in ((nova, claude), (flux, [claude])):
        speech = Speech(stt=ears, tts=aura, vad=Vad(), endpointer=FixedSilence(silence=0.1))
        host = Agent("host", model=mind)
        async with (
            Runtime(orchestration=Talks(host), speech=speech, state=None) as runtime,
            asyncio.TaskGroup() as group,
        ):
            await runtime.create_room("lobby")
            texts.append(await typed(Office(runtime, group)))
            try:
                texts.append(await spoken(runtime))
            except RoomError as error:
                seen += told(error)
            seen += [runtime, host, host.model, speech, speech.stt, speech.tts, runtime.room("lobby"), examine(runtime)]
    for attempt in (talked(agent), heard(nova), heard(flux), said(aura)):
        try:
            await attempt
        except ProviderError as error:
            seen += told(error)
    for provider in (claude, aura):
        await provider.aclose()
    return seen


def told(error: BaseException) -> list[object]:
    return [error, vars(error), traceback.format_exception(error)]


async def talked(agent: DeepgramAgent) -> None:
    session = await agent.open(Instructions("You are the host."))
    session.inject("hello", Injection.NOW)
    await anext(aiter(session))
    await session.aclose()


async def heard(recognizer: SpeechRecognizer) -> None:
    stream = recognizer.stream(Hints())
    stream.begin()
    stream.push(b"".join(doubles.spoken("good morning")))
    stream.end()
    try:
        await anext(aiter(stream))
    finally:
        await stream.aclose()


async def said(voice: Aura) -> None:
    async for _ in voice.synthesize("hello"):
        pass


@pytest.mark.parametrize("right", [True, False])
def test_a_key_is_seen_nowhere(right: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.stt.deepgram_line.AGAIN", Backoff(tries=1))
    texts: list[str] = []

    async def main() -> list[object]:
        fakes = FakeListen(HiddenWords), FakeFlux(HiddenWords), FakeSpeak(), FakeAgent(HiddenWords)
        async with FakeAnthropic(["hello"], key=CLAUDE) as claude, FakeDeepgram(*fakes, key=DEEPGRAM) as deepgram:
            return await turns(providers(claude, deepgram, *((CLAUDE, DEEPGRAM) if right else (WRONG, WRONG))), texts)

    with noted() as logs:
        seen = run(main())
    assert texts == ["hello"] * 4 if right else "hello" not in texts
    refused = [what for what in map(str, seen) if "key refused (401)" in what]
    assert not refused if right else len(refused) >= 4  # by each of Deepgram's services
    names = {name.partition(".")[0] for name in logs.shown}
    assert {"websockets", "anthropic"} <= names  # they were listened to
    assert right or "sottovoce" in names
    leaks = [(name, line) for name, lines in logs.shown.items() for line in lines if any(key in line for key in KEYS)]
    assert leaks == []
    assert [what for what in map(repr, seen) if any(key in what for key in KEYS)] == []


def test_the_doctor_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", CLAUDE)
    monkeypatch.setenv("DEEPGRAM_API_KEY", DEEPGRAM)
    monkeypatch.setenv("DEEPGRAM_THINK_HEADERS", f'{{"authorization": "{THINK}"}}')
    shown = CliRunner().invoke(app, ["doctor"]).output
    assert "ANTHROPIC_API_KEY" in shown.replace("\n", "")
    assert not any(key in shown for key in KEYS)
