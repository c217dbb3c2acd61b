"""The bus: posted to from anywhere, told to those who asked, whatever is wrong with the others and with the store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from orchestration.status import (
    ALL_ROOMS,
    InMemoryStatusBackend,
    StatusBackend,
    StatusBus,
    StatusEntry,
    StatusError,
    StatusFilter,
    StatusLevel,
)
from orchestration.status import bus as bus_module
from orchestration.status.bus import LAST_LOOK
from orchestration.status.subscriber import PATIENCE, QUEUE
from orchestration.write_behind import EVERY, MAX_WAITING, RETRY
from tests.orchestration.status.stores import Store
from voice.clock import now, run, wall_time

Script = Callable[[StatusBus], Awaitable[None]]


def play(script: Script, backend: StatusBackend | None = None) -> None:
    async def main() -> None:
        async with StatusBus(backend) as bus:
            await script(bus)

    run(main())


def post(bus: StatusBus, detail: str = "", **fields: Any) -> StatusEntry:
    return bus.post(**{"agent_id": "analyst", "action": "search", "status": "ok", "detail": detail, **fields})


def details(entries: Sequence[StatusEntry]) -> list[str]:
    return [entry.detail for entry in entries]


class Sick(InMemoryStatusBackend):
    """Fails or hangs for as long as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Exception | None = None
        self.seconds = 0.0
        self.appended: list[int] = []

    async def append(self, entries: Sequence[StatusEntry]) -> None:
        self.appended.append(len(entries))
        await asyncio.sleep(self.seconds)
        if self.fault is not None:
            raise self.fault
        await super().append(entries)


# -- posting and reading


def test_what_is_posted_can_be_read_at_once(store: Store) -> None:
    async def main() -> None:
        async with StatusBus(store.made()) as bus:
            first = post(bus, "one", room="lobby", metadata={"found": 7})
            assert await bus.recent(5, room="lobby") == [first]
            more = [post(bus, f"{n}", room="lobby") for n in range(300)]
            assert await bus.recent(1000, room="lobby") == [first, *more]
            assert await bus.recent(3, room="lobby") == more[-3:]
            await asyncio.sleep(3 * EVERY)
            assert await bus.recent(1000, room="lobby") == [first, *more]

    store.play(main())


def test_as_the_documents_have_it() -> None:
    async def script(bus: StatusBus) -> None:
        seen: list[StatusEntry] = []

        async def on_status(entry: StatusEntry) -> None:
            seen.append(entry)

        await bus.subscribe(on_status)
        bus.post(agent_id="researcher", action="search", status=StatusLevel.OK, detail="Found 7 results")
        bus.post(agent_id="coder", action="run_tests", status=StatusLevel.FAILED, detail="3 tests failed")
        await asyncio.sleep(0.5)
        assert [(e.agent_id, e.status) for e in seen] == [("researcher", "ok"), ("coder", "failed")]
        assert await bus.recent(10, agent_id="researcher") == seen[:1]
        assert await bus.recent(10, status="failed") == await bus.recent(10, action="run_tests") == seen[1:]
        assert await bus.recent_text(5) == (
            "[00:00:00] researcher: search → ok | Found 7 results\n"
            "[00:00:00] coder: run_tests → failed | 3 tests failed"
        )

    play(script)


def test_a_room_is_told_of_nothing_that_happens_in_another(store: Store) -> None:
    async def main() -> None:
        async with StatusBus(store.made()) as bus:
            seen: dict[Any, list[str]] = {room: [] for room in ("lobby", "attic", None, ALL_ROOMS)}
            for room, heard in seen.items():
                await bus.subscribe(lambda entry, heard=heard: heard.append(entry.detail), room=room)
            post(bus, "in the lobby", room="lobby")
            post(bus, "in the attic", room="attic")
            post(bus, "nowhere")
            await asyncio.sleep(3 * EVERY)
            for room, there in [
                ("lobby", ["in the lobby"]),
                ("attic", ["in the attic"]),
                ("cellar", []),
                (None, ["nowhere"]),
                (ALL_ROOMS, ["in the lobby", "in the attic", "nowhere"]),
            ]:
                assert seen.get(room, []) == there
                assert details(await bus.recent(10, room=room)) == there
                assert len((await bus.recent_text(10, room=room)).splitlines()) == len(there)

    store.play(main())


