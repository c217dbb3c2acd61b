"""One speech out of a recogniser's segments: its words, and when the last of them is said."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.stt.recognizer import EagerEnd, Final, Hearing, Partial, Resumed
from voice.stt.segments import Patience, Segments

PATIENCE = Patience(answer=1.5, lag=0.3, settle=0.1)


def test_several_finals_are_one_speech() -> None:
    speech = Segments()
    assert list(speech.settle("Compare tea", 0.9, 1.0)) == [Partial("Compare tea")]
    assert list(speech.guess("and")) == [Partial("Compare tea and")]
    assert list(speech.settle("and coffee.", 0.6, 2.0)) == [Partial("Compare tea and coffee.")]
    assert speech.final() == Final("Compare tea and coffee.", pytest.approx(0.75))


def test_what_was_only_guessed_counts_when_nothing_better_comes() -> None:
    speech = Segments()
    list(speech.settle("Compare tea", 1.0, 1.0))
    list(speech.guess("and coffee", 0.5))
    assert speech.final() == Final("Compare tea and coffee", pytest.approx(0.75))


def test_the_end_that_was_foreseen_is_said_once_and_taken_back_by_other_words() -> None:
    speech = Segments()
    list(speech.guess("yes"))
    assert list(speech.foresee("yes")) == [EagerEnd("yes")]
    assert list(speech.foresee("yes")) == []
    assert list(speech.guess("yes")) == [Partial("yes")]
    assert list(speech.guess("yes please")) == [Resumed(), Partial("yes please")]
    assert list(speech.foresee("yes please")) == [EagerEnd("yes please")]
    assert list(speech.settle("yes please", 1.0, 1.0)) == [Partial("yes please")]


def test_speech_that_begins_again_takes_the_foreseen_end_back() -> None:
    speech = Segments()
    list(speech.foresee("yes"))
    assert list(speech.start()) == [Resumed()]


class TestTheLastWord:
    """`asked` at 10."""

    def asked(self, **options: bool) -> Segments:
        return Segments(PATIENCE, **options)

    def end(self, speech: Segments) -> float | None:
        speech.asked = 10.0
        return speech.due

    def test_nobody_has_asked(self) -> None:
        assert self.asked().due is None

    def test_all_was_said_when_it_ended(self) -> None:
        speech = self.asked()
        list(speech.guess("yes"))
        list(speech.settle("yes", 1.0, 9.0))
        speech.stop()
        assert self.end(speech) == 10.0
        assert speech.over

    def test_something_may_have_been_said_of_which_nothing_is_known(self) -> None:
        speech = self.asked()
        list(speech.settle("yes", 1.0, 9.0))
        assert self.end(speech) == pytest.approx(10.3)
        list(speech.settle("please", 1.0, 10.2))
        assert speech.due == pytest.approx(10.3), "another may follow"

    def test_one_that_answers_the_end_has_then_said_it(self) -> None:
        speech = self.asked(exact=True)
        list(speech.guess("yes"))
        assert self.end(speech) == 11.5
        list(speech.settle("yes", 1.0, 10.2))
        assert speech.due == 10.2

    def test_a_guess_is_to_be_confirmed(self) -> None:
        speech = self.asked()
        list(speech.settle("yes", 1.0, 9.0))
        list(speech.guess("please"))
        assert self.end(speech) == 11.5
        assert speech.outstanding

    def test_a_sound_without_words(self) -> None:
        assert self.end(self.asked()) == pytest.approx(10.3)

    def test_speech_without_words(self) -> None:
        speech = self.asked()
        list(speech.start())
        assert self.end(speech) == 11.5

    def test_one_that_guesses_nothing(self) -> None:
        assert self.end(self.asked(guesses=False)) == 11.5

    def test_an_end_without_words_proves_nothing(self) -> None:
        speech = self.asked()
        list(speech.start())
        speech.stop()
        assert self.end(speech) == 11.5
        assert not speech.over


moves = st.lists(st.sampled_from(["start", "stop", "guess", "foresee", "settle", "nothing", "end"]), max_size=30)


@given(moves=moves)
def test_however_it_is_told_no_word_is_lost_and_it_ends(moves: list[str]) -> None:
    speech, told, words, waiting, now = Segments(PATIENCE), list[Hearing](), list[str](), "", 0.0
    for number, move in enumerate(moves):
        now += 0.05
        match move:
            case "start":
                told += speech.start()
            case "stop":
                speech.stop()
            case "guess":
                waiting = f"guess{number}"
                told += speech.guess(waiting)
            case "foresee":
                waiting = f"guess{number}"
                told += speech.foresee(waiting)
            case "settle":
                words, waiting = [*words, f"word{number}"], ""
                told += speech.settle(f"word{number}", 0.8, now)
            case "nothing":
                waiting = ""
                told += speech.settle("", 0.0, now)
            case "end":
                speech.asked = speech.asked or now
    assert speech.final().text == " ".join(filter(None, [*words, waiting]))
    turns = [each for each in told if isinstance(each, EagerEnd | Resumed)]
    assert all(type(one) is not type(two) for one, two in pairwise(turns))
    assert not turns or isinstance(turns[0], EagerEnd)
    if speech.asked is not None:
        assert speech.due is not None
        assert speech.due <= max(speech.asked + PATIENCE.answer, now + PATIENCE.settle)
