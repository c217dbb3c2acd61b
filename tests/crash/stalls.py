"""Stalls: a process stands still (SIGSTOP) for longer than its lease, another takes its place, it goes on (SIGCONT).

It must not notice by itself that time has passed: what it was about to write is refused to it, and it falls silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.ear import read
from tests.crash.forge import Child
from tests.crash.house import words_in
from tests.crash.judge import Verdict, judge
from tests.crash.town import HALL, Town

STALE = 3
"""Words that a room's owner who stood still may say after that, to callers who still hear it. It learns that the room
is lost when it writes down what was heard, half a second after the last time (`Scheduler.record_every`), at the end of
a word: 2; and 1 that is said while it is told so. Nothing else is begun."""


@dataclass
class Stall:
    """What came of it."""

    verdict: Verdict
    said: list[str] = field(default_factory=list)
    """Words of results that the process said after it went on."""
    written: list[str] = field(default_factory=list)
    """Steps of the ledger that it got through after that."""
    let_go: bool = False
    """Its caller was let go."""


async def stall_room(town: Town, point: tuple[str, int]) -> Stall:
    """The process that has the room stands still at a point of its life; another takes the room and goes on."""
    stale = await town.begin("both", point, how="stop")
    await stand_still(town, stale, point)
    heir = await town.begin("both", address=f"{HALL}/heir")
    await town.until(lambda: len(town.ear(heir).surely) > 3 or not heir.alive, "that the next one speaks")
    at, before = town.now, len(town.ear(stale).perhaps)
    stale.signal(signal.SIGCONT)
    await town.end(heir)
    await town.end(stale)
    said = words_in(" ".join(word for _, word in town.ear(stale).perhaps[before:]))
    # One death (the room changed hands once), and what the stale one said.
    verdict = judge(town.folder, 1, stale=len(said))
    return Stall(verdict, said, written_after(town, stale, at), bool(town.noted("let go", stale)))


async def stall_worker(town: Town, point: tuple[str, int], *, early: bool = False) -> Stall:
    """The process that works stands still; the one with the room does its work. `early`: it goes on in the midst of
    that, when the first step of its task is begun by the other."""
    room = await town.begin("room")
    stale = await town.begin("worker", point, how="stop")
    await stand_still(town, stale, point)
    if early:
        await town.until(lambda: _works(town, room) or not room.alive, "that another begins with its task")
    else:
        await town.until(
            lambda: any(word.startswith("t") for _, each in town.ear(room).surely for word in words_in(each)),
            "that the result of another's task is heard",
        )
    stale.signal(signal.SIGCONT)
    await town.end(stale)
    await town.end(room)
    return Stall(town.judge())


def written_after(town: Town, child: Child, at: float) -> list[str]:
    """The steps of a room's owner that began after `at` and were done. One that was on its way before is none."""
    begun: dict[str, deque[float]] = {}
    done = []
    for step, pid, when, *_ in read(town.folder / "points"):
        edge, _, name = step.partition(" ")
        if pid == child.pid and name.startswith("move"):
            if edge == "before":
                begun.setdefault(name, deque()).append(when)
            elif edge == "after" and begun[name].popleft() > at:
                done.append(name)
    return done


async def stand_still(town: Town, child: Child, point: tuple[str, int]) -> None:
    """Wait until the process stands at a point of its life.

    One that stands still in the midst of a write to SQLite has the whole file, and all others wait for it: that is
    SQLite's promise, and not ours to break. So it is let go on for a moment, until it stands outside of one.
    """
    await town.until(lambda: _stands_at(town, child, point), f"that the process stands still at {point}")
    while any(_locked(file) for file in Path(town.store).glob("*.db")):
        child.signal(signal.SIGCONT)
        await asyncio.sleep(0.002)
        child.signal(signal.SIGSTOP)


def _works(town: Town, child: Child) -> bool:
    return any(pid == child.pid for _, pid, *_ in read(town.folder / "steps"))


def _locked(file: Path) -> bool:
    """Whether somebody keeps everybody else from writing; who merely writes is soon done."""
    with contextlib.closing(sqlite3.connect(file, timeout=0.5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


def _stands_at(town: Town, child: Child, point: tuple[str, int]) -> bool:
    name, nth = point
    passed = [step for step, pid, *_ in read(town.folder / "points") if pid == child.pid]
    return passed.count(name) >= nth