@pytest.mark.parametrize("n", [0, -1, 1001, 2.0, True, None, "5"])
def test_a_number_that_is_none_is_told(n: int) -> None:
    async def script(bus: StatusBus) -> None:
        with pytest.raises(ValueError, match="n must be a whole number, 1 to 1000, not"):
            await bus.recent(n)
        with pytest.raises(ValueError, match="n must be a whole number"):
            await bus.recent_text(n)
        with pytest.raises(ValueError, match="max_chars must be a whole number, 1 to 100000"):
            await bus.recent_text(5, max_chars=-1 if n is None else 10**6)

    play(script)


def test_a_bad_post_is_refused_and_nothing_is_told() -> None:
    async def script(bus: StatusBus) -> None:
        for fields, fault in [
            ({"agent_id": ""}, "agent_id must have"),
            ({"status": "fine"}, "status: 'fine' is not known"),
            ({"detail": "x" * 3000}, "detail must have at most 2000"),
            ({"metadata": {"a": {1}}}, "metadata must be JSON"),
            ({"room": "x" * 65}, "room must have 1 to 64"),
        ]:
            with pytest.raises(ValueError, match=fault):
                post(bus, **fields)
        assert await bus.recent(10, room=ALL_ROOMS) == []

    play(script)


# -- threads


def test_threads_may_post_and_each_ones_posts_stay_in_order() -> None:
    async def script(bus: StatusBus) -> None:
        seen: list[str] = []
        await bus.subscribe(lambda entry: seen.append(entry.detail), room=ALL_ROOMS)

        def work(name: int) -> None:
            for n in range(200):
                post(bus, f"{name} {n}")

        await asyncio.gather(*(asyncio.to_thread(work, name) for name in range(4)))
        await asyncio.sleep(EVERY)
        assert len(seen) == len({e.id for e in await bus.recent(1000)}) == 800
        for name in range(4):
            assert [s for s in seen if s.startswith(f"{name} ")] == [f"{name} {n}" for n in range(200)]

    play(script)


def test_a_thread_that_posts_when_all_is_over_harms_nobody() -> None:
    bus = StatusBus()

    async def main() -> None:
        async with bus:
            pass

    run(main())
    thread = threading.Thread(target=lambda: post(bus, "late"))
    thread.start()
    thread.join()

    async def later() -> None:
        async with bus:
            assert details(await bus.recent(5)) == ["late"]

    run(later())


def test_a_loop_that_was_closed_under_it_is_no_trouble() -> None:
    bus = StatusBus()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bus.open())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert post(bus, "to nobody").detail == "to nobody"


# -- its life


def test_before_it_is_open_and_after_it_waits() -> None:
    async def main() -> None:
        bus = StatusBus()
        post(bus, "early")
        with pytest.raises(StatusError, match="not open; use `async with runtime`, or `async with bus`"):
            await bus.recent(5)
        with pytest.raises(StatusError, match="not open"):
            await bus.subscribe(print)
        async with bus:
            assert details(await bus.recent(5)) == ["early"]
            with pytest.raises(StatusError, match=r"open already; aclose\(\) it first"):
                await bus.open()
        post(bus, "between")
        with pytest.raises(StatusError, match="not open"):
            await bus.recent_text(5)
        async with bus:
            assert details(await bus.recent(5)) == ["early", "between"]
        await bus.aclose()

    run(main())


def test_too_many_before_it_is_open_cost_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        bus = StatusBus()
        for n in range(MAX_WAITING + 5):
            post(bus, f"{n}")
        async with bus:
            assert details(await bus.recent(1000)) == [f"{n}" for n in range(MAX_WAITING - 995, MAX_WAITING + 5)]
        assert "5 status entries were posted faster than they could be told" in caplog.text

    run(main())


