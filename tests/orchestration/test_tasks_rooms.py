"""Tasks of rooms with workers of their own, and what they show to the channels that they share with their room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from orchestration.engines.engine import Task
from orchestration.tasks import UNKNOWN_WORKER
from orchestration.workers import Context, FanOut, FunctionWorker
from tests.orchestration.office import Office, analyst, play, works
from voice.clock import now


def says(text: str, seconds: float = 5.0, label: str = "Analyst") -> FunctionWorker:
    return FunctionWorker("analyst", works(seconds, text).job, label)


# -- workers of rooms


def test_each_room_has_its_own_worker_do_it() -> None:
    async def script(office: Office) -> None:
        office.tasks.register(says("Lobby.", label="Lobbyist"), room="lobby")
        office.tasks.register(says("Attic."), room="attic")
        tasks = [await office.start(room=room) for room in ("lobby", "attic", "cellar")]
        (standing,) = await office.tasks.unfinished("lobby")
        assert standing.label == "Lobbyist"
        told = [(await office.told(task)).delivery.content for task in tasks]
        assert told == ["Lobby.", "Attic.", "Boats float."]

    play(script, works())


def test_a_room_without_that_worker_is_refused_by_name() -> None:
    async def script(office: Office) -> None:
        office.tasks.register(says("Lobby."), room="lobby")
        office.tasks.check("analyst", "lobby")
        office.tasks.check("baker", "lobby")
        with pytest.raises(ValueError, match=r"worker: 'analyst' is not known; known are baker$"):
            office.tasks.check("analyst")
        with pytest.raises(ValueError, match=r"worker: 'analyst' is not known; known are baker$"):
            await office.start(room="attic")
        with pytest.raises(ValueError, match=r"worker: 'nobody' is not known; known are analyst, baker$"):
            office.tasks.check("nobody", "lobby")
        office.tasks.unregister("lobby")
        with pytest.raises(ValueError, match="worker: 'analyst' is not known"):
            await office.start()

    play(script, FunctionWorker("baker", works().job, "Baker"))


def test_what_runs_or_waits_keeps_the_worker_it_was_begun_with() -> None:
    async def script(office: Office) -> None:
        office.tasks.register(says("First."), room="lobby")
        running, waiting = await office.start(), await office.start()
        await asyncio.sleep(1)
        office.tasks.unregister("lobby")
        office.tasks.register(says("Second."), room="lobby")
        later = await office.start()
        told = [(await office.told(task)).delivery.content for task in (running, waiting, later)]
        assert told == ["First.", "First.", "Second."]

    play(script, works(), per_room=1)


def test_a_room_that_is_gone_gets_what_was_asked_for_in_it() -> None:
    async def script(office: Office) -> None:
        office.tasks.register(says("Lobby."), room="lobby")
        running, waiting = await office.start(), await office.start()
        office.tasks.unregister("lobby")
        assert (await office.told(running)).delivery.content == "Lobby."
        assert (await office.told(waiting)).delivery.content == "Lobby."

    play(script, per_room=1)


def test_after_a_restart_a_task_waits_for_the_worker_of_its_room() -> None:
    async def script(office: Office) -> None:
        office.tasks.register(says("Lobby."), room="lobby")
        task = await office.start()
        await office.restart(works())  # there is one of everybody's with that id
        await asyncio.sleep(3)
        office.tasks.register(says("Attic."), room="attic")
        await asyncio.sleep(1)
        office.tasks.register(says("Lobby."), room="lobby")
        assert (await office.told(task)).delivery.content == "Lobby."
        assert now() == 9

    play(script, works())


def test_one_of_everybodys_does_it_if_the_worker_of_the_room_does_not_come() -> None:
    async def script(office: Office) -> None:
        office.tasks.register(says("Lobby."), room="lobby")
        task = await office.start()
        await office.restart(works())
        assert (await office.told(task)).delivery.content == "Boats float."
        assert now() == UNKNOWN_WORKER + 5

    play(script, works())


def test_a_task_of_everybodys_worker_waits_for_none_of_its_room() -> None:
    async def script(office: Office) -> None:
        task = await office.start()
        await office.restart(works())
        assert (await office.told(task)).delivery.content == "Boats float."
        assert now() == 5

    play(script, works())


# -- shared channels


class Window:
    """Sees what is shared."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, str, dict[str, Any]]] = []
        self.contexts: list[Context] = []

    def __call__(self, task: Task, part: str, label: str, text: str, metadata: Mapping[str, Any]) -> None:
        self.seen.append((task.id, part, label, text, dict(metadata)))
        if text == "broken":
            raise OSError("the page is gone")

    def worker(self, id: str = "analyst", text: str = "reading") -> FunctionWorker:
        async def job(input: str, context: Context) -> str:
            self.contexts.append(context)
            context.share(context.part, context.label, text, {"tool": "search"})
            await asyncio.sleep(1)
            return "Boats float."

        return analyst(job, id)


def test_what_workers_share_is_told_with_its_task_and_part() -> None:
    window = Window()
    team = FanOut("analyst", [window.worker("one"), window.worker("two", "weighing")], "Team")

    async def script(office: Office) -> None:
        task = await office.start(share_channels=("screen", "log"))
        assert task.metadata["share_channels"] == ["screen", "log"]
        await office.told(task)
        search = {"tool": "search"}
        assert sorted(window.seen) == [
            (task.id, "one", "One", "reading", search),
            (task.id, "two", "Two", "weighing", search),
        ]
        window.contexts[0].share("one", "One", "still here", {})
        assert len(window.seen) == 2

    play(script, team, share=window)


def test_a_channel_that_fails_disturbs_no_task(caplog: pytest.LogCaptureFixture) -> None:
    window = Window()

    async def script(office: Office) -> None:
        task = await office.start()
        assert task.metadata["share_channels"] == []
        assert (await office.told(task)).delivery.content == "Boats float."
        assert len(window.seen) == 1

    play(script, window.worker(text="broken"), share=window)
    assert [(r.levelno, "its channels could not be told" in r.getMessage()) for r in caplog.records] == [
        (logging.ERROR, True)
    ]


def test_nobody_needs_to_look_on() -> None:
    async def script(office: Office) -> None:
        assert (await office.told(await office.start())).delivery.content == "Boats float."

    play(script, Window().worker())
