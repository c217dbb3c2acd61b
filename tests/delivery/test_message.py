"""A message: every character of every piece has its place in it, and what was heard of it is heard of them."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from delivery.message import Message, Piece, compose, rest

WORDING = st.text(st.sampled_from("ab é$-.,!)“ \n"), min_size=1, max_size=30)


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    found = []
    for n in range(draw(st.integers(1, 4))):
        wording = draw(WORDING)
        found.append(Piece(f"d{n}", wording, draw(st.integers(0, len(wording)))))
    return found


def put(found: list[Piece], separator: str = " / ", resuming: str = "Again: ") -> Message:
    return compose("m", found, separator=separator, resuming=resuming)


def test_pieces_stand_one_after_the_other() -> None:
    message = put([Piece("a", "one two"), Piece("b", "three four", 5), Piece("c", " five")])
    assert message.text == "one two / Again: four / five"
    assert [message.text[p.start : p.end] for p in message.parts] == ["one two", "four", "five"]


def test_what_asks_for_the_floor_is_no_part_of_anything() -> None:
    message = compose("m", [Piece("a", "one two"), Piece("b", "three", 1)], separator="; ", opening="Well: ")
    assert message.text == "Well: one two; hree"
    assert [message.text[p.start : p.end] for p in message.parts] == ["one two", "hree"]
    assert [part.heard(len("Well: ")) for part in message.parts] == [0, 1]


def test_what_was_heard_of_each_part() -> None:
    one, two = put([Piece("a", "one two"), Piece("b", "three four", 5)]).parts
    assert [one.heard(chars) for chars in (0, 3, 7, 99)] == [0, 3, 7, 7]
    assert [two.heard(chars) for chars in (0, 7, two.start, two.start + 4)] == [5, 5, 5, 10]


def test_the_words_that_lead_back_and_the_space_after_the_last_word_are_not_the_deliverys() -> None:
    (part,) = put([Piece("a", "one two", 3)]).parts
    assert part.heard(part.start) == 3
    assert part.heard(part.start + 3) == 7


def test_what_clings_to_the_last_word_heard_is_not_spoken_on_its_own() -> None:
    assert [text[rest(text, 2) :] for text in ("It. Then", "It, then", "It (then)", "It -5", "It…) then")] == [
        "Then",
        "then",
        "(then)",
        "-5",
        "then",
    ]
    assert rest(" .5", 0) == 1


@given(pieces(), st.sampled_from([" ", "", "; "]), st.sampled_from(["", "Again: "]))
def test_every_character_that_was_not_heard_has_one_place(found: list[Piece], separator: str, resuming: str) -> None:
    message = put(found, separator, resuming)
    end = 0
    for piece, part in zip(found, message.parts, strict=True):
        assert part.delivery == piece.delivery
        assert end <= part.start <= part.end <= len(message.text)
        between = message.text[end : part.start]
        assert between in {separator, separator + resuming, resuming, ""}
        assert message.text[part.start : part.end] == piece.wording[part.offset :]
        assert not any(c.isalnum() for c in piece.wording[piece.heard : part.offset])
        end = part.end
    assert end == len(message.text)


@given(pieces())
def test_hearing_more_of_a_message_is_hearing_more_of_its_parts_in_order(found: list[Piece]) -> None:
    message = put(found)
    before = [piece.heard for piece in found]
    for chars in range(len(message.text) + 1):
        now = [part.heard(chars) for part in message.parts]
        assert all(a <= b for a, b in zip(before, now, strict=True))
        for piece, part, heard in zip(found, message.parts, now, strict=True):
            assert piece.heard <= heard <= len(piece.wording)
            if chars >= part.end > part.start:
                assert heard == len(piece.wording)
            if chars <= part.start:
                assert heard == piece.heard
        before = now


@given(WORDING, st.data())
def test_cut_again_and_again_it_is_said_once(wording: str, data: st.DataObject) -> None:
    assume(wording.strip())
    heard, said = 0, ""
    for _ in range(20):
        message = put([Piece("a", wording, heard)])
        (part,) = message.parts
        chars = data.draw(st.integers(part.start, part.end))
        said += wording[heard : part.heard(chars)]
        heard = part.heard(chars)
    assert said == wording[:heard]
