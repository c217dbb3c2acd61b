"""Work for an answer: its result is told once, with the answer or by itself, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from delivery import Status
from delivery.desk import Refuse
from orchestration import Agent, HookContext, HookEvent, HookExecution, HookTrigger, Runtime, TextChannel
from orchestration.asked import Asked
from orchestration.engines.engine import EngineError, Task, TaskResult
from orchestration.engines.memory import MemoryEngine
from orchestration.event import RoomEvent
from orchestration.inbound import InboundMessage, TextContent
from orchestration.models.prepared import Prepared
from orchestration.strategies.task_tools import delegate_tool
from orchestration.strategies.work import GOES_ON, REFUSED, UNFINISHED, in_background, inline
from orchestration.workers import Context, FunctionWorker
from voice.clock import run


def works(seconds: float = 5.0, text: str = "Boats float.", id: str = "analyst") -> FunctionWorker:
    async def job(input: str, context: Context) -> str:
        await asyncio.sleep(seconds)
        if not text:
            raise OSError("no network")
        return text

    return FunctionWorker(id, job, id.capitalize())


@dataclass
class Works:
    """A responder whose answer is the worker's."""

    worker: FunctionWorker
    more: dict[str, Any] = field(default_factory=dict)
    results: list[TaskResult] = field(default_factory=list)

    async def respond(self, asked: Asked) -> AsyncGenerator[str, None]:
        result = await inline(asked, self.worker, asked.event.text, **self.more)
        self.results.append(result)
        yield result.text or "It failed."


@dataclass
class House:
    runtime: Runtime
    read: list[str]

    async def ask(self, text: str) -> str | None:
        said = (await self.runtime.process_inbound(InboundMessage("ws", "ann", TextContent(text)))).reply
        return None if said is None else said.text

    async def statuses(self) -> list[Status]:
        return [e.status for e in await self.runtime.ledger.entries("lobby", list(Status))]


def play(script: Callable[[House], Awaitable[None]], responder: Works, **fields: Any) -> None:
    async def main() -> None:
        read: list[str] = []

        async def send(event: RoomEvent) -> None:
            read.append(event.text)

        async with Runtime(state=None, **fields) as runtime:
            room = await runtime.create_room("lobby")
            runtime.tasks.register(responder.worker)
            await runtime.attach_agent("lobby", Agent("host", model=Prepared(["Told: it floats."])))
            await runtime.attach_channel("lobby", TextChannel("ws", send=send))
            room.responder = responder
            await script(House(runtime, read))

    run(main())


def test_the_answer_waits_for_the_work_and_tells_its_result_once() -> None:
    async def script(house: House) -> None:
        assert await house.ask("boats") == "Boats float."
        await asyncio.sleep(60)
        assert house.read == ["Boats float."]
        assert await house.statuses() == [Status.HEARD]

    play(script, Works(works()))


@pytest.mark.parametrize("delivery", ["immediate", "wait_for_idle", "queued"])
def test_a_result_is_not_told_by_itself_before_the_answer_does(delivery: str) -> None:
    async def script(house: House) -> None:
        assert await house.ask("boats") == "Boats float."
        await asyncio.sleep(60)
        assert house.read == ["Boats float."]
        host = house.runtime.room("lobby").agents["host"]
        assert isinstance(host.model, Prepared)
        assert host.model.asked == []  # nobody put the result into words that were never to be said

    play(script, Works(works()), delivery=delivery)


def test_what_takes_too_long_goes_on_and_is_told_by_itself() -> None:
    responder = Works(works(40), {"timeout": 10.0})

    async def script(house: House) -> None:
        assert await house.ask("boats") == GOES_ON
        assert responder.results[0].data == {UNFINISHED: True}
        await asyncio.sleep(60)
        assert house.read == [GOES_ON, "Told: it floats."]
        assert await house.statuses() == [Status.HEARD]

    play(script, responder)


def test_what_cannot_be_done_is_an_error_and_told_with_the_answer() -> None:
    responder = Works(works(text=""))

    async def script(house: House) -> None:
        assert await house.ask("boats") == "It failed."
        assert responder.results[0].error == "OSError: no network"
        await asyncio.sleep(60)
        assert house.read == ["It failed."]

    play(script, responder)


def test_what_a_hook_refuses_is_an_error() -> None:
    responder = Works(works())

    async def script(house: House) -> None:
        @house.runtime.hook(HookTrigger.ON_TASK_DELEGATED, execution=HookExecution.SYNC)
        def refuse(event: HookEvent, context: HookContext) -> None:
            raise Refuse("not on Sundays")

        assert await house.ask("boats") == "It failed."
        assert responder.results == [TaskResult("", {REFUSED: True}, error="not on Sundays")]
        await asyncio.sleep(60)
        assert await house.statuses() == []

    play(script, responder)


def test_bad_input_is_an_error() -> None:
    responder = Works(works(), {"share_channels": ["not\na name"]})

    async def script(house: House) -> None:
        assert await house.ask("boats") == "It failed."
        assert "share_channels" in (responder.results[0].error or "")

    play(script, responder)