def test_what_is_no_backend_is_told() -> None:
    with pytest.raises(TypeError, match="backend: 'redis' is no StatusBackend, like InMemoryStatusBackend"):
        StatusBus("redis")  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["open", "clock"])
def test_a_backend_that_cannot_be_opened_leaves_it_closed(part: str) -> None:
    class Shut(InMemoryStatusBackend):
        closed = 0

        async def open(self) -> None:
            if part == "open":
                raise StatusError("no way in")

        async def clock(self) -> float | None:
            raise StatusError("no way in")

        async def aclose(self) -> None:
            self.closed += 1

    async def main() -> None:
        backend = Shut()
        bus = StatusBus(backend)
        for times in (1, 2):
            with pytest.raises(StatusError, match="no way in"):
                await bus.open()
            assert backend.closed == (times if part == "clock" else 0)
        await bus.open(InMemoryStatusBackend())
        await bus.aclose()

    run(main())


def test_at_its_end_all_is_told_and_written() -> None:
    seen: list[str] = []

    async def slow(entry: StatusEntry) -> None:
        await asyncio.sleep(0.1)
        seen.append(entry.detail)

    async def main() -> None:
        backend = Sick()
        async with StatusBus(backend) as bus:
            await bus.subscribe(slow)
            for n in range(10):
                post(bus, f"{n}")
        assert now() == pytest.approx(1.0)
        assert seen == [f"{n}" for n in range(10)]
        assert details(await backend.recent(100, StatusFilter())) == seen

    run(main())


def test_whoever_dawdles_at_its_end_is_not_waited_for_long(caplog: pytest.LogCaptureFixture) -> None:
    backend = Sick()

    async def main() -> None:
        async with StatusBus(backend) as bus:
            await bus.subscribe(lambda _: asyncio.sleep(1000))
            backend.seconds = 1000
            post(bus)
            await asyncio.sleep(1)
        assert now() == 1 + 2 * LAST_LOOK

    run(main())
    assert "is broken off" in caplog.text
    assert "1 status entries could not be written: TimeoutError" in caplog.text


def test_cancelled_while_it_closes_it_closes_all_the_same() -> None:
    class Noted(Sick):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    backend = Noted()

    async def main() -> None:
        bus = StatusBus(backend)
        await bus.open()
        await bus.subscribe(lambda _: asyncio.sleep(1000))
        post(bus)
        closing = asyncio.create_task(bus.aclose())
        await asyncio.sleep(0.5)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert backend.closed
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        await bus.open()
        await bus.aclose()

    run(main())


def test_closed_by_a_subscriber_of_its_own_it_closes() -> None:
    async def main() -> None:
        bus = StatusBus()
        await bus.open()
        closed = asyncio.Event()

        async def close(_: StatusEntry) -> None:
            await bus.aclose()
            closed.set()

        await bus.subscribe(close)
        post(bus)
        await closed.wait()
        assert now() < 0.1

    run(main())


# -- subscribers


def test_a_plain_and_an_async_subscriber_are_told_once_until_they_stop() -> None:
    async def script(bus: StatusBus) -> None:
        plain: list[str] = []
        asynchronous: list[str] = []

        async def tell(entry: StatusEntry) -> None:
            await asyncio.sleep(0.001)
            asynchronous.append(entry.detail)

        post(bus, "before")
        stops = [await bus.subscribe(lambda e: plain.append(e.detail)), await bus.subscribe(tell)]
        post(bus, "one")
        assert plain == []
        await asyncio.sleep(0.1)
        for stop in stops:
            stop()
            stop()
        post(bus, "two")
        await asyncio.sleep(0.1)
        assert plain == asynchronous == ["one"]

    play(script)


def test_a_subscriber_is_told_of_what_it_asked_for() -> None:
    async def script(bus: StatusBus) -> None:
        seen: list[str] = []
        await bus.subscribe(
            lambda e: seen.append(e.detail), room="lobby", agent_id="coder", action="test", status="failed"
        )
        wanted = {"room": "lobby", "agent_id": "coder", "action": "test", "status": "failed"}
        for other in ({}, {"room": None}, {"agent_id": "analyst"}, {"action": "build"}, {"status": "ok"}):
            post(bus, f"{other}", **{**wanted, **other})
        await asyncio.sleep(0.1)
        assert seen == ["{}"]

    play(script)


