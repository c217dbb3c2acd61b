from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_agent import Asked, Call, FakeAgent, echo
from tests.fakes.faults import Fault
from tests.fakes.hearing import HiddenWords
from tests.sockets import run
from tests.voice.doubles import QUIET
from tests.voice.realtime.providers import hidden
from tests.voice.realtime.test_session import BOOK, said, sound, well_formed
from voice import deepgram
from voice.provider_error import Cause, ProviderError
from voice.realtime import deepgram as module
from voice.realtime.deepgram import DeepgramAgent, DeepgramSession
from voice.realtime.session import (
    CallerSaid,
    Function,
    FunctionCalled,
    Injection,
    Instructions,
    ReplyEnded,
    ReplyStarted,
    SessionEvent,
)

SECRET = "Bearer secret-of-the-language-model"
ECHO = Instructions("you said")


async def until(session: DeepgramSession, kind: type[SessionEvent]) -> list[Any]:
    """What is told, up to the next of this kind."""
    told: list[Any] = []
    async for event in session:
        told.append(event)
        if isinstance(event, kind):
            break
    return told


def say(session: DeepgramSession, text: str) -> None:
    for frame in hidden(text):
        session.push(frame)


async def met(what: Callable[[], bool]) -> None:
    """Wait until it is so; the test's bound is its limit."""
    while not what():
        await asyncio.sleep(0.001)


@asynccontextmanager
async def service(agent: FakeAgent, **options: Any) -> AsyncIterator[DeepgramAgent]:
    async with FakeDeepgram(agent) as fake:
        yield DeepgramAgent(api_key=fake.key, base_url=fake.url, **options)


@asynccontextmanager
async def talk(agent: FakeAgent, instructions: Instructions = ECHO, **options: Any) -> AsyncIterator[DeepgramSession]:
    async with service(agent, **options) as model:
        session = await model.open(instructions)
        try:
            yield session
        finally:
            await session.aclose()


