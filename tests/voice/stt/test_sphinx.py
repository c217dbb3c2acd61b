"""The parts of the PocketSphinx provider: grammars with their mistakes named, the lexicon, seats, and both decoders."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.voice.spoken import said
from voice.clock import run
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Final, Hints, Partial, RecognizerStream
from voice.stt.sphinx import decoder, native
from voice.stt.sphinx.child import ChildDecoder
from voice.stt.sphinx.decoder import GRAMMARS, UNADAPTED, Decoder, Segment, SphinxError, fit
from voice.stt.sphinx.grammar import LARGEST, Grammar, parse
from voice.stt.sphinx.lexicon import Lexicon
from voice.stt.sphinx.native import NativeDecoder
from voice.stt.sphinx.pool import Pool

DICTIONARY = """\
'bout B AW T
a AH
a(2) EY
a's EY Z
rome R OW M
tea T IY
stilton S T IH L T AH N
stilted S T IH L T IH D
zebra Z IY B R AH
"""


@pytest.fixture
def lexicon(tmp_path: Path) -> Lexicon:
    path = tmp_path / "words.dict"
    path.write_text(DICTIONARY)
    return Lexicon(path, {"Postgres": "p ow1 s t g r eh0 s", "tea": "T EH"})


class TestLexicon:
    @pytest.mark.parametrize(
        ("word", "ways"),
        [
            ("rome", ("R OW M",)),
            ("Rome", ("R OW M",)),
            ("a", ("AH", "EY")),
            ("a's", ("EY Z",)),
            ("'bout", ("B AW T",)),
            ("zebra", ("Z IY B R AH",)),
            ("stilton", ("S T IH L T AH N",)),
            ("stilted", ("S T IH L T IH D",)),
            ("postgres", ("P OW S T G R EH S",)),
            ("tea", ("T EH",)),
            ("a(2)", ()),
            ("rom", ()),
            ("", ()),
            ("zzz", ()),
            ("!", ()),
        ],
    )
    def test_words(self, lexicon: Lexicon, word: str, ways: tuple[str, ...]) -> None:
        assert lexicon.pronunciations(word) == ways

    @pytest.mark.parametrize("phones", ["", "P OW X", "post gres", "P-OW"])
    def test_phones_that_are_none_are_refused_with_the_word(self, tmp_path: Path, phones: str) -> None:
        path = tmp_path / "words.dict"
        path.write_text(DICTIONARY)
        with pytest.raises(ValueError, match=r"words\['postgres'\].*ARPAbet"):
            Lexicon(path, {"postgres": phones})

    def test_the_whole_dictionary_is_found(self) -> None:
        found = decoder.model()
        if found is None:
            pytest.skip(Pocketsphinx.check().fix)
        lexicon = Lexicon(found / "cmudict-en-us.dict", {})
        lines = (found / "cmudict-en-us.dict").read_text().splitlines()[::97]
        for line in lines:
            word, phones = line.split(None, 1)
            assert phones in lexicon.pronunciations(word.partition("(")[0])


HEADER = "#JSGF V1.0; grammar g;"


class TestGrammar:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (f"{HEADER} public <s> = a tea | rome;", ["a", "rome", "tea"]),
            (f"{HEADER} public <s> = /2.5/ <x> [a] {{tag a b}} | (tea)* ; <x> = Rome+;", ["a", "rome", "tea"]),
            ("#JSGF V1.0 UTF-8 en; // stop\n grammar g; /* rome */ public <S.1> = <NULL> | tea;", ["tea"]),
            (f"{HEADER} <x> = tea; public <s> = <g.x>;", ["tea"]),
        ],
    )
    def test_its_words(self, lexicon: Lexicon, text: str, words: list[str]) -> None:
        assert [word for word, _ in parse(text, lexicon).words] == words

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("", "begins with '#JSGF V1.0;'"),
            ("public <s> = a;", "begins with '#JSGF V1.0;'"),
            ("#JSGF V1.0; public <s> = a;", "has a name"),
            (f"{HEADER} <s> = a;", "no public rule"),
            (f"{HEADER}", "no public rule"),
            (f"{HEADER} public <s> = <x>;", "does not define: <x>"),
            (f"{HEADER} public <s> = ();", "no words"),
            (f"{HEADER} import <other.x>; public <s> = a;", "'import' is not known"),
            (f"{HEADER} public <s> = a kubernetes with rust;", "'kubernetes', 'rust', 'with'"),
            (f"{HEADER} public <s> = {'a ' * LARGEST};", "characters"),
        ],
    )
    def test_what_is_wrong_with_it_is_named(self, lexicon: Lexicon, text: str, complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint.replace("(", r"\(")):
            parse(text, lexicon)

    @given(text=st.text(alphabet="<>=|;()[]{}/*+ab#JSGFV1.0 grmpublic\n", max_size=80))
    def test_garbage_is_refused_or_read(self, text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
        path = tmp_path_factory.getbasetemp() / "garbage.dict"
        path.write_text("a AH\n")
        for whole in (text, f"{HEADER}{text}"):
            words = {"a"}
            with contextlib.suppress(ValueError):
                words = {word for word, _ in parse(whole, Lexicon(path, {})).words}
            assert words == {"a"}

    def test_words_of_a_users_grammar_can_be_taught(self, lexicon: Lexicon) -> None:
        grammar = parse(f"{HEADER} public <s> = Postgres;", lexicon)
        assert grammar.words == (("postgres", ("P OW S T G R EH S",)),)
        assert "postgres" in grammar.text


class TestFit:
    def test_it_is_the_mean_over_all_and_over_the_words(self) -> None:
        segments = [Segment("<sil>", 30, -300), Segment("yes", 10, -600), Segment("(NULL)", 1, 0)]
        assert fit(segments) == pytest.approx((-900 / 41 - 600 / 10) / 2)

    def test_without_words_nothing_fits(self) -> None:
        assert fit([Segment("<sil>", 30, -300)]) == fit([]) == float("-inf")


class Nothing:
    """A decoder that does nothing: seats are about something else."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


