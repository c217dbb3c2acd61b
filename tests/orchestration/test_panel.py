from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.panel import MAX_LABEL, MAX_PARTS, MAX_TEXT, Panel
from orchestration.panel_rows import MAX_ROWS, MAX_SPANS
from tests.e2e.scene import LENGTH, RESULT, mid_call
from voice.events import (
    Deafened,
    Deafness,
    DigitPressed,
    Dropped,
    Event,
    Joined,
    Left,
    LevelMoved,
    ReplySettled,
    SpeakingEnded,
    SpeakingHeard,
    SpeakingPaused,
    SpeakingScheduled,
    SpeakingStarted,
    SpeechStarted,
    SpeechStopped,
    Turn,
    TurnDropped,
    TurnEnded,
    WordsHeard,
)
from voice.floor import Blocker, FloorChanged, FloorState, FloorView

Message = tuple[str, Mapping[str, Any]]


def told() -> tuple[Panel, list[Message]]:
    messages: list[Message] = []
    return Panel(lambda kind, payload: messages.append((kind, payload))), messages


def test_a_caller_comes_speaks_and_goes() -> None:
    panel, messages = told()
    panel.caller("c1", "Ann")
    panel.event(Joined("c1"), 1.0)
    panel.event(SpeechStarted("c1"), 2.0)
    panel.event(WordsHeard("c1", "what time"), 2.5)
    panel.event(WordsHeard("c1", "what time"), 2.6)
    panel.event(SpeechStopped("c1"), 3.0)
    panel.event(TurnEnded(Turn("t1", "c1", "what time is it", 2.0, 3.0, 0.8)), 3.4)
    panel.event(Left("c1"), 9.0)
    assert messages == [
        ("caller", {"id": "c1", "name": "Ann", "state": "here", "at": 1.0}),
        ("speech", {"caller": "c1", "on": True, "at": 2.0}),
        ("words", {"caller": "c1", "text": "what time", "at": 2.5}),
        ("speech", {"caller": "c1", "on": False, "at": 3.0}),
        ("words", {"caller": "c1", "text": "", "at": 3.4}),
        (
            "turn",
            {
                "id": "t1",
                "caller": "c1",
                "text": "what time is it",
                "started": 2.0,
                "ended": 3.0,
                "confidence": 0.8,
                "at": 3.4,
            },
        ),
        ("caller", {"id": "c1", "name": "Ann", "state": "gone", "at": 9.0}),
    ]
    row = panel.snapshot(10.0)["callers"][0]
    assert row == {"id": "c1", "name": "Ann", "state": "gone", "at": 9.0, "words": "", "spans": [[2.0, 3.0]]}


def test_a_name_that_comes_late_is_told() -> None:
    panel, messages = told()
    panel.event(Joined("c1"), 1.0)
    panel.caller("c1", "Ann")
    panel.caller("c1", "Ann")
    assert messages == [
        ("caller", {"id": "c1", "name": "c1", "state": "here", "at": 1.0}),
        ("caller", {"id": "c1", "name": "Ann", "state": "here", "at": 1.0}),
    ]


def test_a_caller_who_breaks_off_stops_speaking() -> None:
    panel, messages = told()
    panel.event(Joined("c1"), 1.0)
    panel.event(SpeechStarted("c1"), 2.0)
    panel.event(WordsHeard("c1", "so"), 2.2)
    panel.event(Deafened("c1", Deafness.RECONNECTING), 3.0)
    assert messages[-1] == ("caller", {"id": "c1", "name": "c1", "state": "reconnecting", "at": 3.0})
    row = panel.snapshot(4.0)["callers"][0]
    assert (row["spans"], row["words"]) == ([[2.0, 3.0]], "")


def test_speech_that_makes_no_turn_and_keys() -> None:
    panel, messages = told()
    panel.event(TurnDropped("c1", Dropped.BACKCHANNEL, "mm-hm"), 1.0)
    panel.event(DigitPressed("c1", "5"), 2.0)
    assert messages == [
        ("dropped", {"caller": "c1", "why": "backchannel", "text": "mm-hm", "at": 1.0}),
        ("digit", {"caller": "c1", "digit": "5", "at": 2.0}),
    ]