def opened(fault: Fault, **options: Any) -> ProviderError:
    """The error of opening a session."""

    async def main() -> ProviderError:
        agent = FakeAgent(HiddenWords)
        agent.faults.always(fault)
        async with service(agent, **options) as model:
            before = asyncio.all_tasks()
            with pytest.raises(ProviderError) as caught:
                await model.open(ECHO)
            assert not [task for task in asyncio.all_tasks() - before if task.get_name() == "deepgram-agent"]
            return caught.value

    return run(main())


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"listen": ""}, "listen"),
        ({"think": " "}, "think"),
        ({"speak": 3}, "speak"),
        ({"think_provider": "me"}, "think_provider"),
        ({"temperature": 3}, "temperature"),
        ({"keyterms": "one"}, "keyterms"),
        ({"think_url": "llm"}, "think_url"),
        ({"think_headers": {"a": "b"}}, "think_headers"),
        ({"connect": 0}, "connect"),
        ({"ready": float("nan")}, "ready"),
        ({"base_url": "nowhere"}, "base_url"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        DeepgramAgent(**options)


def test_check_and_prepare_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    assert not DeepgramAgent.check().usable
    assert DeepgramAgent.check().fix == "set DEEPGRAM_API_KEY"
    with pytest.raises(ProviderError, match="deepgram-agent: key refused; no key is set; fix: set DEEPGRAM_API_KEY"):
        run(DeepgramAgent().open(ECHO))
    monkeypatch.setenv("DEEPGRAM_API_KEY", "k")
    assert DeepgramAgent.check().usable


def settings_of(**options: Any) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        agent = FakeAgent(HiddenWords)
        async with talk(agent, Instructions("be kind", [BOOK]), **options):
            return agent.received[0]

    return run(main())


def test_the_settings_say_all_of_it() -> None:
    given = settings_of(keyterms=["Sottovoce"], temperature=0.5, language="fr")
    assert given == {
        "type": "Settings",
        "flags": {"history": False},
        "audio": {
            "input": {"encoding": "linear16", "sample_rate": 16000},
            "output": {"encoding": "linear16", "sample_rate": 16000, "container": "none"},
        },
        "agent": {
            "listen": {
                "provider": {
                    "type": "deepgram",
                    "version": "v1",
                    "model": "nova-3",
                    "language": "fr",
                    "smart_format": True,
                    "keyterms": ["Sottovoce"],
                }
            },
            "think": {
                "provider": {"type": "anthropic", "model": "claude-sonnet-5", "temperature": 0.5},
                "functions": [{"name": "book", "description": BOOK.description, "parameters": BOOK.schema}],
                "prompt": "be kind",
            },
            "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
        },
    }


def test_flux_is_another_version_of_the_api() -> None:
    agent = settings_of(listen="flux-general-multi", speak="flux-kit-en")["agent"]
    assert agent["listen"]["provider"] == {
        "type": "deepgram",
        "version": "v2",
        "model": "flux-general-multi",
        "language_hints": ["en"],
    }
    assert agent["speak"]["provider"]["version"] == "v2"
    assert "language_hints" not in settings_of(listen="flux-general-en")["agent"]["listen"]["provider"]


def test_a_language_model_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings_of(think_url="https://llm.example/v1", think_headers={"authorization": SECRET})
    assert given["agent"]["think"]["endpoint"] == {
        "url": "https://llm.example/v1",
        "headers": {"authorization": SECRET},
    }
    monkeypatch.setenv("DEEPGRAM_THINK_URL", "https://other.example/v1")
    monkeypatch.setenv("DEEPGRAM_THINK_HEADERS", '{"x-key": "k"}')
    assert settings_of()["agent"]["think"]["endpoint"] == {
        "url": "https://other.example/v1",
        "headers": {"x-key": "k"},
    }


@pytest.mark.parametrize("headers", ["k", "[1]", '{"x-key": 1}'])
def test_a_bad_environment_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, headers: str) -> None:
    monkeypatch.setenv("DEEPGRAM_THINK_URL", "https://other.example/v1")
    monkeypatch.setenv("DEEPGRAM_THINK_HEADERS", headers)
    with pytest.raises(ValueError, match=r"^DEEPGRAM_THINK_HEADERS: give a JSON object") as caught:
        run(DeepgramAgent(api_key="k").open(ECHO))
    assert "x-key" not in str(caught.value)
    monkeypatch.setenv("DEEPGRAM_THINK_URL", "nowhere")
    with pytest.raises(ValueError, match=r"^DEEPGRAM_THINK_URL:"):
        run(DeepgramAgent(api_key="k").open(ECHO))


@pytest.mark.parametrize(
    ("fault", "cause", "status"),
    [
        (Fault(status=401), Cause.KEY, 401),
        (Fault(status=500), Cause.SERVER, 500),
        (Fault(status=429, retry_after=3), Cause.RATE, 429),
        (Fault(cut_after=0), Cause.NETWORK, None),
        (Fault(cut_after=1), Cause.NETWORK, None),
        (Fault(cut_after=1, close=1011), Cause.NETWORK, 1011),
    ],
)
def test_opening_fails_with_its_cause(fault: Fault, cause: Cause, status: int | None) -> None:
    error = opened(fault)
    assert (error.cause, error.status, error.retry_after) == (cause, status, fault.retry_after)
    assert error.provider == "deepgram-agent"


@pytest.mark.parametrize("fault", [Fault(silent=True), Fault(garbage=True)])
def test_opening_that_is_not_answered_ends_in_time(fault: Fault) -> None:
    assert opened(fault, ready=0.05).cause is Cause.TIMEOUT


def test_nobody_there_is_said_so() -> None:
    async def main() -> None:
        async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProviderError, match="cannot be reached"):
            await DeepgramAgent(api_key="k", base_url=f"http://127.0.0.1:{port}").open(ECHO)

    run(main())


def test_settings_that_are_refused_are_the_requests_fault() -> None:
    async def main() -> None:
        async with service(FakeAgent(HiddenWords)) as model:
            with pytest.raises(
                ProviderError, match=r"INVALID_SETTINGS: agent.think.functions.*check the settings"
            ) as e:
                await model.open(Instructions("", [Function("", "", {})]))
            assert not e.value.transient

    run(main())