class TestPool:
    def test_seats_are_made_as_needed_and_no_more_than_there_are(self) -> None:
        made: list[Nothing] = []

        def make() -> Decoder:
            made.append(Nothing())
            return made[-1]  # type: ignore[return-value]

        pool = Pool(2, make)
        woken: list[str] = []
        first, second = pool.take("", lambda: None), pool.take("", lambda: None)
        assert first is not None
        assert second is not None
        assert made == []
        assert [first.decoder] == made
        assert pool.take("", lambda: woken.append("one")) is None
        assert pool.take("", lambda: woken.append("two")) is None
        second.leave()
        assert woken == ["one", "two"]
        assert pool.take("", lambda: None) is second
        assert len(made) == 1

    def test_a_seat_that_knows_the_grammar_is_preferred(self) -> None:
        pool = Pool(3, Nothing)  # type: ignore[arg-type]
        seats = [pool.take("", lambda: None) for _ in range(3)]
        for seat, grammar in zip(seats, ("a", "b", "c"), strict=True):
            assert seat is not None
            seat.grammar = grammar
            seat.leave()
        assert pool.take("b", lambda: None) is seats[1]
        assert pool.take("b", lambda: None) in (seats[0], seats[2])

    def test_a_broken_decoder_is_closed_and_replaced(self) -> None:
        pool = Pool(1, Nothing)  # type: ignore[arg-type]
        seat = pool.take("", lambda: None)
        assert seat is not None
        broken = seat.decoder
        seat.scrap()
        assert isinstance(broken, Nothing)
        assert broken.closed == 1
        assert seat.decoder is not broken


@pytest.fixture(scope="module")
def installed() -> Lexicon:
    found = decoder.model()
    if found is None:
        pytest.skip(f"pocketsphinx is not installed: {Pocketsphinx.check().fix}")
    return Lexicon(found / "cmudict-en-us.dict", {})


async def final(stream: RecognizerStream) -> Final:
    async for hearing in stream:
        if isinstance(hearing, Final):
            return hearing
    raise AssertionError("the stream ended without a Final")


def grammar_of(sentences: str, lexicon: Lexicon) -> Grammar:
    return parse(f"{HEADER} public <s> = {sentences};", lexicon)