def test_what_says_nothing_to_the_eye_is_not_sent() -> None:
    panel, messages = told()
    panel.event(LevelMoved("c1"), 1.0)
    panel.event(ReplySettled("t1"), 1.0)
    assert messages == []


def test_the_floor_is_told_with_its_reason() -> None:
    panel, messages = told()
    panel.event(FloorChanged(FloorView(FloorState.USER_HOLDS, Blocker.QUESTION, 1.0, 0.5, "c1")), 1.5)
    panel.event(FloorChanged(FloorView(FloorState.OPEN, None, 2.0, 2.0)), 2.0)
    held = {"state": "user_holds", "blocker": "question_pending", "caller": "c1", "since": 1.0, "at": 1.5}
    free = {"state": "open", "blocker": None, "caller": None, "since": 2.0, "at": 2.0}
    assert messages == [("floor", held), ("floor", free)]
    assert panel.snapshot(3.0)["floor"] == [held, free]


def test_the_agents_words_grow_and_are_heard() -> None:
    panel, messages = told()
    panel.utterance("u1", "One moment", at=1.0)
    panel.utterance("u1", "One moment", at=1.1)
    panel.utterance("u1", "One moment, please.", at=1.2)
    panel.event(SpeakingScheduled("u1", 3.0), 1.3)
    panel.event(SpeakingStarted("u1"), 1.4)
    panel.event(SpeakingHeard("u1", 3), 1.6)
    panel.event(SpeakingHeard("u1", 3), 1.7)
    panel.event(SpeakingPaused("u1"), 1.8)
    panel.event(SpeakingStarted("u1"), 2.4)
    panel.event(SpeakingHeard("u1", 19), 3.0)
    panel.event(SpeakingEnded("u1", question=True), 3.1)
    base = {"id": "u1", "role": "reply", "deliveries": [], "agents": []}
    assert messages == [
        ("utterance", {**base, "from": 0, "text": "One moment", "at": 1.0}),
        ("utterance", {**base, "from": 10, "text": ", please.", "at": 1.2}),
        ("speaking", {"utterance": "u1", "state": "scheduled", "question": False, "until": 3.0, "at": 1.3}),
        ("speaking", {"utterance": "u1", "state": "started", "question": False, "until": None, "at": 1.4}),
        ("heard", {"utterance": "u1", "chars": 3, "at": 1.6}),
        ("speaking", {"utterance": "u1", "state": "paused", "question": False, "until": None, "at": 1.8}),
        ("speaking", {"utterance": "u1", "state": "started", "question": False, "until": None, "at": 2.4}),
        ("heard", {"utterance": "u1", "chars": 19, "at": 3.0}),
        ("speaking", {"utterance": "u1", "state": "ended", "question": True, "until": None, "at": 3.1}),
    ]
    row = panel.snapshot(4.0)["utterances"][0]
    assert row["text"] == "One moment, please."
    assert row["spans"] == [[1.4, 1.8], [2.4, 3.1]]
    assert (row["heard"], row["done"], row["question"]) == (19, True, True)


def test_words_that_change_are_sent_again_whole() -> None:
    panel, messages = told()
    panel.utterance("u1", "Four o'clock", at=1.0)
    panel.utterance("u1", "Five o'clock", "delivery", ["d1"], at=2.0)
    assert messages[-1][1] == {
        "id": "u1",
        "role": "delivery",
        "deliveries": ["d1"],
        "from": 0,
        "text": "Five o'clock",
        "agents": [],
        "at": 2.0,
    }


