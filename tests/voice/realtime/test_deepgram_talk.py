from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.voice.realtime.test_session import sound, well_formed
from voice.provider_error import Cause, ProviderError
from voice.realtime.deepgram_talk import MAX_CALLS, MAX_LINES, Talk, Unusable
from voice.realtime.session import (
    CallerSaid,
    CallerStarted,
    FunctionCalled,
    Injection,
    Refused,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
)


def message(kind: str, **fields: Any) -> Any:
    """As the SDK gives them: what it does not check may be anything."""
    return SimpleNamespace(type=kind, **fields)


def says(text: str) -> Any:
    return message("ConversationText", role="assistant", content=text)


def heard(text: str) -> Any:
    return message("ConversationText", role="user", content=text)


def called(*functions: Any) -> Any:
    return message("FunctionCallRequest", functions=list(functions))


def function(**fields: Any) -> Any:
    return SimpleNamespace(**{"id": "c1", "name": "book", "arguments": "{}", "client_side": True, **fields})


STARTED = message("UserStartedSpeaking")
ANNOUNCED = message("AgentStartedSpeaking", total_latency=1.0)
THINKING = message("AgentThinking", content="")
DONE = message("AgentAudioDone")
REFUSED = message("InjectionRefused", message="no")
PCM = b"\1\0" * 4


def warning(code: str) -> Any:
    return message("Warning", code=code, description="of something")


def told(talk: Talk, *messages: Any) -> list[Any]:
    return [event for each in messages for event in talk.handle(each)]


@pytest.fixture
def talk() -> Talk:
    return Talk("deepgram-agent")


def test_a_turn(talk: Talk) -> None:
    events = told(talk, STARTED, heard("Hi."), THINKING, says("Hello."), ANNOUNCED, PCM, says("There."), PCM, DONE)
    assert events == [
        CallerStarted(),
        CallerSaid("Hi."),
        ReplyStarted(),
        ReplyText("Hello."),
        ReplyAudio(PCM),
        ReplyText("There."),
        ReplyAudio(PCM),
        ReplyEnded(),
    ]


def test_samples_that_are_cut_in_two_are_joined(talk: Talk) -> None:
    events = told(talk, b"\1", b"\0\2", b"", b"\0\3\0", b"\4", DONE, b"\5\0", DONE)
    assert [event.pcm for event in events if isinstance(event, ReplyAudio)] == [b"\1\0", b"\2\0\3\0", b"\5\0"]


def test_what_is_left_of_a_reply_that_the_caller_cut_is_dropped(talk: Talk) -> None:
    told(talk, heard("Hi."), says("Hello."), PCM)
    assert told(talk, STARTED) == [CallerStarted(), ReplyEnded(cut=True)]
    assert told(talk, PCM, says("More."), PCM) == []
    assert told(talk, DONE) == []
    assert told(talk, heard("Stop."), says("Yes."), PCM, DONE)[1:] == [
        ReplyStarted(),
        ReplyText("Yes."),
        ReplyAudio(PCM),
        ReplyEnded(),
    ]


def test_the_end_of_a_reply_that_was_cut_may_come_late(talk: Talk) -> None:
    told(talk, heard("Hi."), says("Hello."), PCM, STARTED, heard("Stop."), says("Yes."))
    assert told(talk, DONE) == []
    assert told(talk, PCM, DONE) == [ReplyAudio(PCM), ReplyEnded()]


def test_the_end_of_a_reply_that_was_cut_may_never_come(talk: Talk) -> None:
    told(talk, heard("Hi."), says("Hello."), PCM, STARTED)
    assert told(talk, heard("Stop."), PCM, DONE)[1:] == [ReplyStarted(), ReplyAudio(PCM), ReplyEnded()]


def test_what_we_cut_is_dropped_to_its_end_whatever_is_thought_meanwhile(talk: Talk) -> None:
    told(talk, heard("Hi."), says("Hello."))
    assert talk.cut() == [ReplyEnded(cut=True)]
    assert talk.cut() == []
    assert told(talk, ANNOUNCED, THINKING, PCM, says("More."), PCM, DONE) == []
    assert told(talk, heard("So?"), says("Yes."), PCM, DONE)[1:2] == [ReplyStarted()]


def test_a_reply_that_is_announced_is_a_new_one(talk: Talk) -> None:
    told(talk, heard("Hi."), ANNOUNCED, PCM, STARTED)
    assert told(talk, ANNOUNCED, PCM) == [ReplyStarted(), ReplyAudio(PCM)]