@pytest.mark.speech
class TestDecoders:
    @pytest.mark.parametrize("open_vocabulary", [False, True])
    def test_both_ways_to_the_decoder_say_the_same(self, installed: Lexicon, open_vocabulary: bool) -> None:
        if native.library() is None:
            pytest.skip("this platform's build of pocketsphinx does not export the C library's functions")
        here, there = NativeDecoder(open_vocabulary), ChildDecoder(open_vocabulary)
        grammar = None if open_vocabulary else grammar_of("good morning | banana", installed)
        try:
            for sentence in ("good morning", "banana", "what a day"):
                answers = []
                for each in (here, there):
                    each.begin(grammar, UNADAPTED)
                    each.feed(said(sentence)[:20_000])
                    guess = each.guess()
                    each.feed(said(sentence)[20_000:])
                    end, means = each.finish()
                    score = 0.0 if open_vocabulary else round(end.score, 6)
                    answers.append((guess.text, end.text, end.sentence, score, round(end.posterior, 6), means))
                assert answers[0] == answers[1]
        finally:
            here.close()
            there.close()

    def test_it_forgets_old_grammars_and_learns_them_again(self, installed: Lexicon) -> None:
        if native.library() is None:
            pytest.skip("this platform's build of pocketsphinx does not export the C library's functions")
        found = NativeDecoder(False)
        counts = ("one", "two", "three", "four", "five", "six", "seven")
        others = [grammar_of(f"{what} {n}", installed) for what in ("good", "bad", "such") for n in counts]
        assert len(others) > GRAMMARS
        for grammar in (*others, grammar_of("yes | no", installed), others[0], grammar_of("yes | no", installed)):
            found.begin(grammar, UNADAPTED)
            found.feed(said("yes"))
            guess, _ = found.finish()
            assert (guess.text == "yes") == ("yes" in grammar.text)
        found.close()
        found.close()

    def test_one_that_was_left_in_the_middle_can_be_begun_again(self, installed: Lexicon) -> None:
        if native.library() is None:
            pytest.skip("this platform's build of pocketsphinx does not export the C library's functions")
        found = NativeDecoder(False)
        grammar = grammar_of("yes | good morning", installed)
        found.begin(grammar, UNADAPTED)
        found.feed(said("good morning")[:30_000])
        found.begin(grammar, UNADAPTED)
        found.feed(said("yes"))
        assert found.finish()[0].text == "yes"
        found.close()

    def test_a_grammar_it_cannot_compile_is_an_error_and_no_crash(self, installed: Lexicon) -> None:
        if native.library() is None:
            pytest.skip("this platform's build of pocketsphinx does not export the C library's functions")
        found = NativeDecoder(False)
        with pytest.raises(SphinxError, match="compile the grammar"):
            found.begin(grammar_of("(yes", installed), UNADAPTED)
        found.close()


@pytest.mark.speech
def test_a_decoder_that_dies_costs_one_stream_and_no_more(installed: Lexicon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    hints = Hints(grammar=f"{HEADER} public <s> = good morning | yes;")
    provider = Pocketsphinx(open_vocabulary=False, speaking=1)

    async def main() -> str:
        stream = provider.stream(hints)
        stream.begin()
        stream.push(said("good morning"))
        assert isinstance(await anext(stream), Partial)
        assert stream._seat is not None
        assert isinstance(stream._seat.decoder, ChildDecoder)
        os.kill(stream._seat.decoder._worker.pid, signal.SIGKILL)
        stream.end()
        with pytest.raises(SphinxError, match="exit status -9"):
            async for _ in stream:
                pass
        stream.push(b"\0\0")
        await stream.aclose()
        second = provider.stream(hints)
        second.begin()
        second.push(said("yes"))
        second.end()
        text = (await final(second)).text
        await second.aclose()
        return text

    assert run(main()) == "yes"


class TestProvider:
    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            ({"threshold": 0}, "threshold must be a score under 0"),
            ({"speaking": 0}, "at least 1"),
            ({"guessing": 0}, "at least 1"),
        ],
    )
    def test_settings_that_make_no_sense(self, arguments: dict[str, int], complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            Pocketsphinx(**arguments)  # type: ignore[arg-type]

    def test_no_grammar_and_no_open_language_is_refused(self) -> None:
        async def main() -> None:
            with pytest.raises(ValueError, match=r"hints.grammar is empty"):
                Pocketsphinx(open_vocabulary=False).stream(Hints())

        run(main())

    @pytest.mark.speech
    def test_a_word_nobody_can_pronounce_is_named_and_can_be_taught(self, installed: Lexicon) -> None:
        hints = Hints(grammar=f"{HEADER} public <s> = ask postgres;")

        async def main() -> str:
            with pytest.raises(ValueError, match="'postgres'"):
                Pocketsphinx().stream(hints)
            stream = Pocketsphinx(words={"postgres": "P OW S T G R EH S"}).stream(hints)
            with pytest.raises(ValueError, match="'kubernetes'"):
                stream.expect(Hints(grammar=f"{HEADER} public <s> = kubernetes;"))
            stream.begin()
            stream.push(said("ask Postgres"))
            stream.end()
            text = (await final(stream)).text
            await stream.aclose()
            return text

        assert run(main()) == "ask postgres"

    @pytest.mark.speech
    def test_without_the_open_language_the_best_sentence_is_given_as_rejected(self, installed: Lexicon) -> None:
        async def main() -> Final:
            provider = Pocketsphinx(open_vocabulary=False)
            await provider.prepare()
            stream = provider.stream(Hints(grammar=f"{HEADER} public <s> = what time is it | stop | compare;"))
            stream.begin()
            stream.push(said("the train leaves at seven in the morning"))
            stream.end()
            try:
                return await final(stream)
            finally:
                await stream.aclose()

        result = run(main())
        assert result.rejected == bool(result.text)
        assert result.confidence < 0.5
