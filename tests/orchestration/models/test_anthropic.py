"""Anthropic through its real SDK, against a server that speaks the API: answers, faults, and what must not leak."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from orchestration.agent import Agent
from orchestration.fence import tell
from orchestration.models.anthropic import Anthropic
from orchestration.models.model import Delta, Message, Role, TextDelta, ToolCall, ToolSpec, Usage
from orchestration.usage import Meter, Price, Tab, charging
from tests.fakes.anthropic import Answer, Answerer, FakeAnthropic, Stop, Thought, Trouble, Use, converse
from tests.fakes.faults import Fault
from tests.sockets import run
from voice.clock import run as run_virtually
from voice.provider_error import Cause, ProviderError

KEY = "sk-ant-secret-0123456789"
HELLO = [Message(Role.USER, "hello there")]
LOOK = ToolSpec("look", "Look it up.", {"type": "object", "properties": {"what": {"type": "string"}}})
Work = Callable[[Anthropic, FakeAnthropic], Awaitable[None]]


def against(answers: Sequence[Answer] | Answerer, work: Work, *, key: str | None = None, **how: Any) -> None:
    async def main() -> None:
        async with FakeAnthropic(answers, key=key) as fake:
            model = Anthropic(**{"api_key": KEY, "base_url": fake.url, **how})
            try:
                await work(model, fake)
            finally:
                await model.aclose()

    run(main())


async def answer(model: Anthropic, **how: Any) -> list[Delta]:
    async with aclosing(model.stream(HELLO, tools=[LOOK], **how)) as deltas:
        return [delta async for delta in deltas]


async def failure(model: Anthropic) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await answer(model)
    error = caught.value
    assert error.provider == "anthropic"
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


# -- answers


def test_it_asks_as_it_is_told() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        await answer(model, prompt="Be brief.")
        (request,) = fake.requests
        assert (request.body["model"], request.body["max_tokens"]) == ("claude-sonnet-5-5", 99)
        assert request.body["system"][0]["text"] == "Be brief."
        assert request.body["output_config"] == {"effort": "low"}
        assert request.headers["x-stainless-retry-count"] == "0"
        assert request.headers["authorization"] == f"Bearer {KEY}"

    against(["Hello."], work, model="claude-sonnet-5-5", max_tokens=99, effort="low")


def test_temperature_is_passed_on_to_servers_that_take_it() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        error = await failure(model)
        assert fake.requests[0].body["temperature"] == 0.5
        assert "temperature: is deprecated" in str(error)
        assert (error.cause, error.transient) == (Cause.REQUEST, False)

    against(["Hello."], work, temperature=0.5)


def test_what_is_set_in_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with FakeAnthropic(["Hello."], key="from-the-environment") as fake:
            monkeypatch.setenv("ANTHROPIC_API_KEY", "from-the-environment")
            monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
            monkeypatch.setenv("SOTTOVOCE_ANTHROPIC_MODEL", "claude-opus-5-5")
            model = Anthropic()
            await answer(model)
            await model.aclose()
            assert fake.requests[0].body["model"] == "claude-opus-5-5"
            assert repr(model) == f"Anthropic('claude-opus-5-5', base_url={fake.url!r})"

    run(main())


def test_thoughts_are_not_said() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        assert text_of(await answer(model)) == "Hello."

    against([[Thought("they greet me"), "Hello."]], work)


def test_calls_that_are_streamed_in_pieces_come_whole() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        calls = [delta for delta in await answer(model) if isinstance(delta, ToolCall)]
        assert [dict(call.arguments) for call in calls] == [{"what": "tea"}, {}, {}]
        assert all(tool["eager_input_streaming"] for tool in fake.requests[0].body["tools"])

    pieces = Use("look", pieces=["", '{"wh', 'at": "t', 'ea"}'])
    against([["One moment. ", pieces, Use("look"), Use("look", pieces=[])]], work)


@pytest.mark.parametrize("pieces", [["{"], ['{"what": '], ["[]"], ["null"], ['"tea"'], ["{}{}"]])
def test_a_call_whose_input_is_no_object_is_not_made(pieces: list[str]) -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        error = await failure(model)
        assert (error.cause, error.transient) == (Cause.ANSWER, True)
        assert "look" in str(error)

    against([[Use("look", {"what": "a"}), Use("look", pieces=pieces)]], work)


def test_an_answer_cut_off_in_words_is_said_as_far_as_it_goes(caplog: pytest.LogCaptureFixture) -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        assert text_of(await answer(model)) == "Once upon a"
        assert "max_tokens" in caplog.text

    against([["Once upon a", Stop("max_tokens")]], work)


@pytest.mark.parametrize(
    "parts",
    [
        ["Well. ", Use("look"), Stop("max_tokens")],
        [Use("look", {"what": "tea"}), Stop("max_tokens")],
        [Thought("hm"), Stop("max_tokens")],
        [Stop("model_context_window_exceeded")],
    ],
)
def test_an_answer_cut_off_in_a_call_or_before_a_word_has_failed(parts: Answer) -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        error = await failure(model)
        assert not error.transient  # to ask again would cost as much, in vain
        assert "cut off" in str(error)

    against([parts], work)


def test_what_it_refuses_is_no_answer_and_its_calls_are_not_made() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        error = await failure(model)
        assert (error.cause, error.transient) == (Cause.REQUEST, False)
        assert "refuses" in str(error)

    against([["I will ", Use("look"), Stop("refusal")]], work)


def test_a_pause_ends_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        assert text_of(await answer(model)) == "Hold on."
        assert "paused" in caplog.text

    against([["Hold on.", Stop("pause_turn")]], work)


def test_a_model_can_be_held_to_a_shape() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        schema = {"type": "object", "properties": {"sure": {"type": "number", "minimum": 0}}, "required": ["sure"]}
        deltas = [delta async for delta in model.write_json(HELLO, prompt="Decide.", schema=schema)]
        assert text_of(deltas) == '{"sure": 1}'
        asked = fake.requests[0].body["output_config"]["format"]
        assert asked["type"] == "json_schema"
        assert "minimum" not in asked["schema"]["properties"]["sure"]  # the API would refuse it

    against(['{"sure": 1}'], work)


def test_the_server_holds_a_simple_conversation_by_itself() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        async def weather_in(city: str, days: int) -> str:
            """The weather."""
            return f"{days} day of sun, {city}"

        async def say(*messages: Message) -> str:
            agent = Agent("host", model=model, tools=[weather_in])
            async with asyncio.TaskGroup() as group:
                return "".join([piece async for piece in agent.reply(messages, group=group)])

        assert await say(*HELLO) == "Hello. How can I help you?"
        assert await say(Message(Role.USER, "My name is Ann.")) == "You said: My name is Ann."
        asked = Message(Role.USER, "Weather in Rome?")
        assert await say(asked) == "Here it is. 1 day of sun, Weather in Rome?"
        assert await say(asked, Message(Role.USER, tell(["Boats float."]))) == "I have a result for you. Boats float."

    against(converse, work)


# -- connections


def test_a_stream_that_is_closed_closes_its_request() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        async with aclosing(model.stream(HELLO)) as deltas:
            assert await anext(deltas) == TextDelta("One ")
        await fake.requests[0].gone.wait()

    against([["One two three", asyncio.Event()]], work)


@pytest.mark.parametrize("fault", [Fault(silent=True), Fault()])
def test_a_request_that_is_cancelled_is_closed(fault: Fault) -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        fake.faults.order(fault)
        task = asyncio.create_task(answer(model))
        request = await fake.request()
        if not fault.silent:
            await request.begun.wait()
        task.cancel()
        await request.gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await task

    against([["One two three", asyncio.Event()]], work)


def test_answers_that_end_share_a_connection() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        for _ in range(4):
            await answer(model)
        assert len(fake.connections) == 1

    against(["Hello."], work)


def test_it_can_be_used_again_after_it_was_closed_and_in_another_loop() -> None:
    model = Anthropic(api_key=KEY, base_url="http://127.0.0.1:9")

    async def main() -> None:
        async with FakeAnthropic(["Hello."]) as fake:
            model._base = fake.url
            for _ in range(2):
                assert text_of(await answer(model)) == "Hello."
                await model.aclose()
                await model.aclose()

    run(main())
    run(main())


def test_closing_it_breaks_no_answer_that_is_being_made() -> None:
    """Another runtime may share it, whose talks go on."""
    more = asyncio.Event()

    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        async with aclosing(model.stream(HELLO)) as deltas:
            assert await anext(deltas) == TextDelta("One ")
            await model.aclose()
            more.set()
            assert text_of([delta async for delta in deltas]) == "two three "
        assert text_of(await answer(model)) == "One two three "
        assert len(fake.connections) == 2  # the first was closed with its answer

    against([["One ", "two ", more, "three "]], work)


# -- faults


@pytest.mark.parametrize(
    ("fault", "cause", "after"),
    [
        (Fault(status=400), Cause.REQUEST, None),
        (Fault(status=401), Cause.KEY, None),
        (Fault(status=403), Cause.KEY, None),
        (Fault(status=404), Cause.REQUEST, None),
        (Fault(status=429, retry_after=7), Cause.RATE, 7.0),
        (Fault(status=429), Cause.RATE, None),
        (Fault(status=500), Cause.SERVER, None),
        (Fault(status=529, retry_after=2), Cause.OVERLOAD, 2.0),
        (Fault(status=307), Cause.REQUEST, None),
        (Fault(cut_after=0), Cause.NETWORK, None),
        (Fault(cut_after=4), Cause.NETWORK, None),
        (Fault(garbage=True), Cause.ANSWER, None),
        (Fault(silent=True), Cause.TIMEOUT, None),
    ],
    ids=str,
)
def test_a_fault_has_a_cause_is_not_tried_again_and_over_with_the_next_request(
    fault: Fault, cause: Cause, after: float | None
) -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        await answer(model)
        fake.faults.order(fault)
        hasty = Anthropic(api_key=KEY, base_url=fake.url, timeout=0.1)
        error = await failure(hasty if fault.silent else model)
        await hasty.aclose()
        assert (error.cause, error.retry_after) == (cause, after)
        assert error.status in (None, fault.status)
        assert len(fake.requests) == 2
        assert text_of(await answer(model)) == "Hello there, you."

    against(["Hello there, you."], work)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("overloaded_error", Cause.OVERLOAD),
        ("rate_limit_error", Cause.RATE),
        ("api_error", Cause.SERVER),
        ("invalid_request_error", Cause.REQUEST),
        ("something_new", Cause.SERVER),
    ],
)
def test_an_error_in_the_middle_of_an_answer_comes_after_the_words_before_it(kind: str, cause: Cause) -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        heard = []
        deltas = model.stream(HELLO)
        heard.append(await anext(deltas))
        with pytest.raises(ProviderError, match="Too much to do") as caught:
            await anext(deltas)
        assert text_of(heard) == "Well, "
        assert (caught.value.cause, caught.value.status) == (cause, None)

    against([["Well, ", Trouble(kind, "Too much to do.")]], work)


def test_a_server_that_stops_in_the_middle_is_given_up() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        error = await failure(model)
        assert error.cause is Cause.TIMEOUT
        await fake.requests[0].gone.wait()

    against([["One two ", asyncio.Event()]], work, timeout=0.1)


def test_nobody_at_the_address_is_a_lost_connection() -> None:
    async def main() -> None:
        error = await failure(Anthropic(api_key=KEY, base_url="http://127.0.0.1:9"))
        assert error.cause is Cause.NETWORK
        assert "http://127.0.0.1:9" in str(error)

    run(main())


def test_no_key_is_said_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)

    async def main() -> None:
        error = await failure(Anthropic(base_url="http://127.0.0.1:9"))
        assert (error.cause, error.fix) == (Cause.KEY, "set ANTHROPIC_API_KEY")

    run_virtually(main())


def test_a_refused_request_says_what_is_wrong_with_it() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        with pytest.raises(ProviderError, match=r"tools\.name"):
            await anext(model.stream(HELLO, tools=[ToolSpec("no name", "", {})]))

    against(["Hello."], work)


# -- what it costs


def test_it_tells_what_it_costs() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        usage = (await answer(model))[-1]
        assert isinstance(usage, Usage)
        assert (usage.model, usage.input, usage.cache_read) == ("mine", 0, 0)
        assert usage.cost == pytest.approx((usage.cache_write * 8 + usage.output * 10) / 1e6)
        again = (await answer(model))[-1]
        assert isinstance(again, Usage)
        assert (again.cache_read, again.cache_write) == (usage.cache_write, 0)

    prices = {"mine": Price(1, 10, 0.1, 2, 8)}
    against(["Hello."], work, model="mine", prices=prices, cache="1h")


def test_what_has_no_price_has_no_cost() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        usage = (await answer(model))[-1]
        assert isinstance(usage, Usage)
        assert usage.cost is None

    against(["Hello."], work, model="somebody-elses")


def test_an_answer_that_is_cut_is_paid_as_far_as_it_came() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        meter = Meter()
        with charging(Tab(meter, "lobby", lambda: "host")):
            async with aclosing(model.stream(HELLO)) as deltas:
                await anext(deltas)
        sums = meter.room("lobby")
        assert (sums.total.requests, list(sums.agents)) == (1, ["host"])
        assert sums.total.cache_write > 0
        assert sums.total.cost > 0

    against([["One two three", asyncio.Event()]], work)


# -- secrets, and what is loaded


def test_no_key_is_in_a_repr_an_error_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        await model.prepare()
        said = [repr(model), str(vars(model).keys())]
        faults = (Fault(status=401), Fault(status=500), Fault(cut_after=2), Fault(garbage=True), Fault())
        for fault in faults:
            fake.faults.order(fault)
            try:
                await answer(model)
            except ProviderError as error:
                said += [str(error), repr(error), repr(error.__cause__), error.detail]
        assert all(KEY not in each for each in said)
        assert len(fake.requests) == len(faults)

    caplog.set_level(logging.DEBUG)
    for name in ("anthropic", "httpx2", "httpcore2", "httpx", "httpcore", "sottovoce", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    against([f"Hello. Is your key {KEY[:6]}?"], work)
    assert any(record.name.startswith("anthropic") for record in caplog.records)
    assert KEY not in caplog.text
    assert all(KEY not in str(record.__dict__) for record in caplog.records)


def test_a_key_that_a_server_says_back_is_not_passed_on() -> None:
    async def work(model: Anthropic, fake: FakeAnthropic) -> None:
        error = await failure(model)
        assert "the key ... is odd" in str(error)

    against([Trouble("authentication_error", f"the key {KEY} is odd")], work)


@pytest.mark.parametrize(
    "bad",
    [
        {"model": " "},
        {"base_url": "localhost:80"},
        {"base_url": "http://user:word@host"},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"temperature": 2},
        {"thinking": "much"},
        {"effort": "huge"},
        {"effort": "xhigh", "thinking": False},
        {"thinking": False, "model": "claude-opus-5-5"},
        {"cache": "2h"},
        {"timeout": 0},
        {"connect": float("inf")},
        {"prices": {"m": 3}},
    ],
    ids=str,
)
def test_what_is_wrong_is_named(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(bad))}: "):
        Anthropic(**bad)


def test_its_check_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    assert (Anthropic.check().usable, Anthropic.check().fix) == (False, "set ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    found = Anthropic.check()
    assert found.usable
    assert KEY not in str(found)


def test_an_address_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "localhost:80")
    assert not Anthropic.check().usable
    assert "what ANTHROPIC_BASE_URL holds is no URL" in Anthropic.check().detail
    with pytest.raises(ProviderError, match="what ANTHROPIC_BASE_URL holds is no URL; fix: give one like https://"):
        run(Anthropic().prepare())


def test_no_vendor_is_loaded_before_it_is_needed() -> None:
    code = """
import sys
import orchestration
from orchestration.models import Anthropic
vendors = {"anthropic", "httpx", "httpx2", "pydantic", "numpy", "starlette", "dbos"}
model = Anthropic(api_key="k")
Anthropic.check()
assert not vendors & set(sys.modules), vendors & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