def test_opening_that_is_cancelled_leaves_nothing() -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        agent.faults.always(Fault(silent=True))
        async with service(agent) as model:
            await model.prepare()
            opening = asyncio.create_task(model.open(ECHO))
            await met(lambda: agent.opened == 1)
            opening.cancel()
            await asyncio.wait([opening])
            assert opening.cancelled()
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "deepgram-agent"]

    run(main())


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault(cut_after=8), None), (Fault(cut_after=8, close=1011), 1011), (Fault(cut_after=8, close=1000), None)],
)
def test_a_session_that_breaks_off_raises(fault: Fault, status: int | None) -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        agent.faults.order(fault)
        async with talk(agent) as session:
            say(session, "hello there")
            with pytest.raises(ProviderError) as caught:
                await until(session, ReplyEnded)
            assert (caught.value.cause, caught.value.status) == (Cause.NETWORK, status)
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__

    run(main())


def test_an_error_of_the_server_ends_the_session() -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        headers = {"authorization": SECRET}
        async with talk(agent, think_url="https://llm.example", think_headers=headers) as session:
            await agent.agents[0].fail("FAILED_TO_THINK", f"https://llm.example did not take '{SECRET}'")
            with pytest.raises(ProviderError) as caught:
                await until(session, ReplyEnded)
            assert caught.value.detail == "FAILED_TO_THINK: https://llm.example did not take '***'"
            assert SECRET not in str(caught.value)

    run(main())


def test_what_is_for_the_mind_only_is_masked_wherever_the_server_repeats_it(caplog: pytest.LogCaptureFixture) -> None:
    key, token = "key-in-the-url", SECRET.split()[-1]

    async def main() -> str:
        agent = FakeAgent(HiddenWords)
        url = f"https://llm.example/v1?alt=sse&key={key}"
        async with talk(agent, think_url=url, think_headers={"authorization": SECRET}) as session:
            peer = agent.agents[0].peer
            await peer.send({"type": "Warning", "code": "SLOW_THINK", "description": f"{url} is slow ({token})"})
            await agent.agents[0].fail("FAILED_TO_THINK", f"{url} did not take {token}, {'x' * 250} {SECRET}")
            with pytest.raises(ProviderError) as caught:
                await until(session, ReplyEnded)
            return str(caught.value) + repr(session._pipeline)

    shown = run(main()) + caplog.text
    assert "SLOW_THINK" in shown
    assert "FAILED_TO_THINK: https://llm.example/v1?alt=sse&key=*** did not take ***" in shown
    assert not any(each in shown for each in (key, token, token[:12]))


def test_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> str:
        agent = FakeAgent(HiddenWords)
        headers = {"authorization": SECRET}
        async with FakeDeepgram(agent) as fake:
            options: dict[str, Any] = {"think_url": "https://llm.example/v1", "think_headers": headers}
            model = DeepgramAgent(api_key=fake.key, base_url=fake.url, **options)
            session = await model.open(Instructions())
            session.instruct(Instructions("x"))
            say(session, "hello")
            shown = repr(await until(session, CallerSaid)) + repr(model) + repr(vars(model)) + repr(session)
            await session.aclose()
            agent.faults.always(Fault(status=401))
            try:
                await model.open(ECHO)
            except ProviderError:
                shown += traceback.format_exc()
            return shown.replace(fake.key, "KEY WAS SHOWN")

    with caplog.at_level(logging.DEBUG):
        shown = run(main()) + caplog.text
    assert "deepgram-agent: key refused (401)" in shown
    assert "KEY WAS SHOWN" not in shown
    assert "test-key-that-must-be-in-no-log" not in shown
    for part in (SECRET, SECRET[-8:], SECRET[:14]):
        assert part not in shown


def test_silence_on_the_wire_keeps_it_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE", 0.02)

    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        async with talk(agent):
            await met(lambda: agent.count("KeepAlive") == 2)

    run(main())


def test_where_sound_flows_it_need_not_be_kept_alive() -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        async with talk(agent) as session:
            for _ in range(50):
                session.push(QUIET)
            await met(lambda: agent.sound == 50 * len(QUIET))
            assert agent.count("KeepAlive") == 0

    run(main())


