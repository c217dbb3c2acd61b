"""What the transcript makes of the panel's messages; with a real ear it is tested in test_typist."""

from __future__ import annotations

from orchestration.panel import Panel
from orchestration.transcript import Transcript, printable
from voice.events import Deafened, Deafness, Dropped, Joined, TurnDropped
from voice.floor import Blocker, FloorChanged, FloorState, FloorView


def told() -> tuple[Transcript, Panel]:
    transcript = Transcript()
    return transcript, Panel(transcript.told)


def texts(transcript: Transcript) -> list[str]:
    return [entry.text for entry in transcript.take()]


def test_lines_are_given_in_the_order_in_which_they_began_and_once() -> None:
    transcript = Transcript()
    first = transcript.add(1.0, "agent", "one", open=True)
    transcript.add(2.0, "you", "two")
    assert not transcript.settled
    assert transcript.take() == []
    first.open = False
    assert transcript.settled
    assert texts(transcript) == ["one", "two"]
    assert transcript.take() == []
    assert not transcript.settled


def test_only_a_new_state_of_the_floor_is_a_line_but_its_reason_is_always_known() -> None:
    transcript, panel = told()
    for blocker, at in ((Blocker.CALLER_SPEAKING, 1.0), (Blocker.CALLER_PAUSED, 2.0)):
        panel.event(FloorChanged(FloorView(FloorState.USER_HOLDS, blocker, 1.0)), at)
    assert texts(transcript) == ["user_holds (caller_speaking)"]
    assert (transcript.floor, transcript.blocker) == ("user_holds", "caller_paused")


def test_where_the_caller_is() -> None:
    transcript, panel = told()
    panel.event(Joined("you"), 0.0)
    panel.event(Deafened("you", Deafness.RECONNECTING), 1.0)
    assert transcript.presence == "reconnecting"
    assert texts(transcript) == ["(in the room)", "(the connection is broken; the room waits a while)"]


def test_speech_that_made_no_turn_is_told() -> None:
    transcript, panel = told()
    panel.event(TurnDropped("you", Dropped.NO_WORDS), 0.0)
    panel.event(TurnDropped("you", Dropped.NO_WORDS, "what ti"), 1.0)
    panel.event(TurnDropped("you", Dropped.BACKCHANNEL, "mm-hm"), 2.0)
    assert texts(transcript) == [
        "(a sound without words: no turn)",
        "(broken off: no turn)",
        "(a sign of listening: no turn)",
    ]


def test_who_hands_over_to_whom_and_which_round_it_is() -> None:
    transcript, panel = told()
    panel.handoff("Front desk", "Support", at=0.0)
    panel.handoff("Support", "Front desk", back=True, at=1.0)
    panel.handoff("Front desk", None, at=2.0)
    panel.task("t/2/w", "Writer", "done", "t", round=2, at=3.0)
    assert texts(transcript) == [
        "(Front desk handed over to Support)",
        "(Support did not answer: back to Front desk)",
        "(Front desk handed over to a person)",
        "Writer, round 2: done",
    ]


def test_a_task_that_ends_takes_its_parts_with_it() -> None:
    transcript, panel = told()
    panel.task("t", "Team", "running", at=0.0)
    panel.task("t/a", "Analyst", "running", parent="t", at=0.0)
    panel.task("t/a", "Analyst", "running", parent="t", progress="reading", at=0.0)
    assert transcript.owed == ["Team"]
    panel.task("t", "Team", "cancelled", at=1.0)
    assert texts(transcript) == ["Team: running", "Analyst: reading", "Team: cancelled"]
    assert transcript.owed == []
    assert transcript.tasks == {}


def test_a_delivery_is_told_with_its_reason_as_soon_as_that_is_known() -> None:
    transcript, panel = told()
    panel.delivery("d", "Boats", "queued", at=0.0)
    assert transcript.take() == []
    transcript.waits("d", "caller_speaking")
    assert texts(transcript) == ["Boats: queued (caller_speaking)"]
    transcript.waits("d", "buffer")
    assert str(transcript.deliveries["d"]) == "Boats: queued (buffer)"
    panel.delivery("d", "Boats", "speaking", at=1.0)
    panel.delivery("d", "Boats", "speaking", heard_chars=5, at=1.5)
    panel.delivery("d", "Boats", "queued", "ann", heard_chars=5, at=2.0)
    panel.delivery("d", "Boats", "dead", "interrupted", heard_chars=5, at=3.0)
    assert texts(transcript) == ["Boats: speaking", "Boats: cut (ann); the rest is owed", "Boats: dead (interrupted)"]
    assert transcript.owed == []


def test_a_status_that_goes_by_before_its_reason_is_known_keeps_nothing_back() -> None:
    transcript, panel = told()
    panel.delivery("d", "", "queued", at=0.0)
    panel.delivery("d", "", "refused", "by a hook", at=0.0)
    assert texts(transcript) == ["a message: queued", "a message: refused (by a hook)"]


def test_what_steers_a_terminal_stays_out() -> None:
    assert printable("red \x1b[31m alert\a\n\x9b2J ünï — ok") == "red  [31m alert   2J ünï — ok"
    transcript, panel = told()
    panel.task("t", "Te\x1bam", "running", progress="rea\rding", at=0.0)
    panel.delivery("d", "B\x1b]0;x\a", "queued", "wh\x1by", at=0.0)
    shown = [*texts(transcript), *map(str, (*transcript.tasks.values(), *transcript.deliveries.values()))]
    assert all(text.isprintable() for text in shown)