def test_one_that_fails_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def script(bus: StatusBus) -> None:
        bad: list[str] = []
        good: list[str] = []

        def fail(entry: StatusEntry) -> None:
            bad.append(entry.detail)
            raise RuntimeError("I do not like it")

        async def stray(entry: StatusEntry) -> None:
            bad.append(entry.detail)
            raise asyncio.CancelledError

        for callback in (fail, stray, lambda e: good.append(e.detail)):
            await bus.subscribe(callback)
        post(bus, "one")
        post(bus, "two")
        await asyncio.sleep(0.1)
        assert good == ["one", "two"]
        assert sorted(bad) == ["one", "one", "two", "two"]

    play(script)
    assert caplog.text.count("failed and goes on with the next entry") == 4
    assert "I do not like it" in caplog.text


def test_one_that_dawdles_is_broken_off_and_told_the_next(caplog: pytest.LogCaptureFixture) -> None:
    async def script(bus: StatusBus) -> None:
        begun: list[tuple[float, str]] = []
        quick: list[float] = []

        async def dawdle(entry: StatusEntry) -> None:
            begun.append((now(), entry.detail))
            await asyncio.sleep(1000)

        await bus.subscribe(dawdle)
        await bus.subscribe(lambda _: quick.append(now()))
        post(bus, "one")
        post(bus, "two")
        await asyncio.sleep(PATIENCE + 1)
        assert begun == [(0.0, "one"), (PATIENCE, "two")]
        assert quick == [0.0, 0.0]

    play(script)
    assert "TimeoutError" in caplog.text


def test_one_that_falls_behind_misses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    async def script(bus: StatusBus) -> None:
        seen: list[str] = []
        gate = asyncio.Event()

        async def wait(entry: StatusEntry) -> None:
            seen.append(entry.detail)
            await gate.wait()

        await bus.subscribe(wait)
        post(bus, "first")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for n in range(QUEUE + 3):
            post(bus, f"{n}")
        await asyncio.sleep(1)
        gate.set()
        await asyncio.sleep(1)
        assert seen == ["first", *(f"{n}" for n in range(3, QUEUE + 3))]

    play(script)
    assert caplog.text.count("it misses some") == 1
    assert "has missed 3 entries" in caplog.text


def test_one_that_posts_is_told_of_that_too_and_nobody_starves() -> None:
    async def script(bus: StatusBus) -> None:
        seen: list[int] = []
        others = 0

        def again(entry: StatusEntry) -> None:
            seen.append(int(entry.detail))
            if seen[-1] < 500:
                post(bus, f"{seen[-1] + 1}")

        await bus.subscribe(again)
        post(bus, "0")
        while len(seen) < 501:
            await asyncio.sleep(0)
            others += 1
        assert seen == list(range(501))
        assert others > 100

    play(script)


def test_one_may_stop_itself_and_goes_on_to_its_end() -> None:
    async def script(bus: StatusBus) -> None:
        seen: list[str] = []
        stops: list[Callable[[], None]] = []

        async def once(entry: StatusEntry) -> None:
            stops[0]()
            await asyncio.sleep(1)
            seen.append(entry.detail)

        stops.append(await bus.subscribe(once))
        post(bus, "one")
        post(bus, "two")
        await asyncio.sleep(5)
        assert seen == ["one"]
        assert len(asyncio.all_tasks()) == 2  # this one and the writer

    play(script)


def test_what_cannot_be_called_is_told_and_so_is_a_wrong_filter() -> None:
    async def script(bus: StatusBus) -> None:
        with pytest.raises(TypeError, match=r"callback: 'me' is no function; give one of \(entry\)"):
            await bus.subscribe("me")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="room must have 1 to 64"):
            await bus.subscribe(print, room="")

    play(script)


