"""What every room store promises: versions, order, limits, restarts, and what other processes did."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from delivery.ledger import LedgerError
from orchestration.content import MAX_CONTENT
from orchestration.event import RoomEvent
from orchestration.inbound import ChannelCategory, ChannelType, TextContent
from orchestration.plain import MAX_DEPTH
from orchestration.state import KEY, ConversationState, get_conversation_state, set_conversation_state
from orchestration.store import MAX_TIMELINE, RoomStore, StaleRoomError, StoreError
from orchestration.store.store import MAX_LISTED
from orchestration.store.stored_room import MAX_METADATA
from tests.orchestration.store.stores import Kind, event, ids

HOSTILE = [
    "'; DROP TABLE kept_rooms; --",
    '"quoted" \\ backslash \\u0000 %s %(room)s ? :room $1 {}',
    "👩‍👩‍👧‍👦 Zoë Müller, مرحبا‏, ‎\u2028\u2029, e\u0301",
    "x" * MAX_CONTENT,
    "\ufdfa" * MAX_CONTENT,
    "tabs\tand\nlines\r\n",
]


# -- metadata


def test_a_room_is_loaded_as_it_was_saved(kind: Kind) -> None:
    metadata = {
        "title": "Zwölf Boote — „fertig“ 🚤\n\ttwo lines, \x7f and \u2028",
        "numbers": [0, -1, 2**200, 1.0, -0.0, 1e300, 5e-324, 0.1],
        "rest": [True, False, None, "", [], {}],
        "deep": {"": {"π": {"'": ["\\", '"']}}},
    }

    async def main() -> None:
        async with kind.opened() as store:
            assert await store.load("lobby") is None
            assert await store.save("lobby", metadata, 0) == 1
            room = await store.load("lobby")
            assert room is not None
            assert (room.id, room.version) == ("lobby", 1)
            assert repr(dict(room.metadata)) == repr(metadata)  # 1, 1.0 and True are equal, but not the same
            with pytest.raises(TypeError, match="read-only"):
                room.metadata["deep"]["more"] = 1  # type: ignore[index]

    kind.play(main())


def test_what_was_given_may_be_changed_afterwards(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            mine: dict[str, Any] = {"found": [1]}
            await store.save("lobby", mine, 0)
            mine["found"].append(2)
            mine["more"] = True
            room = await store.load("lobby")
            assert room is not None
            assert room.metadata == {"found": [1]}

    kind.play(main())


def test_each_save_makes_a_version(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            version = 0
            for number in range(1, 6):
                version = await store.save("lobby", {"number": number}, version)
                assert version == number
            room = await store.load("lobby")
            assert room is not None
            assert (room.version, room.metadata) == (5, {"number": 5})

    kind.play(main())


@pytest.mark.parametrize("stale", [0, 1, 3, 2**53 - 1])
def test_a_stale_version_saves_nothing(kind: Kind, stale: int) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            await store.save("lobby", {"by": "us"}, await store.save("lobby", {"by": "ann"}, 0))
            with pytest.raises(
                StaleRoomError, match=rf"^room 'lobby': it is not at version {stale} .*load it again"
            ) as e:
                await store.save("lobby", {"by": "bob"}, stale)
            assert e.value.room == "lobby"
            room = await store.load("lobby")
            assert room is not None
            assert (room.version, room.metadata) == (2, {"by": "us"})

    kind.play(main())


def test_what_was_never_saved_has_no_version_to_save_over(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            with pytest.raises(StaleRoomError):
                await store.save("lobby", {}, 1)
            assert await store.load("lobby") is None
            assert await store.rooms() == []

    kind.play(main())


def test_of_many_savers_at_once_one_wins(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            for version in range(3):
                saves = (store.save("lobby", {"by": n}, version) for n in range(20))
                outcomes = await asyncio.gather(*saves, return_exceptions=True)
                winners = [n for n, outcome in enumerate(outcomes) if outcome == version + 1]
                assert len(winners) == 1
                assert sum(isinstance(outcome, StaleRoomError) for outcome in outcomes) == 19
                room = await store.load("lobby")
                assert room is not None
                assert (room.version, room.metadata) == (version + 1, {"by": winners[0]})

    kind.play(main())


def test_of_savers_in_several_processes_one_wins(shared: Kind) -> None:
    async def main() -> None:
        async with shared.opened() as one, shared.opened() as two, shared.opened() as three:
            stores = [one, two, three]

            async def count(store: RoomStore) -> int:
                """Add 1, ten times, however often somebody else is faster."""
                collisions = 0
                for _ in range(10):
                    while True:
                        room = await store.load("lobby")
                        number, version = (room.metadata["number"], room.version) if room else (0, 0)
                        try:
                            await store.save("lobby", {"number": number + 1}, version)
                        except StaleRoomError:
                            collisions += 1
                        else:
                            break
                return collisions

            await asyncio.gather(*map(count, stores))
            for store in stores:
                room = await store.load("lobby")
                assert room is not None
                assert (room.metadata, room.version) == ({"number": 30}, 30)

    shared.play(main())


def test_rooms_are_apart(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            await store.save("lobby", {"in": "lobby"}, 0)
            await store.save("Lobby", {"in": "Lobby"}, 0)
            await store.add("lobby", [event(1)])
            await store.add("Lobby", [event(1, "Lobby", "another")])
            room = await store.load(" lobby ")
            assert room is not None
            assert (room.id, room.metadata) == ("lobby", {"in": "lobby"})
            assert [e.text for e in await store.timeline("Lobby")] == ["another"]

    kind.play(main())


def test_how_long_ago_it_was_saved_is_told(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            await store.save("lobby", {}, 0)
            room = await store.load("lobby")
            assert room is not None
            assert 0.0 <= room.age < 60.0

    kind.play(main())


def test_in_memory_an_age_is_the_loops() -> None:
    from orchestration.store import MemoryRoomStore
    from voice.clock import run

    async def main() -> None:
        store = MemoryRoomStore()
        await store.save("lobby", {}, 0)
        await asyncio.sleep(90)
        room = await store.load("lobby")
        assert room is not None
        assert room.age == pytest.approx(90)
        await store.save("lobby", {}, 1)
        room = await store.load("lobby")
        assert room is not None
        assert room.age == 0.0

    run(main())


def test_a_conversations_state_is_kept(kind: Kind) -> None:
    from dataclasses import dataclass, field

    @dataclass
    class Seen:
        id: str
        metadata: dict[str, Any] = field(default_factory=dict)

    state = ConversationState().transition("handling", "billing", "asked for it", context={"invoice": 7})

    async def main() -> None:
        async with kind.opened() as store:
            room = set_conversation_state(Seen("lobby"), state)  # type: ignore[type-var, arg-type]
            await store.save("lobby", room.metadata, 0)
            stored = await store.load("lobby")
            assert stored is not None
            assert get_conversation_state(stored) == state
            assert list(stored.metadata) == [KEY]

    kind.play(main())


def test_what_is_forgotten_is_gone_and_may_begin_anew(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            for room in ("lobby", "attic"):
                await store.save(room, {"n": 1}, 0)
                await store.add(room, [event(1, room)])
            await store.forget("lobby")
            await store.forget("lobby")
            await store.forget("never heard of")
            assert await store.load("lobby") is None
            assert await store.timeline("lobby") == []
            assert await store.rooms() == ["attic"]
            assert ids(await store.timeline("attic")) == ["e1"]
            with pytest.raises(StaleRoomError):
                await store.save("lobby", {}, 1)
            assert await store.save("lobby", {}, 0) == 1
            await store.add("lobby", [event(1)])
            assert ids(await store.timeline("lobby")) == ["e1"]

    kind.play(main())


# -- lists


def test_rooms_are_listed_page_by_page_in_the_order_of_their_characters(kind: Kind) -> None:
    rooms = ["A", "Z", "a", "a b", "a-b", "aa", "z", "Ä", "ä", "ß", "\uffee", "\U0001f6a4", "10", "9", "'%_\\"]

    async def main() -> None:
        async with kind.opened() as store:
            for room in rooms:
                await store.save(room, {}, 0)
            await store.add("only heard of", [event(1, "only heard of")])
            assert await store.rooms() == sorted(rooms)
            paged: list[str] = []
            while page := await store.rooms(4, paged[-1] if paged else ""):
                assert len(page) <= 4
                paged += page
            assert paged == sorted(rooms)
            assert await store.rooms(2, "a c") == ["a-b", "aa"]
            assert await store.rooms(MAX_LISTED, "\U0001f6a4") == []

    kind.play(main())


# -- timelines


def test_events_are_read_back_as_they_were_oldest_first(kind: Kind) -> None:
    full = event(
        1,
        channel_type=ChannelType.WHATSAPP,
        category=ChannelCategory.INTELLIGENCE,
        metadata={"_routed_to": "agent", "n": 2**200, "f": 1.0, "deep": [{"π": None}]},
    )

    async def main() -> None:
        async with kind.opened() as store:
            assert await store.timeline("lobby") == []
            await store.add("lobby", [full, event(2)])
            await store.add("lobby", [])
            await store.add("lobby", (event(3),))
            read = await store.timeline("lobby")
            assert read == [full, event(2), event(3)]
            assert repr(read[0]) == repr(full)
            assert ids(await store.timeline("lobby", 2)) == ["e2", "e3"]
            assert await store.load("lobby") is None

    kind.play(main())


def test_the_newest_fifty_are_told_unless_more_are_asked_for(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            await store.add("lobby", [event(n) for n in range(60)])
            assert ids(await store.timeline("lobby")) == [f"e{n}" for n in range(10, 60)]
            assert len(await store.timeline("lobby", MAX_TIMELINE)) == 60

    kind.play(main())


def test_an_event_that_is_added_again_is_kept_once_and_as_it_was(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            await store.add("lobby", [event(1), event(2), event(1, text="again")])
            await store.add("lobby", [event(1), event(2), event(3), event(1)])
            assert await store.timeline("lobby") == [event(1), event(2), event(3)]

    kind.play(main())


def test_beyond_the_limit_the_oldest_go_of_this_room_only(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            await store.add("attic", [event(1, "attic")])
            await store.add("lobby", [event(n) for n in range(MAX_TIMELINE + 10)])
            await store.add("lobby", [event(n) for n in range(MAX_TIMELINE + 10)])
            kept = ids(await store.timeline("lobby", MAX_TIMELINE))
            assert kept == [f"e{n}" for n in range(10, MAX_TIMELINE + 10)]
            await store.add("lobby", [event(n) for n in range(MAX_TIMELINE + 10, MAX_TIMELINE + 13)])
            kept = ids(await store.timeline("lobby", MAX_TIMELINE))
            assert kept == [f"e{n}" for n in range(13, MAX_TIMELINE + 13)]
            assert ids(await store.timeline("attic")) == ["e1"]

    kind.play(main())


def test_what_is_beyond_the_limit_takes_no_room_on_the_disk(shared: Kind) -> None:
    async def main() -> None:
        async with shared.opened() as store:
            for start in range(0, 2 * MAX_TIMELINE, 100):
                await store.add("lobby", [event(n) for n in range(start, start + 100)])
            assert await rows_of(store) == MAX_TIMELINE
            await store.forget("lobby")
            assert await rows_of(store) == 0

    async def rows_of(store: RoomStore) -> int:
        database = store._database  # type: ignore[attr-defined]
        if shared.name == "sqlite":
            return len(await database.read(lambda c: c.execute("SELECT seq FROM timelines").fetchall()))

        async def look(connection: Any) -> int:
            return len(await (await connection.execute("SELECT seq FROM sottovoce.timelines")).fetchall())

        rows: int = await database.run(database.read(look))
        return rows

    shared.play(main())


def test_events_of_many_rooms_at_once_stay_in_order(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:

            async def talk(room: str) -> None:
                for n in range(0, 20, 2):
                    await store.add(room, [event(n, room), event(n + 1, room)])

            rooms = [f"room {n}" for n in range(20)]
            await asyncio.gather(*map(talk, rooms))
            for room in rooms:
                assert ids(await store.timeline(room)) == [f"e{n}" for n in range(20)]

    kind.play(main())


@pytest.mark.parametrize("text", HOSTILE, ids=["sql", "formats", "unicode", "long", "wide", "lines"])
def test_any_text_is_kept_as_it_is(kind: Kind, text: str) -> None:
    name = " ".join(text.split())[:60]

    async def main() -> None:
        async with kind.opened() as store:
            said = RoomEvent(name, name, name, name, TextContent(text), metadata={text[:100]: text[:1000]})
            await store.add(said.room, [said])
            await store.save(said.room, {text[:100]: text}, 0)
            assert await store.timeline(said.room) == [said]
            room = await store.load(said.room)
            assert room is not None
            assert room.metadata == {text[:100]: text}
            assert await store.rooms() == [said.room]

    if name.isprintable():
        kind.play(main())
    else:
        with pytest.raises(ValueError, match="printable"):
            kind.play(main())


# -- what is refused


@pytest.mark.parametrize("bad", ["", "   ", "x" * 65, "a\nb", "a\0b", "\ud800", None, 7])
def test_what_is_no_room_is_refused(kind: Kind, bad: Any) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            for ask in (
                store.load(bad),
                store.save(bad, {}, 0),
                store.forget(bad),
                store.add(bad, []),
                store.timeline(bad),
            ):
                with pytest.raises(ValueError, match=r"^room must"):
                    await ask

    kind.play(main())


def test_what_cannot_be_kept_is_refused_by_name_and_nothing_is_changed(kind: Kind) -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH + 2):
        deep = [deep]
    refused: list[tuple[Any, Any, str]] = [
        ({"a": "x\0y"}, 1, r"metadata\['a'\]: it holds characters that databases do not store"),
        ({"a": "\ud800"}, 1, r"metadata\['a'\]: it holds characters"),
        ({"a": float("nan")}, 1, r"metadata\['a'\]: nan is nothing"),
        ({"a": object()}, 1, r"metadata\['a'\]: object is nothing"),
        ({"a": deep}, 1, "metadata: more than 20 levels deep"),
        ({"a": "x" * MAX_METADATA}, 1, "metadata: more than 64000 characters; put less into it"),
        (None, 1, "metadata: NoneType is no mapping"),
        ({}, -1, "version: -1 is none; give the one that was loaded, or 0"),
        ({}, True, "version: True is none"),
        ({}, "1", "version: '1' is none"),
        ({}, 2**53, "version: 9007199254740992 is none"),
    ]

    async def main() -> None:
        async with kind.opened() as store:
            await store.save("lobby", {"n": 1}, 0)
            for metadata, version, said in refused:
                with pytest.raises(ValueError, match=f"^{said}"):
                    await store.save("lobby", metadata, version)
            room = await store.load("lobby")
            assert room is not None
            assert (room.version, room.metadata) == (1, {"n": 1})
            assert await store.save("lobby", {"a": "x" * (MAX_METADATA - 2)}, 1) == 2

    kind.play(main())


def test_events_that_do_not_belong_there_are_refused_all_together(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            with pytest.raises(ValueError, match=r"^events: event 'e2' is of room 'attic', not of 'lobby'"):
                await store.add("lobby", [event(1), event(2, "attic")])
            with pytest.raises(ValueError, match=r"^events: str is no RoomEvent"):
                await store.add("lobby", [event(1), "hello"])  # type: ignore[list-item]
            assert await store.timeline("lobby") == []

    kind.play(main())


@pytest.mark.parametrize("limit", [0, -1, 10_000, 2.5, True, "5", None])
def test_a_limit_that_is_none_is_told(kind: Kind, limit: Any) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            with pytest.raises(ValueError, match=r"^limit: it must be a whole number, 1 to 500, not "):
                await store.timeline("lobby", limit)
            with pytest.raises(ValueError, match=r"^limit: it must be a whole number, 1 to 1000, not "):
                await store.rooms(limit)
            with pytest.raises(ValueError, match=r"^after must"):
                await store.rooms(10, "a\0b")

    kind.play(main())


# -- life


def test_after_a_restart_all_is_there(shared: Kind) -> None:
    async def main() -> None:
        for number in range(1, 4):
            async with shared.opened() as store:
                room = await store.load("lobby")
                assert (room.version if room else 0) == number - 1
                await store.save("lobby", {"n": number}, number - 1)
                await store.add("lobby", [event(number)])
        async with shared.opened() as store:
            room = await store.load("lobby")
            assert room is not None
            assert (room.version, room.metadata) == (3, {"n": 3})
            assert ids(await store.timeline("lobby")) == ["e1", "e2", "e3"]

    shared.play(main())


def test_it_can_be_opened_twice_closed_twice_and_opened_again(kind: Kind) -> None:
    async def main() -> None:
        store = kind.made()
        await store.aclose()
        for number in (1, 2):
            await store.open()
            await store.open()
            await store.add("lobby", [event(number)])
            assert len(await store.timeline("lobby")) == number
            await store.aclose()
            await store.aclose()

    kind.play(main())


def test_several_processes_may_open_a_new_database_at_once(shared: Kind) -> None:
    async def main() -> None:
        stores = [shared.made() for _ in range(6)]
        await asyncio.gather(*(store.open() for store in stores))
        await asyncio.gather(*(store.add("lobby", [event(n)]) for n, store in enumerate(stores)))
        assert sorted(ids(await stores[0].timeline("lobby"))) == [f"e{n}" for n in range(6)]
        for store in stores:
            await store.aclose()

    shared.play(main())


def test_closed_it_says_so(shared: Kind) -> None:
    async def main() -> None:
        store = shared.made()
        for ask in (
            store.load("lobby"),
            store.save("lobby", {}, 0),
            store.forget("lobby"),
            store.rooms(),
            store.add("lobby", [event(1)]),
            store.timeline("lobby"),
        ):
            with pytest.raises(StoreError, match=r"closed; await open\(\) first"):
                await ask

    shared.play(main())


def test_a_newer_releases_tables_are_left_alone(shared: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with shared.opened() as store:
            await store.save("lobby", {}, 0)
        older = shared.made()
        with monkeypatch.context() as patch:
            patch.setattr(f"orchestration.store.{shared.name}._VERSIONS", [])
            with pytest.raises(StoreError, match="its rooms are in format 1, this release knows 0"):
                await older.open()
        await older.open()
        assert await older.rooms() == ["lobby"]
        await older.aclose()

    shared.play(main())


def test_whoever_gives_up_waiting_leaves_all_or_nothing_behind(kind: Kind) -> None:
    async def main() -> None:
        async with kind.opened() as store:
            await store.save("lobby", {"n": 0}, 0)
            for turns in range(6):
                asked = [
                    asyncio.ensure_future(store.save("lobby", {"n": turns + 1, "also": turns + 1}, turns + 1)),
                    asyncio.ensure_future(store.add("lobby", [event(2 * turns), event(2 * turns + 1)])),
                ]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for each in asked:
                    each.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
                assert await saved(store, turns) == turns + 2
                kept = ids(await store.timeline("lobby"))
                assert len(kept) % 2 == 0
                await store.add("lobby", [event(2 * turns), event(2 * turns + 1)])
                assert ids(await store.timeline("lobby")) == [f"e{n}" for n in range(2 * turns + 2)]

    async def saved(store: RoomStore, turns: int) -> int:
        """The version once it is saved: what was given up may be done a moment later."""
        while True:
            room = await store.load("lobby")
            assert room is not None
            if room.version == turns + 2:
                assert room.metadata == {"n": turns + 1, "also": turns + 1}
                return room.version
            assert room.version == turns + 1
            with contextlib.suppress(StaleRoomError):
                return await store.save("lobby", {"n": turns + 1, "also": turns + 1}, turns + 1)

    kind.play(main())


def test_errors_of_the_database_are_the_stores(shared: Kind) -> None:
    error = StoreError("x")
    assert not isinstance(error, LedgerError)  # whoever catches one means one

    async def main() -> None:
        async with shared.opened() as store:
            database = store._database  # type: ignore[attr-defined]
            await store.save("lobby", {}, 0)
            await drop(database)
            with pytest.raises(StoreError, match="kept_rooms"):
                await store.load("lobby")
            with pytest.raises(StoreError, match="kept_rooms"):
                await store.save("lobby", {}, 1)

    async def drop(database: Any) -> None:
        if shared.name == "sqlite":
            await database.write(lambda connection: connection.execute("DROP TABLE kept_rooms"))
        else:
            await database.run(database.write(lambda t: t.execute("DROP TABLE sottovoce.kept_rooms")))

    shared.play(main())


@pytest.mark.parametrize("damage", ["{", "[]", "7", '{"id": "e1"}'])
def test_a_damaged_row_is_told_by_its_room(shared: Kind, damage: str) -> None:
    async def main() -> None:
        async with shared.opened() as store:
            database = store._database  # type: ignore[attr-defined]
            await store.save("lobby", {}, 0)
            await store.add("lobby", [event(1)])
            for sql in ("UPDATE {}kept_rooms SET metadata = ", "UPDATE {}timelines SET event = "):
                await change(database, sql, damage)
            with pytest.raises(
                StoreError, match=r"^room 'lobby': its timeline in the database is damaged .*forget\(\)"
            ):
                await store.timeline("lobby")
            if damage != '{"id": "e1"}':
                with pytest.raises(StoreError, match=r"^room 'lobby': its metadata in the database is damaged"):
                    await store.load("lobby")
            await store.forget("lobby")
            assert await store.load("lobby") is None

    async def change(database: Any, sql: str, value: str) -> None:
        if shared.name == "sqlite":
            await database.write(lambda connection: connection.execute(sql.format("") + "?", (value,)))
        else:
            await database.run(database.write(lambda t: t.execute(sql.format("sottovoce.") + "%s", (value,))))

    shared.play(main())
