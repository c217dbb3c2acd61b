"""How loops ended, as the conversation keeps it: also when the store is away, and through restarts."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from delivery import LedgerError, Status
from delivery.memory import MemoryLedger
from orchestration import (
    Loop,
    RoomError,
    Runtime,
    get_conversation_state,
    set_conversation_state,
)
from orchestration.engines.memory import MemoryEngine
from orchestration.store.memory import MemoryRoomStore
from tests.orchestration.strategies.looping import (
    SECOND,
    Page,
    judges,
    model_of,
    reads,
    three,
    writer,
)
from voice.clock import run

ROOT = Path(__file__).parents[3]


def test_a_store_that_is_away_keeps_nobody_from_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Store(MemoryRoomStore):
        fault: Exception | None = None
        slow = 0.0

        async def save(self, room: str, metadata: Mapping[str, Any], version: int) -> int:
            await asyncio.sleep(self.slow)
            if self.fault:
                raise self.fault
            return await super().save(room, metadata, version)

    store = Store()

    async def script(page: Page) -> None:
        store.fault = LedgerError("the disk is full")
        assert (await page.asks("boats")).text == SECOND
        assert page.context() == {}
        assert "how its loop ended is not kept" in caplog.text
        store.fault, store.slow = None, 1000.0
        assert (await page.asks("trains")).metadata["approved"] is True
        store.slow = 0.0
        await page.asks("planes")
        assert page.context() == {"iteration": 2, "approved": True}

    reads(script, Loop(writer(), [judges("editor")]), store=store)


def test_what_else_the_conversation_keeps_stays() -> None:
    async def script(page: Page) -> None:
        await page.open("attic", metadata={"floor": 3})
        await page.write("boats", room="attic")
        room = page.runtime.room("attic")
        assert room.metadata["floor"] == 3
        assert page.context("attic") == {"iteration": 2, "approved": True}
        assert page.context("lobby") == {}

    reads(script, Loop(writer(), [judges("editor")]))


def test_finished_rounds_are_not_paid_again_after_a_restart_and_the_result_is_told_once() -> None:
    ledger, engine, store = MemoryLedger(), MemoryEngine(), MemoryRoomStore()
    reviewers = three()
    agent = writer(1.0)
    loop = Loop(agent, reviewers, strategy="parallel")

    async def main() -> None:
        def made() -> Runtime:
            return Runtime(orchestration=loop, state=None, ledger=ledger, engine=engine, store=store)

        async with made() as runtime:
            page = Page(runtime)
            await page.open()
            waiting = asyncio.create_task(page.write("boats", sender="page"))
            await asyncio.sleep(9.5)  # the second draft is in review, and two have said what they think of it
            assert [len(model_of(each).asked) for each in (agent, *reviewers)] == [2, 2, 2, 2]
        with pytest.raises(RoomError):
            await waiting
        async with made() as runtime:
            page = Page(runtime)
            await page.open()
            await asyncio.sleep(60)
            assert [event.text for event in page.sent] == [f"It reads: {SECOND}"]
            assert page.sent[0].metadata["approved"] is True
            assert page.context() == {"iteration": 2, "approved": True}
            assert [e.status for e in await runtime.deliveries("lobby", list(Status))] == [Status.HEARD]
        made_again = [sum("Tell the caller" not in asked.messages[-1].text for asked in model_of(agent).asked)]
        made_again += [len(model_of(each).asked) for each in reviewers]
        assert made_again == [2, 2, 2, 3]

    run(main())


def test_what_others_save_at_the_same_time_stays() -> None:
    class Slow(MemoryRoomStore):
        async def save(self, room: str, metadata: Mapping[str, Any], version: int) -> int:
            await asyncio.sleep(1.0)
            return await super().save(room, metadata, version)

    async def script(page: Page) -> None:
        room = page.runtime.room("lobby")
        asking = asyncio.create_task(page.asks("boats"))
        await asyncio.sleep(2.5)  # the loop ends in the middle of this:
        state = get_conversation_state(room).transition("handling", reason="it is clear now")
        await page.runtime.store.update_room(set_conversation_state(room, state))
        assert (await asking).metadata["iteration"] == 2
        assert get_conversation_state(room).phase == "handling"
        assert page.context() == {"iteration": 2, "approved": True}

    reads(script, Loop(writer(1.0), [judges("editor", 0.5)]), store=Slow())


def test_what_ended_before_the_room_was_there_is_written_down_when_it_is_told() -> None:
    ledger, engine, store = MemoryLedger(), MemoryEngine(), MemoryRoomStore()
    loop = Loop(writer(1.0), three())

    async def main() -> None:
        def made() -> Runtime:
            return Runtime(orchestration=loop, state=None, ledger=ledger, engine=engine, store=store)

        async with made() as runtime:
            await runtime.create_room("lobby")
            await runtime.delegate("lobby", "writer.loop", "boats")
            await asyncio.sleep(4.0)
        async with made() as runtime:
            await asyncio.sleep(60)
            page = Page(runtime)
            await page.open()
            assert page.context() == {}
            await asyncio.sleep(10)
            assert [event.text for event in page.sent] == [f"It reads: {SECOND}"]
            assert page.context() == {"iteration": 2, "approved": True}

    run(main())


@pytest.mark.crash
def test_a_killed_processs_loop_is_ended_by_the_next_one_and_told_once(tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    def process(what: str) -> int:
        program = [sys.executable, "-m", "tests.orchestration.strategies.loop_process"]
        given = [str(tmp_path / "state"), str(notes), what]
        return subprocess.run([*program, *given], cwd=ROOT, timeout=60, check=False).returncode

    assert process("dies") == -signal.SIGKILL
    rounds = ["draft 1", "review 1", "draft 2", "review 2"]
    assert notes.read_text().splitlines() == rounds
    for _ in range(2):  # the second one finds nothing more to do
        assert process("lives") == 0
    kept = "kept: [('approved', True), ('iteration', 2)]"
    assert notes.read_text().splitlines() == [*rounds, "review 2", "sent: It reads: Boats float.", kept, kept]