def test_whose_words_an_utterance_has_and_when_they_were_first_heard() -> None:
    panel, messages = told()
    both = [(0, "Front desk"), (11, "Billing")]
    panel.utterance("u", "One moment.", agents=both[:1], at=1.0)
    panel.utterance("u", "One moment.", agents=both, at=1.1)
    panel.event(SpeakingStarted("u"), 1.2)
    panel.event(SpeakingHeard("u", 3), 1.4)
    panel.utterance("u", "One moment. Billing here.", agents=both, at=1.5)
    panel.utterance("u", "One moment. Billing here.", agents=both, at=1.6)
    panel.event(SpeakingHeard("u", 11), 2.0)
    panel.event(SpeakingHeard("u", 19), 2.5)
    panel.event(SpeakingHeard("u", 25), 2.9)
    first = {"start": 0, "name": "Front desk"}
    second = {"start": 11, "name": "Billing"}
    assert [m["agents"] for kind, m in messages if kind == "utterance"] == [
        [{**first, "heard": None}],
        [{**first, "heard": 1.4}, {**second, "heard": None}],
    ]
    assert panel.snapshot(3.0)["utterances"][0]["agents"] == [{**first, "heard": 1.4}, {**second, "heard": 2.5}]


def test_an_agents_part_that_is_told_of_after_it_was_heard_begins_then() -> None:
    panel, _ = told()
    panel.utterance("u", "", agents=[(0, "Billing")], at=1.0)
    panel.event(SpeakingHeard("u", 7), 1.5)
    panel.utterance("u", "Billing here. Go on.", agents=[(0, "Billing"), (5, "Support")], at=1.6)
    assert [part["heard"] for part in panel.snapshot(2.0)["utterances"][0]["agents"]] == [1.5, 1.6]


def test_a_handoff_is_told_with_names_and_where_it_happened() -> None:
    panel, messages = told()
    panel.holder("Front desk", at=0.0)
    panel.holder("Front desk", at=0.5)
    panel.handoff("Front desk", "Billing", "u1", 11, at=1.0)
    panel.holder("Billing", at=1.0)
    panel.handoff("Billing", None, at=2.0)
    panel.holder(None, at=2.0)
    first = {"from": "Front desk", "to": "Billing", "back": False, "utterance": "u1", "chars": 11, "at": 1.0}
    second = {"from": "Billing", "to": None, "back": False, "utterance": None, "chars": 0, "at": 2.0}
    assert messages == [
        ("holder", {"agent": "Front desk", "at": 0.0}),
        ("handoff", first),
        ("holder", {"agent": "Billing", "at": 1.0}),
        ("handoff", second),
        ("holder", {"agent": None, "at": 2.0}),
    ]
    snapshot = panel.snapshot(3.0)
    assert (snapshot["handoffs"], snapshot["holder"]) == ([first, second], {"agent": None, "at": 2.0})


def test_where_nobody_needs_to_be_told_nobody_has_the_conversation() -> None:
    panel, _ = told()
    snapshot = panel.snapshot(0.0)
    assert (snapshot["handoffs"], snapshot["holder"]) == ([], None)


def test_what_agents_are_called_and_how_often_they_hand_over_is_bounded() -> None:
    panel, messages = told()
    for i in range(5 * MAX_ROWS):
        panel.handoff("a" * 1000, "b" * 1000, at=float(i))
    panel.holder("c" * 1000, at=0.0)
    many = [(place, "d" * 1000) for place in range(5 * MAX_PARTS)]
    for _ in range(2):
        panel.utterance("u", "x" * MAX_TEXT, agents=many, at=0.0)
    assert [kind for kind, _ in messages].count("utterance") == 1
    snapshot = panel.snapshot(0.0)
    assert len(snapshot["handoffs"]) == MAX_ROWS
    assert snapshot["handoffs"][-1]["at"] == 5 * MAX_ROWS - 1
    assert len(snapshot["utterances"][0]["agents"]) == MAX_PARTS
    names = [
        *snapshot["handoffs"][0].values(),
        snapshot["holder"]["agent"],
        snapshot["utterances"][0]["agents"][0]["name"],
    ]
    assert max(len(name) for name in names if isinstance(name, str)) == MAX_LABEL


