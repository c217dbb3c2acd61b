"""Patterns: every sentence that can be made of one is one of it, is in its grammar, and no other words are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.models.patterns import MAX_SENTENCE, Pattern, plain_words
from orchestration.models.scripted import Intent, Scripted
from tests.orchestration.models.jsgf import compiled

SLOTS = {"city": ["Rome", "New York", "York"], "number": ["one", "two"], "what": ["R&D", "e-mail", "what's on"]}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Hello, World!", "hello world"),
        ("  What's   up?\n", "what's up"),
        ("What’s up", "what's up"),
        ("e-mail R&D", "e mail r d"),
        ("Grüße aus Zürich.", "grüße aus zürich"),
        ("…?!", ""),
        ("", ""),
    ],
)
def test_plain_words(text: str, plain: str) -> None:
    assert plain_words(text) == plain
    assert plain_words(plain) == plain


@pytest.mark.parametrize(
    ("pattern", "sentence", "slots"),
    [
        ("hello", "hello", {}),
        ("Hello, you!", "hello you", {}),
        ("how are you ?", "how are you", {}),
        ("what's up", "what's up", {}),
        ("[please] look up", "look up", {}),
        ("[please] look up", "please look up", {}),
        ("look up [for me] [please]", "look up please", {}),
        ("(look|find) out", "find out", {}),
        ("(look into|find out about) it", "find out about it", {}),
        ("hello|good morning", "good morning", {}),
        ("time [in {city}]", "time", {}),
        ("time [in {city}]", "time in new york", {"city": "new york"}),
        ("go [(right [now]|soon)] home", "go right now home", {}),
        ("go [(right [now]|soon)] home", "go right home", {}),
        ("go [(right [now]|soon)] home", "go home", {}),
        ("{number} and {number}", "one and two", {"number": "one", "number2": "two"}),
        ("(from {city}|to {city})", "to rome", {"city": "rome"}),
        ("[{number}] more {number}", "more two", {"number": "two"}),
        ("read {what}", "read r d", {"what": "r d"}),
        ("read {what}", "read e mail", {"what": "e mail"}),
        ("find { topic } now", "find the best boats now", {"topic": "the best boats"}),
        ("find {topic} [now]", "find boats now", {"topic": "boats now"}),
        ("{a} or {b}", "tea or coffee", {"a": "tea", "b": "coffee"}),
        ("1 2 3", "1 2 3", {}),
    ],
)
def test_a_sentence_of_a_pattern(pattern: str, sentence: str, slots: Mapping[str, str]) -> None:
    assert Pattern(pattern, SLOTS).match(sentence) == slots


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("hello", ""),
        ("hello", "hello there"),
        ("hello", "helloo"),
        ("hello|bye", "hello bye"),
        ("a b", "ab"),
        ("a [b] c", "a b"),
        ("time in {city}", "time in"),
        ("time in {city}", "time in paris"),
        ("time in {city}", "time in new"),
        ("find {topic}", "find"),
        ("find {topic} now", "find now"),
        ("a.c", "abc"),
        ("find {topic}", "find " + "x" * MAX_SENTENCE),
    ],
)
def test_what_is_no_sentence_of_a_pattern(pattern: str, sentence: str) -> None:
    assert Pattern(pattern, SLOTS).match(sentence) is None


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("", "empty"),
        ("?!", "empty"),
        ("[please]", "all of it may be left out"),
        ("[a] [b]|c", "all of it may be left out"),
        ("([a]|b)", "all of it may be left out"),
        ("look [at", r"'\[' is not closed"),
        ("look (at]", r"'\(' is not closed"),
        ("look at]", "']' was not opened"),
        ("look )at", r"'\)' was not opened"),
        ("a||b", "a choice or the whole of it is empty"),
        ("(a|)", r"empty; what may be left out is written \[so\]"),
        ("[]", "empty"),
        ("look at {", "'{' stands alone"),
        ("look at }", "'}' stands alone"),
        ("look at {}", "'' is no name of a slot"),
        ("look at {two words}", "'two words' is no name of a slot"),
        ("look at {2x}", "'2x' is no name of a slot"),
        ("look at {größe}", "is no name of a slot"),
        ("look at {a{b}}", "'{' stands alone"),
    ],
)
def test_what_is_no_pattern_is_refused_by_name(pattern: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        Pattern(pattern, SLOTS)
    assert str(caught.value).startswith(f"pattern {pattern!r}: ")


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        ("[please] look into {topic} [for me]", "look into something"),
        ("time in {city}", "time in Rome"),
        ("go [(right [now]|soon)] (home [sweet]|away)", "go home"),
    ],
)
def test_an_example_leaves_out_what_may_be_left_out(pattern: str, example: str) -> None:
    assert Pattern(pattern, SLOTS).example() == example


def test_a_pattern_with_a_slot_for_any_words_is_not_closed() -> None:
    assert Pattern("time in {city}", SLOTS).closed
    assert not Pattern("time in {city} or {town}", SLOTS).closed
    assert Pattern("time in {city} or {town}", SLOTS).slots == {"city", "town"}


# -- any pattern, and any sentence made of it: both as text, made together

WORDS = st.sampled_from(["a", "b", "go", "what's", "Tea"])


def _slot(name: str) -> st.SearchStrategy[tuple[str, str]]:
    words = SLOTS.get(name, ["any old words", "x"])
    return st.sampled_from(words).map(lambda word: (f"{{{name}}}", plain_words(word)))


def _sequence(parts: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    return st.lists(parts, min_size=1, max_size=3).map(
        lambda chosen: (" ".join(p for p, _ in chosen), " ".join(s for _, s in chosen if s))
    )


def _bracketed(inner: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    ways = st.lists(_sequence(inner), min_size=1, max_size=3)

    def write(ways: list[tuple[str, str]], optional: bool, said: int) -> tuple[str, str]:
        body = "|".join(pattern for pattern, _ in ways)
        if optional:
            return f"[{body}]", "" if said < 0 else ways[said % len(ways)][1]
        return f"({body})", ways[said % len(ways)][1]

    return st.builds(write, ways, st.booleans(), st.integers(-1, 2))


LEAVES = WORDS.map(lambda word: (word, plain_words(word))) | st.sampled_from(["city", "number", "what"]).flatmap(_slot)
FREE = LEAVES | _slot("free")
PARTS = st.recursive(LEAVES, _bracketed, max_leaves=8)
CLOSED = st.tuples(PARTS, WORDS).map(lambda made: (f"{made[0][0]} {made[1]}", f"{made[0][1]} {made[1]}"))
OPEN = st.tuples(st.recursive(FREE, _bracketed, max_leaves=8), WORDS).map(
    lambda made: (f"{made[0][0]} {made[1]}", f"{made[0][1]} {made[1]}")
)


@given(OPEN)
def test_every_sentence_made_of_a_pattern_is_understood_as_that(made: tuple[str, str]) -> None:
    says, sentence = made
    intent = Intent([says], answer="yes")
    understood = Scripted([intent], slots=SLOTS).understand(sentence)
    assert understood is not None
    assert understood[0] is intent


@given(OPEN, st.text(max_size=20))
def test_whatever_is_said_is_understood_or_not_and_nothing_else(made: tuple[str, str], said: str) -> None:
    Scripted([Intent([made[0]])], slots=SLOTS).understand(said)


@given(OPEN)
def test_a_pattern_understands_its_own_example(made: tuple[str, str]) -> None:
    pattern = Pattern(made[0], SLOTS)
    assert pattern.match(plain_words(pattern.example())) is not None


@pytest.mark.speech
@given(CLOSED, st.lists(st.sampled_from(["a", "b", "go", "what's", "tea", "rome", "york", "one"]), max_size=4))
def test_the_grammar_accepts_what_the_patterns_understand_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[str, str], words: list[str]
) -> None:
    scripted = Scripted([Intent([made[0]]), Intent(["go go"])], slots=SLOTS)
    accepts = compiled(scripted.grammar(), tmp_path_factory.getbasetemp() / "said.gram")
    other = " ".join(words)
    for sentence in (plain_words(made[1]), "go go", other):
        assert accepts(sentence) == (scripted.understand(sentence) is not None)
    assert accepts(plain_words(made[1]))