def test_there_is_an_end_to_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "MAX_SUBSCRIBERS", 3)

    async def script(bus: StatusBus) -> None:
        stops = [await bus.subscribe(print, room=f"{n}") for n in range(3)]
        with pytest.raises(StatusError, match="has 3 subscribers; stop those that are not needed"):
            await bus.subscribe(print)
        stops[1]()
        await bus.subscribe(print)

    play(script)


# -- a store that is slow or broken


def test_a_broken_store_hinders_nobody_and_gets_all_later(caplog: pytest.LogCaptureFixture) -> None:
    backend = Sick()

    async def script(bus: StatusBus) -> None:
        seen: list[float] = []
        await bus.subscribe(lambda _: seen.append(now()))
        backend.fault = OSError("the disk is full")
        for n in range(300):
            post(bus, f"{n}")
        await asyncio.sleep(2.5 * RETRY)
        assert seen == [0.0] * 300
        assert details(await bus.recent(1000)) == [f"{n}" for n in range(300)]
        assert await backend.recent(1000, StatusFilter()) == []
        assert len(backend.appended) == 3
        backend.fault = None
        await asyncio.sleep(RETRY)
        assert details(await backend.recent(1000, StatusFilter())) == [f"{n}" for n in range(300)]
        post(bus, "more")
        await asyncio.sleep(RETRY)
        assert details(await backend.recent(1, StatusFilter())) == ["more"]

    play(script, backend)
    assert caplog.text.count("status entries cannot be written, trying again: the disk is full") == 1


def test_a_store_that_is_away_for_long_costs_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    backend = Sick()

    async def script(bus: StatusBus) -> None:
        backend.fault = OSError("the disk is full")
        for n in range(MAX_WAITING + 7):
            post(bus, f"{n}")
            if n % 1000 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        backend.fault = None
        await asyncio.sleep(2 * RETRY)
        assert details(await backend.recent(MAX_WAITING, StatusFilter()))[0] == "7"

    play(script, backend)
    assert "7 status entries were lost, as they could not be written for so long" in caplog.text


def test_a_slow_store_gets_many_at_once() -> None:
    backend = Sick()
    backend.seconds = 0.5

    async def script(bus: StatusBus) -> None:
        for n in range(40):
            post(bus, f"{n}")
            await asyncio.sleep(0.05)
        assert details(await bus.recent(1000)) == [f"{n}" for n in range(40)]
        await asyncio.sleep(2)
        assert details(await backend.recent(1000, StatusFilter())) == [f"{n}" for n in range(40)]
        assert len(backend.appended) < 8

    play(script, backend)


def test_a_store_that_cannot_be_read_says_so() -> None:
    class Blind(InMemoryStatusBackend):
        async def recent(self, n: int, wanted: StatusFilter) -> list[StatusEntry]:
            raise StatusError("too dark")

    async def script(bus: StatusBus) -> None:
        post(bus)
        with pytest.raises(StatusError, match="too dark"):
            await bus.recent_text(5)

    play(script, Blind())


# -- time, and other processes


def test_in_virtual_time_the_loop_says_when_it_was_and_otherwise_the_wall() -> None:
    async def script(bus: StatusBus) -> None:
        await asyncio.sleep(3.25)
        assert post(bus).timestamp == 3.25
        assert (await asyncio.to_thread(post, bus)).timestamp == 3.25
        assert await bus.recent_text(1) == "[00:00:03] analyst: search → ok"

    play(script)

    async def main() -> None:
        async with StatusBus() as bus:
            before = wall_time()
            assert before <= post(bus).timestamp <= wall_time()

    asyncio.run(main())


def test_a_store_with_a_clock_says_when_it_was() -> None:
    class Clock(InMemoryStatusBackend):
        ahead = 5_000.0

        async def clock(self) -> float | None:
            return now() + self.ahead

    backend = Clock()

    async def script(bus: StatusBus) -> None:
        await asyncio.sleep(1)
        assert post(bus).timestamp == 5_001.0
        backend.ahead = 6_000.0
        await asyncio.sleep(60)
        post(bus)
        await asyncio.sleep(1)
        assert post(bus).timestamp == 6_062.0

    play(script, backend)


