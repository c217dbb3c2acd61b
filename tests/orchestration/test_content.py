"""What may be spoken, what is refused by name, and what is made of a worker's text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.content import MAX_CONTENT, made_speakable, readable, speakable

ANY = st.text(st.characters(codec=None), max_size=60)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "content: NoneType is no text"),
        (b"bytes", "content: bytes is no text"),
        (7, "content: int is no text"),
        ("", "content: it is empty"),
        (" \n\t ", "content: it is empty"),
        ("x" * (MAX_CONTENT + 1), f"content: {MAX_CONTENT + 1} characters are too many; give at most {MAX_CONTENT}"),
        ("a\0b", "content: it holds control characters"),
        ("\x1b[31mred", "content: it holds control characters"),
        ("\x85\x9c", "content: it holds control characters"),
        ("half \ud83d", "content: it holds control characters"),
    ],
)
@pytest.mark.parametrize("check", [readable, speakable])
def test_what_is_no_text_is_refused_by_name(text: Any, fault: str, check: Any) -> None:
    with pytest.raises(ValueError, match=fault):
        check(text, "content")


@pytest.mark.parametrize("text", ["...", "👍", "?!", "\u200b"])
def test_what_cannot_be_said_is_refused(text: str) -> None:
    assert readable(text, "input") == text
    with pytest.raises(ValueError, match="topic: there is nothing in it to be said"):
        speakable(text, "topic")
    assert made_speakable(text) == ""


SCRIPTS = [
    "می\u200cخواهم",
    "क्\u200dष",
    "👩\u200d👧 of 3",
    "soft\u00adhyphen",
    "日本語",
    "7",
    "x" * MAX_CONTENT,
]


@pytest.mark.parametrize("text", SCRIPTS)
def test_every_script_can_be_spoken(text: str) -> None:
    assert speakable(text) == text
    assert made_speakable(text) == text


def test_what_is_spoken_is_on_one_line_and_what_is_read_keeps_its_lines() -> None:
    assert speakable(" two\r\n\tlines ") == "two lines"
    assert readable(" two\n\tlines ", "input") == " two\n\tlines "
    assert made_speakable(" two\n\tlines ") == "two\n\tlines"


def test_of_a_workers_text_what_cannot_be_spoken_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert made_speakable("a\0b \x1b[31mred\ud83d") == "ab [31mred"
    assert made_speakable("x" * (MAX_CONTENT + 5)) == "x" * MAX_CONTENT
    assert f"{MAX_CONTENT + 5} characters is cut to {MAX_CONTENT}" in caplog.text


@given(ANY)
def test_what_was_made_speakable_is(text: str) -> None:
    made = made_speakable(text)
    made.encode()
    assert made == "" or (speakable(made) and readable(made, "text") == made)
