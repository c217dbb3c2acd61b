"""A call in the middle, as facts told to a real panel and a real floor: what screenshots and page tests look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestration.panel import Panel, Send
from voice.events import Dropped as Why
from voice.events import (
    Event,
    Joined,
    ReplySettled,
    SpeakingEnded,
    SpeakingHeard,
    SpeakingScheduled,
    SpeakingStarted,
    SpeechStarted,
    SpeechStopped,
    Turn,
    TurnDropped,
    TurnEnded,
    WordsHeard,
)
from voice.floor import Floor, FloorChanged

LENGTH = 46.0
"""Seconds from the first fact to the last."""

RESULT = (
    "Postgres takes many writers at once and runs as a server of its own; SQLite is one file inside your program. "
    "For a service with a few hundred users, SQLite is cheaper by far, until two machines must write."
)
RISKS = "The risk is in the migration: plan a week for it, and keep the old database readable until the end."


@dataclass
class Scene:
    """Plays facts at loop time `begin` + their own; `said` counts what the agent says."""

    panel: Panel
    begin: float
    floor: Floor

    def tell(self, at: float, event: Event) -> None:
        now = self.begin + at
        for action in self.floor.expire(now):
            if isinstance(action, FloorChanged):
                self.panel.event(action, action.view.since)
        self.panel.event(event, now)
        for action in self.floor.handle(event, now):
            if isinstance(action, FloorChanged):
                self.panel.event(action, now)

    def turn(self, id: str, caller: str, text: str, started: float, ended: float, confidence: float = 0.9) -> None:
        self.tell(started, SpeechStarted(caller))
        self.tell(ended, SpeechStopped(caller))
        turn = Turn(id, caller, text, self.begin + started, self.begin + ended, confidence)
        self.tell(ended + 0.4, TurnEnded(turn))

    def speak(self, id: str, started: float, ended: float, chars: int, *, settles: str | None = None) -> None:
        self.tell(started - 0.05, SpeakingScheduled(id, self.begin + ended))
        self.tell(started, SpeakingStarted(id))
        self.tell(ended, SpeakingHeard(id, chars))
        self.tell(ended, SpeakingEnded(id))
        if settles:
            self.tell(ended, ReplySettled(settles))


def mid_call(send: Send, begin: float, me: str = "lobby/Ann", name: str = "Ann") -> Panel:
    """The facts of a call that began at `begin`: an interrupted result, one that waits, and a caller who speaks."""
    panel = Panel(send)
    scene = Scene(panel, begin, Floor())
    panel.caller(me, name)
    panel.caller("lobby/Ben", "Ben")
    scene.tell(0.0, Joined(me))
    scene.tell(0.3, Joined("lobby/Ben"))
    _say(panel, begin, "u0", "Hello. What shall I look into?", 0.4)
    scene.speak("u0", 0.6, 2.2, 30)
    scene.turn("t1", me, "Compare Postgres and SQLite for us", 4.0, 6.4)
    _say(panel, begin, "u1", "I am on it. Two analysts are working on that now.", 6.9)
    scene.speak("u1", 7.0, 9.6, 49, settles="t1")
    panel.task("a", "Supervisor: compare databases", "running", at=begin + 7.0)
    panel.task("b", "Technical analyst", "running", "a", "reading", at=begin + 7.2)
    panel.task("c", "Business analyst", "running", "a", "reading", at=begin + 7.2)
    scene.turn("t2", me, "While you do that, what time is it in Rome?", 11.0, 13.6)
    _say(panel, begin, "u2", "It is twenty past four in Rome.", 14.1)
    scene.speak("u2", 14.2, 16.2, 31, settles="t2")
    panel.task("b", "Technical analyst", "done", "a", "", at=begin + 15.0)
    scene.turn("t3", "lobby/Ben", "and is it raining there", 17.6, 19.0, 0.4)
    panel.task("c", "Business analyst", "done", "a", "", at=begin + 18.2)
    panel.task("a", "Supervisor: compare databases", "done", "", "", at=begin + 18.4)
    _deliver(panel, begin)("queued", "caller_speaking", 0, 18.5)
    _say(panel, begin, "u3", "I cannot tell; I have no window.", 19.5)
    scene.speak("u3", 19.6, 21.4, 32, settles="t3")
    scene.tell(23.0, ReplySettled("t3"))
    _deliver(panel, begin)("queued", "", 0, 21.4)
    _say(panel, begin, "d1", RESULT, 22.4, "delivery", ("d1",))
    _deliver(panel, begin)("speaking", "", 0, 22.4)
    cut = RESULT.index(" inside")
    scene.speak("d1", 22.5, 28.9, cut)
    _deliver(panel, begin)("queued", "interrupted", cut, 28.9)
    scene.turn("t4", me, "Wait, what does a migration cost?", 28.7, 30.6)
    _say(panel, begin, "u4", "I will have that looked into as well.", 31.1)
    scene.speak("u4", 31.2, 33.0, 37, settles="t4")
    panel.task("e", "Migration cost", "running", progress="asking 2 of 3 sources", at=begin + 31.2)
    scene.turn("t5", me, "fine", 34.0, 34.4)
    scene.tell(34.9, ReplySettled("t5"))
    _say(panel, begin, "d2", RESULT[cut:].strip(), 35.9, "delivery", ("d1",))
    _deliver(panel, begin)("speaking", "", cut, 35.9)
    scene.speak("d2", 36.0, 41.2, len(RESULT[cut:].strip()))
    _deliver(panel, begin)("heard", "", len(RESULT), 41.2)
    panel.delivery("f", "Risks of migrating", "queued", "agent_speaking", 0, len(RISKS), "b", at=begin + 39.0)
    scene.tell(41.6, SpeechStarted("lobby/Ben"))
    scene.tell(42.0, SpeechStopped("lobby/Ben"))
    scene.tell(42.3, TurnDropped("lobby/Ben", Why.BACKCHANNEL, "mm-hm"))
    scene.tell(43.0, SpeechStarted(me))
    panel.delivery("f", "Risks of migrating", "queued", "caller_speaking", 0, len(RISKS), "b", at=begin + 43.0)
    scene.tell(44.5, WordsHeard(me, "so if we stay with"))
    return panel


def _say(
    panel: Panel, begin: float, id: str, text: str, at: float, kind: str = "reply", deliveries: tuple[str, ...] = ()
) -> None:
    panel.utterance(id, text, "delivery" if kind == "delivery" else "reply", deliveries, at=begin + at)


def _deliver(panel: Panel, begin: float) -> Callable[[str, str, int, float], None]:
    def tell(status: str, reason: str, heard: int, at: float) -> None:
        panel.delivery("d1", "Postgres and SQLite", status, reason, heard, len(RESULT), "a", at=begin + at)

    return tell
