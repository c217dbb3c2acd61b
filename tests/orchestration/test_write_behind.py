"""Who puts something goes on at once; it is written in order, once, however long the store is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.write_behind import EVERY, MAX_TOGETHER, MAX_WAITING, RETRY, WriteBehind
from voice.clock import now, run

log = logging.getLogger("sottovoce.test")


class Shelf:
    """Where it is written; slow, or out of order, for as long as it is told to be."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.tries = 0
        self.seconds = 0.0
        self.fault: BaseException | None = None
        self.behind = WriteBehind("books", self.write, log=log)

    async def write(self, items: Sequence[int]) -> None:
        self.tries += 1
        await asyncio.sleep(self.seconds)
        if self.fault is not None:
            raise self.fault
        self.batches.append(list(items))

    @property
    def books(self) -> list[int]:
        return [book for batch in self.batches for book in batch]


def play(script: Callable[[Shelf], Awaitable[None]], seconds: float = 2.0) -> Shelf:
    shelf = Shelf()

    async def main() -> None:
        shelf.behind.open()
        await script(shelf)
        await shelf.behind.aclose(seconds)
        assert len(asyncio.all_tasks()) == 1

    run(main())
    return shelf


def test_a_burst_is_written_together_and_in_order() -> None:
    async def script(shelf: Shelf) -> None:
        for n in range(MAX_TOGETHER + 10):
            shelf.behind.put([n])
        assert shelf.behind.unwritten == list(range(MAX_TOGETHER + 10))
        await shelf.behind.settled()
        assert shelf.books == list(range(MAX_TOGETHER + 10))
        assert [len(batch) for batch in shelf.batches] == [MAX_TOGETHER, 10]
        assert shelf.behind.unwritten == []
        assert now() == 0.0

    play(script)


def test_what_comes_after_a_write_waits_a_moment_for_more() -> None:
    async def script(shelf: Shelf) -> None:
        shelf.behind.put([1])
        await shelf.behind.settled()
        for n in range(2, 5):
            shelf.behind.put([n])
            await asyncio.sleep(EVERY / 5)
        await shelf.behind.settled()
        assert shelf.batches == [[1], [2, 3, 4]]
        assert now() == pytest.approx(EVERY, abs=1e-9)

    play(script)


def test_what_was_put_before_it_is_open_waits() -> None:
    async def main() -> None:
        shelf = Shelf()
        shelf.behind.put([1, 2])
        await asyncio.sleep(1)
        assert not shelf.behind.running
        assert shelf.tries == 0
        shelf.behind.open()
        shelf.behind.open()
        await shelf.behind.settled()
        assert shelf.batches == [[1, 2]]
        await shelf.behind.aclose(1)
        shelf.behind.put([3])
        await asyncio.sleep(1)
        assert shelf.books == [1, 2]
        shelf.behind.open()
        await shelf.behind.aclose(1)
        assert shelf.books == [1, 2, 3]

    run(main())


def test_settled_waits_for_what_was_put_so_far_only() -> None:
    async def script(shelf: Shelf) -> None:
        await shelf.behind.settled()
        shelf.seconds = 1.0
        shelf.behind.put([1])
        settled = asyncio.create_task(shelf.behind.settled())
        await asyncio.sleep(0.5)
        shelf.behind.put([2])
        await settled
        assert now() == 1.0
        assert shelf.books == [1]

    play(script)


def test_a_store_that_is_away_is_tried_again_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def script(shelf: Shelf) -> None:
        shelf.fault = OSError("no shelf")
        shelf.behind.put([1, 2])
        await asyncio.sleep(2.5 * RETRY)
        assert shelf.tries == 3
        shelf.behind.put([3])
        shelf.fault = None
        await shelf.behind.settled()
        assert shelf.books == [1, 2, 3]
        assert now() == pytest.approx(3 * RETRY)
        shelf.behind.put([4])
        await shelf.behind.settled()

    play(script)
    assert caplog.text.count("books cannot be written, trying again: no shelf") == 1
    assert caplog.text.count("books are written again") == 1


def test_a_cancellation_that_strays_in_is_a_failure_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    async def script(shelf: Shelf) -> None:
        shelf.fault = asyncio.CancelledError()
        shelf.behind.put([1])
        await asyncio.sleep(0.5 * RETRY)
        shelf.fault = None
        await shelf.behind.settled()

    assert play(script).books == [1]
    assert "books cannot be written, trying again: CancelledError" in caplog.text


def test_too_many_cost_the_oldest_and_who_waits_for_those_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def script(shelf: Shelf) -> None:
        shelf.fault = OSError("no shelf")
        shelf.behind.put([-2, -1])
        settled = asyncio.create_task(shelf.behind.settled())
        await asyncio.sleep(0.1)
        shelf.behind.put([0])
        assert not settled.done()
        shelf.behind.put(range(1, MAX_WAITING + 1))
        await settled
        assert shelf.behind.unwritten == list(range(1, MAX_WAITING + 1))
        shelf.behind.put([MAX_WAITING + 1])
        shelf.fault = None
        await shelf.behind.settled()

    assert play(script).books == list(range(2, MAX_WAITING + 2))
    assert caplog.text.count("more than 10000 books wait to be written: the oldest are lost") == 1
    assert caplog.text.count("4 books were lost, as they could not be written for so long") == 1


