"""RTTM files: what is read of them, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.floor.replay import recorded, voices
from tests.bench.floor.rttm import RttmError, Talk, read

GOOD = """\
;; a comment
SPKR-INFO call 1 <NA> <NA> <NA> unknown anna <NA> <NA>
SPEAKER call 1 3.0 2.0 <NA> <NA> ben <NA> <NA>
SPEAKER call 1 0.5 1.0 <NA> <NA> anna <NA> <NA>
SPEAKER call 1 1.2 0.8 <NA> <NA> anna <NA> <NA>

SPEAKER call 1 6.0 1.5 <NA> <NA> anna <NA>
SPEAKER other 1 0 1 <NA> <NA> x <NA> <NA>
SPEAKER other 1 2 1 <NA> <NA> y <NA> <NA>
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "talk.rttm"
    path.write_text(text, encoding="utf-8")
    return path


def test_two_speakers_of_each_recording(tmp_path: Path) -> None:
    talk, other = read(written(tmp_path, GOOD))
    assert talk == Talk("call", ((0.5, 2.0), (6.0, 7.5)), ((3.0, 5.0),))  # overlapping stretches are one
    assert talk.length == 7.5
    assert other == Talk("other", ((0.0, 1.0),), ((2.0, 3.0),))


def test_the_caller_can_be_named(tmp_path: Path) -> None:
    talk = read(written(tmp_path, "\n".join(GOOD.splitlines()[:7])), "ben")[0]
    assert talk.caller == ((3.0, 5.0),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no SPEAKER line"),
        ("hello\nworld\n", "no SPEAKER line"),
        ("SPEAKER call 1 0.0 1.0 <NA>\n", "line 1: 6 fields"),
        ("\nSPEAKER call 1 soon 1.0 <NA> <NA> a <NA> <NA>\n", "line 2: start 'soon'"),
        ("SPEAKER call 1 0.0 -1 <NA> <NA> a <NA> <NA>\n", "within a day"),
        ("SPEAKER call 1 nan 1 <NA> <NA> a <NA> <NA>\n", "within a day"),
        ("SPEAKER call 1 0.0 1e9 <NA> <NA> a <NA> <NA>\n", "within a day"),
        ("SPEAKER call 1 0.0 1.0 <NA> <NA> a <NA> <NA>\n", "1 speakers"),
        ("".join(f"SPEAKER call 1 {n} 1.0 <NA> <NA> {who} <NA> <NA>\n" for n, who in enumerate("abc")), "3 speakers"),
        ("SPEAKER c 1 0 0 <NA> <NA> a <NA> <NA>\nSPEAKER c 1 0 1 <NA> <NA> b <NA> <NA>\n", "lines of no length"),
    ],
)
def test_a_bad_file_is_told_apart(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(RttmError, match=complaint):
        read(written(tmp_path, text))


def test_a_file_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "talk.rttm"
    with pytest.raises(RttmError, match="cannot be read"):
        read(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RttmError, match="cannot be read"):
        read(path)


def test_a_caller_who_is_not_in_it(tmp_path: Path) -> None:
    with pytest.raises(RttmError, match="no speaker 'zoe', only anna, ben"):
        read(written(tmp_path, GOOD), "zoe")


def test_a_pause_is_within_a_turn_unless_the_other_speaks_in_it() -> None:
    talk = Talk("t", ((0.0, 1.0), (2.0, 3.0), (6.0, 7.0)), ((3.5, 5.0),))
    assert [(v.starts, v.first, v.last) for v in voices(talk)] == [(0, True, False), (2, False, True), (6, True, True)]


def test_there_are_as_many_deliveries_as_were_asked_for() -> None:
    talks = [Talk("a", ((0.0, 50.0),), ((60.0, 90.0),)), Talk("b", ((0.0, 20.0),), ((21.0, 29.0),))]
    calls = recorded(talks, 11, seed=1)
    assert sum(len(call.results) for call in calls) == 11
    assert all(0 <= result.arrives <= call.length for call in calls for result in call.results)
    assert calls[0].results != calls[2].results  # the same recording, other moments