def test_sound_that_waits_for_the_network_is_bounded() -> None:
    async def main() -> None:
        async with talk(FakeAgent(HiddenWords)) as session:
            for _ in range(1501):
                session.push(QUIET)
            with pytest.raises(ProviderError, match="the network takes no more sound: 30 s of it wait"):
                await until(session, ReplyEnded)

    run(main())


def test_a_turn_may_be_sent_at_once() -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        async with talk(agent) as session:
            for _ in range(1000):
                session.push(QUIET)
            await met(lambda: agent.sound == 1000 * len(QUIET))

    run(main())


def test_a_network_that_takes_nothing_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL", 0.05)
    monkeypatch.setattr(deepgram, "CLOSE", 0.02)

    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        async with talk(agent) as session:
            theirs = agent.agents[0].peer._connection.transport
            theirs.pause_reading()
            while not session._over:
                if session._unsent_bytes < 500_000:
                    session.push(bytes(64_000))
                await asyncio.sleep(0)
            with pytest.raises(ProviderError, match="no answer in time"):
                await until(session, ReplyEnded)
            await session.aclose()
            theirs.abort()

    run(main())


def test_who_does_not_read_slows_the_server_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNREAD", 4)

    async def main() -> None:
        async with talk(FakeAgent(HiddenWords)) as session:
            text = " ".join(["word"] * 40)
            session.inject(text, Injection.NOW)
            await met(lambda: len(session._events) >= 4)
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(session._events) <= 6
            told = await until(session, ReplyEnded)
            assert (said(told), len(sound(told))) == (text, 40 * 3 * 640)

    run(main())


def test_what_we_cut_is_what_we_have_read() -> None:
    async def main() -> None:
        async with talk(FakeAgent(HiddenWords)) as session:
            for text in ("one two", "three four"):
                session.inject(text, Injection.QUEUE)
            await met(lambda: sum(isinstance(event, ReplyEnded) for event in session._events._events) == 2)
            session.cut()
            await until(session, ReplyStarted)
            session.cut()
            assert await until(session, ReplyEnded) == [ReplyEnded(cut=True)]
            assert said(await until(session, ReplyEnded)) == "three four"

    run(main())


def book(*calls: Call) -> Callable[[Asked], str | Sequence[Call]]:
    return lambda asked: echo(asked) if asked.results else calls


def test_several_functions_at_once() -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords, book(Call("book", '{"table": 1}'), Call("pay"), Call("own", client_side=False)))
        async with talk(agent) as session:
            say(session, "go")
            calls = [(await until(session, FunctionCalled))[-1] for _ in range(2)]
            assert [(call.name, call.arguments) for call in calls] == [("book", {"table": 1}), ("pay", {})]
            for call in reversed(calls):
                session.answer(call.id, f"did {call.name}")
            assert said(await until(session, ReplyEnded)) == "you said go did pay did book"

    run(main())


def test_arguments_that_are_broken_go_back_to_the_model() -> None:
    async def main() -> None:
        async with talk(FakeAgent(HiddenWords, book(Call("book", '{"table": ')))) as session:
            say(session, "go")
            told = await until(session, ReplyEnded)
            assert "the arguments are no json object" in said(told)
            assert not any(isinstance(event, FunctionCalled) for event in told)

    run(main())


def test_a_call_that_was_taken_back_is_not_answered() -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords, book(Call("book")))
        async with talk(agent) as session:
            say(session, "go")
            call = (await until(session, FunctionCalled))[-1]
            await agent.agents[0].cancel_calls()
            session.inject("so", Injection.NOW)
            await until(session, ReplyEnded)
            session.answer(call.id, "done")
            session.inject("so", Injection.NOW)
            await until(session, ReplyEnded)
            assert agent.count("FunctionCallResponse") == 0

    run(main())