def test_a_task_is_told_when_it_changes() -> None:
    panel, messages = told()
    panel.task("t", "Look it up", "queued", at=1.0)
    panel.task("t", "Look it up", "queued", at=1.1)
    panel.task("t", "Look it up", "running", "p", "half way", at=2.0)
    panel.task("t", "Look it up", "done", "p", "half way", at=3.0)
    assert [m["status"] for _, m in messages] == ["queued", "running", "done"]
    assert messages[1][1] == {
        "id": "t",
        "label": "Look it up",
        "status": "running",
        "parent": "p",
        "round": 0,
        "progress": "half way",
        "at": 2.0,
    }
    row = panel.snapshot(4.0)["tasks"][0]
    assert row["history"] == [["queued", "", 1.0], ["running", "half way", 2.0], ["done", "half way", 3.0]]


def test_a_part_of_a_review_loop_has_its_round() -> None:
    panel, messages = told()
    panel.task("t/2/writer", "Writer", "running", "t", round=2, at=1.0)
    panel.task("t/2/writer", "Writer", "running", "t", round=2, at=1.5)
    panel.task("t/2/writer", "Writer", "done", "t", round=2, at=2.0)
    assert [(m["label"], m["round"], m["status"]) for _, m in messages] == [
        ("Writer", 2, "running"),
        ("Writer", 2, "done"),
    ]
    assert panel.snapshot(3.0)["tasks"][0]["round"] == 2


def test_a_delivery_says_why_it_waits() -> None:
    panel, messages = told()
    panel.delivery("d", "Result", "queued", "caller_speaking", 0, 80, "t", at=1.0)
    panel.delivery("d", "Result", "queued", "caller_speaking", 0, 80, "t", at=1.5)
    panel.delivery("d", "Result", "queued", "reply_owed", 0, 80, "t", at=2.0)
    panel.delivery("d", "Result", "speaking", "", 0, 80, "t", at=3.0)
    panel.delivery("d", "Result", "speaking", "", 40, 80, "t", at=4.0)
    panel.delivery("d", "Result", "heard", "", 80, 80, "t", at=5.0)
    assert [(m["status"], m["reason"], m["heard_chars"]) for _, m in messages] == [
        ("queued", "caller_speaking", 0),
        ("queued", "reply_owed", 0),
        ("speaking", "", 0),
        ("speaking", "", 40),
        ("heard", "", 80),
    ]
    assert messages[0] == (
        "delivery",
        {
            "id": "d",
            "label": "Result",
            "status": "queued",
            "reason": "caller_speaking",
            "heard_chars": 0,
            "length": 80,
            "task": "t",
            "at": 1.0,
        },
    )
    assert [step[0] for step in panel.snapshot(6.0)["deliveries"][0]["history"]] == [
        "queued",
        "queued",
        "speaking",
        "heard",
    ]


def test_rows_that_are_over_make_room_first() -> None:
    panel, _ = told()
    panel.task("old", "still running", "running", at=0.0)
    panel.task("over", "done long ago", "done", at=0.0)
    for i in range(MAX_ROWS - 1):
        panel.task(f"t{i}", "more", "running", at=1.0)
    ids = [row["id"] for row in panel.snapshot(2.0)["tasks"]]
    assert len(ids) == MAX_ROWS
    assert ids[0] == "old"
    assert "over" not in ids
    panel.task("last", "one more", "running", at=1.0)
    assert "old" not in [row["id"] for row in panel.snapshot(2.0)["tasks"]]


