"""The runtime without a voice: its life, rooms, deliveries, tasks and hooks, and every mistake one can make there."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import pytest

from delivery import Immediate, LedgerError, Queued, Status, WaitForIdle
from delivery.desk import Refuse
from delivery.ledger import ConflictError, Delivery, QueueFullError, SpeakAs
from delivery.memory import MemoryLedger
from orchestration import (
    Agent,
    HookContext,
    HookEvent,
    HookExecution,
    HookTrigger,
    InboundMessage,
    RoomError,
    Runtime,
    Supervisor,
    TextChannel,
    TextContent,
)
from orchestration.content import MAX_CONTENT
from orchestration.engines.engine import Body, EngineError, Task, TaskStatus
from orchestration.engines.memory import MemoryEngine
from orchestration.identity import MemoryIdentities
from orchestration.observers import LAST_LOOK
from orchestration.rooms import TooManyRoomsError
from orchestration.simulation import SimulatedCall, simulate
from orchestration.store import MemoryRoomStore, StoredRoom
from orchestration.strategies.orchestration import Orchestration
from orchestration.tasks import TaskNews
from orchestration.workers import Context, FunctionWorker
from tests.orchestration.models.double import Double
from voice.clock import now, run
from voice.simulated import SimulatedChannel

SYNC = HookExecution.SYNC


def works(id: str = "analyst", seconds: float = 5.0, error: Exception | None = None) -> FunctionWorker:
    async def job(input: str, context: Context) -> str:
        await asyncio.sleep(seconds)
        if error:
            raise error
        return f"{id} on {input}"

    return FunctionWorker(id, job, id)


def team(*workers: FunctionWorker, host: str = "host") -> Supervisor:
    return Supervisor(Agent(host, model=Double([[]])), workers or [works()])


def made(**parts: Any) -> Runtime:
    return Runtime(**{"orchestration": team(), "state": None, "channels": lambda _: SimulatedChannel(), **parts})


def play(script: Callable[[Runtime], Awaitable[object]], runtime: Runtime | None = None) -> None:
    async def main() -> None:
        async with runtime or made() as opened:
            await script(opened)

    run(main())


# -- what it is made with


@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        ({"delivery_strategy": "immediate"}, TypeError, "argument 'delivery_strategy'; it is called 'delivery' here"),
        ({"colour": "red"}, TypeError, r"Runtime got an unknown argument 'colour'$"),
        ({"delivery": "now"}, ValueError, "strategy: 'now' is not known; known are immediate, "),
        ({"delivery": 3}, ValueError, "strategy: 3 is neither a Strategy nor the name of one"),
        ({"state": 5}, TypeError, "state: 5 is no place; give a directory, a postgresql:// URL, or None"),
        ({"rooms": "lobby"}, TypeError, "rooms: 'lobby' is one name; give a list of names"),
        (
            {"address": "voice.example.org"},
            ValueError,
            "address: 'voice.example.org' is no URL; give one like https://",
        ),
        ({"address": "https://a/?b"}, ValueError, "is no URL"),
        ({"max_tasks": 0}, ValueError, "max_tasks: 0 is no whole number above 0"),
        ({"max_tasks_per_room": True}, ValueError, "max_tasks_per_room: True is no whole number above 0"),
        ({"rooms": ["lobby", ""]}, ValueError, "rooms must have 1 to 64 characters"),
        ({"orchestration": "parallel"}, TypeError, "orchestration: 'parallel' is no Orchestration"),
        ({"orchestration": Agent("a", model=Double([[]]))}, TypeError, "is no Orchestration, like Supervisor"),
    ],
)
def test_what_it_cannot_be_made_with_is_told(given: dict[str, Any], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        Runtime(**given)


def test_making_one_touches_nothing(tmp_path: Any) -> None:
    Runtime(state=tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


def test_a_strategy_may_be_given_by_name() -> None:
    assert Runtime(delivery="queued").delivery == Queued()
    assert Runtime().delivery == WaitForIdle()


# -- its life


class Parts:
    """A ledger, an engine and identities that note when they are opened and closed, and fail as they are told."""

    def __init__(self, fails: str = "") -> None:
        self.log: list[str] = []
        parts = self

        def note(what: str) -> None:
            parts.log.append(what)
            if what == fails:
                raise LedgerError(f"{what} failed: make room on the disk")

        class Ledger(MemoryLedger):
            async def open(self) -> None:
                note("ledger opens")
                await super().open()

            async def aclose(self) -> None:
                await super().aclose()
                note("ledger closes")

            async def put(self, delivery: Delivery, *, limit: int = 1000) -> bool:
                parts.log.append("put")
                return await super().put(delivery, limit=limit)

        class Engine(MemoryEngine):
            async def open(self, body: Body, process: str = "") -> None:
                note("engine opens")
                await super().open(body, process)

            async def aclose(self) -> None:
                await super().aclose()
                note("engine closes")

        class Identities(MemoryIdentities):
            async def open(self) -> None:
                note("identities open")

            async def aclose(self) -> None:
                note("identities close")

        class Channel(SimulatedChannel):
            async def __aenter__(self) -> Channel:
                note("channel opens")
                return await super().__aenter__()

            async def __aexit__(self, *error: Any) -> None:
                await super().__aexit__(*error)
                note("channel closes")

        self.given = {
            "ledger": Ledger(),
            "engine": Engine(),
            "identities": Identities(),
            "channels": lambda _: Channel(),
        }


def test_it_opens_and_closes_its_parts_in_order() -> None:
    parts = Parts()

    async def main() -> None:
        async with made(**parts.given) as runtime:
            await runtime.enter("lobby")
            await runtime.delegate("lobby", "analyst", "boats")

    run(main())
    assert parts.log == [
        *("ledger opens", "identities open", "engine opens", "channel opens"),
        *("channel closes", "engine closes", "identities close", "ledger closes"),
    ]


@pytest.mark.parametrize("fails", ["ledger opens", "identities open", "engine opens"])
def test_when_a_part_cannot_be_opened_the_others_are_closed_and_it_says_which(fails: str) -> None:
    parts = Parts(fails)
    runtime = made(**parts.given)

    async def main() -> None:
        with pytest.raises(LedgerError, match=f"{fails} failed: make room on the disk"):
            await runtime.__aenter__()
        with pytest.raises(RoomError, match="not open"):
            await runtime.enter("lobby")

    run(main())
    opened = {line.split()[0] for line in parts.log if "open" in line} - {fails.split()[0]}
    assert {line.split()[0] for line in parts.log if "close" in line} == opened
    parts.log.clear()
    with pytest.raises(LedgerError):
        run(runtime.__aenter__())  # it can be tried again
    assert parts.log


@pytest.mark.parametrize("fails", ["channel closes", "engine closes", "identities close", "ledger closes"])
def test_a_part_that_cannot_be_closed_leaves_none_open(fails: str) -> None:
    parts = Parts(fails)

    async def main() -> None:
        async with made(**parts.given) as runtime:
            await runtime.enter("lobby")

    if fails == "channel closes":
        run(main())  # a room's failure stays in it
    else:
        with pytest.raises(LedgerError, match=fails):
            run(main())
    assert {"channel closes", "engine closes", "identities close", "ledger closes"} <= set(parts.log)


def test_speech_that_is_missing_is_said_to_whoever_needs_it_and_readers_need_none() -> None:
    class Speech:
        async def prepare(self) -> None:
            raise RuntimeError("nothing on this machine can do speech")

    async def main() -> None:
        runtime = made(**{**Parts().given, "channels": None}, speech=Speech())
        with pytest.raises(RoomError, match="the runtime is not open"):
            await runtime.prepare()
        async with runtime:
            with pytest.raises(RuntimeError, match="nothing on this machine can do speech"):
                await runtime.prepare()
            with pytest.raises(RoomError, match="cannot be opened: nothing on this machine can do speech"):
                await runtime.enter("lobby")
            await runtime.create_room("attic")
            await runtime.attach_channel("attic", TextChannel("page"))
            message = InboundMessage("page", "ann", TextContent("Good morning."))
            assert (await runtime.process_inbound(message)).event is not None

    run(main())


def test_an_error_in_its_body_goes_on_as_it_is() -> None:
    async def main() -> None:
        async with made() as runtime:
            await runtime.enter("lobby")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(main())


def test_being_cancelled_closes_everything_and_goes_on() -> None:
    parts = Parts()

    async def main() -> None:
        async def use() -> None:
            async with made(**parts.given) as runtime:
                await runtime.enter("lobby")
                await asyncio.sleep(1000)

        using = asyncio.create_task(use())
        await asyncio.sleep(1)
        using.cancel()
        await asyncio.wait([using])
        assert using.cancelled()
        assert now() == 1.0

    run(main())
    assert parts.log[-1] == "ledger closes"


def test_it_is_open_once_at_a_time_and_can_be_opened_again() -> None:
    runtime = made()

    async def main() -> None:
        async with runtime:
            with pytest.raises(RuntimeError, match="open already; use it in one `async with` at a time"):
                await runtime.__aenter__()
            await runtime.enter("lobby")
        async with runtime:
            assert (await runtime.enter("lobby")).room.id == "lobby"

    run(main())


def test_while_it_is_opened_it_cannot_be_opened() -> None:
    class Slow(MemoryLedger):
        async def open(self) -> None:
            await asyncio.sleep(1)
            await super().open()

    async def main() -> None:
        runtime = made(ledger=Slow())
        opening = asyncio.create_task(runtime.__aenter__())
        await asyncio.sleep(0.5)
        with pytest.raises(RuntimeError, match="open already"):
            await runtime.__aenter__()
        await opening
        await runtime.__aexit__(None, None, None)

    run(main())


@pytest.mark.parametrize(
    "use",
    [
        lambda r: r.create_room("lobby"),
        lambda r: r.get_room("lobby"),
        lambda r: r.enter("lobby"),
        lambda r: r.join("lobby", None),
        lambda r: r.deliver("lobby", "hello"),
        lambda r: r.delegate("lobby", "analyst", "boats"),
    ],
)
def test_what_is_not_open_says_how_to_open_it(use: Callable[[Runtime], Awaitable[object]]) -> None:
    runtime = made()

    async def main() -> None:
        with pytest.raises(RoomError, match="the runtime is not open; use `async with runtime`"):
            await use(runtime)
        async with runtime:
            pass
        with pytest.raises(RoomError, match="the runtime is not open"):
            await use(runtime)

    run(main())
    with pytest.raises(RoomError, match="the runtime is not open"):
        runtime.receipt("x")


def test_a_result_that_comes_while_rooms_close_is_kept() -> None:
    ledger = MemoryLedger()

    class Channel(SimulatedChannel):
        async def __aexit__(self, *error: Any) -> None:
            await asyncio.sleep(6)  # the work is done meanwhile
            await super().__aexit__(*error)

    async def main() -> None:
        async with made(ledger=ledger, channels=lambda _: Channel()) as runtime:
            await runtime.enter("lobby")
            await runtime.delegate("lobby", "analyst", "boats")
        await ledger.open()
        assert [e.delivery.content for e in await ledger.entries("lobby")] == ["analyst on boats"]

    run(main())


def test_a_runtime_that_is_opened_again_begins_without_rooms() -> None:
    async def main() -> None:
        runtime = made(orchestration=None)
        for _ in range(2):
            async with runtime:
                assert runtime._rooms.names == set()
                await runtime.create_room("lobby", orchestration=team())
                task = await runtime.delegate("lobby", "analyst", "boats")
                assert await runtime.tasks.result(task.id, within=10) is not None

    run(main())


def test_what_was_unfinished_goes_on_when_it_is_opened_again() -> None:
    ledger, engine = MemoryLedger(), MemoryEngine()

    async def main() -> None:
        async with made(ledger=ledger, engine=engine) as runtime:
            task = await runtime.delegate("lobby", "analyst", "boats")
            await asyncio.sleep(1)
        assert now() == 1.0
        async with made(ledger=ledger, engine=engine) as runtime:
            await asyncio.sleep(6)
            entry = await runtime.receipt(f"{task.id}:result:0").entry()
            assert entry.delivery.content == "analyst on boats"

    run(main())


# -- rooms


def test_a_room_is_made_with_what_the_runtime_has_or_its_own() -> None:
    other = team(works("other"), host="other-host")

    async def script(runtime: Runtime) -> None:
        lobby = await runtime.create_room("lobby", metadata={"floor": 1})
        assert (lobby.id, lobby.metadata, lobby.delivery) == ("lobby", {"floor": 1}, WaitForIdle())
        assert lobby.talker is not None
        assert lobby.talker.id == "host"
        assert [t.name for t in lobby.tools] == ["delegate_to_analyst", "task_status", "cancel_task", "recall"]
        attic = await runtime.create_room("attic", orchestration=other, delivery="immediate")
        assert (attic.delivery, attic.talker and attic.talker.id) == (Immediate(), "other-host")
        bare = await runtime.create_room("bare", orchestration=None)
        assert (bare.talker, bare.tools) == (None, [])
        assert runtime.room("lobby") is await runtime.get_room("lobby") is await runtime.get_room(" lobby ")
        await runtime.delegate("attic", "other", "boats")

    play(script)


def test_a_room_without_a_name_gets_one() -> None:
    async def script(runtime: Runtime) -> None:
        rooms = {(await runtime.create_room()).id for _ in range(50)}
        assert len(rooms) == 50
        assert all(runtime.room(name) for name in rooms)

    play(script)


def test_a_room_is_made_once_and_can_be_made_again_when_it_is_closed() -> None:
    async def script(runtime: Runtime) -> None:
        first = await runtime.create_room("lobby")
        with pytest.raises(RoomError, match="room_id: the room 'lobby' exists already; use get_room"):
            await runtime.create_room("lobby")
        await runtime.close_room("lobby")
        with pytest.raises(RoomError, match="room_id: there is no room 'lobby'; create_room makes one"):
            runtime.room("lobby")
        assert await runtime.create_room("lobby") is not first
        await runtime.close_room("nowhere")

    play(script)


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "\0", 7, None])
@pytest.mark.parametrize("method", ["create_room", "get_room", "close_room", "enter", "deliver", "delegate"])
def test_a_bad_name_is_refused_wherever_it_is_given(name: Any, method: str) -> None:
    more: Mapping[str, list[str]] = {"deliver": ["hello"], "delegate": ["analyst", "boats"]}

    async def script(runtime: Runtime) -> None:
        if method == "create_room" and name is None:
            return
        with pytest.raises(ValueError, match="room_id must "):
            await getattr(runtime, method)(name, *more.get(method, []))

    play(script)


def test_a_strategy_that_is_not_known_makes_no_room() -> None:
    async def script(runtime: Runtime) -> None:
        with pytest.raises(ValueError, match="strategy: 'now' is not known"):
            await runtime.create_room("lobby", delivery="now")
        with pytest.raises(TypeError, match="orchestration: 'parallel' is no Orchestration"):
            await runtime.create_room("lobby", orchestration="parallel")  # type: ignore[arg-type]
        with pytest.raises(RoomError, match="there is no room"):
            runtime.room("lobby")

    play(script)


class Broken(Orchestration):
    """Cannot be installed the first time."""

    tries = 0

    def agents(self) -> list[Agent]:
        return []

    def workers(self) -> list[FunctionWorker]:
        return [works("broken")]

    async def install(self, runtime: Runtime, room_id: str) -> None:
        self.tries += 1
        await asyncio.sleep(1)
        if self.tries == 1:
            raise OSError("no model")


def test_a_room_whose_orchestration_fails_is_not_there_and_can_be_made_again() -> None:
    async def script(runtime: Runtime) -> None:
        with pytest.raises(OSError, match="no model"):
            await runtime.get_room("lobby")
        with pytest.raises(RoomError, match="there is no room"):
            runtime.room("lobby")
        await runtime.get_room("lobby")
        await runtime.delegate("lobby", "broken", "boats")

    play(script, made(orchestration=Broken()))


def test_a_room_is_made_by_one_while_others_wait_and_other_rooms_do_not() -> None:
    class Slow(Broken):
        tries = 1

        async def install(self, runtime: Runtime, room_id: str) -> None:
            await super().install(runtime, room_id)
            if room_id == "parent":
                await runtime.create_room("child", orchestration=None)

    async def script(runtime: Runtime) -> None:
        both = await asyncio.gather(runtime.get_room("parent"), runtime.get_room("parent"), runtime.get_room("other"))
        assert both[0] is both[1]
        assert now() == 1.0
        assert runtime.room("child").talker is None

    play(script, made(orchestration=Slow()))


@pytest.mark.parametrize(
    ("bad", "error", "fault"),
    [
        ({"caller": ""}, ValueError, "caller must have 1 to 64 characters"),
        ({"caller": 5}, ValueError, "caller must be text"),
        ({"caller": "x" * 300}, ValueError, "caller must have 1 to 64 characters"),
        ({"share_channels": "screen"}, TypeError, "share_channels: 'screen' is one name"),
        ({"share_channels": 5}, TypeError, "share_channels: 5 is no list"),
        ({"share_channels": [""]}, ValueError, "share_channels must have"),
        ({"timeout": -1}, ValueError, "timeout of task .* must be seconds above 0"),
    ],
)
def test_work_that_could_not_be_told_of_is_refused_at_once(
    bad: dict[str, Any], error: type[Exception], fault: str
) -> None:
    async def script(runtime: Runtime) -> None:
        with pytest.raises(error, match=fault):
            await runtime.delegate("lobby", "analyst", "boats", **bad)
        assert runtime.tasks.running("lobby") == []

    play(script, made())


def test_so_many_tasks_run_at_once_and_the_others_wait_their_turn() -> None:
    begun: list[tuple[float, str]] = []

    async def job(input: str, context: Context) -> str:
        begun.append((now(), input))
        await asyncio.sleep(5)
        return input

    async def script(runtime: Runtime) -> None:
        for room, input in (("lobby", "a"), ("lobby", "b"), ("attic", "c"), ("cellar", "d")):
            await runtime.delegate(room, "analyst", input)
        await asyncio.sleep(20)
        assert begun == [(0.0, "a"), (0.0, "c"), (5.0, "b"), (5.0, "d")]

    analyst = FunctionWorker("analyst", job, "analyst")
    play(script, made(orchestration=team(analyst), max_tasks=2, max_tasks_per_room=1))


def test_workers_of_one_id_in_two_rooms_are_each_rooms_own() -> None:
    def saying(word: str) -> FunctionWorker:
        async def job(input: str, context: Context) -> str:
            return f"{word} {input}"

        return FunctionWorker("analyst", job, "analyst")

    async def script(runtime: Runtime) -> None:
        for room in ("one", "two"):
            await runtime.create_room(room, orchestration=team(saying(room), host=f"host-{room}"))
        for room in ("one", "two", "three"):
            task = await runtime.delegate(room, "analyst", "boats")
            result = await runtime.tasks.result(task.id, within=10)
            assert result is not None
            assert result.text == f"{room} boats"
        with pytest.raises(ValueError, match="workers: the id 'analyst' is used twice"):
            await runtime.create_room("four", orchestration=team(saying("a"), saying("b")))
        with pytest.raises(ValueError, match="worker: 'new' is not known"):
            await runtime.delegate("one", "new", "boats")

    play(script, made(orchestration=team(saying("three"))))


def test_the_limit_holds_for_rooms_that_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.rooms.MAX_ROOMS", 2)

    class Slow(MemoryRoomStore):
        async def load(self, room: str) -> StoredRoom | None:
            await asyncio.sleep(1)
            return await super().load(room)

    async def script(runtime: Runtime) -> None:
        rooms = await asyncio.gather(*(runtime.get_room(f"room {n}") for n in range(4)), return_exceptions=True)
        assert [isinstance(each, TooManyRoomsError) for each in rooms] == [False, False, True, True]

    play(script, made(store=Slow()))


def test_there_is_a_limit_to_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.rooms.MAX_ROOMS", 2)

    async def script(runtime: Runtime) -> None:
        await runtime.create_room("one")
        await runtime.enter("two")
        with pytest.raises(TooManyRoomsError, match="there are 2 rooms in this process; close some"):
            await runtime.enter("three")
        await runtime.close_room("one")
        await runtime.enter("three")

    play(script)


def test_callers_are_admitted_to_the_rooms_that_are_named_or_made() -> None:
    async def script(runtime: Runtime) -> None:
        runtime.admits("lobby")
        with pytest.raises(RoomError, match="room: there is no room 'cellar' here; there are: attic, lobby"):
            runtime.admits("cellar")
        await runtime.create_room("cellar")
        runtime.admits("cellar")

    play(script, made(rooms=["lobby", "attic"]))
    made().admits("anywhere")
    with pytest.raises(RoomError, match="there are: none"):
        made(rooms=[]).admits("anywhere")


# -- deliveries


def test_what_is_delivered_where_nobody_is_waits_and_is_listed() -> None:
    async def script(runtime: Runtime) -> None:
        receipt = await runtime.deliver("lobby", " The boat\nis here. ", to="ann", metadata={"from": "harbour"})
        assert await receipt.queued() is receipt
        assert await receipt.status() is Status.QUEUED
        (entry,) = await runtime.ledger.entries("lobby")
        assert entry.delivery.id == receipt.id
        assert entry.delivery.content == "The boat is here."
        assert (entry.delivery.to, entry.delivery.metadata) == ("ann", {"from": "harbour"})
        assert entry.delivery.strategy == WaitForIdle().written()
        assert (entry.delivery.speak_as, entry.delivery.max_wait) == (SpeakAs.VERBATIM, 30.0)
        assert (await runtime.receipt(receipt.id).entry()) == entry
        assert runtime.session("lobby") is None

    play(script)


def test_what_is_delivered_is_listed_cancelled_and_replayed_where_nobody_is() -> None:
    async def script(runtime: Runtime) -> None:
        receipts = [await runtime.deliver("lobby", f"Boat {n} is here.") for n in range(3)]
        assert [e.delivery.id for e in await runtime.deliveries("lobby")] == [r.id for r in receipts]
        assert [e.delivery.id for e in await runtime.deliveries("lobby", limit=1)] == [receipts[2].id]
        assert [e.delivery.id for e in await runtime.deliveries("lobby", limit=1, newest=False)] == [receipts[0].id]
        assert await receipts[1].cancel() is Status.CANCELLED
        assert (await receipts[1]).status is Status.CANCELLED
        assert [e.delivery.id for e in await runtime.deliveries("lobby", ["cancelled"])] == [receipts[1].id]
        assert len(await runtime.deliveries("lobby")) == 2
        assert await runtime.receipt(receipts[1].id).replay() is Status.QUEUED
        assert len(await runtime.deliveries("lobby")) == 3
        with pytest.raises(ValueError, match="statuses: 'gone' is not known; use 'queued', 'reserved', "):
            await runtime.deliveries("lobby", ["gone"])
        with pytest.raises(ValueError, match="room_id must have 1 to 64 characters"):
            await runtime.deliveries("")

    play(script)


def test_what_is_set_aside_is_told_once_it_is_replayed() -> None:
    async def script(call: SimulatedCall) -> None:
        receipt = await call.runtime.deliver(call.room, "One two three four five six seven eight nine ten.")
        for word in ("two", "four", "six"):
            await call.hears(word)
            await call.interrupt("not now please")
        assert (await receipt).status is Status.DEAD
        (dead,) = await call.runtime.deliveries(call.room, [Status.DEAD])
        assert dead.reason.startswith("given up after 3 tries: interrupted by caller")
        await call.silence(20)
        steps = receipt.steps()
        await receipt.replay()
        await call.hears("ten")
        assert (await receipt).status is Status.HEARD
        assert [step.status async for step in steps][-1] is Status.HEARD

    async def main() -> None:
        async with simulate(Runtime(orchestration=None, state=None)) as call:
            await script(call)

    run(main())


def test_a_room_that_was_closed_keeps_what_is_delivered_and_one_that_cannot_be_says_so() -> None:
    async def script(runtime: Runtime) -> None:
        await runtime.create_room("cellar")
        await runtime.deliver("cellar", "The wine is here.")
        await runtime.close_room("cellar")
        for ask in (runtime.deliver("cellar", "More wine."), runtime.delegate("cellar", "analyst", "wine")):
            with pytest.raises(RoomError, match="there is no room 'cellar' here; there are: lobby"):
                await ask
        assert len(await runtime.deliveries("cellar")) == 1
        await runtime.enter("lobby")
        await runtime.close_room("lobby")
        await runtime.deliver("lobby", "The boat is here.")
        assert len(await runtime.deliveries("lobby")) == 1

    play(script, made(rooms=["lobby"]))


def test_a_delivery_has_its_own_strategy_or_its_rooms_or_the_runtimes() -> None:
    async def script(runtime: Runtime) -> None:
        await runtime.create_room("attic", delivery=Queued(buffer=3.0, max_wait=None))
        for room, more, name, wait in (
            ("lobby", {}, "immediate", 30.0),
            ("attic", {}, "queued", None),
            ("attic", {"strategy": "wait_for_idle"}, "wait_for_idle", 30.0),
            ("attic", {"strategy": WaitForIdle(max_wait=5.0)}, "wait_for_idle", 5.0),
            ("attic", {"max_wait": 9}, "queued", 9.0),
            ("lobby", {"max_wait": None}, "immediate", None),
        ):
            entry = await (await runtime.deliver(room, "hello", **more)).entry()
            assert (entry.delivery.strategy["name"], entry.delivery.max_wait) == (name, wait)

    play(script, made(delivery="immediate"))


def test_the_same_id_is_one_delivery_and_other_content_is_an_error() -> None:
    async def script(runtime: Runtime) -> None:
        first = await runtime.deliver("lobby", "The boat is here.", id="boat-7")
        again = await runtime.deliver("lobby", "The  boat is here. ", id="boat-7", strategy="immediate")
        assert first.id == again.id == "boat-7"
        assert len(await runtime.ledger.entries("lobby")) == 1
        for room, content in (("lobby", "The boat has sunk."), ("attic", "The boat is here.")):
            with pytest.raises(ConflictError, match="delivery id 'boat-7' was used before with other content"):
                await runtime.deliver(room, content, id="boat-7")

    play(script)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"content": ""}, "content: it is empty"),
        ({"content": " \n "}, "content: it is empty"),
        ({"content": "..."}, "content: there is nothing in it to be said"),
        ({"content": None}, "content: NoneType is no text"),
        ({"content": "x" * (MAX_CONTENT + 1)}, "content: 20001 characters are too many"),
        ({"content": "ring \a"}, "content: it holds control characters"),
        ({"content": "half \ud800"}, "content: it holds control characters"),
        ({"strategy": "whenever"}, "strategy: 'whenever' is not known; known are "),
        ({"strategy": object()}, "is neither a Strategy nor the name of one"),
        ({"ttl": -1}, "ttl: -1 s is out of range"),
        ({"ttl": math.nan}, "ttl: nan is not a number of seconds"),
        ({"ttl": math.inf}, "ttl: inf is not a number of seconds"),
        ({"ttl": "soon"}, "ttl: 'soon' is not a number of seconds"),
        ({"ttl": True}, "ttl: True is not a number of seconds"),
        ({"ttl": 1e9}, "ttl: 1000000000.0 s is out of range; give 0 to 86400 seconds"),
        ({"max_wait": -0.1}, "max_wait: -0.1 s is out of range"),
        ({"max_wait": math.nan}, "max_wait: nan is not"),
        ({"max_wait": "never"}, "max_wait: 'never' is not"),
        ({"on_interrupt": "shout"}, "on_interrupt: 'shout' is not known; use 'resume', 'repeat', 'drop'"),
        ({"speak_as": "pirate"}, "speak_as: 'pirate' is not known; use 'verbatim', 'agent'"),
        ({"id": ""}, "id must not be empty"),
        ({"id": "x" * 257}, "id must have at most 256 characters"),
        ({"id": 7}, "id must be text"),
        ({"to": ""}, "to must not be empty"),
        ({"to": 7}, "to must be text"),
        ({"supersedes": ""}, "supersedes must not be empty"),
        ({"priority": 1.5}, "priority must be a whole number"),
        ({"priority": 2**31}, "priority must be a whole number below"),
        ({"metadata": "notes"}, "metadata: str is no mapping; give a dict"),
        ({"metadata": {"x": object()}}, "metadata must be JSON"),
        ({"metadata": {"x": "y" * 70_000}}, "metadata must be at most 65536 characters"),
    ],
)
def test_a_delivery_that_cannot_be_is_refused_by_field(given: dict[str, Any], fault: str) -> None:
    async def script(runtime: Runtime) -> None:
        with pytest.raises(ValueError, match=fault):
            await runtime.deliver("lobby", **{"content": "hello", **given})
        assert await runtime.ledger.entries("lobby", list(Status)) == []

    play(script)


def test_what_is_at_the_edge_can_be_delivered() -> None:
    async def script(runtime: Runtime) -> None:
        await runtime.deliver("lobby", "x" * MAX_CONTENT, ttl=0, max_wait=86400, on_interrupt="drop", speak_as="agent")

    play(script)


def test_a_full_queue_says_so() -> None:
    async def script(runtime: Runtime) -> None:
        for number in range(1000):
            await runtime.deliver("lobby", f"hello {number}")
        with pytest.raises(QueueFullError, match="room 'lobby' already has 1000 open deliveries"):
            await runtime.deliver("lobby", "one more")
        await runtime.deliver("attic", "room enough")

    play(script)


def test_the_receipt_of_nothing_says_so_when_it_is_asked() -> None:
    async def script(runtime: Runtime) -> None:
        receipt = runtime.receipt("nothing")
        for ask in (receipt.entry, receipt.status, receipt.queued):
            with pytest.raises(LedgerError, match="no delivery has the id 'nothing'"):
                await ask()
        with pytest.raises(LedgerError, match="no delivery has the id 'nothing'"):
            await receipt

    play(script)


# -- tasks


def test_delegated_work_is_delivered_to_its_room_for_its_caller() -> None:
    async def script(runtime: Runtime) -> None:
        await runtime.create_room("attic", delivery=Queued())
        task = await runtime.delegate("attic", "analyst", "two\nlines", caller="ann", timeout=None)
        assert (task.room, task.worker, task.input, task.timeout) == ("attic", "analyst", "two\nlines", None)
        await asyncio.sleep(6)
        (entry,) = await runtime.ledger.entries("attic")
        assert entry.delivery.content == "analyst on two\nlines"
        assert (entry.delivery.to, entry.delivery.strategy["name"]) == ("ann", "queued")
        await runtime.delegate("attic", "analyst", "boats", strategy="immediate")
        await asyncio.sleep(6)
        assert [e.delivery.strategy["name"] for e in await runtime.ledger.entries("attic")] == ["queued", "immediate"]

    play(script)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"worker": "nobody"}, "worker: 'nobody' is not known; known are analyst"),
        ({"input": ""}, "input: it is empty"),
        ({"input": "a\0b"}, "input: it holds control characters"),
        ({"input": "x" * (MAX_CONTENT + 1)}, "input: 20001 characters are too many"),
        ({"input": {"topic": "boats"}}, "input: dict is no text"),
        ({"strategy": "whenever"}, "strategy: 'whenever' is not known"),
        ({"timeout": 0}, "timeout of task .* must be seconds above 0"),
        ({"timeout": math.nan}, "timeout of task .* must be seconds above 0"),
    ],
)
def test_work_that_cannot_be_is_refused_by_field(given: dict[str, Any], fault: str) -> None:
    async def script(runtime: Runtime) -> None:
        with pytest.raises(ValueError, match=fault):
            await runtime.delegate("lobby", **{"worker": "analyst", "input": "boats", **given})
        assert runtime.tasks.running("lobby") == []

    play(script)


def test_an_engine_that_cannot_begin_says_so_and_nothing_runs() -> None:
    class Full(MemoryEngine):
        async def start(self, task: Task) -> None:
            raise EngineError("the disk is full")

    async def script(runtime: Runtime) -> None:
        with pytest.raises(EngineError, match="the disk is full"):
            await runtime.delegate("lobby", "analyst", "boats")
        assert runtime.tasks.running("lobby") == []

    play(script, made(engine=Full()))


# -- hooks


def test_hooks_are_told_of_work_before_it_begins_and_when_it_ends() -> None:
    runtime = made(orchestration=team(works(seconds=0), works("failing", error=OSError("no network")), works("slow")))
    told: list[tuple[str, str, Any]] = []

    @runtime.hook(HookTrigger.ON_TASK_DELEGATED, execution=SYNC)
    async def begins(event: HookEvent, context: HookContext) -> str:
        await asyncio.sleep(1)
        assert context.runtime is runtime
        told.append((event.room, event.text, event.metadata))
        return event.text.upper()

    @runtime.hook(HookTrigger.ON_TASK_COMPLETED)
    def ends(event: HookEvent, context: HookContext) -> None:
        told.append((event.id, event.text, event.metadata))

    async def script(runtime: Runtime) -> None:
        tasks = [await runtime.delegate("lobby", id, "boats", caller="ann") for id in ("analyst", "failing", "slow")]
        await runtime.tasks.cancel(tasks[2].id)
        await asyncio.sleep(20)
        assert told == [
            ("lobby", "boats", {"worker": "analyst", "caller": "ann"}),
            (tasks[0].id, "BOATS", {"worker": "analyst", "status": "done", "error": None}),
            ("lobby", "boats", {"worker": "failing", "caller": "ann"}),
            ("lobby", "boats", {"worker": "slow", "caller": "ann"}),
            (tasks[2].id, "BOATS", {"worker": "slow", "status": "cancelled", "error": "cancelled"}),
            (tasks[1].id, "BOATS", {"worker": "failing", "status": "failed", "error": "OSError: no network"}),
        ]

    play(script, runtime)


def test_a_hook_may_refuse_work() -> None:
    runtime = made()

    @runtime.hook(HookTrigger.ON_TASK_DELEGATED, execution=SYNC)
    def refuse(event: HookEvent, context: HookContext) -> None:
        raise Refuse("not on Sundays")

    async def script(runtime: Runtime) -> None:
        with pytest.raises(Refuse, match="not on Sundays"):
            await runtime.delegate("lobby", "analyst", "boats")
        assert runtime.tasks.running("lobby") == []

    play(script, runtime)


def test_a_hook_that_makes_nonsense_of_the_input_is_told() -> None:
    runtime = made()
    runtime.hook(HookTrigger.ON_TASK_DELEGATED, execution=SYNC)(lambda event, context: "")

    async def script(runtime: Runtime) -> None:
        with pytest.raises(ValueError, match="input: it is empty"):
            await runtime.delegate("lobby", "analyst", "boats")

    play(script, runtime)


def test_a_hook_cannot_refuse_that_work_is_over(caplog: pytest.LogCaptureFixture) -> None:
    runtime = made()

    @runtime.hook(HookTrigger.ON_TASK_COMPLETED, execution=SYNC)
    def refuse(event: HookEvent, context: HookContext) -> None:
        raise Refuse("no")

    async def script(runtime: Runtime) -> None:
        for _ in range(2):
            await runtime.delegate("lobby", "analyst", "boats")
        await asyncio.sleep(6)
        assert len(await runtime.ledger.entries("lobby")) == 2
        await runtime.enter("lobby")

    play(script, runtime)
    assert caplog.text.count("it is told of what has happened and cannot refuse it") == 2


def test_hooks_that_look_on_are_waited_for_at_the_end_but_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    runtime = made()
    seen: list[float] = []

    @runtime.hook(HookTrigger.ON_TASK_DELEGATED)
    async def look(event: HookEvent, context: HookContext) -> None:
        await asyncio.sleep(3 if event.text == "short" else 1000)
        seen.append(now())

    async def main() -> None:
        async with runtime:
            await runtime.delegate("lobby", "analyst", "short")
            await runtime.delegate("lobby", "analyst", "long")
        assert (seen, now()) == ([3.0], LAST_LOOK)
        await runtime.fire(HookTrigger.ON_TASK_DELEGATED, "lobby", "x", "short", {})
        await asyncio.sleep(10)
        assert seen == [3.0]

    run(main())
    assert "a hook did not end within 5 s" in caplog.text


def test_news_that_come_when_all_is_closed_are_nobodys() -> None:
    runtime = made()

    async def main() -> None:
        async with runtime:
            await runtime.delegate("lobby", "analyst", "boats")
            (running,) = runtime.tasks.running("lobby")
        runtime._announce(TaskNews(running.task, "", running.label, TaskStatus.DONE))

    run(main())


def test_a_simulated_copy_shares_what_it_is_and_nothing_that_happens(tmp_path: Any) -> None:
    runtime = made(delivery="queued", rooms=["lobby"], state=tmp_path / "state", fold=False)
    copy = runtime.simulated(lambda _: SimulatedChannel())
    runtime.hook(HookTrigger.AFTER_DELIVER)(print)
    assert copy.hooks.any(HookTrigger.AFTER_DELIVER, "lobby")
    assert (copy.orchestration, copy.delivery, copy.fold) == (
        runtime.orchestration,
        runtime.delivery,
        False,
    )
    copy.admits("anywhere")

    async def script(copy: Runtime) -> None:
        await copy.deliver("lobby", "hello")
        await copy.enter("lobby")
        assert runtime.session("lobby") is None

    play(script, copy)
    assert list(tmp_path.iterdir()) == []


# -- the janitor


def test_what_is_long_over_is_deleted_where_it_is_kept() -> None:
    class Asked(MemoryLedger):
        asked: ClassVar[list[tuple[float, int]]] = []

        async def discard(self, older: float, limit: int = 500) -> int:
            self.asked.append((older, limit))
            return 0

    async def main(**more: Any) -> int:
        Asked.asked.clear()
        async with made(ledger=Asked(), **more):
            await asyncio.sleep(3 * 3600)
        return len(Asked.asked)

    assert run(main(keep=60.0)) >= 2
    assert {age for age, _ in Asked.asked} == {60.0}
    assert run(main()) >= 2
    assert run(main(keep=None)) == 0


@pytest.mark.parametrize("keep", [0, -1.0, float("nan"), "long", True])
def test_how_long_what_is_over_is_kept_is_a_time(keep: Any) -> None:
    with pytest.raises(ValueError, match=r"^keep: .* is no number of seconds above 0"):
        made(keep=keep)
