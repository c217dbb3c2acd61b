"""What every ledger promises: one suite over all of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from delivery.ledger import (
    ConflictError,
    Delivery,
    Entry,
    FencedError,
    Ledger,
    LedgerError,
    Move,
    OnInterrupt,
    Process,
    QueueFullError,
    SpeakAs,
    Status,
)
from delivery.memory import MemoryLedger
from delivery.postgres import PostgresLedger
from delivery.sqlite import SqliteLedger
from tests.delivery.ledgers import entry, play, result, run_with, runner
from tests.postgres import Server

ENDS = [status for status in Status if status.terminal]


def test_what_was_put_is_read_back_whole(ledger: Ledger) -> None:
    full = Delivery(
        id="t1:result:0",
        room="lobby",
        content="Zoë said:\n“42” \N{OK HAND SIGN}",
        strategy={"name": "queued", "buffer": 0.5, "separator": "; "},
        to="ann",
        task="t1",
        priority=-3,
        ttl=60.5,
        supersedes="weather",
        max_wait=None,
        on_interrupt=OnInterrupt.DROP,
        speak_as=SpeakAs.AGENT,
        fold=False,
        metadata={"deep": [1, None, {"x": True}]},
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )

    async def script(ledger: Ledger) -> None:
        assert await ledger.put(full)
        kept = await entry(ledger, full.id)
        assert kept == Entry(full, Status.QUEUED, kept.seq, age=kept.age)
        assert [replace(e, age=kept.age) for e in await ledger.entries("lobby")] == [kept]
        assert await ledger.get("nobody") is None

    play(ledger, script)


def test_the_same_delivery_is_kept_once(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        assert await ledger.put(result()) is True
        assert await ledger.put(result()) is False
        assert await ledger.put(result(traceparent="another-trace", priority=9)) is False
        assert (await entry(ledger)).delivery == result()

    play(ledger, script)


@pytest.mark.parametrize("other", [{"content": "else"}, {"room": "attic"}, {"to": "bob"}], ids=str)
def test_one_id_with_other_content_is_a_conflict(ledger: Ledger, other: dict[str, str]) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.put(result())
        with pytest.raises(ConflictError, match="'one'"):
            await ledger.put(result(**other))
        assert (await entry(ledger)).delivery == result()
        assert await ledger.entries("attic") == []

    play(ledger, script)


def test_many_at_once_put_one_delivery_once(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        new = await asyncio.gather(*(ledger.put(result()) for _ in range(20)))
        assert sorted(new) == [False] * 19 + [True]

    play(ledger, script)


def test_a_full_room_says_so_and_other_rooms_do_not_care(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        for id in ("one", "two"):
            await ledger.put(result(id), limit=2)
        with pytest.raises(QueueFullError, match=r"'lobby'.*2"):
            await ledger.put(result("three"), limit=2)
        assert await ledger.get("three") is None
        assert await ledger.put(result("two"), limit=2) is False
        assert await ledger.put(result("four", room="attic"), limit=2)
        epoch = await ledger.take_room("lobby", "me")
        await ledger.move("lobby", epoch, [Move("one", Status.HEARD)])
        assert await ledger.put(result("three"), limit=2)

    play(ledger, script)


def test_a_burst_does_not_slip_past_the_limit(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        puts = (ledger.put(result(f"d{n}"), limit=5) for n in range(20))
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        assert [o for o in outcomes if o is True] == [True] * 5
        assert sum(isinstance(o, QueueFullError) for o in outcomes) == 15
        assert len(await ledger.entries("lobby")) == 5

    play(ledger, script)


def test_entries_come_in_order_of_arrival_by_status_and_limit(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        for id in "cabd":
            await ledger.put(result(id))
        await ledger.put(result("x", room="attic"))
        epoch = await ledger.take_room("lobby", "me")
        await ledger.move("lobby", epoch, [Move("a", Status.SPEAKING), Move("b", Status.EXPIRED)])

        async def ids(*args: Any, **kwargs: Any) -> str:
            return "".join(e.delivery.id for e in await ledger.entries("lobby", *args, **kwargs))

        assert await ids() == "cad"
        assert await ids(limit=2) == "ca"
        assert await ids(limit=2, newest=True) == (await ids())[-2:]
        assert await ids(limit=0) == await ids(limit=0, newest=True) == ""
        assert await ids([Status.EXPIRED]) == "b"
        assert await ids(list(Status)) == "cabd"
        assert await ids([]) == ""
        assert await ids(iter([Status.QUEUED])) == "cd"
        seqs = [e.seq for e in await ledger.entries("lobby", list(Status))]
        assert seqs == sorted(set(seqs))

    play(ledger, script)


def test_a_life_step_by_step(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.put(result(content="one two three four"))
        epoch = await ledger.take_room("lobby", "me")

        async def step(move: Move) -> tuple[Status, str | None, int, int, str]:
            await ledger.move("lobby", epoch, [move])
            e = await entry(ledger)
            return e.status, e.wording, e.heard_chars, e.attempts, e.reason

        words = "well, one two"
        assert await step(Move("one", Status.RESERVED)) == ("reserved", None, 0, 0, "")
        assert await step(Move("one", Status.SPEAKING, words, attempt=True)) == ("speaking", words, 0, 1, "")
        assert await step(Move("one", Status.SPEAKING, heard_chars=5)) == ("speaking", words, 5, 1, "")
        cut = Move("one", Status.QUEUED, heard_chars=9, reason="barge-in")
        assert await step(cut) == ("queued", words, 9, 1, "barge-in")
        assert await step(Move("one", Status.SPEAKING, attempt=True)) == ("speaking", words, 9, 2, "barge-in")
        assert await step(Move("one", Status.HEARD, heard_chars=13, reason="")) == ("heard", words, 13, 2, "")

    play(ledger, script)


@pytest.mark.parametrize("end", ENDS)
def test_what_ended_stays_as_it_is(ledger: Ledger, end: Status) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.put(result())
        await ledger.put(result("two"))
        epoch = await ledger.take_room("lobby", "me")
        await ledger.move("lobby", epoch, [Move("one", end, reason="that is that")])
        again = Move("one", Status.SPEAKING, heard_chars=3, reason="late", attempt=True)
        await ledger.move("lobby", epoch, [again, Move("two", Status.RESERVED)])
        one = await entry(ledger)
        assert (one.status, one.heard_chars, one.attempts, one.reason) == (end, 0, 0, "that is that")
        assert (await entry(ledger, "two")).status is Status.RESERVED
        assert await ledger.put(result()) is False

    play(ledger, script)


def test_an_old_owner_writes_nothing(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.put(result())
        old = await ledger.take_room("lobby", "me")
        new = await ledger.take_room("lobby", "me again")
        assert new > old
        for epoch in (old, new + 1, 0):
            with pytest.raises(FencedError, match="'lobby'"):
                await ledger.move("lobby", epoch, [Move("one", Status.SPEAKING)])
        with pytest.raises(FencedError):
            await ledger.move("attic", new, [])
        assert (await entry(ledger)).status is Status.QUEUED
        await ledger.move("lobby", new, [Move("one", Status.SPEAKING)])
        assert (await entry(ledger)).status is Status.SPEAKING

    play(ledger, script)


@pytest.mark.parametrize(
    "wrong",
    [
        Move("nobody", Status.HEARD),
        Move("elsewhere", Status.HEARD),
        Move("two", Status.HEARD, heard_chars=-1),
        Move("two", Status.HEARD, heard_chars=999),
        Move("two", Status.SPEAKING, wording="short", heard_chars=6),
    ],
    ids=str,
)
def test_moves_are_made_all_or_none(ledger: Ledger, wrong: Move) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.put(result("one"))
        await ledger.put(result("two"))
        await ledger.put(result("elsewhere", room="attic"))
        epoch = await ledger.take_room("lobby", "me")
        with pytest.raises(LedgerError, match=wrong.id):
            await ledger.move("lobby", epoch, [Move("one", Status.HEARD), wrong])
        for id in ("one", "two", "elsewhere"):
            assert (await entry(ledger, id)).status is Status.QUEUED

    play(ledger, script)


def test_taking_a_room_queues_again_what_its_last_owner_held(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        for id in ("spoken", "held", "waiting", "done"):
            await ledger.put(result(id))
        await ledger.put(result("other", room="attic"))
        epoch = await ledger.take_room("lobby", "me")
        attic = await ledger.take_room("attic", "me")
        await ledger.move(
            "lobby",
            epoch,
            [
                Move("spoken", Status.SPEAKING, wording="in my own words", heard_chars=5, attempt=True),
                Move("held", Status.RESERVED),
                Move("done", Status.HEARD),
            ],
        )
        await ledger.move("attic", attic, [Move("other", Status.SPEAKING)])
        await ledger.take_room("lobby", "you")
        spoken = await entry(ledger, "spoken")
        assert (spoken.status, spoken.heard_chars, spoken.attempts) == (Status.QUEUED, 5, 1)
        assert spoken.wording == "in my own words"
        assert "gone" in spoken.reason
        held = await entry(ledger, "held")
        assert (held.status, held.reason) == (Status.QUEUED, "")
        assert (await entry(ledger, "done")).status is Status.HEARD
        assert (await entry(ledger, "other")).status is Status.SPEAKING

    play(ledger, script)


@pytest.mark.parametrize(
    "bad",
    [
        {"id": ""},
        {"id": "x" * 257},
        {"room": "\n"},
        {"content": "  "},
        {"content": "x" * 100_001},
        {"content": "half a \ud83d"},
        {"content": "nothing\0 at all"},
        {"id": "one\0"},
        {"to": "ann\0"},
        {"content": None},
        {"strategy": {"name": object()}},
        {"strategy": {"buffer": float("nan")}},
        {"metadata": {"x": "y" * 70_000}},
        {"to": ""},
        {"ttl": -1.0},
        {"ttl": float("inf")},
        {"max_wait": "soon"},
        {"priority": 2**40},
        {"on_interrupt": "shrug"},
    ],
    ids=lambda bad: f"{next(iter(bad))}-{str(next(iter(bad.values())))[:12]}",
)
def test_what_could_not_be_kept_is_refused_by_name(ledger: Ledger, bad: dict[str, Any]) -> None:
    field = next(iter(bad))

    async def script(ledger: Ledger) -> None:
        with pytest.raises(ValueError, match="OnInterrupt" if field == "on_interrupt" else field):
            await ledger.put(result(**bad))
        assert await ledger.entries("lobby") == []

    play(ledger, script)


def test_what_a_model_or_an_error_says_is_kept_as_far_as_it_can_be(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        await ledger.put(result())
        epoch = await ledger.take_room("lobby", "me")
        said = Move("one", Status.QUEUED, wording="a\0b \ud83d c", heard_chars=7, reason="x\0y \udc00" + "z" * 300)
        await ledger.move("lobby", epoch, [said])
        kept = await entry(ledger)
        assert (kept.wording, kept.heard_chars) == ("a\ufffdb \ufffd c", 7)
        assert kept.reason == "x\ufffdy \ufffd" + "z" * 251

    play(ledger, script)


def test_an_id_that_cannot_be_is_not_there(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        assert await ledger.get("one\0") is None
        assert await ledger.cancel("one\0") is None
        assert await ledger.replay("one\0") is None
        assert await ledger.entries("lobby\0") == []

    play(ledger, script)


def test_subscribers_hear_of_every_change_once_it_is_made(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        heard: list[str] = []
        stop = ledger.subscribe(lambda room: heard.append(f"a:{room}"))
        ledger.subscribe(lambda room: heard.append(f"b:{room}"))

        async def told() -> list[str]:
            await asyncio.sleep(0)
            said, heard[:] = list(heard), []
            return sorted(said)

        await ledger.put(result())
        assert await told() == ["a:lobby", "b:lobby"]
        await ledger.put(result())
        assert await told() == []
        epoch = await ledger.take_room("lobby", "me")
        await ledger.move("lobby", epoch, [Move("one", Status.RESERVED)])
        assert await told() == ["a:lobby", "b:lobby"]
        stop()
        stop()
        await ledger.put(result("two", room="attic"))
        assert await told() == ["b:attic"]

    play(ledger, script)


def test_a_put_nobody_waits_for_any_more_is_told_all_the_same(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        heard: list[str] = []
        ledger.subscribe(heard.append)
        put = asyncio.create_task(ledger.put(result()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        put.cancel()
        await asyncio.wait([put])
        await ledger.put(result("two"))  # what was begun before it is over now
        await asyncio.sleep(0)
        assert set(heard) == {"lobby"}
        assert len(heard) == len(await ledger.entries("lobby"))

    play(ledger, script)


def test_what_ended_long_ago_is_discarded_and_nothing_else(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        for id in ("open", "spoken", *ENDS, "again"):
            await ledger.put(result(id))
        await ledger.move("lobby", epoch, [Move("spoken", Status.SPEAKING), *(Move(end, end) for end in ENDS)])
        await ledger.cancel("again")
        await ledger.replay("again")
        assert await ledger.discard(3600.0) == 0
        assert await ledger.discard(-5.0, limit=3) == 3
        assert await ledger.discard(-5.0) == len(ENDS) - 3
        assert await ledger.discard(-5.0) == 0
        assert [e.delivery.id for e in await ledger.entries("lobby", list(Status))] == ["open", "spoken", "again"]
        for end in ENDS:
            assert await ledger.get(end) is None
        assert await ledger.put(result(Status.HEARD, content="the id is free again"))
        assert (await ledger.entries("lobby"))[-1].delivery.id == Status.HEARD

    play(ledger, script)


def test_two_processes_discard_each_row_once(ledger: Ledger) -> None:
    async def script(ledger: Ledger) -> None:
        epoch = await ledger.take_room("lobby", "me")
        for n in range(30):
            await ledger.put(result(f"r{n}"))
        await ledger.move("lobby", epoch, [Move(f"r{n}", Status.HEARD) for n in range(30)])
        counts = await asyncio.gather(*(ledger.discard(-5.0, limit=10) for _ in range(5)))
        assert sum(counts) + await ledger.discard(-5.0) == 30

    play(ledger, script)


def test_a_closed_ledger_says_so(ledger: Ledger) -> None:
    async def script() -> None:
        for _ in range(2):
            for ask in (
                ledger.put(result()),
                ledger.take_room("lobby", "me"),
                ledger.move("lobby", 1, []),
                ledger.entries("lobby"),
                ledger.get("one"),
                ledger.discard(0.0),
            ):
                with pytest.raises(LedgerError, match=r"closed.*open"):
                    await ask
            await ledger.open()
            await ledger.aclose()
            await ledger.aclose()

    run_with(ledger, script())


def test_a_ledger_opened_again_has_what_it_had(ledger: Ledger) -> None:
    async def before(ledger: Ledger) -> None:
        await ledger.put(result())
        assert await ledger.take_room("lobby", "me") == 1

    async def afterwards(ledger: Ledger) -> None:
        assert [e.delivery for e in await ledger.entries("lobby")] == [result()]
        assert await ledger.take_room("lobby", "me") == 2

    play(ledger, before)
    play(ledger, afterwards)


class TwoLedgers(RuleBasedStateMachine):
    """Whatever is asked of them, another ledger (an empty one of `made`) answers as the one in memory does."""

    made: Callable[[], Ledger]

    ids = st.sampled_from(["a", "b", "c", "d"])
    rooms = st.sampled_from(["lobby", "attic"])
    moves = st.builds(
        Move,
        id=ids,
        status=st.sampled_from(Status),
        wording=st.sampled_from([None, "in other words"]),
        heard_chars=st.sampled_from([None, 0, 3, 14]),
        reason=st.sampled_from([None, "", "barge-in"]),
        attempt=st.booleans(),
    )

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryLedger(lease=600.0)
        self.other = type(self).made()
        self.runner = runner(self.other)
        self.runner.run(self.memory.open())
        self.runner.run(self.other.open())

    def both(self, ask: Callable[[Ledger], Any]) -> Any:
        answers = []
        for ledger in (self.memory, self.other):
            try:
                answers.append(self.runner.run(ask(ledger)))
            except LedgerError as error:
                answers.append((type(error), str(error)))
        assert answers[0] == answers[1]
        return answers[0]

    @rule(id=ids, room=rooms, content=st.sampled_from(["some words", "other words"]), limit=st.integers(1, 3))
    def put(self, id: str, room: str, content: str, limit: int) -> None:
        self.both(lambda ledger: ledger.put(result(id, room=room, content=content), limit=limit))

    @rule(room=rooms, owner=st.sampled_from(["me", "you"]))
    def take_room(self, room: str, owner: str) -> None:
        self.both(lambda ledger: ledger.take_room(room, owner))

    @rule(room=rooms, epoch=st.integers(0, 3))
    def leave_room(self, room: str, epoch: int) -> None:
        self.both(lambda ledger: ledger.leave_room(room, epoch))

    @rule(process=st.sampled_from(["me", "you"]), address=st.sampled_from([None, "http://here", "http://there"]))
    def beat(self, process: str, address: str | None) -> None:
        self.both(lambda ledger: ledger.beat(Process(process, address)))

    @rule(process=st.sampled_from(["me", "you"]))
    def leave(self, process: str) -> None:
        self.both(lambda ledger: ledger.leave(process))

    @rule(processes=st.sets(st.sampled_from(["me", "you"])))
    def forget(self, processes: set[str]) -> None:
        self.both(lambda ledger: ledger.forget(processes))

    @rule(id=ids)
    def cancel(self, id: str) -> None:
        self.both(lambda ledger: ledger.cancel(id))

    @rule(id=ids, whole=st.booleans())
    def replay(self, id: str, whole: bool) -> None:
        self.both(lambda ledger: ledger.replay(id, whole=whole))

    @rule(older=st.sampled_from([-600.0, 600.0]))
    def discard(self, older: float) -> None:
        self.both(lambda ledger: ledger.discard(older))

    @rule(room=rooms, epoch=st.integers(0, 3), moves=st.lists(moves, max_size=3))
    def move(self, room: str, epoch: int, moves: list[Move]) -> None:
        self.both(lambda ledger: ledger.move(room, epoch, moves))

    @rule()
    def open_again(self) -> None:
        self.both(lambda ledger: ledger.aclose())
        self.both(lambda ledger: ledger.open())

    @invariant()
    def they_hold_the_same(self) -> None:
        async def all_of(ledger: Ledger) -> list[Entry]:
            found = [*await ledger.entries("lobby", list(Status)), *await ledger.entries("attic", list(Status))]
            return [replace(e, age=0.0, seq=n) for n, e in enumerate(found)]

        self.both(all_of)

    def teardown(self) -> None:
        self.runner.run(self.other.aclose())
        self.runner.close()


def compared(made: Callable[[], Ledger], examples: int) -> None:
    TwoLedgers.made = staticmethod(made)
    limits = settings(
        max_examples=examples, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(TwoLedgers, settings=limits)


def test_sqlite_answers_as_memory_does(tmp_path: Path) -> None:
    numbers = itertools.count()
    compared(lambda: SqliteLedger(tmp_path / f"{next(numbers)}.db", lease=600.0), 60)


@pytest.mark.postgres
def test_postgres_answers_as_memory_does(postgres_server: Server, postgres_url: str) -> None:
    def made() -> Ledger:
        postgres_server.run("DROP SCHEMA IF EXISTS sottovoce CASCADE", postgres_url)
        return PostgresLedger(postgres_url, lease=600.0)

    compared(made, 30)