def test_items_that_are_lost_while_they_are_written_are_written() -> None:
    async def script(shelf: Shelf) -> None:
        shelf.seconds = 1.0
        shelf.behind.put([0])
        await asyncio.sleep(0.5)
        shelf.behind.put(range(1, MAX_WAITING + 1))
        await shelf.behind.settled()

    assert play(script).books == list(range(MAX_WAITING + 1))


def test_at_the_end_what_waits_is_written() -> None:
    async def script(shelf: Shelf) -> None:
        shelf.behind.put([1])
        await shelf.behind.settled()
        shelf.behind.put(range(2, 3 * MAX_TOGETHER))

    assert play(script).books == list(range(1, 3 * MAX_TOGETHER))


@pytest.mark.parametrize("how", ["broken", "hangs"])
def test_a_store_that_does_not_work_at_the_end_costs_seconds(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def script(shelf: Shelf) -> None:
        if how == "broken":
            shelf.fault = OSError("no shelf")
        shelf.seconds = 1000.0 if how == "hangs" else 0.0
        shelf.behind.put([1, 2, 3])
        await asyncio.sleep(0.1)
        settled = asyncio.create_task(shelf.behind.settled())
        await shelf.behind.aclose(2.0)
        await settled
        assert now() == pytest.approx(0.1 if how == "broken" else 2.1)
        assert shelf.behind.unwritten == []
        assert not shelf.behind.running

    play(script)
    assert f"3 books could not be written: {'no shelf' if how == 'broken' else 'TimeoutError'}" in caplog.text


def test_cancelled_while_it_closes_it_can_be_closed_again() -> None:
    async def script(shelf: Shelf) -> None:
        shelf.seconds = 1.0
        shelf.behind.put([1])
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(shelf.behind.aclose(60.0), 0.5)
        assert shelf.books == []

    assert play(script).books == [1]


def test_cancelled_while_it_closes_it_can_be_opened_again() -> None:
    async def script(shelf: Shelf) -> None:
        shelf.seconds = 1.0
        shelf.behind.put([1])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(shelf.behind.aclose(60.0), 0.5)
        assert not shelf.behind.running
        shelf.behind.open()
        await shelf.behind.settled()
        assert shelf.books == [1]

    play(script)


def test_stopped_it_writes_nothing_more() -> None:
    async def main() -> None:
        shelf = Shelf()
        shelf.behind.stop()
        shelf.behind.open()
        shelf.behind.put([1])
        shelf.behind.stop()
        await asyncio.sleep(10)
        assert shelf.tries == 0
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_between_bursts_it_does_what_it_was_asked() -> None:
    async def main() -> None:
        told: list[float] = []
        shelf = Shelf()

        async def between() -> None:
            told.append(now())
            if len(told) == 2:
                raise OSError("not today")

        behind = WriteBehind("books", shelf.write, between=between, log=log)
        behind.open()
        behind.put(range(2 * MAX_TOGETHER))
        await asyncio.sleep(1)
        assert told == [0.0]
        behind.put([1])
        await asyncio.sleep(5)
        assert told == [0.0, 1.0, 1.0 + RETRY]
        assert len(shelf.batches) == 3
        await behind.aclose(1)

    run(main())


steps = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 300)),
    st.tuples(st.just("sleep"), st.sampled_from([0.0, 0.01, EVERY, RETRY, 5.0])),
    st.tuples(st.just("mood"), st.sampled_from(["well", "slow", "broken"])),
    st.tuples(st.just("settle"), st.just(0)),
    st.tuples(st.just("reopen"), st.just(0)),
)


@given(st.lists(steps, max_size=30))
def test_whatever_happens_everything_is_written_once_and_in_order(script: list[tuple[str, object]]) -> None:
    async def main() -> None:
        shelf, given = Shelf(), 0
        waiting: list[tuple[asyncio.Task[None], int]] = []
        shelf.behind.open()
        for what, value in [*script, ("mood", "well"), ("settle", 0)]:
            if what == "put":
                assert isinstance(value, int)
                shelf.behind.put(range(given, given + value))
                given += value
            elif what == "sleep":
                assert isinstance(value, float)
                await asyncio.sleep(value)
            elif what == "mood":
                shelf.seconds = 0.7 if value == "slow" else 0.0
                shelf.fault = OSError("not today") if value == "broken" else None
            elif what == "settle":
                waiting.append((asyncio.create_task(shelf.behind.settled()), given))
                await asyncio.sleep(0)
            else:
                shelf.fault = None
                await shelf.behind.aclose(60.0)
                shelf.behind.open()
            for task, until in waiting:
                assert not task.done() or len(shelf.books) >= until
        for task, _ in waiting:
            await task
        assert shelf.books == list(range(given))
        await shelf.behind.aclose(0.0)

    run(main())
