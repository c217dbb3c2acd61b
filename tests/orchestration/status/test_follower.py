"""Whoever follows other processes goes on when the store was away, and says so once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from delivery.ledger import LedgerError
from orchestration.status.entry import StatusEntry
from orchestration.status.follower import Follower
from tests.orchestration.status.stores import entry
from voice.clock import now, run

POLL = 5.0


class Table:
    def __init__(self) -> None:
        self.rows: list[StatusEntry] = []
        self.looks: list[float] = []
        self.away = False
        self.told: list[tuple[float, str]] = []

    async def look(self, after: int) -> tuple[int, list[StatusEntry]]:
        self.looks.append(now())
        if self.away:
            raise LedgerError("the server is away")
        found = self.rows[after : after + 2]
        return after + len(found), found

    def tell(self, entries: Sequence[StatusEntry]) -> None:
        self.told += [(now(), each.id) for each in entries]


def test_it_looks_with_each_poll_and_at_once_with_a_hint() -> None:
    async def main() -> None:
        table = Table()
        table.rows = [entry(n) for n in range(3)]
        follower = Follower(1, table.look, table.tell, POLL)
        await asyncio.sleep(6)
        assert table.told == [(5.0, "e1"), (5.0, "e2")]
        table.rows += [entry(n) for n in range(3, 8)]
        follower.hint()
        follower.hint()
        await asyncio.sleep(1)
        assert table.told[2:] == [(6.0, f"e{n}") for n in range(3, 8)]
        table.looks.clear()
        await asyncio.sleep(10)
        assert table.looks == [11.0, 16.0]
        follower.stop()
        follower.hint()
        table.rows.append(entry(8))
        await asyncio.sleep(20)
        assert len(table.told) == 7

    run(main())


def test_a_store_that_is_away_is_waited_for_and_nothing_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        table = Table()
        follower = Follower(0, table.look, table.tell, POLL)
        table.rows, table.away = [entry(1)], True
        await asyncio.sleep(12)
        assert table.told == []
        table.away = False
        await asyncio.sleep(5)
        assert table.told == [(15.0, "e1")]
        follower.stop()

    run(main())
    assert caplog.text.count("cannot look for other processes' status entries: the server is away") == 1