def test_work_that_is_cancelled_leaves_nothing_behind() -> None:
    responder = Works(works())

    async def script(house: House) -> None:
        asking = asyncio.create_task(house.ask("boats"))
        await asyncio.sleep(1)
        (running,) = house.runtime.tasks.running("lobby")
        assert await house.runtime.tasks.cancel(running.task.id)
        assert await asking == "It failed."
        await asyncio.sleep(60)
        assert await house.statuses() == []
        session = house.runtime.session("lobby")
        assert session is not None
        assert session.desk._scheduler._line.carried == {}

    play(script, responder)


def test_many_rooms_that_wait_at_once_all_have_their_results() -> None:
    rooms = 250  # more than the results that are kept

    async def main() -> None:
        responder = Works(works(1.0))
        async with Runtime(state=None, max_tasks=rooms) as runtime:
            runtime.tasks.register(responder.worker)

            async def one(number: int) -> str | None:
                name = f"room-{number}"
                room = await runtime.create_room(name)
                await runtime.attach_agent(name, Agent("host", model=Prepared(["?"])))
                await runtime.attach_channel(name, TextChannel(f"ws-{number}"))
                room.responder = responder
                message = InboundMessage(f"ws-{number}", "ann", TextContent("boats"))
                said = (await runtime.process_inbound(message)).reply
                return None if said is None else said.text

            assert await asyncio.gather(*map(one, range(rooms))) == ["Boats float."] * rooms

    run(main())


@dataclass
class Talk:
    spoken: bool


@pytest.mark.parametrize(
    ("spoken", "asynchronous", "background"),
    [
        (True, None, True),
        (False, None, False),
        (None, None, True),
        (True, False, False),
        (False, True, True),
        (None, False, False),
    ],
)
def test_whose_work_is_in_the_background(spoken: Any, asynchronous: Any, background: bool) -> None:
    asked: Any = None if spoken is None else Talk(spoken)
    assert in_background(asked, asynchronous) is background


def test_nothing_is_left_of_it_when_the_answer_was_read() -> None:
    async def script(house: House) -> None:
        for _ in range(3):
            await house.ask("boats")
        await asyncio.sleep(10)
        session = house.runtime.session("lobby")
        assert session is not None
        assert session.desk._scheduler._line.carried == {}

    play(script, Works(works()))


def test_a_tool_that_is_called_for_no_answer_begins_work_and_the_result_is_told() -> None:
    responder = Works(works())

    async def script(house: House) -> None:
        for waits in (None, False, True):
            it = delegate_tool(house.runtime, "lobby", responder.worker, "delegate", "On it.", inline=waits)
            assert await it.run({"task": "boats"}) == "started: On it."
        await asyncio.sleep(60)
        assert await house.statuses() == [Status.HEARD] * 3

    play(script, responder)


class Slow(MemoryEngine):
    """Says that a task has begun a while after it did, like an engine that keeps it in a database."""

    async def start(self, task: Task) -> bool:
        begun = await super().start(task)
        await asyncio.sleep(1.0)
        return begun


@pytest.mark.parametrize("delivery", ["immediate", "wait_for_idle", "queued"])
def test_work_that_ends_before_it_is_known_to_have_begun_is_told_once(delivery: str) -> None:
    async def script(house: House) -> None:
        assert await house.ask("boats") == "Boats float."
        await asyncio.sleep(60)
        assert house.read == ["Boats float."]
        host = house.runtime.room("lobby").agents["host"]
        assert isinstance(host.model, Prepared)
        assert host.model.asked == []

    play(script, Works(works(0.1)), delivery=delivery, engine=Slow())


def test_work_that_could_not_be_begun_leaves_nothing_behind() -> None:
    class Broken(MemoryEngine):
        async def start(self, task: Task) -> bool:
            raise EngineError("no database")

    responder = Works(works())

    async def script(house: House) -> None:
        assert await house.ask("boats") == "It failed."
        assert responder.results == [TaskResult("", {REFUSED: True}, error="the work cannot be begun now")]
        session = house.runtime.session("lobby")
        assert session is not None
        assert session.desk._scheduler._line.carried == {}

    play(script, responder, engine=Broken())


def test_a_task_may_be_given_its_id_and_is_begun_once() -> None:
    async def script(house: House) -> None:
        for _ in range(2):
            task = await house.runtime.delegate("lobby", "analyst", "boats", caller="ws", id="boats-1")
            assert task.id == "boats-1"
        assert len(house.runtime.tasks.running("lobby")) == 1
        for wrong in ("", "a\nb", "x" * 65):
            with pytest.raises(ValueError, match=r"^id must have"):
                await house.runtime.delegate("lobby", "analyst", "boats", id=wrong)
        await asyncio.sleep(60)
        assert house.read == ["Told: it floats."]

    play(script, Works(works()))
