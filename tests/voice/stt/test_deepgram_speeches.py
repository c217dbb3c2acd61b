"""Speeches on their way to Deepgram: one Final a begin with exactly its words, whatever is cut and however late."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.stt.deepgram_speeches import (
    MOST,
    NO_ANSWER,
    SECOND,
    Conclude,
    Configure,
    FluxSpeeches,
    Media,
    NovaSpeeches,
    Segment,
    Speeches,
    TurnNews,
    Word,
)
from voice.stt.recognizer import EagerEnd, Final, Hearing, Partial, Resumed

LONG = MOST * 3
"""Bytes of a word: its number, over and over. Sent in three pieces."""
T = LONG / SECOND


def sound(number: int) -> bytes:
    return number.to_bytes(2, "little") * (LONG // 2)


@dataclass
class Server:
    """What both services do with sound: a word is heard when all its sound has come."""

    sound: bytearray = field(default_factory=bytearray)
    settled: int = 0
    """Bytes whose words are settled; always at the end of a word, or of the sound."""
    turn: int = 0
    news: deque[Segment | TurnNews] = field(default_factory=deque)

    def words(self) -> list[Word]:
        """The whole words of what is not settled. Silence is the number 0."""
        words, at = [], self.settled
        while at + LONG <= len(self.sound):
            number = int.from_bytes(self.sound[at : at + 2], "little")
            assert self.sound[at : at + LONG] == sound(number), "the sound was torn"
            if number:
                words.append(Word(f"w{number}", 0.9, at / SECOND, (at + LONG) / SECOND))
            at += LONG
        return words

    @property
    def whole(self) -> int:
        """Where the last whole word ends."""
        return self.settled + (len(self.sound) - self.settled) // LONG * LONG

    def segment(self, *, settle: bool, answer: bool = False) -> None:
        end = self.whole if settle and not answer else len(self.sound)
        words = tuple(self.words())
        text = " ".join(word.text for word in words)
        start = self.settled / SECOND
        self.news.append(Segment(text, 0.9, words, start, end / SECOND, settle, answer))
        if settle:
            self.settled = end

    def tell(self, event: str, end: int | None = None) -> None:
        words = self.words()
        end = len(self.sound) if end is None else end
        text = " ".join(word.text for word in words)
        marks = tuple(word.confidence for word in words)
        self.news.append(TurnNews(event, self.turn, text, marks, end / SECOND))
        if event == "EndOfTurn":
            self.settled = end
            self.turn += 1


class World:
    """A caller, the bookkeeping and the service; each letter of a story is one thing that happens."""

    def __init__(self, speeches: NovaSpeeches | FluxSpeeches) -> None:
        self.speeches = speeches
        self.server = Server()
        self.said: list[list[str]] = []
        self.finals: list[Final] = []
        self.speaking = False
        self.number = 0
        self.ignoring = False
        """The service does not answer the end of a speech."""
        self.guessed: set[int] = set()
        """Finals that came without an answer."""

    def hear(self, hearings: list[Hearing] | None) -> None:
        for hearing in hearings or []:
            if isinstance(hearing, Final):
                self.finals.append(hearing)
            elif not isinstance(hearing, Resumed):
                own = self.said[len(self.finals)]
                assert all(word in own for word in hearing.text.split()), "words of another speech"

    def do(self, letter: str) -> None:
        match letter:
            case "b" if not self.speaking:
                self.speaking = True
                self.said.append([])
                self.speeches.begin()
            case "w" | "q" if self.speaking:
                self.number += 1
                self.speeches.push(sound(self.number if letter == "w" else 0))
                if letter == "w" and len(self.said) > len(self.finals):
                    self.said[-1].append(f"w{self.number}")
            case "e" if self.speaking:
                self.speaking = False
                self.hear(self.speeches.end())
            case "s":
                self.send()
            case "d" if self.server.news:
                self.deliver()
            case "c":
                self.cut()
            case "o" if self.speeches.asked:
                self.wait_in_vain()
            case _:
                self.react(letter)

    def react(self, letter: str) -> None:
        """What the service does of its own accord."""

    def answer(self) -> None:
        raise NotImplementedError

    def send(self) -> None:
        action = self.speeches.take()
        if isinstance(action, Media):
            self.server.sound += action.pcm
        elif isinstance(action, Conclude) and not self.ignoring:
            self.answer()

    def deliver(self) -> None:
        news = self.server.news.popleft()
        if isinstance(news, Segment):
            assert isinstance(self.speeches, NovaSpeeches)
            self.hear(self.speeches.hear(news))
        else:
            assert isinstance(self.speeches, FluxSpeeches)
            before = len(self.finals)
            self.hear(self.speeches.hear(news))
            if len(self.finals) > before and self.speaking and len(self.finals) == len(self.said):
                self.speaking = False

    def cut(self) -> None:
        self.server = Server()
        self.hear(self.speeches.connected(()))

    def wait_in_vain(self) -> None:
        settled, hearings = self.speeches.settled, self.speeches.overdue()
        if hearings:
            self.guessed.add(len(self.finals))
        self.hear(hearings)
        if hearings is None or not settled:
            self.cut()

    def end(self) -> None:
        """Everything goes well from now on."""
        self.ignoring = False
        self.do("e")
        for _ in range(1000):
            if not self.speeches.waiting:
                break
            before = (len(self.server.sound), self.speeches.asked, len(self.server.news))
            self.send()
            self.react("i")
            while self.server.news:
                self.deliver()
            if before == (len(self.server.sound), self.speeches.asked, len(self.server.news)):
                self.do("o")
        assert not self.speeches.waiting, "a speech is never answered"
        assert len(self.finals) == len(self.said)
        for i, (final, words) in enumerate(zip(self.finals, self.said, strict=True)):
            if i in self.guessed:
                assert [word for word in words if word in final.text.split()] == final.text.split()
            else:
                assert final.text.split() == words


class Nova(World):
    def react(self, letter: str) -> None:
        match letter:
            case "i":
                self.server.segment(settle=False)
            case "f":
                self.server.segment(settle=True)
            case "g":
                self.ignoring = not self.ignoring

    def answer(self) -> None:
        self.server.segment(settle=True, answer=True)


class Flux(World):
    def react(self, letter: str) -> None:
        match letter:
            case "i":
                self.server.tell("Update")
            case "a" if self.server.words():
                self.server.tell("EagerEndOfTurn")
                self.server.tell("TurnResumed")
            case "x" if self.server.words():
                self.server.tell("EndOfTurn", self.server.whole)
                while self.server.news:  # what is said while this is on its way is Flux's next turn, and the caller's
                    self.deliver()
            case "g":
                self.ignoring = not self.ignoring

    def answer(self) -> None:
        self.server.tell("EndOfTurn")


def stories(*phrases: str) -> st.SearchStrategy[str]:
    """Of what mostly goes on, and of `phrases`."""
    usual = ("bws", "bwwse", "ws", "wws", "qs", "e", "es", "s", "d", "dd", "c", "o")
    return st.lists(st.sampled_from(usual + phrases), min_size=1, max_size=30).map("".join)


@settings(max_examples=500, deadline=None)
@given(stories("i", "id", "f", "fd", "wsfd", "g", "gsego", "fdgeso"))
def test_nova_one_final_a_begin_with_its_own_words(story: str) -> None:
    world = Nova(NovaSpeeches())
    for letter in story:
        world.do(letter)
    world.end()


@settings(max_examples=400, deadline=None)
@given(stories("i", "id", "a", "add", "x", "xd", "wsx", "g", "gsego"))
def test_flux_one_final_a_begin_with_its_own_words(story: str) -> None:
    world = Flux(FluxSpeeches())
    for letter in story:
        world.do(letter)
    world.end()


@settings(max_examples=200, deadline=None)
@given(st.text("wwwqsc", max_size=40), st.integers(1, 6))
def test_what_is_kept_is_bounded(story: str, words: int) -> None:
    speeches = NovaSpeeches(longest=words * LONG)
    world = Nova(speeches)
    world.do("b")
    for letter in story:
        if letter == "c":
            world.server = Server()
        world.do(letter)
        assert kept(speeches) <= words * LONG


def kept(speeches: Speeches) -> int:
    return sum(len(speech.audio) for speech in speeches._queue)


def begun(speeches: Speeches, *numbers: int) -> Server:
    """A speech of these words, all sent."""
    server = Server()
    speeches.begin()
    for number in numbers:
        speeches.push(sound(number))
    send_all(speeches, server)
    return server


def send_all(speeches: Speeches, server: Server) -> list[object]:
    others: list[object] = []
    while (action := speeches.take()) is not None:
        if isinstance(action, Media):
            server.sound += action.pcm
        else:
            others.append(action)
    return others


def test_what_is_settled_is_not_kept_and_not_sent_again() -> None:
    speeches = NovaSpeeches()
    server = begun(speeches, 1, 2, 3)
    server.segment(settle=True)
    assert speeches.hear(server.news.pop()) == [Partial("w1 w2 w3")]  # type: ignore[arg-type]
    assert kept(speeches) == 0
    speeches.push(sound(4))
    assert speeches.connected(()) == []
    again = Server()
    assert speeches.end() == []
    assert send_all(speeches, again) == [Conclude()]
    assert bytes(again.sound) == sound(4)
    again.segment(settle=True, answer=True)
    assert speeches.hear(again.news.pop()) == [Final("w1 w2 w3 w4", pytest.approx(0.9))]  # type: ignore[arg-type]


def test_the_next_speech_waits_for_the_final_of_the_last() -> None:
    speeches = NovaSpeeches()
    server = begun(speeches, 1)
    speeches.end()
    assert send_all(speeches, server) == [Conclude()]
    speeches.begin()
    speeches.push(sound(2))
    assert speeches.take() is None
    server.segment(settle=True, answer=True)
    assert speeches.hear(server.news.popleft()) == [Final("w1", 0.9)]  # type: ignore[arg-type]
    assert speeches.take() == Media(sound(2)[:MOST])


def test_an_answer_that_comes_after_all_is_not_the_next_ones() -> None:
    speeches = NovaSpeeches()
    server = begun(speeches, 1)
    server.segment(settle=True)
    speeches.hear(server.news.popleft())  # type: ignore[arg-type]
    speeches.end()
    send_all(speeches, server)
    assert speeches.settled
    assert speeches.patience == NO_ANSWER
    server.segment(settle=True, answer=True)
    assert speeches.overdue() == [Final("w1", 0.9)]
    speeches.begin()
    speeches.push(sound(2))
    speeches.end()
    assert send_all(speeches, server) == [Conclude()]
    assert speeches.hear(server.news.popleft()) == []  # type: ignore[arg-type]
    server.segment(settle=True, answer=True)
    assert speeches.hear(server.news.popleft()) == [Final("w2", 0.9)]  # type: ignore[arg-type]


def test_words_of_the_last_speech_at_the_beginning_of_a_segment_are_left_out() -> None:
    speeches = NovaSpeeches()
    server = begun(speeches, 1)
    server.segment(settle=False)
    speeches.hear(server.news.popleft())  # type: ignore[arg-type]
    speeches.end()
    send_all(speeches, server)
    assert speeches.overdue() == [Final("w1", 0.9)]
    speeches.begin()
    speeches.push(sound(2))
    speeches.end()
    send_all(speeches, server)
    server.segment(settle=True, answer=True)
    assert server.news[0].text == "w1 w2"
    assert speeches.hear(server.news.popleft()) == [Final("w2", 0.9)]  # type: ignore[arg-type]


def test_a_dead_line_is_told_from_one_with_nothing_to_say() -> None:
    speeches = NovaSpeeches()
    begun(speeches, 1)
    speeches.end()
    assert speeches.take() == Conclude()
    assert speeches.overdue() is None, "nothing was ever said of it: send it again"
    speeches.connected(())
    send_all(speeches, Server())
    assert speeches.overdue() == [Final("")], "it is short: there are no words in it"


def test_flux_ends_a_turn_by_itself_and_what_still_comes_is_ignored() -> None:
    speeches = FluxSpeeches()
    server = begun(speeches, 1)
    server.tell("StartOfTurn")
    server.tell("EagerEndOfTurn")
    server.tell("TurnResumed")
    server.tell("EndOfTurn")
    heard = [hearing for news in server.news for hearing in speeches.hear(news)]  # type: ignore[arg-type]
    assert heard == [Partial("w1"), EagerEnd("w1"), Resumed(), Partial("w1"), Final("w1", 0.9)]
    speeches.push(sound(0))
    assert speeches.end() == []
    assert speeches.take() is None
    speeches.begin()
    with pytest.raises(RuntimeError, match="twice"):
        speeches.begin()


def test_key_terms_change_with_the_next_speech() -> None:
    speeches = NovaSpeeches(("one",), configurable=True)
    speeches.begin()
    speeches.keyterms = ("two",)
    speeches.push(sound(1))
    speeches.end()
    assert send_all(speeches, Server()) == [Conclude()]
    speeches.hear(Segment("w1", 0.9, (), 0.0, LONG / SECOND, True, True))
    speeches.begin()
    speeches.push(sound(2))
    assert speeches.take() == Configure(("two",))
    assert speeches.take() == Media(sound(2)[:MOST])


def test_an_answer_counts_only_when_it_was_asked_for() -> None:
    speeches = NovaSpeeches()
    server = begun(speeches, 1)
    server.segment(settle=True, answer=True)
    assert speeches.hear(server.news.popleft()) == [Partial("w1")]  # type: ignore[arg-type]


def test_a_turn_of_flux_ends_once_and_is_counted_anew_on_a_new_connection() -> None:
    speeches = FluxSpeeches()
    begun(speeches, 1)
    assert speeches.hear(TurnNews("EndOfTurn", 0, "w1", (0.9,), 1 * T)) == [Final("w1", 0.9)]
    speeches.begin()
    speeches.push(sound(2))
    send_all(speeches, Server())
    assert speeches.hear(TurnNews("Update", 0, "w1", (0.9,), 2 * T)) == []
    assert speeches.hear(TurnNews("Update", 1, "w2", (0.9,), 2 * T)) == [Partial("w2")]
    speeches.connected(())
    send_all(speeches, Server())
    assert speeches.hear(TurnNews("EndOfTurn", 0, "w2", (0.9,), 1 * T)) == [Final("w2", 0.9)]


def test_a_turn_that_ends_in_sound_that_is_sent_again_does_not_end_the_speech() -> None:
    """After a cut all comes at once, so Flux ends a turn at a pause the caller has long gone on after."""
    speeches = FluxSpeeches()
    begun(speeches, 1, 0, 2, 0)
    speeches.connected(())
    server = Server()
    send_all(speeches, server)
    assert speeches.hear(TurnNews("EndOfTurn", 0, "w1", (0.9,), 2 * T)) == [Partial("w1")]
    assert kept(speeches) == 2 * LONG
    assert speeches.hear(TurnNews("Update", 1, "w2", (0.7,), 3 * T)) == [Partial("w1 w2")]
    assert speeches.hear(TurnNews("EndOfTurn", 1, "w2", (0.7,), 4 * T)) == [Final("w1 w2", (0.9 + 0.7) / 2)]


def test_when_nothing_follows_such_a_turn_the_speech_is_over_at_its_end() -> None:
    speeches = FluxSpeeches()
    begun(speeches, 1, 0, 0)
    speeches.connected(())
    send_all(speeches, Server())
    assert speeches.hear(TurnNews("EndOfTurn", 0, "w1", (0.9,), 2 * T)) == [Partial("w1")]
    assert speeches.hear(TurnNews("Update", 1, "", (), 3 * T)) == [Final("w1", 0.9)]
