"""Models that go wrong in every way we could think of, until they are mended; and one that does what is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import count
from typing import Any

from orchestration.models import Delta, Message, TextDelta, ToolCall, ToolSpec
from orchestration.models.model import word_by_word
from orchestration.models.scripted import RESULT

WELL = "All is well."
SECRET = "token 4711"  # what went wrong inside is nobody's business outside
FOREVER = 10_000.0
EARLIER = "This was said before"  # how what stands behind a task begins, if it is part of a talk


class Sensible:
    """Delegates or hands over what is about boats if it can, approves, reads results out; otherwise all is well."""

    name = "sensible"

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        answer = _sensible(messages, tools)
        if isinstance(answer, ToolCall):
            yield answer
        else:
            for delta in word_by_word(answer):
                yield delta


def _sensible(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str | ToolCall:
    last = messages[-1]
    if told := RESULT.search(last.text):
        return f"They found this. {told['text']}"
    if last.role == "tool":
        return "I am on it." if last.text.startswith("started:") else f"That gave: {last.text}"
    names = {tool.name: tool for tool in tools}
    if "approve_output" in names:
        return ToolCall("approve", "approve_output")
    if "boats" not in last.text.partition(EARLIER)[0]:
        return WELL
    for name, tool in names.items():
        if name.startswith("delegate_"):
            return ToolCall("delegate", name, {"task": "boats"})
        if name == "handoff_conversation":
            target = tool.schema["properties"]["target"]["enum"][0]
            return ToolCall("hand", name, {"target": target, "reason": "boats", "summary": "It is about boats."})
    return "Boats float."


Messages = Sequence[Message]
Tools = Sequence[ToolSpec]
Stream = AsyncGenerator[Any, None]
Fault = Callable[[Messages, Tools], Stream]


class Broken(Sensible):
    """Goes wrong, until `mended`."""

    name = "broken"

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.mended = False

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        stream = super().stream(messages, prompt=prompt, tools=tools) if self.mended else self.fault(messages, tools)
        try:
            async for delta in stream:
                yield delta
        finally:
            await stream.aclose()


async def raises(messages: Messages, tools: Tools) -> Stream:
    if messages:
        raise OSError(f"no network, {SECRET}")
    yield


async def raises_in_mid_sentence(messages: Messages, tools: Tools) -> Stream:
    yield TextDelta("I was about ")
    raise OSError(f"no network, {SECRET}")


async def cancels(messages: Messages, tools: Tools) -> Stream:
    if messages:
        raise asyncio.CancelledError(SECRET)
    yield


async def stalls(messages: Messages, tools: Tools) -> Stream:
    await asyncio.sleep(FOREVER)
    yield TextDelta("Too late.")


async def stalls_in_mid_sentence(messages: Messages, tools: Tools) -> Stream:
    yield TextDelta("I was about ")
    await asyncio.sleep(FOREVER)


async def says_nothing(messages: Messages, tools: Tools) -> Stream:
    return
    yield


async def says_blanks(messages: Messages, tools: Tools) -> Stream:
    yield TextDelta(" ")
    yield TextDelta("\n\t")


async def says_dots(messages: Messages, tools: Tools) -> Stream:
    yield TextDelta("... \x00")


async def says_what_nobody_hears(messages: Messages, tools: Tools) -> Stream:
    yield TextDelta("\N{THUMBS UP SIGN}")


async def floods(messages: Messages, tools: Tools) -> Stream:
    while True:
        yield TextDelta("boats " * 1_000)
        await asyncio.sleep(0)


async def yields_what_is_no_delta(messages: Messages, tools: Tools) -> Stream:
    yield None
    yield {"text": "Hello."}


async def calls_an_unknown_tool(messages: Messages, tools: Tools) -> Stream:
    yield ToolCall("u", "launch_rockets", {"how_many": 3})


async def calls_tools_without_end(messages: Messages, tools: Tools) -> Stream:
    for number in count():
        for tool in tools or [ToolSpec("none", "", {})]:
            yield ToolCall(f"t{number}", tool.name, {"task": f"boats {number}"})
        await asyncio.sleep(0)


async def calls_everything_badly(messages: Messages, tools: Tools) -> Stream:
    """Every tool there is, with arguments that do not fit its schema."""
    for number, tool in enumerate(tools or [ToolSpec("none", "", {})]):
        yield ToolCall(f"b{number}", tool.name, {"moon": [1, 2]})


async def calls_with_what_is_no_object(messages: Messages, tools: Tools) -> Stream:
    for number, tool in enumerate(tools or [ToolSpec("none", "", {})]):
        yield ToolCall(f"n{number}", tool.name, ["task", "boats"])  # type: ignore[arg-type]


async def hands_over_to_nobody(messages: Messages, tools: Tools) -> Stream:
    arguments = {"target": "agent-nobody", "reason": "It is for them.", "summary": "Nothing."}
    yield ToolCall("h", "handoff_conversation", arguments)


async def calls_a_tool_and_says_nothing(messages: Messages, tools: Tools) -> Stream:
    if messages[-1].role == "tool":
        return
    yield ToolCall("u", "look_up", {"word": "boats"})


FAULTS: Sequence[Fault] = (
    raises,
    raises_in_mid_sentence,
    cancels,
    stalls,
    stalls_in_mid_sentence,
    says_nothing,
    says_blanks,
    says_dots,
    says_what_nobody_hears,
    floods,
    yields_what_is_no_delta,
    calls_an_unknown_tool,
    calls_tools_without_end,
    calls_everything_badly,
    calls_with_what_is_no_object,
    calls_a_tool_and_says_nothing,
    hands_over_to_nobody,
)
