"""FallbackModel: one reply, from the first model that makes it; nothing said twice, no tool called twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration import Agent
from orchestration.models import FallbackModel, Intent, Scripted
from orchestration.models.fallback import ALONE, FIRST, STALL
from orchestration.models.model import Delta, Message, Role, TextDelta, ToolCall, ToolSpec, Usage
from orchestration.models.structured import Structured, structured
from orchestration.preemptive import worth_it
from orchestration.speech import Closed
from tests.orchestration.models.double import Double, Part, Writer, calls
from voice import clock
from voice.backoff import Backoff
from voice.provider_error import Cause, ProviderError
from voice.standby import QUIET

ASKED = [Message(Role.USER, "hello")]
ONCE = Backoff(tries=1)
HANG = 1e6


def failing(cause: Cause = Cause.SERVER, after: float | None = None) -> ProviderError:
    return ProviderError("one", cause, retry_after=after)


def one(*replies: Sequence[Part]) -> Double:
    return Double(replies, name="one")


def two(*replies: Sequence[Part]) -> Double:
    return Double(replies or [["Two."]], name="two")


class Reply:
    """What came of a request, and when."""

    def __init__(self) -> None:
        self.deltas: list[Delta] = []
        self.error: Exception | None = None
        self.seconds = 0.0

    @property
    def text(self) -> str:
        return "".join(d.text for d in self.deltas if isinstance(d, TextDelta))


async def asked(model: FallbackModel) -> Reply:
    reply, begun = Reply(), clock.now()
    try:
        async with aclosing(model.stream(ASKED)) as deltas:
            async for delta in deltas:
                reply.deltas.append(delta)
    except Exception as error:
        reply.error = error
    reply.seconds = clock.now() - begun
    return reply


def ask(*models: Any, **how: Any) -> Reply:
    reply = clock.run(asked(FallbackModel(models, **how)))
    assert all(model.open == 0 for model in models)
    return reply


def test_the_first_answers_as_long_as_it_works() -> None:
    first, second = one(["It ", "is ", "noon."]), two()
    reply = ask(first, second)
    assert (reply.text, reply.error, len(second.asked)) == ("It is noon.", None, 0)


def test_what_passes_is_asked_again_before_the_next_is() -> None:
    first, second = one([failing()], [failing(Cause.NETWORK)], ["One."]), two()
    reply = ask(first, second)
    assert (reply.text, len(first.asked), len(second.asked)) == ("One.", 3, 0)
    assert 0.3 <= reply.seconds <= 1.0


def test_what_does_not_pass_goes_to_the_next_at_once() -> None:
    for cause in (Cause.KEY, Cause.REQUEST, Cause.MISSING):
        first, second = one([failing(cause)]), two()
        reply = ask(first, second)
        assert (reply.text, reply.seconds, len(first.asked)) == ("Two.", 0.0, 1)


@pytest.mark.parametrize(("after", "wanted", "seconds"), [(2.0, "One.", 2.0), (30.0, "Two.", 0.0)])
def test_a_pause_that_is_asked_for_is_kept_or_not_waited_for(after: float, wanted: str, seconds: float) -> None:
    reply = ask(one([failing(Cause.RATE, after)], ["One."]), two())
    assert (reply.text, reply.seconds) == (wanted, pytest.approx(seconds))


def test_one_that_hangs_is_left_for_the_next_and_a_single_one_is_asked_again() -> None:
    reply = ask(one([HANG]), two())
    assert (reply.text, reply.seconds) == ("Two.", pytest.approx(FIRST))
    reply = ask(one([HANG], ["One."]), first_token=FIRST)
    assert reply.text == "One."
    assert FIRST <= reply.seconds <= FIRST + 0.3
    reply = ask(one([HANG]))  # nobody stands by for it, and it may think
    assert isinstance(reply.error, ProviderError)
    assert reply.seconds >= ALONE
    reply = ask(one([HANG]), two([HANG]))
    assert isinstance(reply.error, ProviderError)
    assert reply.seconds < 15


@pytest.mark.parametrize("error", [OSError("gone"), TimeoutError(), TypeError("a bug"), asyncio.CancelledError()])
def test_whatever_is_raised_is_fallen_over(error: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Double):
        async def stream(self, messages: Sequence[Message], **how: Any) -> AsyncGenerator[Delta, None]:
            raise error
            yield TextDelta("")

    assert ask(Odd([]), two(), backoff=ONCE).text == "Two."
    if isinstance(error, TypeError):
        assert "a bug" in caplog.text
        assert "Traceback" in caplog.text


def test_one_that_is_called_wrongly_is_fallen_over() -> None:
    class Wrong(Double):
        def stream(self, messages: Sequence[Message]) -> Any:  # type: ignore[override]
            raise AssertionError("it takes no tools")

    assert ask(Wrong([]), two()).text == "Two."


def test_a_connection_that_breaks_is_tried_again() -> None:
    first = one([ConnectionResetError()], ["One."])
    assert ask(first).text == "One."


@pytest.mark.parametrize("counted", [False, True])
def test_silence_is_no_answer_and_the_next_is_asked_at_once(counted: bool) -> None:
    first, second = Quiet(counted), two()
    reply = ask(first, second)
    assert (reply.text, reply.seconds, len(first.asked)) == ("Two.", 0.0, 1)
    assert reply.deltas[:-1] == [Usage("one", 10, 0)] * counted  # it is paid all the same
    reply = ask(one([], ["One."]))
    assert (reply.text, reply.error) == ("One.", None)
    alone = ask(Quiet(counted))
    assert "it said nothing" in str(alone.error)


class Quiet(Double):
    """It says nothing, and may count that."""

    def __init__(self, counted: bool) -> None:
        super().__init__([[]], "one")
        self._counted = counted

    async def stream(self, messages: Sequence[Message], **how: Any) -> AsyncGenerator[Delta, None]:
        async for delta in super().stream(messages, **how):
            yield delta
        if self._counted:
            yield Usage("one", 10, 0)


LOOK = Message(Role.ASSISTANT, "I look it up.", (calls("look"),))
LOOK_SILENTLY = Message(Role.ASSISTANT, " ", (calls("look"),))
FOUND = Message(Role.TOOL, "written down", call="c1")


@pytest.mark.parametrize(
    ("messages", "silent"),
    [
        ([*ASKED, LOOK, FOUND], True),
        ([*ASKED, LOOK, FOUND, LOOK_SILENTLY, FOUND], True),
        ([*ASKED, LOOK_SILENTLY, FOUND], False),
        ([*ASKED, LOOK, FOUND, *ASKED], False),
        ([*ASKED, LOOK, FOUND, *ASKED, LOOK_SILENTLY, FOUND], False),
        ([], False),
    ],
)
def test_a_model_that_has_said_all_may_say_nothing_to_a_tools_result(messages: list[Message], silent: bool) -> None:
    async def main() -> None:
        first, second = Quiet(True), two()
        async with aclosing(FallbackModel([first, second]).stream(messages)) as deltas:
            said = [delta async for delta in deltas]
        assert (said == [Usage("one", 10, 0)]) is silent
        assert len(second.asked) == (not silent)

    clock.run(main())


def test_an_agent_whose_model_says_nothing_more_has_answered() -> None:
    async def note(what: str) -> str:
        return "noted"

    async def main() -> None:
        model = one(["I note it.", calls("note", what="tea")], [])
        agent = Agent("host", model=[model, two()], tools=[note])
        async with asyncio.TaskGroup() as group:
            assert [piece async for piece in agent.reply(ASKED, group=group)] == ["I note it."]
        assert len(model.asked) == 2

    clock.run(main())


SHAPE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class DeadWriter(Writer):
    """It breaks after `words` words."""

    def __init__(self, words: int = 0) -> None:
        super().__init__(*['{"city": '] * 9)
        self._words = words

    async def write_json(self, messages: Sequence[Message], **how: Any) -> AsyncGenerator[Delta, None]:
        async for delta in super().write_json(messages, **how):
            if not self._words:
                break
            yield delta
        raise failing()


def test_one_that_can_be_held_to_a_shape_stands_in_for_another() -> None:
    async def main() -> None:
        dead, writer = DeadWriter(), Writer('{"city": "Rome"}')
        model = FallbackModel([dead, writer])
        assert isinstance(model, Structured)
        assert await structured(model, ASKED, schema=SHAPE) == {"city": "Rome"}
        assert len(dead.asked) == 3
        assert writer.asked[0][2] == SHAPE

    clock.run(main())


def test_what_broke_off_in_a_shape_is_not_begun_anew() -> None:
    async def main() -> None:
        writer = Writer('{"city": "Rome"}')
        with pytest.raises(ProviderError):
            await structured(FallbackModel([DeadWriter(1), writer]), ASKED, schema=SHAPE)
        assert not writer.asked

    clock.run(main())


def test_where_one_cannot_be_held_to_a_shape_all_are_offered_the_tool() -> None:
    async def main() -> None:
        model = FallbackModel([one([calls("answer", city="Rome")]), Writer()])
        assert not isinstance(model, Structured)
        assert await structured(model, ASKED, schema=SHAPE) == {"city": "Rome"}

    clock.run(main())


def test_it_is_asked_ahead_where_the_one_that_would_be_asked_is() -> None:
    class Ready(Double):
        preemptive = False

    async def main() -> None:
        first = one([failing(Cause.KEY)])
        model = FallbackModel([first, Ready([["Two."]])], failures=1)
        assert worth_it(model)
        assert [d async for d in model.stream(ASKED)] == [TextDelta("Two.")]
        assert not worth_it(model)  # the first is left alone
        assert not worth_it(FallbackModel([Ready([["One."]]), first]))

    clock.run(main())


def test_after_the_first_words_nothing_is_begun_anew() -> None:
    first, second = one(["It is ", failing()]), two()
    reply = ask(first, second)
    assert (reply.text, len(first.asked), len(second.asked)) == ("It is ", 1, 0)
    assert isinstance(reply.error, ProviderError)
    reply = ask(one(["It is ", HANG]), two())
    assert isinstance(reply.error, ProviderError)
    assert reply.error.cause is Cause.TIMEOUT
    assert reply.seconds == pytest.approx(STALL)
    reply = ask(one(["It is ", KeyError("secret")]), two())
    assert isinstance(reply.error, ProviderError)
    assert "secret" not in str(reply.error)


def test_a_tool_that_was_called_is_not_called_again() -> None:
    call = calls("book")
    reply = ask(one([call, failing()], [call]), two([call]))
    assert reply.deltas == [call]
    assert isinstance(reply.error, ProviderError)


def test_blanks_and_dots_may_be_followed_by_the_next_ones_answer() -> None:
    reply = ask(one([" ", "... ", failing(Cause.KEY)]), two())
    assert (reply.text, reply.error) == (" ... Two.", None)


def test_all_fail_and_the_error_names_all() -> None:
    reply = ask(one([failing(Cause.KEY)]), two([failing(Cause.OVERLOAD)]), backoff=ONCE)
    assert isinstance(reply.error, ProviderError)
    assert "one: key refused; two: overloaded" in str(reply.error)
    assert reply.error.transient


def test_who_fails_often_is_not_asked_for_a_while_and_then_by_one() -> None:
    first, second = one([failing()]), two()

    async def main() -> None:
        model = FallbackModel([first, second], failures=2, pause=5.0, backoff=ONCE)
        for _ in range(10):
            assert (await asked(model)).text == "Two."
        assert len(first.asked) == 2
        await asyncio.sleep(5)
        first.replies = [[1.0, "One."]]
        replies = await asyncio.gather(*(asked(model) for _ in range(5)))
        assert sorted(reply.text for reply in replies) == ["One.", "Two.", "Two.", "Two.", "Two."]
        assert (await asked(model)).text == "One."

    clock.run(main())


def test_a_single_one_that_asks_for_a_second_is_waited_for_by_all() -> None:
    only = one([failing(Cause.RATE, 1.0)], ["One."])

    async def main() -> None:
        model = FallbackModel([only])
        replies = await asyncio.gather(*(asked(model) for _ in range(5)))
        assert [reply.text for reply in replies] == ["One."] * 5
        assert all(1.0 <= reply.seconds <= 3 for reply in replies)

    clock.run(main())


def test_a_bad_request_of_one_room_is_no_other_rooms_trouble() -> None:
    only = one([failing(Cause.REQUEST)])

    async def main() -> None:
        model = FallbackModel([only])
        for _ in range(20):
            assert isinstance((await asked(model)).error, ProviderError)
        only.replies = [["One."]]
        assert (await asked(model)).text == "One."

    clock.run(main())


def test_who_is_interrupted_says_nothing_against_a_model() -> None:
    only = one(["It is ", HANG])

    async def main() -> None:
        model = FallbackModel([only], failures=1)
        for _ in range(3):
            stream = model.stream(ASKED)
            assert await anext(stream) == TextDelta("It is ")
            await stream.aclose()
            assert only.open == 0
        only.replies = [[HANG]]
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await asked(model)
            assert only.open == 0
        only.replies = [["One."]]
        assert (await asked(model)).text == "One."

    clock.run(main())


def test_a_grammar_is_offered_only_where_all_have_one() -> None:
    tea = Scripted(intents=[Intent(["tea please"], answer="Tea.")])
    boats = Scripted(intents=[Intent(["boats please"], answer="Boats.")])
    mixed, closed = FallbackModel([two(), tea]), FallbackModel([tea, boats])
    assert not isinstance(mixed, Closed)
    assert isinstance(closed, Closed)
    assert "tea please" in closed.grammar()
    assert "boats please" in closed.grammar()


def test_models_are_prepared_and_closed_where_they_can_be() -> None:
    class Whole(Double):
        done: list[str]

        async def prepare(self) -> None:
            self.done.append(f"prepare {self.name}")
            if self.name == "two":
                raise failing(Cause.MISSING)

        async def aclose(self) -> None:
            self.done.append(f"close {self.name}")
            raise OSError("cannot be closed")

    first, second = Whole([["One."]], name="one"), Whole([["Two."]], name="two")
    first.done = second.done = []

    async def main() -> None:
        model = FallbackModel([second, first, two()])
        await model.prepare()
        assert (await asked(model)).text == "One."
        with pytest.raises(OSError, match="cannot be closed"):
            await model.aclose()
        assert first.done == ["prepare two", "prepare one", "close two", "close one"]
        with pytest.raises(ProviderError, match="not installed"):
            await FallbackModel([second]).prepare()

    clock.run(main())
    assert FallbackModel.check().usable


def test_an_hour_without_them_in_a_hundred_rooms_is_a_few_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first, second = one([failing()]), two([failing(Cause.NETWORK)])

    async def room(model: FallbackModel, number: int) -> None:
        await asyncio.sleep(number * 0.37)
        for _ in range(60):
            assert isinstance((await asked(model)).error, ProviderError)
            await asyncio.sleep(60)

    async def main() -> None:
        model = FallbackModel([first, second])
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(room(model, number))
        assert 2 <= len(caplog.records) <= 2 * (3600 / QUIET) / 5
        first.replies = second.replies = [["Back."]]
        await asyncio.sleep(130)
        caplog.clear()
        assert (await asked(model)).text == "Back."
        assert [r.getMessage().split(",")[0] for r in caplog.records] == ["model one works again"]

    clock.run(main())


PARTS = st.sampled_from(["Word. ", " ", HANG, 0.5, failing(), failing(Cause.KEY), failing(Cause.RATE, 1.0), OSError()])
REPLIES = st.lists(st.lists(PARTS | st.just(calls("book")), max_size=4), min_size=1, max_size=4)


@settings(max_examples=150)
@given(st.lists(REPLIES, min_size=1, max_size=3), st.integers(1, 3))
def test_a_reply_is_one_models_and_no_tool_is_called_twice(models: list[list[list[Part]]], requests: int) -> None:
    doubles = [Double(replies, name=f"m{n}") for n, replies in enumerate(models)]

    async def main() -> None:
        model = FallbackModel(doubles)
        for _ in range(requests):
            before = [len(double.asked) for double in doubles]
            reply = await asked(model)
            assert isinstance(reply.error, ProviderError | None)
            assert all(double.open == 0 for double in doubles)
            said = [d for d in reply.deltas if isinstance(d, ToolCall) or d.text.strip()]  # type: ignore[union-attr]
            made = []
            for double, count in zip(doubles, before, strict=True):
                for number in range(count + 1, len(double.asked) + 1):
                    parts = double.replies[min(number, len(double.replies)) - 1]
                    words = [p for p in parts if isinstance(p, ToolCall) or (isinstance(p, str) and p.strip())]
                    made.append([p if isinstance(p, ToolCall) else TextDelta(p) for p in words])
            assert not said or any(said == each[: len(said)] for each in made), "it is a mixture"

    clock.run(main())


@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        ({"models": []}, ValueError, "model: give 1 to 10"),
        ({"models": ["claude"]}, TypeError, "has no stream"),
        ({"first_token": 0}, ValueError, "first_token must be"),
        ({"stall": 601}, ValueError, "stall must be"),
        ({"pause": 0}, ValueError, "pause must be"),
    ],
)
def test_bad_options_are_named(given: dict[str, Any], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        FallbackModel(**{"models": [two()], **given})


def test_names_and_specs_go_through() -> None:
    first = two(["hi"])

    async def main() -> None:
        model = FallbackModel([first, two()])
        assert model.name == "two or two #2"
        spec = ToolSpec("book", "", {})
        async with aclosing(model.stream(ASKED, prompt="be kind", tools=[spec])) as deltas:
            async for _ in deltas:
                pass
        assert (first.asked[0].prompt, first.asked[0].tools, first.asked[0].messages) == (
            "be kind",
            ("book",),
            tuple(ASKED),
        )

    clock.run(main())
