"""What every backend promises: order, limits, filters, restarts, and what other processes wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from delivery.ledger import LedgerError
from orchestration.status import ALL_ROOMS, StatusBackend, StatusEntry, StatusFilter, StatusLevel
from orchestration.status.follower import AT_ONCE
from tests.orchestration.status.stores import Store, entry
from voice.clock import wall_time

EVERY = StatusFilter(ALL_ROOMS)


@asynccontextmanager
async def opened(store: Store, **limits: int) -> AsyncIterator[StatusBackend]:
    backend = store.made(**limits)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.aclose()


def ids(entries: Sequence[StatusEntry]) -> list[str]:
    return [each.id for each in entries]


def test_what_is_kept_is_read_back_as_it_was(store: Store) -> None:
    full = entry(
        1,
        status=StatusLevel.COMPLETED,
        detail="Zwölf Boote — „fertig“ 🚤\n\ttwo lines, \x7f and \u2028",
        metadata={"found": 7, "where": ["here", None], "deep": {"π": 3.14, "zero": "\x00"}},
        room="lobby",
        timestamp=1_763_731_927.123456,
    )

    async def main() -> None:
        async with opened(store) as backend:
            await backend.append([full, entry(2)])
            assert await backend.recent(10, EVERY) == [full, entry(2)]

    store.play(main())


def test_the_last_ones_come_oldest_first(store: Store) -> None:
    async def main() -> None:
        async with opened(store) as backend:
            await backend.append([entry(1), entry(2)])
            await backend.append([entry(3)])
            assert ids(await backend.recent(2, EVERY)) == ["e2", "e3"]
            assert ids(await backend.recent(1000, EVERY)) == ["e1", "e2", "e3"]

    store.play(main())


def test_each_filter_leaves_out_what_does_not_match(store: Store) -> None:
    async def main() -> None:
        async with opened(store) as backend:
            await backend.append(
                [
                    entry(1),
                    entry(2, room="lobby"),
                    entry(3, room="lobby", agent_id="coder"),
                    entry(4, room="attic", action="test"),
                    entry(5, room="lobby", action="test", status=StatusLevel.FAILED),
                ]
            )
            for wanted, found in [
                (StatusFilter(), ["e1"]),
                (StatusFilter("lobby"), ["e2", "e3", "e5"]),
                (StatusFilter("cellar"), []),
                (StatusFilter(ALL_ROOMS), ["e1", "e2", "e3", "e4", "e5"]),
                (StatusFilter("lobby", agent_id="coder"), ["e3"]),
                (StatusFilter(ALL_ROOMS, action="test"), ["e4", "e5"]),
                (StatusFilter(ALL_ROOMS, status=StatusLevel.FAILED), ["e5"]),
                (StatusFilter("lobby", "analyst", "search", StatusLevel.OK), ["e2"]),
            ]:
                assert ids(await backend.recent(100, wanted)) == found, wanted

    store.play(main())


def test_an_entry_that_is_told_again_is_kept_once(store: Store) -> None:
    async def main() -> None:
        async with opened(store) as backend:
            await backend.append([entry(1), entry(2)])
            await backend.append([entry(1), entry(2), entry(3)])
            assert ids(await backend.recent(10, EVERY)) == ["e1", "e2", "e3"]

    store.play(main())


def test_beyond_the_limit_the_oldest_go(store: Store) -> None:
    async def main() -> None:
        async with opened(store, max_entries=3) as backend:
            await backend.append([entry(n) for n in range(10)])
            assert ids(await backend.recent(100, EVERY)) == ["e7", "e8", "e9"]
            await backend.append([entry(10, room="lobby")])
            assert ids(await backend.recent(100, EVERY)) == ["e8", "e9", "e10"]
        async with opened(store, max_entries=3) as backend:
            await backend.append([entry(11)])
            assert ids(await backend.recent(100, EVERY))[-1] == "e11"
            assert len(await backend.recent(100, EVERY)) <= 3

    store.play(main())


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "many", 10**9])
def test_a_limit_that_is_none_is_told(store: Store, limit: int) -> None:
    with pytest.raises(ValueError, match="max_entries must be a whole number, 1 to 10,000,000"):
        store.made(max_entries=limit)


def test_after_a_restart_all_is_there(lasting: Store) -> None:
    async def main() -> None:
        async with opened(lasting) as backend:
            await backend.append([entry(1, room="lobby", metadata={"n": 1})])
        for number in (2, 3):
            async with opened(lasting) as backend:
                assert len(await backend.recent(10, EVERY)) == number - 1
                await backend.append([entry(number)])
        async with opened(lasting) as backend:
            assert await backend.recent(10, EVERY) == [entry(1, room="lobby", metadata={"n": 1}), entry(2), entry(3)]

    lasting.play(main())


def test_it_can_be_opened_again_and_closed_twice(store: Store) -> None:
    async def main() -> None:
        backend = store.made()
        for number in (1, 2):
            await backend.open()
            await backend.append([entry(number)])
            assert ids(await backend.recent(10, EVERY)) == ["e1", "e2"][:number]
            await backend.aclose()
        await backend.aclose()

    store.play(main())


def test_a_shared_store_has_a_clock_of_its_own(shared: Store) -> None:
    async def main() -> None:
        async with opened(shared) as backend:
            first, second = await backend.clock(), await backend.clock()
            assert first is not None
            assert second is not None
            assert wall_time() - 3600 < first <= second < wall_time() + 3600

    shared.play(main())


def test_others_are_told_once_and_in_order_of_what_comes_from_now_on(shared: Store) -> None:
    async def main() -> None:
        async with opened(shared) as ours, opened(shared) as theirs:
            await theirs.append([entry(1)])
            told: list[str] = []
            stop = await ours.watch(lambda entries: told.extend(ids(entries)))
            await ours.append([entry(2)])
            await theirs.append([entry(3), entry(4, room="lobby")])
            await until(told, 2)
            await ours.append([entry(5)])
            await theirs.append([entry(6)])
            await until(told, 3)
            stop()
            assert told == ["e3", "e4", "e6"]

    shared.play(main())


def test_more_than_are_read_at_once_are_told_all_the_same(shared: Store) -> None:
    async def main() -> None:
        async with opened(shared) as ours, opened(shared) as theirs:
            told: list[str] = []
            stop = await ours.watch(lambda entries: told.extend(ids(entries)))
            await asyncio.gather(
                theirs.append([entry(n) for n in range(2 * AT_ONCE + 1)]), ours.append([entry(n) for n in range(-9, 0)])
            )
            await until(told, 2 * AT_ONCE + 1)
            stop()
            assert told == [f"e{n}" for n in range(2 * AT_ONCE + 1)]

    shared.play(main())


def test_several_write_at_once_and_each_hears_of_all_others(shared: Store) -> None:
    async def main() -> None:
        async with opened(shared) as one, opened(shared) as two, opened(shared) as three:
            told = [list[str](), list[str](), list[str]()]
            stops = [
                await backend.watch(lambda entries, heard=heard: heard.extend(ids(entries)))
                for backend, heard in zip((one, two, three), told, strict=True)
            ]
            sent = [[f"{n}-{i}" for i in range(40)] for n in range(3)]

            async def send(backend: StatusBackend, names: list[str]) -> None:
                for name in names:
                    await backend.append([entry(1, id=name)])

            await asyncio.gather(*(send(b, names) for b, names in zip((one, two, three), sent, strict=True)))
            for heard in told:
                await until(heard, 80)
            for stop in stops:
                stop()
            for n, heard in enumerate(told):
                for other in range(3):
                    assert [id for id in heard if id.startswith(f"{other}-")] == ([] if n == other else sent[other])

    shared.play(main())


def test_nothing_is_told_after_the_stop(shared: Store) -> None:
    async def main() -> None:
        async with opened(shared) as ours, opened(shared) as theirs:
            told: list[str] = []
            other: list[str] = []
            stop = await ours.watch(lambda entries: told.extend(ids(entries)))
            stop()
            again = await ours.watch(lambda entries: other.extend(ids(entries)))
            await theirs.append([entry(1)])
            await until(other, 1)
            again()
            assert told == []

    shared.play(main())


def test_closed_it_says_so(shared: Store) -> None:
    async def main() -> None:
        backend = shared.made()
        with pytest.raises(LedgerError, match=r"closed; await open\(\) first"):
            await backend.recent(1, EVERY)
        with pytest.raises(LedgerError, match=r"closed; await open\(\) first"):
            await backend.append([entry(1)])

    shared.play(main())


async def until(told: list[str], number: int) -> None:
    """Until so many were told, and a moment longer."""
    async with asyncio.timeout(20):
        while len(told) < number:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)


def test_a_newer_releases_tables_are_left_alone(shared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with opened(shared) as backend:
            await backend.append([entry(1)])
        older = shared.made()
        with monkeypatch.context() as patch:
            patch.setattr(f"orchestration.status.{shared.kind}._VERSIONS", [])
            with pytest.raises(LedgerError, match="its status are in format 1, this release knows 0"):
                await older.open()
        await older.open()
        assert ids(await older.recent(9, EVERY)) == ["e1"]
        await older.aclose()

    shared.play(main())