def test_texts_and_histories_are_bounded() -> None:
    panel, messages = told()
    panel.utterance("u", "x" * 10 * MAX_TEXT, at=0.0)
    panel.task("t", "y" * 1000, "running", at=0.0)
    for i in range(5 * MAX_SPANS):
        panel.task("t", "y" * 1000, "running", progress=str(i), at=float(i))
        panel.event(SpeechStarted("c"), 2.0 * i)
        panel.event(SpeechStopped("c"), 2.0 * i + 1)
    assert len(messages[0][1]["text"]) == MAX_TEXT
    snapshot = panel.snapshot(0.0)
    task = snapshot["tasks"][0]
    assert len(task["label"]) == MAX_LABEL
    assert len(task["history"]) == MAX_SPANS
    assert task["history"][0] == ["running", "", 0.0]
    assert task["history"][-1][1] == str(5 * MAX_SPANS - 1)
    assert len(snapshot["callers"][0]["spans"]) == MAX_SPANS


def test_speaking_that_nobody_announced_is_passed_on_without_a_row() -> None:
    panel, messages = told()
    panel.event(SpeakingStarted("ghost"), 1.0)
    panel.event(SpeakingHeard("ghost", 5), 1.0)
    assert [kind for kind, _ in messages] == ["speaking"]
    assert panel.snapshot(2.0)["utterances"] == []


def test_a_snapshot_is_a_copy() -> None:
    panel, _ = told()
    panel.event(Joined("c"), 1.0)
    panel.event(SpeechStarted("c"), 1.0)
    panel.snapshot(2.0)["callers"][0]["spans"].append("mischief")
    assert panel.snapshot(2.0)["callers"][0]["spans"] == [[1.0, None]]


def test_a_call_as_a_whole_can_be_shown() -> None:
    messages: list[Message] = []
    panel = mid_call(lambda kind, payload: messages.append((kind, payload)), 100.0)
    snapshot = panel.snapshot(100.0 + LENGTH)
    json.dumps(messages)
    json.dumps(snapshot)
    cut = next(u for u in snapshot["utterances"] if u["id"] == "d1")
    assert cut["text"] == RESULT
    assert 0 < cut["heard"] < len(RESULT)
    assert snapshot["floor"][-1]["blocker"] == "caller_speaking"
    assert {d["id"]: d["status"] for d in snapshot["deliveries"]} == {"d1": "heard", "f": "queued"}


def rebuilt(messages: list[Message]) -> dict[str, str]:
    """The utterances' texts, as a page puts them together."""
    texts: dict[str, str] = {}
    for kind, m in messages:
        if kind == "utterance":
            texts[m["id"]] = texts.get(m["id"], "")[: m["from"]] + m["text"]
    return texts


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text("xyz ", max_size=12)), max_size=20))
def test_a_page_that_follows_has_what_the_snapshot_has(said: list[tuple[str, str]]) -> None:
    panel, messages = told()
    for i, (id, text) in enumerate(said):
        panel.utterance(id, text, at=float(i))
    assert rebuilt(messages) == {row["id"]: row["text"] for row in panel.snapshot(99.0)["utterances"]}


EVENTS: list[Event] = [
    Joined("c"),
    Left("c"),
    Deafened("c", Deafness.HELD),
    SpeechStarted("c"),
    SpeechStopped("c"),
    WordsHeard("c", "w"),
    SpeakingStarted("u"),
    SpeakingPaused("u"),
    SpeakingHeard("u", 3),
    SpeakingEnded("u"),
    TurnDropped("c", Dropped.NO_WORDS),
]


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_spans_never_overlap_whatever_the_order(events: list[Event]) -> None:
    panel, _ = told()
    panel.utterance("u", "a few words", at=0.0)
    for i, event in enumerate(events):
        panel.event(event, float(i))
    snapshot = panel.snapshot(99.0)
    for row in (*snapshot["callers"], *snapshot["utterances"]):
        for i, (began, ended) in enumerate(row["spans"]):
            assert ended is not None or i == len(row["spans"]) - 1
            assert ended is None or began <= ended
            assert i == 0 or row["spans"][i - 1][1] <= began


@pytest.mark.parametrize("kind", ["reply", "delivery", "apology"])
def test_every_kind_of_utterance_is_named(kind: Any) -> None:
    panel, messages = told()
    panel.utterance("u", "words", kind, at=0.0)
    assert messages[0][1]["role"] == kind
