"""The watch: events reach the floor, the channel and the listeners in one order, whoever causes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from voice import clock
from voice.events import Event, Joined, Left, ReplySettled, SpeechStarted, SpeechStopped, Turn, TurnEnded
from voice.floor import FloorAction, FloorChanged, FloorState, FloorTimes, FloorView, ReplyOverdue
from voice.watch import Watch

A = "anna"


class Desk:
    """Whoever the watch works for."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.told: list[tuple[float, Any]] = []
        self.watch = Watch(FloorTimes(), self.react, self.follow)
        self.watch.listen(lambda event, at: (self.log.append(("told", event)), self.told.append((at, event)))[0])

    def react(self, event: Event, before: FloorView) -> None:
        self.log.append(("react", event, before.state))

    def follow(self, action: FloorAction) -> None:
        self.log.append(("follow", type(action)))


def play(scene: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        desk = Desk()
        await scene(desk)
        desk.watch.close()

    clock.run(main())


def test_first_the_event_then_what_follows_from_it() -> None:
    async def scene(desk: Desk) -> None:
        desk.watch.feed(Joined(A))
        assert desk.log == [
            ("react", Joined(A), FloorState.EMPTY),
            ("told", Joined(A)),
            ("follow", FloorChanged),
            ("told", FloorChanged(desk.watch.view)),
        ]
        assert desk.watch.view.open

    play(scene)


def test_timers_fire_at_their_time_and_are_told_with_it() -> None:
    async def scene(desk: Desk) -> None:
        desk.watch.feed(Joined(A))
        desk.watch.feed(SpeechStarted(A))
        desk.watch.feed(SpeechStopped(A))
        await asyncio.sleep(20)
        at, changed = desk.told[-1]
        assert at == 5.0
        assert changed.view.state is FloorState.OPEN

    play(scene)


def test_what_a_listener_causes_comes_after_what_caused_it() -> None:
    async def scene(desk: Desk) -> None:
        def answer(event: Any, at: float) -> None:
            if isinstance(event, TurnEnded):
                desk.watch.feed(ReplySettled(event.turn.id))

        desk.watch.feed(Joined(A))
        desk.watch.listen(answer)
        desk.told.clear()
        turn = Turn("t", A, "hello", 0, 0)
        desk.watch.feed(TurnEnded(turn))
        kinds = [type(event).__name__ for _, event in desk.told]
        assert kinds == ["TurnEnded", "FloorChanged", "ReplySettled", "FloorChanged"]

    play(scene)


def test_what_a_timer_s_listener_causes_is_taken_too() -> None:
    async def scene(desk: Desk) -> None:
        def leave(event: Any, at: float) -> None:
            if isinstance(event, FloorChanged) and at == 30.0:
                desk.watch.feed(Left(A))

        desk.watch.feed(Joined(A))
        desk.watch.listen(leave)
        desk.watch.feed(TurnEnded(Turn("t", A, "hello", 0, 0)))
        await asyncio.sleep(40)
        assert ("follow", ReplyOverdue) in desk.log
        assert desk.watch.view.state is FloorState.EMPTY

    play(scene)


def test_a_timer_that_is_overdue_comes_before_the_event() -> None:
    async def scene(desk: Desk) -> None:
        desk.watch.feed(Joined(A))
        desk.watch.feed(SpeechStarted(A))
        desk.watch.feed(SpeechStopped(A))
        desk.watch.close()  # the timer does not come in time
        await asyncio.sleep(20)
        desk.watch.feed(SpeechStarted(A))
        times = [(at, event.view.state) for at, event in desk.told if isinstance(event, FloorChanged)]
        assert times[-2:] == [(5.0, FloorState.OPEN), (20.0, FloorState.USER_HOLDS)]

    play(scene)


def test_listeners_come_and_go_and_fail_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(desk: Desk) -> None:
        def bad(event: Any, at: float) -> None:
            stop()
            raise ValueError("on fire")

        stop = desk.watch.listen(bad)
        desk.watch.feed(Joined(A))
        assert len(desk.told) == 2
        assert caplog.text.count("on fire") == 2  # the log's own line and the traceback
        desk.watch.feed(Left(A))
        assert caplog.text.count("on fire") == 2

    play(scene)