def test_processes_that_share_a_store_tell_each_other(shared: Store) -> None:
    async def main() -> None:
        async with StatusBus(shared.made()) as one, StatusBus(shared.made()) as two:
            seen: list[StatusEntry] = []
            told = asyncio.Event()

            def see(entry: StatusEntry) -> None:
                seen.append(entry)
                if len(seen) == 2:
                    told.set()

            stop = await one.subscribe(see, room="lobby")
            post(two, "not here", room="attic")
            mine, theirs = post(one, "mine", room="lobby"), post(two, "theirs", room="lobby", metadata={"n": 1})
            async with asyncio.timeout(20):
                await told.wait()
            assert seen == [mine, theirs]
            assert abs(mine.timestamp - theirs.timestamp) < 60
            for bus in (one, two):
                assert {e.id for e in await bus.recent(10, room="lobby")} == {mine.id, theirs.id}
            stop()
            await one.subscribe(see, room="attic")
            post(two, "again", room="attic")
            async with asyncio.timeout(20):
                while len(seen) < 3:
                    await asyncio.sleep(0.01)
            assert seen[2].detail == "again"

    shared.play(main())


def test_a_subscription_that_comes_too_late_is_refused_and_watches_nothing() -> None:
    class Slow(InMemoryStatusBackend):
        stopped = 0

        async def watch(self, tell: Callable[[Sequence[StatusEntry]], None]) -> Callable[[], None]:
            await asyncio.sleep(1)

            def stop() -> None:
                self.stopped += 1

            return stop

    backend = Slow()

    async def main() -> None:
        bus = StatusBus(backend)
        await bus.open()
        subscribing = asyncio.create_task(bus.subscribe(print))
        await asyncio.sleep(0.5)
        await bus.aclose()
        with pytest.raises(StatusError, match="not open"):
            await subscribing
        assert backend.stopped == 1

    run(main())


def test_what_stops_a_subscription_may_be_called_when_all_is_over() -> None:
    async def main() -> Callable[[], None]:
        async with StatusBus() as bus:
            return await bus.subscribe(print)

    stop = run(main())
    stop()
    assert stop() is None


def test_stores_are_watched_only_while_somebody_is_subscribed() -> None:
    class Watched(InMemoryStatusBackend):
        log: ClassVar[list[str]] = []

        async def watch(self, tell: Callable[[Sequence[StatusEntry]], None]) -> Callable[[], None]:
            self.log.append("watch")
            return lambda: self.log.append("stop")

    backend = Watched()

    async def script(bus: StatusBus) -> None:
        for _ in range(2):
            stops = [await bus.subscribe(print, room=room) for room in ("lobby", "lobby", None)]
            for stop in stops:
                assert backend.log[-1] == "watch"
                stop()
            assert backend.log[-1] == "stop"
        await bus.subscribe(print)

    play(script, backend)
    assert backend.log == ["watch", "stop"] * 3


def test_the_first_is_written_at_once_and_a_stream_in_shares() -> None:
    backend = Sick()

    async def script(bus: StatusBus) -> None:
        post(bus, "first")
        await asyncio.sleep(0.001)
        assert backend.appended == [1]
        for n in range(100):
            post(bus, f"{n}")
            await asyncio.sleep(0.01)
        assert len(backend.appended) <= 2 + 1.0 / EVERY
        await asyncio.sleep(EVERY)
        assert sum(backend.appended) == 101

    play(script, backend)


def test_a_burst_leaves_others_their_turns() -> None:
    async def script(bus: StatusBus) -> None:
        seen: list[str] = []
        turns: list[int] = []
        await bus.subscribe(lambda entry: seen.append(entry.detail))
        for n in range(QUEUE):
            post(bus, f"{n}")
        while len(seen) < QUEUE:
            turns.append(len(seen))
            await asyncio.sleep(0)
        assert max(later - earlier for earlier, later in pairwise(turns)) <= 2

    play(script)
