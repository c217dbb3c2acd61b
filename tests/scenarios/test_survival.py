"""What outlasts a hang-up, a broken line, a dead process, and three hundred tasks: D12, D17, D19, D21, D23."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from delivery import Status, Strategy, WaitForIdle
from delivery.ledger import Delivery
from orchestration.engines.memory import MemoryEngine
from orchestration.session import LINGER
from orchestration.simulation import SimulatedCall
from orchestration.workers import Context, worker
from tests.scenarios.lives import LEASE, ROOM, Lives, live
from tests.scenarios.phone import ROOM as PHONE
from tests.scenarios.phone import Phone, dial
from tests.scenarios.scenes import SECOND, check_manners, house, instant, near, play, statuses
from voice.floor import FloorState, FloorView

COUNT = "one two three four five six seven eight nine ten."
FLIGHT = 0.5 + 2 * 0.4
"""Seconds of speech that a crash may repeat: what was not yet written down, and the word that was being said."""


# -- D12: close, or hang up, with results pending


def test_d12_hang_up_with_results_pending() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into trains")
        await call.hears("on it")
        await call.hang_up()
        await call.runtime.deliver(call.room, "The boat is here.")
        await call.silence(20)
        heard = len(call.lines)
        assert await statuses(call) == [Status.QUEUED] * 2  # listed, none of them dropped
        await call.rejoin()
        await call.hears("The boat is here.")
        await call.hears("careful use.")
        assert len(call.lines) == heard + 2
        assert await statuses(call) == [Status.HEARD] * 2

    play(script)


def test_d12_closing_the_room_or_the_process_drops_nothing() -> None:
    async def script(lives: Lives) -> None:
        async with lives.begin() as first:
            await first.runtime.deliver(ROOM, "The train is here.", id="train", max_wait=None)
            first.anna.start_saying("tell me " * 10)
            await asyncio.sleep(1)
            await first.runtime.close_room(ROOM)
            assert not (await first.runtime.receipt("train").status()).terminal
            await first.runtime.deliver(ROOM, "The boat is here.", id="boat")
        assert not any(entry.status.terminal for entry in await lives.entries())
        async with lives.begin() as after:
            await after.anna.hears("train is here")
            await after.anna.hears("boat is here")
            assert [(await after.runtime.receipt(id)).status for id in ("train", "boat")] == [Status.HEARD] * 2
        assert lives.heard == ["The train is here.", "The boat is here."]

    live(script)


def test_d12_a_result_is_only_for_the_caller_who_asked() -> None:
    async def script(call: SimulatedCall) -> None:
        other = call.joined_by("bob")
        await call.say("look into boats")
        await call.hears("on it")
        await call.hang_up()
        await other.silence(20)
        assert not any("analysts" in line.heard for line in other.lines)
        await call.rejoin()
        await call.hears("analysts say")

    play(script)


# -- D17: the line drops and comes back, with a result waiting


@pytest.mark.parametrize(
    "away", [1.0, 30.0, LINGER + 30.0], ids=["before_it_is_ready", "late", "when_the_talk_is_over"]
)
def test_d17_line_drops_and_comes_back(away: float) -> None:
    async def script(call: SimulatedCall) -> None:
        _, stopped = await call.say("look into trains")
        ready = stopped + 0.6 + SECOND
        await call.hears("on it")
        call.caller.drop()
        await call.silence(away)
        before = len(call.lines)
        await call.rejoin()
        back = call.now
        line = await call.hears("My analysts say")
        assert line.started >= back
        assert near(line.started, max(back + 1.0, ready))
        await call.hears("careful use.")
        assert len(call.lines) == before + 1
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_d17_a_line_that_breaks_in_mid_result_owes_the_rest() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, COUNT)
        await call.hears("three")
        call.caller.drop()
        await call.silence(4)
        call.caller.reconnect()
        rest = await call.hears("ten.")
        assert rest.heard == "As I was saying: four five six seven eight nine ten."
        check_manners(call)

    play(script)


@pytest.mark.parametrize("away", [3.0, 30.0])
def test_d17_on_a_real_cascade_it_is_offered_on_the_new_line(away: float) -> None:
    async def script(phone: Phone) -> None:
        await phone.runtime.deliver(PHONE, COUNT)
        await phone.hears("one two three")
        old = phone.leg
        await phone.end(hung_up=False)
        await asyncio.sleep(away)
        heard = old.text.split()
        await phone.call()
        await phone.hears("ten.")
        rest = [word for word in phone.leg.text.split() if word in COUNT.split()]
        again = len(heard) + len(rest) - 10  # the words that were on their way when the line broke
        assert heard[: len(heard) - again] + rest == COUNT.split()
        assert again <= 1
        assert await phone.statuses() == [Status.HEARD]

    dial(script)


# -- D19: the process is killed between "done" and "heard"


@pytest.mark.parametrize("words", range(0, 11, 2))
def test_d19_killed_in_mid_delivery(words: int) -> None:
    async def script(lives: Lives) -> None:
        async with lives.begin() as first:
            await first.runtime.deliver(ROOM, COUNT, id="count")
            await asyncio.sleep(1.0 + 0.4 * words + 0.1)  # in the middle of a word, or of the silence after the last
            await lives.kill(first)
            assert await lives.ledger.get("count")
        await asyncio.sleep(LEASE)
        async with lives.begin() as after:
            outcome = await after.runtime.receipt("count")
            assert (outcome.status, outcome.heard) == (Status.HEARD, COUNT)
            await asyncio.sleep(30)
        words_heard = " ".join(lives.heard).replace("As I was saying: ", "").split()
        assert set(words_heard) == set(COUNT.split())  # nothing is missed
        assert (len(words_heard) - 10) * 0.4 <= FLIGHT  # and at most the words in flight are heard twice

    live(script)


@pytest.mark.parametrize("moment", [0.1, 2.0, 4.9, 5.1, 5.9])
def test_d19_killed_while_the_work_is_done_or_its_result_waits(moment: float) -> None:
    async def script(lives: Lives) -> None:
        async with lives.begin() as first:
            task = await first.runtime.delegate(ROOM, "host.workers", "boats")
            await asyncio.sleep(moment)
            await lives.kill(first)
        await asyncio.sleep(LEASE)
        async with lives.begin() as after:
            await after.anna.hears("patient and careful use.")
            await asyncio.sleep(30)
            (entry,) = await lives.entries()
            assert (entry.delivery.task, entry.status) == (task.id, Status.HEARD)
        assert sum("careful use" in line for line in lives.heard) == 1

    live(script)


def test_d19_a_dead_process_that_wakes_up_again_is_fenced() -> None:
    async def script(lives: Lives) -> None:
        async with lives.begin(engine=MemoryEngine()) as first:
            await first.runtime.deliver(ROOM, COUNT, id="count")
            await first.anna.hears("three")
            first.ledger.dead = True  # it stands still ...
            first.anna.ear.silence()
            first.anna.hang_up()
            await asyncio.sleep(LEASE)
            async with lives.begin() as after:
                await after.anna.hears("four five")
                first.ledger.dead = False  # ... and goes on
                first.anna.reconnect()
                await after.anna.hears("ten.")
                await asyncio.sleep(10)
            (entry,) = await lives.entries()
            assert entry.status is Status.HEARD
            heard = [w for line in [*first.anna.lines, *after.anna.lines] for w in line.heard.split()]
            assert sum(word == "ten." for word in heard) == 1

    live(script)


# -- D21: three hundred delegations of three workers


@worker(role="Second analyst")
async def second(topic: str, context: Context) -> str:
    return f"{topic} sink."


@worker(role="Third analyst")
async def third(topic: str, context: Context) -> str:
    return f"{topic} drift."


STORED = {"Entry", "Delivery", "Task", "TaskResult", "_Kept", "_Row", "StatusEntry"}
"""What ledger, engine and status bus keep of each task for good, here in memory instead of in a database."""

ROWS = 20 * 1024
"""Bytes that all those rows of one delegation may take; nothing else is left of it."""


def census() -> Counter[str]:
    """How many objects of ours there are, by class."""
    gc.collect()
    kinds = (type(each) for each in gc.get_objects())
    return Counter(
        k.__name__ for k in kinds if str(k.__module__).split(".")[0] in ("voice", "delivery", "orchestration")
    )


def test_d21_three_hundred_delegations() -> None:
    rounds, each = 3, 100
    left: list[tuple[int, int, int, Counter[str]]] = []

    async def script(call: SimulatedCall) -> None:
        loop: Any = asyncio.get_running_loop()
        for _ in range(rounds):
            for _ in range(each):
                await call.runtime.delegate(call.room, "host.workers", "boats", timeout=5)
            while (await statuses(call)).count(Status.HEARD) < each * (len(left) + 1):
                await call.silence(600)
            call.caller.ear.lines.clear()
            call.timeline.clear()
            timers = sum(not timer.cancelled() for timer in loop._scheduled)
            objects = census()
            left.append((len(asyncio.all_tasks()), timers, tracemalloc.get_traced_memory()[0], objects))

    tracemalloc.start()
    try:
        play(script, house("queued", workers=[instant, second, third]))
    finally:
        tracemalloc.stop()
    tasks, timers, memory, objects = zip(*left, strict=True)
    assert len(set(tasks)) == 1, f"tasks are left: {tasks}"
    assert max(timers) <= min(timers) + 1, f"timers are left: {timers}"
    kept = {kind for kind, count in objects[-1].items() if count > objects[-2][kind] + each / 4}
    assert kept <= STORED, f"objects are left: {kept - STORED}"
    grown = (memory[-1] - memory[0]) / (each * (rounds - 1))
    assert grown < ROWS, f"{grown:.0f} bytes a delegation are left"


# -- D23: a strategy of one's own, kept in the ledger


@dataclass(frozen=True)
class Patient(Strategy):
    """Waits for a long silence."""

    name: ClassVar[str] = "scenario-patient"
    patience: float = 7.0

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return floor.since + self.patience if floor.state is FloorState.OPEN else None


def test_d23_custom_strategy() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The boat is here.")
        line = await call.hears("boat is here")
        assert near(line.started, 4.0)
        assert line.ended is not None
        await call.runtime.deliver(call.room, "The train is here.", strategy=Patient(patience=9.0))
        train = await call.hears("train is here")
        assert near(train.started, line.ended + 9.0)

    play(script, house(Patient(patience=4.0)))


def test_d23_a_strategy_of_ones_own_stays_itself_over_a_restart() -> None:
    async def script(lives: Lives) -> None:
        async with lives.begin(delivery=Patient(patience=5.0)) as first:
            await first.runtime.deliver(ROOM, "The boat is here.", id="boat")
            await asyncio.sleep(2)
            await lives.kill(first)
        await asyncio.sleep(LEASE)
        async with lives.begin(delivery=WaitForIdle(1.0)) as after:
            began = asyncio.get_running_loop().time()
            line = await after.anna.hears("boat is here")
            assert near(line.started, began + 5.0)

    live(script)


def test_d23_one_that_is_not_known_any_more_is_a_clear_error_and_never_another_one() -> None:
    async def script(lives: Lives) -> None:
        async with lives.begin(delivery=Patient()) as first:
            await first.runtime.deliver(ROOM, "The boat is here.", id="boat")
            with pytest.raises(ValueError, match=r"strategy: 'scenario-hasty' is not known; known are .*immediate"):
                await first.runtime.deliver(ROOM, "The train is here.", strategy="scenario-hasty")
            await lives.kill(first)
        await asyncio.sleep(LEASE)
        del Strategy._known[Patient.name]
        try:
            async with lives.begin() as after:
                outcome = await after.runtime.receipt("boat")
                assert outcome.status is Status.DEAD
                assert "'scenario-patient' is not known" in outcome.reason
                assert after.heard == []
        finally:
            Strategy._known[Patient.name] = Patient

    live(script)