def test_what_is_made_of_a_function_is_new(talk: Talk) -> None:
    told(talk, heard("Hi."), called(function()), says("One moment."), PCM, STARTED)
    assert talk.answered("c1") == "book"
    assert told(talk, says("Done."), PCM, DONE) == [ReplyStarted(), ReplyText("Done."), ReplyAudio(PCM), ReplyEnded()]


@pytest.mark.parametrize("text", ["Your table is ready.  It is by the window.", "your table is ready."])
def test_a_line_is_known_by_its_text(talk: Talk, text: str) -> None:
    told(talk, heard("Hi."))
    line = talk.inject(text, Injection.QUEUE)
    assert told(talk, says("Hello."), PCM, DONE)[0] == ReplyStarted()
    assert told(talk, says("Your table is ready."), PCM, DONE)[0] == ReplyStarted(line)
    assert told(talk, says("Your table is ready."), PCM, DONE)[0] == ReplyStarted()


def test_where_sound_comes_first_it_is_the_line_if_no_reply_is_owed(talk: Talk) -> None:
    line = talk.inject("Hello.", Injection.IDLE)
    assert told(talk, PCM, says("Hello."), PCM, DONE) == [
        ReplyStarted(line),
        ReplyAudio(PCM),
        ReplyText("Hello."),
        ReplyAudio(PCM),
        ReplyEnded(),
    ]
    told(talk, heard("Hi."))
    talk.inject("Hello.", Injection.QUEUE)
    assert told(talk, PCM)[0] == ReplyStarted()


@pytest.mark.parametrize(("how", "cut"), [(Injection.QUEUE, False), (Injection.NOW, True)])
def test_a_line_may_follow_in_the_same_breath(talk: Talk, how: Injection, cut: bool) -> None:
    told(talk, heard("Hi."), says("Hello."), PCM)
    line = talk.inject("Bye.", how)
    assert told(talk, says("Bye."), PCM, DONE) == [
        ReplyEnded(cut),
        ReplyStarted(line),
        ReplyText("Bye."),
        ReplyAudio(PCM),
        ReplyEnded(),
    ]


def test_a_line_is_refused_once_however_it_is_told(talk: Talk) -> None:
    lines = [talk.inject(f"Line {number}.", Injection.IDLE) for number in range(5)]
    queued = talk.inject("Queued.", Injection.QUEUE)
    user, agent = (f"INJECT_AGENT_MESSAGE_DURING_{who}_SPEECH" for who in ("USER", "AGENT"))
    assert told(talk, REFUSED, warning(user)) == [Refused(lines[0])]
    assert told(talk, warning(agent), PCM, REFUSED)[0] == Refused(lines[1])
    assert told(talk, warning(user), warning(user)) == [Refused(lines[3]), Refused(lines[4])]
    assert told(talk, DONE, REFUSED, REFUSED) == [ReplyEnded(), Refused(queued)]


def test_what_was_queued_behind_a_reply_goes_with_it(talk: Talk) -> None:
    at_once = talk.inject("At once.", Injection.QUEUE)
    told(talk, heard("Hi."), says("Hello."), PCM)
    behind = talk.inject("Behind.", Injection.QUEUE)
    assert told(talk, STARTED) == [CallerStarted(), ReplyEnded(cut=True), Refused(behind)]
    assert told(talk, says("At once."))[0] == ReplyStarted(at_once)