def test_what_is_too_long_or_empty_is_refused() -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords, book(Call("book")))
        async with talk(agent) as session:
            with pytest.raises(ValueError, match=r"^instructions.prompt: it has 25001 characters"):
                session.instruct(Instructions("x" * 25_001))
            with pytest.raises(ValueError, match=r"^text: it has 25001 characters"):
                session.inject("x" * 25_001, Injection.NOW)
            with pytest.raises(ValueError, match=r"^text: there is nothing to say"):
                session.inject(" ", Injection.NOW)
            say(session, "go")
            call = (await until(session, FunctionCalled))[-1]
            session.answer(call.id, "x" * 30_000)
            await until(session, ReplyStarted)
            assert len(agent.received[-1]["content"]) == 25_000
            assert agent.count("UpdateThink") == 0
        async with service(agent) as model:
            with pytest.raises(ValueError, match=r"^instructions.prompt:"):
                await model.open(Instructions("x" * 25_001))

    run(main())


def test_the_same_instructions_are_not_sent_again() -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        async with talk(agent) as session:
            session.instruct(Instructions("you said"))
            session.instruct(Instructions("they said"))
            say(session, "hello")
            assert said(await until(session, ReplyEnded)) == "they said hello"
            assert agent.count("UpdateThink") == 1

    run(main())


@pytest.mark.parametrize("options", [{"texts_last": True}, {"announces": True, "texts_last": True}, {"chunk": 333}])
def test_texts_may_come_after_their_sound(options: dict[str, Any]) -> None:
    async def main() -> None:
        async with talk(FakeAgent(HiddenWords, **options)) as session:
            say(session, "hello. Good morning")
            told = await until(session, ReplyEnded)
            line = session.inject("your table is ready", Injection.IDLE)
            told += await until(session, ReplyEnded)
            assert well_formed(told)
            assert said(told) == "you said hello good morning your table is ready"
            assert len(sound(told)) == 9 * 3 * 640
            assert [event.line for event in told if isinstance(event, ReplyStarted)] == [None, line]

    run(main())


def test_a_server_that_does_not_close_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram, "CLOSE", 0.02)

    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        async with service(agent) as model:
            before = asyncio.all_tasks()
            session = await model.open(ECHO)
            theirs = agent.agents[0].peer._connection.transport
            theirs.pause_reading()
            await session.aclose()
            theirs.abort()
            if left := asyncio.all_tasks() - before:
                assert not (await asyncio.wait(left, timeout=5.0))[1]

    run(main(), 8.0)  # websockets alone takes 20


def test_a_model_serves_one_loop_after_the_other() -> None:
    async def main(model: list[DeepgramAgent], fake: FakeDeepgram) -> None:
        async with fake:
            made = DeepgramAgent(api_key=fake.key, base_url=fake.url) if not model else model[0]
            model.append(made)
            made._account._base = fake.url
            made._account._client = None
            session = await made.open(ECHO)
            say(session, "hello")
            assert said(await until(session, ReplyEnded)) == "you said hello"
            await session.aclose()

    models: list[DeepgramAgent] = []
    for _ in range(2):
        run(main(models, FakeDeepgram(FakeAgent(HiddenWords))))


def test_what_is_sent_is_plain_json() -> None:
    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        async with talk(agent) as session:
            for how in Injection:
                session.inject("so", how)
                await until(session, ReplyEnded)
            sent = [each for each in agent.received if each["type"] == "InjectAgentMessage"]
            assert sent == [
                {"type": "InjectAgentMessage", "message": "so", "behavior": behavior}
                for behavior in ("interrupt", "default", "queue")
            ]
            assert json.loads(json.dumps(agent.received)) == agent.received

    run(main())


def test_what_is_to_be_sent_to_the_mind_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        agent = FakeAgent(HiddenWords)
        async with FakeDeepgram(agent) as fake:
            headers = {"authorization": "the-minds-key"}
            model = DeepgramAgent(
                api_key=fake.key, base_url=fake.url, think_url="https://mind.example", think_headers=headers
            )
            session = await model.open(ECHO)
            session.instruct(Instructions("You are another."))
            await met(lambda: agent.count("UpdateThink") == 1)
            await session.aclose()
            assert "the-minds-key" in json.dumps(agent.received)

    run(main())
    ours = [record for record in caplog.records if record.name == "websockets.client"]
    assert ours
    assert not any("the-minds-key" in f"{record.getMessage()} {record.args!r}" for record in ours)
