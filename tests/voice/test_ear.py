"""The ear: clicks, onsets, pauses, words, finals that come late or never, noise, and that every turn ends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voice.ear import Ear
from voice.ear_signals import (
    Conclude,
    EarAction,
    EarInput,
    EarTimes,
    Hushed,
    Judged,
    Listen,
    RecognizerLost,
    Restart,
    VoiceMoved,
    VoiceOff,
    VoiceOn,
)
from voice.endpointing import Endpointer, FixedSilence, GivenEnd, SoFar
from voice.events import (
    Dropped,
    LevelMoved,
    SpeechStarted,
    SpeechStopped,
    Turn,
    TurnDropped,
    TurnEnded,
    TurnForeseen,
    TurnResumed,
    WordsHeard,
)
from voice.stt.recognizer import EagerEnd, Final, Partial, Resumed

A = "anna"
ON, OFF = VoiceOn(), VoiceOff()


class Trial:
    """An ear that is fed a script; everything it says is kept with its time."""

    def __init__(self, answering: bool = True, **times: float) -> None:
        ids = itertools.count(1)
        self.ear = Ear(A, lambda: f"t{next(ids)}", FixedSilence(), EarTimes(**times))
        self.answering = answering
        self.said: list[tuple[float, EarAction]] = []

    def at(self, now: float, *events: EarInput) -> Trial:
        """Let time pass until `now`, then give it the events."""
        while (due := self.ear.deadline()) is not None and due < now:
            self.keep(due, self.ear.expire(due))
        for event in events:
            self.keep(now, self.ear.handle(event, now))
        self.keep(now, self.ear.expire(now))
        return self

    def keep(self, now: float, actions: Iterable[EarAction]) -> None:
        for action in actions:
            if isinstance(action, SpeechStarted):
                self.ear.answering = self.answering
            self.said.append((round(now, 6), action))

    def times(self, kind: type) -> list[float]:
        return [at for at, action in self.said if isinstance(action, kind)]

    def of(self, kind: type) -> list[EarAction]:
        return [action for _, action in self.said if isinstance(action, kind)]

    @property
    def turn(self) -> Turn:
        (ended,) = [a for _, a in self.said if isinstance(a, TurnEnded)]
        return ended.turn


def test_a_whole_turn() -> None:
    trial = Trial().at(1.0, ON).at(1.5, Partial("compare")).at(2.0, OFF).at(2.7, Final("compare them")).at(10.0)
    assert trial.said == [
        (1.08, SpeechStarted(A)),
        (1.08, Listen(1.0)),
        (1.5, WordsHeard(A, "compare")),
        (2.1, SpeechStopped(A)),
        (2.6, Conclude()),
        (2.7, TurnEnded(Turn("t1", A, "compare them", 1.0, 2.0, 1.0))),
    ]
    assert trial.ear.deadline() is None


@pytest.mark.parametrize("length", [0.0, 0.02, 0.06, 0.079])
def test_a_click_does_nothing(length: float) -> None:
    assert Trial().at(1.0, ON).at(1.0 + length, OFF).at(9.0).said == []


def test_clicks_far_apart_do_not_add_up() -> None:
    trial = Trial()
    for n in range(10):
        trial.at(n * 0.2, ON).at(n * 0.2 + 0.05, OFF)
    assert trial.at(9.0).said == []


def test_a_voice_that_flickers_at_its_onset_is_speech() -> None:
    trial = Trial().at(1.0, ON).at(1.05, OFF).at(1.09, ON).at(1.5, OFF)
    assert trial.times(SpeechStarted) == [1.12]
    assert trial.of(Listen) == [Listen(1.04)]


def test_the_gap_between_two_syllables_is_no_silence() -> None:
    trial = Trial().at(1.0, ON).at(1.5, OFF).at(1.59, ON).at(2.0, OFF).at(2.3)
    assert trial.times(SpeechStopped) == [2.1]
    assert len(trial.of(SpeechStarted)) == 1


def test_speech_that_goes_on_in_time_continues_the_turn() -> None:
    trial = Trial().at(1.0, ON).at(2.0, OFF).at(2.5, ON).at(3.0, OFF).at(3.7, Final("one two"))
    assert trial.times(Conclude) == [3.6]
    assert trial.times(SpeechStarted) == [1.08, 2.58]
    assert (trial.turn.started, trial.turn.ended) == (1.0, 3.0)


def test_a_click_in_a_pause_does_not_put_off_the_end() -> None:
    trial = Trial().at(1.0, ON).at(2.0, OFF).at(2.3, ON).at(2.32, OFF).at(4.0)
    assert trial.times(Conclude) == [2.6]
    assert trial.times(SpeechStarted) == [1.08]


def test_a_voice_at_the_very_end_is_given_the_time_to_be_speech() -> None:
    trial = Trial().at(1.0, ON).at(2.0, OFF).at(2.55, ON).at(3.0, OFF).at(3.7, Final("x"))
    assert trial.times(Conclude) == [3.6]


def test_a_click_at_the_very_end_ends_the_turn_at_once_after_it() -> None:
    trial = Trial().at(1.0, ON).at(2.0, OFF).at(2.58, ON).at(2.62, OFF).at(4.0)
    assert trial.times(Conclude) == [2.62]


@pytest.mark.parametrize(
    ("partial", "answering", "end"),
    [
        (Partial("compare them", complete=True), True, 2.25),
        (Partial("compare"), True, 2.6),
        (Partial("mm-hm"), False, 2.15),
        (Partial("mm-hm"), True, 2.6),
        (EagerEnd("that was all"), True, 2.25),
    ],
)
def test_what_is_understood_decides_how_much_silence_ends_the_turn(
    partial: Partial | EagerEnd, answering: bool, end: float
) -> None:
    trial = Trial(answering).at(1.0, ON).at(1.9, partial).at(2.0, OFF).at(5.0)
    assert trial.times(Conclude) == [pytest.approx(end)]


def test_a_recogniser_may_think_better_of_an_end() -> None:
    trial = Trial().at(1.0, ON).at(1.9, EagerEnd("that")).at(2.0, OFF).at(2.1, Resumed()).at(5.0)
    assert trial.times(Conclude) == [2.6]


def test_words_that_come_in_the_silence_count() -> None:
    trial = Trial().at(1.0, ON).at(2.0, OFF).at(2.4, Partial("all of it", complete=True)).at(5.0)
    assert trial.times(Conclude) == [2.4]


def test_speech_before_the_final_continues_the_turn() -> None:
    trial = Trial().at(1.0, ON).at(2.0, OFF)
    trial.at(2.7, ON).at(2.9, Final("compare", 0.9)).at(3.5, OFF).at(4.2, Final("them", 0.8)).at(9.0)
    assert trial.times(Listen) == [1.08, 2.78]
    assert (trial.turn.text, trial.turn.confidence, trial.turn.ended) == ("compare them", 0.8, 3.5)


def test_partials_of_a_second_stretch_follow_the_first() -> None:
    trial = Trial().at(1.0, ON).at(2.0, OFF).at(2.7, ON).at(2.9, Final("compare")).at(3.0, Partial("them"))
    assert trial.of(WordsHeard)[-1] == WordsHeard(A, "compare them")


@pytest.mark.parametrize("text", ["mm-hm", "Okay.", "yeah, I see"])
def test_a_backchannel_is_dropped_unless_it_is_an_answer(text: str) -> None:
    dropped = Trial(answering=False).at(1.0, ON).at(1.4, OFF).at(2.1, Final(text))
    assert dropped.of(TurnDropped) == [TurnDropped(A, Dropped.BACKCHANNEL, text)]
    assert Trial().at(1.0, ON).at(1.4, OFF).at(2.1, Final(text)).turn.text == text


@pytest.mark.parametrize("text", ["", "  ", "..."])
def test_no_words_are_no_turn(text: str) -> None:
    trial = Trial().at(1.0, ON).at(1.4, OFF).at(2.1, Final(text, rejected=True))
    assert [a.why for a in trial.of(TurnDropped)] == [Dropped.NO_WORDS]  # type: ignore[union-attr]
    assert not trial.of(TurnEnded)


def test_rejected_words_are_a_turn_that_was_not_understood() -> None:
    turn = Trial().at(1.0, ON).at(1.4, OFF).at(2.1, Final("gibber", 0.9, rejected=True)).turn
    assert turn.confidence < 0.5


@pytest.mark.parametrize(
    ("answering", "length", "text", "dropped"),
    [
        (False, 0.5, "if", Dropped.NO_WORDS),
        (False, 0.5, "i see", Dropped.BACKCHANNEL),
        (False, 0.7, "show old on a second", None),
        (True, 0.5, "if", None),
    ],
)
def test_rejected_words_of_a_short_sound_while_we_speak_are_a_noise(
    answering: bool, length: float, text: str, dropped: Dropped | None
) -> None:
    trial = Trial(answering).at(1.0, ON).at(1.0 + length, OFF).at(3.0, Final(text, 0.1, rejected=True))
    assert [a.why for a in trial.of(TurnDropped)] == ([dropped] if dropped else [])  # type: ignore[union-attr]
    assert len(trial.of(TurnEnded)) == (dropped is None)


def test_what_was_heard_is_sure_when_the_recogniser_does_not_guess() -> None:
    trial = Trial()
    assert not trial.ear.sure
    trial.at(1.0, ON).at(1.5, Partial("what"))
    assert trial.ear.sure
    trial.ear.trusting = False
    assert not trial.ear.sure
    trial.at(1.6, Partial("what now", complete=True))
    assert trial.ear.sure


def test_a_final_that_never_comes_is_made_of_the_last_partial() -> None:
    trial = Trial().at(1.0, ON).at(1.3, Partial("compare")).at(1.4, OFF).at(30.0)
    assert trial.times(TurnEnded) == [4.0]
    assert (trial.turn.text, trial.turn.confidence) == ("compare", 0.3)
    assert trial.times(Restart) == [4.0]


def test_a_final_that_never_comes_without_a_partial_is_no_turn() -> None:
    trial = Trial().at(1.0, ON).at(1.4, OFF).at(30.0)
    assert trial.times(TurnDropped) == [3.75]


def test_a_short_sound_without_words_is_waited_for_only_shortly() -> None:
    noise = Trial().at(1.0, ON).at(1.5, OFF).at(1.9, Final("")).at(5.0)
    assert (noise.times(Conclude), noise.times(TurnDropped)) == ([1.85], [1.9])
    speech = Trial().at(1.0, ON).at(2.0, OFF).at(5.0)
    assert speech.times(Conclude) == [2.6]  # so long a voice has words, perhaps of a recogniser without partials


def test_the_next_turn_is_heard_after_a_lost_final() -> None:
    trial = Trial().at(1.0, ON).at(1.4, OFF).at(10.0, ON).at(11.0, OFF).at(11.7, Final("still there"))
    assert trial.turn.text == "still there"


def test_a_recogniser_that_ends_turns_itself() -> None:
    trial = Trial().at(1.0, ON).at(2.0, OFF).at(2.2, Final("quick")).at(9.0)
    assert trial.times(TurnEnded) == [2.2]
    assert not trial.of(Conclude)


def test_after_such_an_end_a_voice_that_lasts_is_a_new_turn() -> None:
    trial = Trial().at(1.0, ON).at(2.0, Final("quick")).at(3.0)
    assert trial.times(SpeechStarted) == [1.08, 2.08]


def test_a_final_nobody_asked_for_is_ignored() -> None:
    assert Trial().at(1.0, Final("ghost"), Partial("ghost"), Resumed()).at(2.0).said == []


def test_words_are_told_when_they_change() -> None:
    trial = Trial().at(1.0, ON).at(1.2, Partial("")).at(1.3, Partial("a")).at(1.4, Partial("a")).at(1.5, Partial("a b"))
    assert trial.times(WordsHeard) == [1.3, 1.5]


def test_loudness_is_a_sign_of_life_only_in_speech() -> None:
    trial = Trial().at(0.5, VoiceMoved()).at(1.0, ON).at(1.02, VoiceMoved()).at(2.0, VoiceMoved()).at(3.0, OFF)
    trial.at(3.4, VoiceMoved())
    assert trial.times(LevelMoved) == [2.0]


def test_steady_noise_is_given_up() -> None:
    trial = Trial().at(1.0, ON).at(7.2, Final("")).at(60.0, OFF).at(70.0)
    assert trial.times(Conclude) == [7.08]
    assert trial.times(TurnDropped) == [7.2]
    assert trial.times(SpeechStarted) == [1.08]
    assert not trial.of(SpeechStopped)


def test_words_before_steady_noise_make_a_turn() -> None:
    trial = Trial().at(1.0, ON).at(2.0, Partial("hello")).at(8.1, Final("hello")).at(60.0)
    assert trial.times(TurnEnded) == [8.1]
    assert trial.turn.ended == 2.0


def test_a_voice_over_steady_noise_is_heard() -> None:
    trial = Trial().at(1.0, ON).at(7.2, Final("")).at(20.0, VoiceMoved()).at(21.0, Partial("hello"))
    assert trial.times(SpeechStarted) == [1.08, 20.0]
    assert trial.times(WordsHeard) == [21.0]


def test_a_voice_over_noise_before_the_final_continues_the_turn() -> None:
    trial = Trial(final=5.0).at(1.0, ON).at(7.5, VoiceMoved()).at(8.0, Final("")).at(9.0, Partial("hello"))
    assert trial.times(Listen) == [1.08, 7.5]
    assert trial.times(WordsHeard) == [9.0]


def test_a_turn_without_end_is_ended() -> None:
    trial = Trial(longest=30.0).at(1.0, ON)
    for n in range(2, 60):
        trial.at(float(n), VoiceMoved(), Partial(" ".join("word" for _ in range(n))))
    assert trial.times(Conclude)[0] == 31.0


def test_who_is_gone_has_no_turn() -> None:
    trial = Trial().at(1.0, ON).at(1.5, Partial("com")).at(1.6, Hushed()).at(9.0)
    assert trial.said[-2:] == [(1.6, Conclude()), (1.6, TurnDropped(A, Dropped.NO_WORDS, "com"))]
    trial.at(10.0, Final("com")).at(11.0, ON).at(12.0, OFF).at(12.7, Final("back"))
    assert trial.turn.text == "back"


def test_who_is_gone_and_said_nothing_leaves_no_trace() -> None:
    assert Trial().at(1.0, ON).at(1.05, Hushed()).at(9.0).said == []


def test_words_of_an_older_turn_are_not_taken_for_the_new_ones() -> None:
    trial = Trial().at(1.0, ON).at(1.5, OFF).at(2.2, Hushed())
    trial.at(3.0, ON).at(3.2, Partial("old")).at(3.3, Final("old")).at(3.5, Partial("new"))
    assert trial.of(WordsHeard) == [WordsHeard(A, "new")]


def test_a_recogniser_lost_in_mid_speech_keeps_its_words() -> None:
    trial = Trial().at(1.0, ON).at(1.5, Partial("compare")).at(1.6, RecognizerLost()).at(2.0, Partial("them"))
    assert trial.times(Listen) == [1.08, 1.6]
    trial.at(2.5, OFF).at(3.2, Final("them"))
    assert (trial.turn.text, trial.turn.confidence) == ("compare them", 0.3)


@pytest.mark.parametrize("lost", [2.3, 2.8])
def test_a_recogniser_lost_in_silence_ends_the_turn(lost: float) -> None:
    trial = Trial().at(1.0, ON).at(1.5, Partial("compare")).at(2.0, OFF).at(lost, RecognizerLost())
    assert trial.times(TurnEnded) == [lost]
    assert trial.turn.confidence == 0.3


def test_a_recogniser_lost_while_nobody_speaks_is_no_loss() -> None:
    assert Trial().at(1.0, RecognizerLost()).at(2.0).said == []


def test_late_timers_are_carried_out_in_order() -> None:
    trial = Trial()
    trial.keep(1.0, trial.ear.handle(ON, 1.0))
    trial.keep(1.5, trial.ear.handle(OFF, 1.5))
    trial.keep(9.0, trial.ear.expire(9.0))
    kinds = [type(a) for _, a in trial.said]
    assert kinds == [SpeechStarted, Listen, SpeechStopped, Conclude, Restart, TurnDropped]


@pytest.mark.parametrize("name", ["onset", "bridge", "final", "murmur", "stuck", "longest"])
def test_a_wait_that_makes_no_sense_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"EarTimes.{name} must be seconds > 0"):
        EarTimes(**{name: 0})


WORDS = st.sampled_from(["", "mm-hm", "stop", "what about cost"])


class AnyVoice(RuleBasedStateMachine):
    """Voice, words and broken parts in any order."""

    @initialize(answering=st.booleans())
    def begin(self, answering: bool) -> None:
        self.trial = Trial(answering)
        self.trial.ear.foresees = True
        self.foreseen: str | None = None
        self.now = 0.0
        self.open = self.speaking = self.listening = False
        self.told = self.pending = 0

    def feed(self, *events: EarInput) -> None:
        self.trial.at(self.now, *events)
        for _, action in self.trial.said[self.told :]:
            match action:
                case SpeechStarted():
                    self.open = self.speaking = True
                case SpeechStopped():
                    assert self.speaking
                    self.speaking = False
                case TurnForeseen(turn):
                    assert self.open
                    assert turn.text.strip()
                    assert self.foreseen != turn.text  # or it would be paid for twice
                    self.foreseen = turn.text
                case TurnResumed():
                    assert self.foreseen is not None
                    self.foreseen = None
                case TurnEnded(turn):
                    assert self.open
                    self.foreseen = None
                    assert turn.started <= turn.ended <= self.now
                    assert turn.text.strip()
                    self.open = self.speaking = False
                case TurnDropped():
                    assert self.open
                    self.open = self.speaking = False
                    self.foreseen = None
                case Listen(since):
                    assert since <= self.now
                    assert not self.listening
                    self.listening = True
                case Conclude():
                    assert self.listening
                    self.listening = False
                    self.pending += 1
                case Restart():
                    self.pending = 0
                case _:
                    pass
        self.told = len(self.trial.said)

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.feed()

    @rule(event=st.sampled_from([ON, OFF, ON, OFF, VoiceMoved(), Hushed(), Resumed()]))
    def hear(self, event: EarInput) -> None:
        self.feed(event)

    @rule(text=WORDS, complete=st.booleans())
    def understand(self, text: str, complete: bool) -> None:
        self.feed(Partial(text, complete))

    @rule(text=WORDS)
    def believe(self, text: str) -> None:
        self.feed(EagerEnd(text))

    @rule(over=st.floats(0.0, 1.0))
    def judge(self, over: float) -> None:
        self.feed(Judged(over))

    @rule(text=WORDS, rejected=st.booleans())
    def conclude(self, text: str, rejected: bool) -> None:
        self.listening = self.listening and self.pending > 0  # with none pending, it ended the turn itself
        self.pending = max(self.pending - 1, 0)
        self.feed(Final(text, 0.8, rejected))

    @rule()
    def lose(self) -> None:
        self.listening = False
        self.pending = 0
        self.feed(RecognizerLost())

    @invariant()
    def a_turn_in_progress_is_known(self) -> None:
        assert self.trial.ear.in_turn == self.open

    @invariant()
    def the_deadline_lies_ahead(self) -> None:
        due = self.trial.ear.deadline()
        assert due is None or due > self.now

    def teardown(self) -> None:
        """A caller who falls silent ends every turn in bounded time, whatever the recogniser does."""
        if not hasattr(self, "trial"):
            return
        self.feed(OFF)
        self.now += 0.6 + 2.0 + 1e-6
        self.feed()
        assert not self.open
        assert self.trial.ear.deadline() is None
        assert math.isfinite(self.now)


AnyVoice.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestAnyVoice = AnyVoice.TestCase


def foreseeing(endpointer: Endpointer | None = None) -> Trial:
    trial = Trial(answering=False)
    trial.ear.foresees = True
    trial.ear.endpointer = endpointer or FixedSilence()
    return trial


def test_a_whole_sentence_is_foreseen_to_be_a_turn() -> None:
    trial = foreseeing().at(1.0, ON).at(1.5, Partial("compare them", complete=True)).at(2.0, OFF)
    trial.at(2.3, Final("compare them")).at(5.0)
    foreseen = TurnForeseen(Turn("t1", A, "compare them", 1.0, 2.0, 1.0))
    assert [(at, a) for at, a in trial.said if isinstance(a, TurnForeseen)] == [(2.1, foreseen)]
    assert trial.turn == foreseen.turn  # the same one, by the same name
    assert trial.times(TurnEnded) == [2.3]


def test_nobody_is_told_who_does_not_ask() -> None:
    trial = Trial().at(1.0, ON).at(1.5, Partial("compare them", complete=True)).at(2.0, OFF).at(2.3, Final("x"))
    assert trial.of(TurnForeseen) == []


def test_speech_that_goes_on_takes_it_back_and_more_words_are_foreseen_anew() -> None:
    trial = foreseeing().at(1.0, ON).at(1.5, Partial("compare them", complete=True)).at(2.0, OFF).at(2.2, ON)
    trial.at(2.6, Partial("compare them all", complete=True)).at(3.0, OFF).at(3.3, Final("compare them all"))
    assert trial.times(TurnForeseen) == [2.1, 3.1]
    assert trial.times(TurnResumed) == [2.28]
    assert {a.turn.id for a in trial.of(TurnForeseen) if isinstance(a, TurnForeseen)} == {trial.turn.id} == {"t1"}


def test_an_eager_end_is_foreseen_at_once_also_in_the_middle_of_voice() -> None:
    trial = foreseeing(GivenEnd()).at(1.0, ON).at(2.0, EagerEnd("compare them")).at(2.1, OFF).at(2.4, Resumed())
    trial.at(2.5, EagerEnd("compare them")).at(2.6, Final("compare them"))
    assert trial.times(TurnForeseen) == [2.0, 2.5]
    assert trial.times(TurnResumed) == [2.4]
    assert trial.times(TurnEnded) == [2.6]


def test_a_given_end_is_waited_for_but_not_for_ever() -> None:
    trial = foreseeing(GivenEnd(longest=5.0)).at(1.0, ON).at(1.5, Partial("compare")).at(2.0, OFF).at(20.0)
    assert trial.times(Conclude) == [7.0]
    assert trial.of(TurnForeseen) == []


def test_words_that_came_with_silence_are_foreseen_if_that_is_wanted() -> None:
    trial = foreseeing(FixedSilence(eager=0.2)).at(1.0, ON).at(1.5, Partial("compare")).at(2.0, OFF)
    trial.at(2.3, Partial("compare them")).at(2.7, Final("compare them"))
    assert trial.times(TurnForeseen) == [2.2, 2.3]


def test_a_backchannel_is_not_answered_ahead() -> None:
    trial = foreseeing(FixedSilence(eager=0.12)).at(1.0, ON).at(1.2, Partial("mm-hm", complete=True)).at(1.3, OFF)
    assert trial.at(9.0).of(TurnForeseen) == []
    assert len(trial.of(TurnDropped)) == 1


def test_what_a_turn_model_finds_counts_until_the_voice_is_back() -> None:
    class Asks:
        def wait(self, turn: SoFar) -> float:
            return 3.0 if turn.over is None else 1.0 - turn.over

        def foresee(self, turn: SoFar) -> float | None:
            return None if turn.over is None else 0.0

    trial = foreseeing(Asks()).at(1.0, ON).at(1.5, Partial("compare")).at(2.0, OFF).at(2.2, Judged(0.1))
    trial.at(2.4, ON).at(2.8, Judged(0.9)).at(3.0, OFF)  # said of a voice, it does not count
    assert trial.at(3.9).times(Conclude) == []
    assert trial.at(4.0, Judged(0.75)).times(Conclude) == [4.0]
    assert trial.times(TurnForeseen) == [2.2, 4.0]
    assert trial.times(TurnResumed) == [2.48]
