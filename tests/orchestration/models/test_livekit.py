"""LiveKit's language models: what they are asked, what comes of it, and that nothing of a request is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("livekit.agents", reason="pip install 'sottovoce[livekit]'")

from livekit.agents import APIConnectionError, APIStatusError

from orchestration.models import LiveKitLLM, Message, Role, TextDelta, ToolCall, ToolSpec, Usage
from orchestration.usage import Meter, Price, Tab, charging
from tests.orchestration.models.double import Double, Part, calls
from tests.voice.livekit_plugins import Mind, everything, left
from voice.clock import now, run
from voice.provider_error import Cause, ProviderError

HELLO = [Message(Role.USER, "hello")]
CLOCK = ToolSpec("clock", "What time it is.", {"type": "object", "properties": {"city": {"type": "string"}}})


@asynccontextmanager
async def opened(*reply: Part, **options: Any) -> AsyncIterator[tuple[LiveKitLLM, Mind]]:
    """A model that gives this reply; no task, and no request, is left afterwards."""
    mind = Mind(Double([reply]), spoils=options.pop("spoils", None))
    model = LiveKitLLM(mind, **options)
    await model.prepare()
    yield model, mind
    assert mind.running == mind.inner.open == 0
    await model.aclose()
    assert await left() == []


def answer(*reply: Part, messages: Sequence[Message] = HELLO, **options: Any) -> list[Any]:
    async def main() -> list[Any]:
        async with opened(*reply, **options) as (model, _):
            return await everything(model.stream(messages))

    return run(main())


def test_words_and_calls_come_as_the_plugin_gives_them() -> None:
    both = (calls("clock", "c1", city="Rome"), calls("clock", "c2"))
    assert answer("Just ", "a moment.", *both) == [TextDelta("Just "), TextDelta("a moment."), *both]


def test_words_come_while_the_model_still_thinks() -> None:
    async def main() -> list[tuple[float, Any]]:
        async with opened("one ", 2.0, "two") as (model, _):
            return [(now(), delta) async for delta in model.stream(HELLO)]

    assert run(main()) == [(0.0, TextDelta("one ")), (2.0, TextDelta("two"))]


def test_the_whole_conversation_is_told() -> None:
    told = [
        Message(Role.USER, "What time is it in Rome and Paris?"),
        Message(
            Role.ASSISTANT, "Let me see.", (calls("clock", "c1", city="Rome"), calls("clock", "c2", city="Zürich"))
        ),
        Message(Role.TOOL, "noon", call="c1"),
        Message(Role.TOOL, "one", call="c2"),
        Message(Role.ASSISTANT, "", (calls("clock", "c3"),)),
        Message(Role.TOOL, "two", call="c3"),
        Message(Role.USER, "Thanks."),
    ]

    async def main() -> tuple[LiveKitLLM, Mind]:
        async with opened("Yes.") as (model, mind):
            await everything(model.stream(told, prompt="Be kind.", tools=[CLOCK]))
            return model, mind

    _, mind = run(main())
    [asked] = mind.inner.asked
    assert asked.prompt == "Be kind."
    assert list(asked.messages) == told
    [(context, [tool], options)] = mind.asked
    assert tool.info.raw_schema == {
        "name": "clock",
        "description": "What time it is.",
        "parameters": dict(CLOCK.schema),
    }
    assert options.max_retry == 0
    answers = [item for item in context.items if item.type == "function_call_output"]
    assert [item.name for item in answers] == ["clock"] * 3
    groups = [item.group_id for item in context.items if item.type == "function_call"]
    assert groups == ["c1", "c1", "c3"], "those of one answer belong together"


def test_a_tool_is_never_run_by_the_plugin() -> None:
    async def main() -> None:
        async with opened("Yes.") as (model, mind):
            await everything(model.stream(HELLO, tools=[CLOCK]))
            with pytest.raises(NotImplementedError, match="clock: it is run by the runtime"):
                await mind.asked[0][1][0](raw_arguments={})

    run(main())


class TestCost:
    def counting(self) -> Double:
        class Counting(Double):
            async def stream(self, *asked: Any, **how: Any) -> Any:
                yield TextDelta("Yes.")
                yield Usage("", 10, 5, cache_read=100, cache_write=20)
                yield TextDelta("")
                await asyncio.sleep(1)

        return Counting([])

    def test_it_is_told_last(self) -> None:
        async def main() -> list[Any]:
            model = LiveKitLLM(Mind(self.counting()), price=Price(1.0, 5.0, 0.1, 1.25))
            return await everything(model.stream(HELLO))

        text, usage = run(main())
        assert text == TextDelta("Yes.")
        assert usage == Usage("mind-1", 10, 5, 100, 20, usage.cost)
        assert usage.cost == pytest.approx((10 + 25 + 10 + 25) / 1e6)

    def test_it_is_charged_when_nobody_waits_for_the_end(self) -> None:
        tab = Tab(Meter(), "r1")

        async def main() -> None:
            with charging(tab):
                reader = asyncio.ensure_future(everything(LiveKitLLM(Mind(self.counting())).stream(HELLO)))
                await asyncio.sleep(0.5)
                reader.cancel()
                await asyncio.wait([reader])

        run(main())
        assert tab.sums.models["mind-1"].output == 5


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "cause"),
        [
            (APIStatusError("token-123", status_code=529), Cause.OVERLOAD),
            (APIStatusError("token-123", status_code=401), Cause.KEY),
            (APIConnectionError("token-123"), Cause.NETWORK),
            (RuntimeError("token-123"), Cause.ANSWER),
        ],
    )
    @pytest.mark.parametrize("before", [[], ["Well, "]])
    def test_they_name_the_provider_and_the_cause(self, error: Exception, cause: Cause, before: list[str]) -> None:
        with pytest.raises(ProviderError, match=r"^livekit:") as caught:
            answer(*before, error)
        assert caught.value.cause is cause
        assert "token-123" not in repr(caught.value)
        assert caught.value.__suppress_context__

    def test_how_long_it_asks_to_be_left_alone_is_found_in_the_sdks_error(self) -> None:
        class Vendor(Exception):  # noqa: N818 (as SDKs call theirs)
            response = SimpleNamespace(headers={"retry-after": "7", "authorization": "token-123"})

        error = APIStatusError("slow down", status_code=429)
        error.__cause__ = Vendor()
        with pytest.raises(ProviderError) as caught:
            answer(error)
        assert (caught.value.cause, caught.value.retry_after) == (Cause.RATE, 7.0)

    @pytest.mark.parametrize("spoils", ["{", "[1]", "null"])
    def test_arguments_that_are_no_object(self, spoils: str) -> None:
        with pytest.raises(ProviderError, match="answer not understood; the arguments of 'clock' are no JSON object"):
            answer(calls("clock"), spoils=spoils)

    def test_no_arguments_are_an_empty_object(self) -> None:
        assert answer(calls("clock"), spoils="") == [ToolCall("c1", "clock", {})]

    def test_one_that_never_answers(self) -> None:
        async def main() -> float:
            async with opened(1e6, timeout=5.0) as (model, _):
                with pytest.raises(ProviderError, match="no answer in time"):
                    await everything(model.stream(HELLO))
                return now()

        assert run(main()) == 5.0

    def test_one_that_cannot_be_asked(self) -> None:
        class Broken(Mind):
            def chat(self, **_: Any) -> Any:
                raise APIConnectionError

        async def main() -> None:
            with pytest.raises(ProviderError, match="connection lost"):
                await everything(LiveKitLLM(Broken(None)).stream(HELLO))

        run(main())


def test_closing_it_ends_the_request_at_once() -> None:
    async def main() -> float:
        async with opened("one ", 60.0, "two") as (model, mind):
            async with aclosing(model.stream(HELLO)) as stream:
                await anext(stream)
                assert mind.running == 1
            assert mind.running == 0
            return now()

    assert run(main()) == 0.0


def test_one_that_never_began_asks_nothing() -> None:
    async def main() -> None:
        async with opened("one") as (model, mind):
            await model.stream(HELLO).aclose()
            assert mind.asked == []

    run(main())


def test_it_says_what_is_no_plugin() -> None:
    with pytest.raises(TypeError, match=r"llm: give an object .* not the class Mind"):
        LiveKitLLM(Mind)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout must be seconds > 0"):
        LiveKitLLM(Mind(None), timeout=-1)
    with pytest.raises(ValueError, match="connect must be seconds > 0"):
        LiveKitLLM(Mind(None), connect=float("inf"))
    assert LiveKitLLM.check().usable
    assert repr(LiveKitLLM(Mind(None))) == "LiveKitLLM('livekit:tests.voice.livekit_plugins.Mind')"