def test_lines_and_calls_are_kept_in_bounds(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    lines = [talk.inject("Hello.", Injection.QUEUE) for _ in range(MAX_LINES + 1)]
    assert "neither spoken nor refused line-1" in caplog.text
    assert told(talk, says("Hello."))[0] == ReplyStarted(lines[1])
    told(talk, called(*(function(id=str(number)) for number in range(MAX_CALLS + 1))))
    assert (talk.answered("0"), talk.answered("1")) == (None, "book")


def test_functions_are_called(talk: Talk) -> None:
    given = [
        function(arguments='{"table": 2}'),
        function(id="c2", name="look", arguments=""),
        function(id="c3", client_side=False),
    ]
    events = told(talk, called(*given))
    assert events == [FunctionCalled("c1", "book", {"table": 2}), FunctionCalled("c2", "look", {})]
    assert [talk.answered(call) for call in ("c1", "c1", "c2", "c3")] == ["book", None, "look", None]


@pytest.mark.parametrize("arguments", ["{", "[1]", "3", 3, {"a": 1}, "[" * 100_000, "nul"])
def test_arguments_that_are_no_object_go_back_to_the_model(talk: Talk, arguments: Any) -> None:
    (event,) = told(talk, called(function(arguments=arguments)))
    assert isinstance(event, Unusable)
    assert (event.id, event.name) == ("c1", "book")
    assert "no JSON object" in event.why
    assert talk.answered("c1") == "book"


def test_a_call_that_was_taken_back_is_not_answered(talk: Talk) -> None:
    told(talk, called(function()), message("FunctionCallCancelled", functions=[SimpleNamespace(id="c1", name="book")]))
    assert talk.answered("c1") is None


@pytest.mark.parametrize(
    ("code", "cause", "transient"),
    [
        ("INTERNAL_SERVER_ERROR", Cause.SERVER, True),
        ("CLIENT_MESSAGE_TIMEOUT", Cause.TIMEOUT, True),
        ("UNPARSABLE_CLIENT_MESSAGE", Cause.REQUEST, False),
        ("INVALID_SETTINGS", Cause.REQUEST, False),
        ("RATE_LIMITED", Cause.RATE, True),
        ("FAILED_TO_THINK", Cause.SERVER, True),
    ],
)
def test_errors_say_what_they_are(talk: Talk, code: str, cause: Cause, transient: bool) -> None:
    with pytest.raises(ProviderError, match=rf"deepgram-agent: {cause}; {code}: too bad") as caught:
        talk.handle(message("Error", code=code, description="too bad"))
    assert caught.value.cause is cause
    assert caught.value.transient is transient


def test_other_warnings_are_logged(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    assert told(talk, warning("PROMPT_TOO_LONG")) == []
    assert "deepgram-agent warns of PROMPT_TOO_LONG: of something" in caplog.text


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        3,
        {"type": "Nope"},
        message("Nope"),
        message("ConversationText"),
        message("ConversationText", role="assistant", content=None),
        message("ConversationText", role="judge", content="x"),
        message("FunctionCallRequest", functions=3),
        message("FunctionCallRequest", functions=[3, None, function(id=3), function(name="")]),
        message("FunctionCallCancelled", functions=[3]),
        SimpleNamespace(type=[]),
        message("PromptUpdated"),
        message("ThinkUpdated"),
        message("History", role="user", content="x"),
    ],
)
def test_nonsense_and_what_needs_no_answer_is_passed_over(talk: Talk, nonsense: Any) -> None:
    assert talk.handle(nonsense) == []


def _texts() -> st.SearchStrategy[str]:
    return st.sampled_from(["One.", "Two.", "One. Two.", "three", ""])


WORLD = st.lists(
    st.one_of(
        st.sampled_from(
            [STARTED, ANNOUNCED, THINKING, DONE, DONE, REFUSED, b"\1", b"\1\2", b"\1\2\3", "cut", "answer"]
        ),
        _texts().map(says),
        _texts().map(heard),
        st.builds(warning, st.sampled_from(["X", "INJECT_AGENT_MESSAGE_DURING_USER_SPEECH"])),
        st.sampled_from(["{}", "{"]).map(lambda arguments: called(function(arguments=arguments))),
        st.tuples(_texts(), st.sampled_from(Injection)),
    ),
    max_size=40,
)


@settings(max_examples=250)
@given(WORLD)
def test_whatever_comes_replies_are_well_formed(world: list[Any]) -> None:
    talk = Talk("deepgram-agent")
    events: list[Any] = []
    lines: set[str] = set()
    for each in world:
        if each == "cut":
            events += talk.cut()
        elif each == "answer":
            talk.answered("c1")
        elif isinstance(each, tuple):
            lines.add(talk.inject(*each))
        else:
            events += talk.handle(each)
    assert well_formed(events)
    settled = [event.line for event in events if isinstance(event, ReplyStarted | Refused) and event.line]
    assert len(settled) == len(set(settled)), "a line is spoken or refused, once"
    assert set(settled) <= lines
    given = sum(len(each) for each in world if isinstance(each, bytes))
    assert len(sound(events)) <= given


@given(WORLD, _texts().filter(bool), st.booleans())
def test_the_next_turn_is_heard_whatever_was_before(world: list[Any], text: str, announced: bool) -> None:
    talk = Talk("deepgram-agent")
    for each in world:
        if each == "cut":
            talk.cut()
        elif isinstance(each, tuple):
            talk.inject(*each)
        elif each != "answer":
            talk.handle(each)
    told(talk, STARTED)
    events = told(talk, heard("So?"), *([ANNOUNCED] if announced else []), says(text), PCM, DONE)
    assert sound(events) == PCM
    assert isinstance(events[-1], ReplyEnded)
    assert sum(isinstance(event, ReplyText) for event in events) == 1
