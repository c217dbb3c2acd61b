"""Playout: pacing, receipts, pause and resume at a word, cuts, several ears; in samples, without sound or clock."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voice.events import SpeakingHeard, SpeakingPaused, SpeakingScheduled, SpeakingStarted
from voice.leg import FRAME_SAMPLES, RATE
from voice.playout import FLUSH, LEAD, Clear, Finish, Over, Playout, PlayoutAction, Send

A, B = "anna", "bert"
WORD = 6400
"""0.4 s: 20 frames."""
TINY = 1e-6


class FarEnd:
    """What an ear does with its streams: holds each back `jitter` seconds, plays it, falls silent when told to."""

    def __init__(self, jitter: float) -> None:
        self.jitter = jitter
        self.stream = 0
        self.sent = 0
        self.pieces: dict[int, list[tuple[float, int, int]]] = {}
        """By stream: when each piece of sound is played, where in the utterance it comes from, how long it is."""
        self.silenced: dict[int, float] = {}

    def take(self, action: Send, now: float) -> None:
        if action.stream != self.stream:
            assert action.stream > self.stream
            self.stream, self.sent = action.stream, 0
        assert action.position == self.sent
        assert action.stream not in self.silenced, "sound in a stream that was silenced"
        pieces = self.pieces.setdefault(action.stream, [])
        at = max(now, pieces[-1][0] + pieces[-1][2] / RATE) if pieces else now + self.jitter
        pieces.append((at, action.source, action.samples))
        self.sent += action.samples

    def heard(self, stream: int, now: float) -> list[tuple[int, int]]:
        """What was heard of a stream: places in the utterance, and how many samples from there."""
        until = min(now, self.silenced.get(stream, math.inf))
        return [
            (source, min(max(math.floor((until - at) * RATE + 1e-3), 0), n))
            for at, source, n in self.pieces.get(stream, [])
        ]

    def played(self, now: float) -> int:
        return sum(samples for _, samples in self.heard(self.stream, now))

    def clear(self, stream: int, now: float) -> None:
        self.silenced.setdefault(stream, now)


class Trial:
    """A playout with far ends, in virtual time."""

    def __init__(
        self, *, receipts: bool = True, jitter: float = 0.04, lead: float = LEAD, to: str | None = None
    ) -> None:
        self.playout = Playout("u", itertools.count(1).__next__, to, lead=lead)
        self.receipts, self.jitter = receipts, jitter
        self.now = 0.0
        self.ends: dict[str, FarEnd] = {}
        self.said: list[tuple[float, PlayoutAction]] = []
        self.made = 0

    def open(self, *ears: str) -> Trial:
        for ear in ears:
            self.ends[ear] = FarEnd(self.jitter)
            self.take(self.playout.open_ear(ear, self.jitter, self.receipts, self.now))
        return self

    def shut(self, ear: str) -> Trial:
        del self.ends[ear]
        return self.take(self.playout.close_ear(ear, self.now))

    def words(self, count: int, *, whole: bool = True) -> Trial:
        """Make so many words of 0.4 s: "w w w ..."."""
        marks, char = self.playout.marks, 2 * (self.made // WORD)
        marks.begin(" ".join("w" * count), char, self.made)
        for n in range(count):
            marks.add(2 * n, 2 * n + 1, self.made + n * WORD)
        marks.end(self.made + count * WORD)
        self.made += count * WORD
        self.take(self.playout.make(count * WORD, self.now))
        return self.take(self.playout.end(self.now)) if whole else self

    def take(self, actions: Iterable[PlayoutAction]) -> Trial:
        for action in actions:
            self.said.append((round(self.now, 6), action))
            match action:
                case Send(ear=ear):
                    self.ends[ear].take(action, self.now)
                    ahead = self.ends[ear].sent - self.ends[ear].played(self.now)
                    assert ahead <= (self.jitter + self.playout.lead) * RATE + 1
                case Finish(ear=ear):
                    assert action.samples == self.ends[ear].sent
                case Clear(ear=ear, stream=stream):
                    self.ends[ear].clear(stream, self.now)
                case _:
                    pass
        return self

    def until(self, now: float, report: float = 0.06) -> Trial:
        """Let time pass; ears give receipts every `report` seconds."""
        told = self.now + report
        while True:
            due = min(d for d in (self.playout.deadline(), told, now) if d is not None)
            self.now = due
            self.take(self.playout.expire(due))
            if due >= min(told, now):
                told = due + report
                self.report()
            if due >= now:
                return self

    def report(self, flushed: bool = False) -> Trial:
        if self.receipts:
            for ear, end in list(self.ends.items()):
                if end.stream:
                    done = flushed or end.stream in end.silenced
                    played = end.played(self.now)
                    self.take(self.playout.receive(ear, end.stream, played, done, self.now))
        return self

    def play(self) -> Trial:
        return self.take(self.playout.play(self.now))

    def pause(self) -> Trial:
        return self.take(self.playout.pause(self.now))

    def cut(self) -> Trial:
        return self.take(self.playout.cut(self.now))

    def times(self, kind: type) -> list[float]:
        return [at for at, action in self.said if isinstance(action, kind)]

    def heard(self) -> list[tuple[float, int]]:
        return [(at, action.chars) for at, action in self.said if isinstance(action, SpeakingHeard)]

    def over(self) -> tuple[float, bool]:
        ((at, action),) = [(at, a) for at, a in self.said if isinstance(a, Over)]
        assert isinstance(action, Over)
        return at, action.complete


def test_a_whole_utterance_by_the_clock() -> None:
    trial = Trial(receipts=False).open(A).words(3).play().until(3.0)
    assert trial.times(SpeakingStarted) == [0.04]
    assert trial.heard() == [(0.44, 1), (0.84, 3), (1.24, 5)]
    assert trial.over() == (1.24, True)
    assert trial.playout.started == pytest.approx(0.04)
    assert trial.playout.deadline() is None


def test_a_whole_utterance_by_receipts() -> None:
    trial = Trial().open(A).words(3).play().until(3.0)
    assert trial.times(SpeakingStarted) == [0.04]
    assert [chars for _, chars in trial.heard()] == [1, 3, 5]
    assert all(-TINY <= at - (0.04 + 0.4 * n) <= 0.061 for n, (at, _) in enumerate(trial.heard(), 1))
    at, complete = trial.over()
    assert complete
    assert 1.24 <= at <= 1.301


def test_sound_leaves_in_frames_at_the_pace_of_hearing() -> None:
    trial = Trial().open(A).words(3).play().until(3.0)
    sends = [(at, a) for at, a in trial.said if isinstance(a, Send)]
    assert [a.samples for _, a in sends] == [FRAME_SAMPLES] * 60
    assert [at for at, _ in sends[:6]] == pytest.approx([0, 0, 0, 0.02, 0.04, 0.06], abs=TINY)
    assert sends[-1][0] == pytest.approx(1.2 - 0.06, abs=TINY)


def test_without_a_lead_everything_leaves_at_once() -> None:
    trial = Trial(receipts=False, lead=math.inf).open(A).words(3).play()
    assert [a.samples for _, a in trial.said if isinstance(a, Send)] == [3 * WORD]
    assert trial.until(2.0).over() == (1.24, True)


def test_the_end_is_told_before_it_comes_and_when_it_moves() -> None:
    trial = Trial().open(A).words(2, whole=False).play()
    trial.until(0.2).words(3).until(4.0)
    scheduled = [(at, a.until) for at, a in trial.said if isinstance(a, SpeakingScheduled)]
    assert scheduled[0] == (0.0, pytest.approx(0.84))
    assert scheduled[-1] == (0.2, pytest.approx(2.04))


def test_an_end_that_moves_in_small_steps_is_told_now_and_then() -> None:
    trial = Trial().open(A).play()
    for n in range(200):
        trial.until(n * 0.005)
        trial.take(trial.playout.make(720, trial.now))
    trial.take(trial.playout.end(trial.now))
    scheduled = [a.until for _, a in trial.said if isinstance(a, SpeakingScheduled)]
    assert len(scheduled) <= 8
    assert scheduled[-1] == pytest.approx(0.04 + 9.0)


def test_nothing_is_sent_before_play() -> None:
    assert Trial().open(A).words(3).until(2.0).said == []


def test_without_ears_nothing_is_sent() -> None:
    assert Trial().words(3).play().until(1.0).said == []


def test_an_utterance_without_sound_is_over_at_once() -> None:
    trial = Trial().open(A).words(0).play()
    assert trial.said == [(0.0, Over(True))]


@pytest.mark.parametrize("receipts", [True, False])
@pytest.mark.parametrize(
    ("pause", "again", "chars"), [(0.50, 0, 0), (0.64, 0, 0), (0.85, 2 * WORD, 3), (1.2, 2 * WORD, 3)]
)
def test_a_pause_goes_on_from_the_word_that_was_not_wholly_heard(
    receipts: bool, pause: float, again: int, chars: int
) -> None:
    trial = Trial(receipts=receipts).open(A).words(4).play()
    if again == 0:
        pause -= 0.45  # in the first word
    trial.until(pause).pause()
    assert trial.times(Clear) == [pytest.approx(pause)]
    trial.report().until(3.0)
    assert trial.playout.chars == chars
    assert len(trial.times(SpeakingPaused)) == 1
    trial.play().until(8.0)
    resumed = next(a for at, a in trial.said if isinstance(a, Send) and at >= 3.0)
    assert (resumed.source, resumed.position, resumed.stream) == (again, 0, 2)
    assert trial.over()[1]
    assert trial.times(SpeakingStarted) == [0.04, 3.04]
    assert [c for _, c in trial.heard()] == [1, 3, 5, 7]


def test_a_pause_before_the_first_sample_is_heard() -> None:
    trial = Trial().open(A).words(2).play().until(0.03).pause().report().until(1.0)
    assert not trial.times(SpeakingStarted)
    assert not trial.times(SpeakingPaused)
    trial.play().until(4.0)
    assert trial.over()[1]
    assert trial.times(SpeakingStarted) == [1.04]


def test_a_pause_when_all_was_heard_changes_nothing() -> None:
    trial = Trial().open(A).words(1).play().until(0.44)
    trial.pause().until(2.0)
    assert trial.over()[1]


def test_a_pause_is_answered_within_half_a_second_or_the_last_receipt_must_do() -> None:
    trial = Trial().open(A).words(4).play().until(1.0)
    trial.receipts = False
    trial.pause().until(5.0)
    assert trial.times(SpeakingPaused) == [pytest.approx(1.0 + FLUSH)]
    trial.play()
    assert next(a for at, a in trial.said if isinstance(a, Send) and at >= 5.0).source == 2 * WORD


def test_going_on_before_the_pause_was_answered_waits_for_the_answer() -> None:
    trial = Trial().open(A).words(3).play().until(0.9).pause().play()
    sends = len(trial.times(Send))
    assert len(trial.times(Clear)) == 1
    trial.now += 0.03
    trial.report()
    assert trial.times(SpeakingPaused) == [pytest.approx(0.93)]
    assert len(trial.times(Send)) > sends
    assert trial.until(5.0).over()[1]


def test_a_cut_ends_it_at_the_last_whole_word() -> None:
    trial = Trial().open(A).words(4).play().until(1.0).cut().report()
    assert trial.over() == (1.0, False)
    assert trial.playout.chars == 3
    assert trial.playout.deadline() is None
    assert trial.play().until(5.0).times(Send)[-1] <= 1.0


def test_a_cut_before_it_began_ends_it_at_once() -> None:
    trial = Trial().open(A).words(4).cut()
    assert trial.said == [(0.0, Over(False))]


def test_a_cut_of_a_pause_ends_it_at_once() -> None:
    trial = Trial().open(A).words(4).play().until(1.0).pause().report().until(2.0).cut()
    assert trial.over() == (2.0, False)


def test_a_cut_is_final() -> None:
    trial = Trial().open(A).words(4).play().until(1.0).cut().play().report()
    assert trial.over() == (1.0, False)


def test_text_that_is_long_in_coming_is_a_pause_of_its_own() -> None:
    trial = Trial(receipts=False).open(A).words(2, whole=False).play().until(3.0)
    assert trial.times(SpeakingPaused) == [0.84]
    assert len(trial.times(Finish)) == 1
    trial.words(1).until(6.0)
    assert trial.times(SpeakingStarted) == [0.04, 3.04]
    assert trial.over() == (3.44, True)
    assert not trial.times(Clear)


def test_text_that_comes_in_time_leaves_no_gap() -> None:
    trial = Trial().open(A).words(2, whole=False).play().until(0.8).words(2).until(4.0)
    assert len({a.stream for _, a in trial.said if isinstance(a, Send)}) == 1
    assert not trial.times(SpeakingPaused)
    assert trial.over()[0] <= 1.64 + 0.061


def test_text_that_ends_in_a_pause_ends_the_utterance() -> None:
    trial = Trial(receipts=False).open(A).words(2, whole=False).play().until(3.0)
    trial.take(trial.playout.end(3.0))
    assert trial.over() == (3.0, True)


def test_more_text_does_not_wait_for_the_receipts_of_what_was_said() -> None:
    trial = Trial().open(A).words(1, whole=False).play()
    trial.until(0.42)
    trial.receipts = False
    trial.until(0.6).words(1)
    assert trial.times(Send)[-1] == pytest.approx(0.6)
    assert not trial.times(SpeakingPaused)
    late = trial.playout.receive(A, 1, WORD, False, trial.now)
    assert trial.playout.chars == 1
    assert SpeakingHeard("u", 1) in late


def test_a_loop_that_was_blocked_does_not_send_too_much_at_once() -> None:
    trial = Trial(receipts=False).open(A).words(5).play().until(0.5)
    trial.now = 1.5
    trial.take(trial.playout.expire(1.5))
    assert len([at for at in trial.times(Send) if at == 1.5]) <= 3
    assert trial.until(6.0).over()[1]


def test_receipts_beyond_what_was_sent_are_not_believed() -> None:
    trial = Trial().open(A).words(5).play()
    trial.take(trial.playout.receive(A, 1, 10**9, False, 0.0))
    assert trial.playout.reached(A) == 3 * FRAME_SAMPLES
    trial.take(trial.playout.receive(A, 99, 10**9, True, 0.0))
    trial.take(trial.playout.receive("nobody", 1, 10**9, True, 0.0))
    assert trial.playout.reached(A) == 3 * FRAME_SAMPLES


def test_an_utterance_without_receipts_does_not_end_by_itself() -> None:
    trial = Trial().open(A)
    trial.receipts = False
    trial.words(2).play().until(60.0)
    assert trial.times(SpeakingStarted) == [0.04]
    assert not trial.times(Over)
    assert trial.playout.chars == 0
    trial.cut().until(61.0)
    assert trial.over() == (60.0 + FLUSH, False)


# -- several ears


def test_it_is_audible_until_the_last_ear_has_heard_it_and_counts_what_all_have_heard() -> None:
    trial = Trial(receipts=False).open(A)
    trial.jitter = 0.3
    trial.open(B).words(2).play().until(3.0)
    assert trial.times(SpeakingStarted) == [0.04]
    assert trial.heard() == [(0.7, 1), (1.1, 3)]
    assert trial.over() == (1.1, True)


def test_the_addressee_s_ear_counts() -> None:
    trial = Trial(receipts=False, to=A).open(A)
    trial.jitter = 0.3
    trial.open(B).words(2).play().until(3.0)
    assert trial.heard() == [(0.44, 1), (0.84, 3)]
    assert trial.over() == (1.1, True)


def test_an_ear_that_is_shut_does_not_count_any_more() -> None:
    trial = Trial(receipts=False).open(A)
    trial.jitter = 0.3
    trial.open(B).words(4).play().until(1.0)
    assert trial.playout.chars == 1
    trial.shut(B)
    assert trial.playout.chars == 3
    assert trial.until(3.0).over() == (1.64, True)


def test_when_nobody_hears_any_more_it_is_silent_and_can_be_cut() -> None:
    trial = Trial().open(A).words(4).play().until(1.0).shut(A)
    assert trial.playout.ears == frozenset()
    trial.until(2.0).cut()
    assert trial.over() == (2.0, False)
    assert trial.playout.chars == 3


def test_who_comes_late_hears_the_rest_and_does_not_count() -> None:
    trial = Trial(receipts=False).open(A).words(4).play().until(0.8)
    trial.open(B).until(1.0)
    first = next(a for _, a in trial.said if isinstance(a, Send) and a.ear == B)
    assert first.position == 0
    assert 2 * WORD <= first.source <= 2 * WORD + 4 * FRAME_SAMPLES
    trial.until(4.0)
    assert [c for _, c in trial.heard()] == [1, 3, 5, 7]
    assert trial.over()[1]


def test_a_pause_goes_on_where_the_one_is_who_heard_least() -> None:
    trial = Trial(receipts=False).open(A)
    trial.jitter = 0.5
    trial.open(B).words(4).play().until(1.0).pause().play()
    assert {a.source for at, a in trial.said if isinstance(a, Send) and at == 1.0 and a.stream > 2} >= {WORD}
    assert trial.until(9.0).over()[1]


class AnyPlayout(RuleBasedStateMachine):
    """Making, pausing, going on, cutting, with ears that come and go and answer when they please."""

    @initialize(
        receipts=st.booleans(), jitter=st.sampled_from([0.0, 0.04, 0.25]), lead=st.sampled_from([LEAD, math.inf])
    )
    def begin(self, receipts: bool, jitter: float, lead: float) -> None:
        self.trial = Trial(receipts=receipts, jitter=jitter, lead=lead)
        self.trial.open(A)
        self.ended = False

    @rule(count=st.integers(1, 3))
    @precondition(lambda self: not self.ended)
    def make(self, count: int) -> None:
        self.trial.words(count, whole=False)

    @rule()
    @precondition(lambda self: not self.ended)
    def end(self) -> None:
        self.ended = True
        self.trial.take(self.trial.playout.end(self.trial.now))

    @rule(seconds=st.floats(0.001, 1.0), report=st.sampled_from([0.02, 0.1, 10.0]))
    def wait(self, seconds: float, report: float) -> None:
        self.trial.until(self.trial.now + seconds, report)

    @rule()
    def play(self) -> None:
        self.trial.play()

    @rule()
    def pause(self) -> None:
        self.trial.pause()

    @rule(seconds=st.floats(0.0, 0.3))
    def block(self, seconds: float) -> None:
        """The loop is busy elsewhere."""
        self.trial.now += seconds
        self.trial.take(self.trial.playout.expire(self.trial.now))

    @rule()
    @precondition(lambda self: B not in self.trial.ends)
    def join(self) -> None:
        self.trial.open(B)

    @rule()
    @precondition(lambda self: B in self.trial.ends)
    def leave(self) -> None:
        self.trial.shut(B)

    @invariant()
    def the_deadline_lies_ahead(self) -> None:
        due = self.trial.playout.deadline()
        assert due is None or due > self.trial.now

    @invariant()
    def what_counts_as_heard_was_heard(self) -> None:
        """Every word that counts was played at the far end, whole, and without a gap within it."""
        trial = self.trial
        words = (trial.playout.chars + 1) // 2
        if not words:
            return
        heard = [False] * (words * WORD // 160)
        end = trial.ends[A]
        for stream in end.pieces:
            for source, samples in end.heard(stream, trial.now):
                first, last = source // 160, min((source + samples) // 160, len(heard))
                heard[first:last] = [True] * (last - first)
        assert all(heard)

    @invariant()
    def heard_only_grows(self) -> None:
        chars = [c for _, c in self.trial.heard()]
        assert chars == sorted(set(chars))
        assert all(c % 2 for c in chars)

    @invariant()
    def starts_and_pauses_alternate(self) -> None:
        kinds = [type(a) for _, a in self.trial.said if isinstance(a, SpeakingStarted | SpeakingPaused)]
        assert kinds == [SpeakingStarted, SpeakingPaused] * (len(kinds) // 2) + [SpeakingStarted] * (len(kinds) % 2)

    def teardown(self) -> None:
        """Left to play, with receipts, every utterance is heard to its end."""
        if not hasattr(self, "trial"):
            return
        trial = self.trial
        if not self.ended:
            self.end()
        trial.play().until(trial.now + 60.0)
        _, complete = trial.over()
        assert complete
        assert trial.playout.chars == max(2 * (trial.made // WORD) - 1, 0)
        assert trial.playout.deadline() is None


AnyPlayout.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyPlayout = AnyPlayout.TestCase
