from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import pytest

from orchestration.printer import Printer, clock, words_of
from orchestration.transcript import Entry, Transcript


def printed(transcript: Transcript) -> list[str]:
    out = io.StringIO()
    Printer(out, 0, patient=True).show(transcript)
    return out.getvalue().splitlines()


def lines_of(source: int) -> list[str]:
    async def read() -> list[str]:
        return [line async for line in Printer(io.StringIO(), source, patient=True).typed()]

    return asyncio.run(read())


def test_a_line_has_its_time_since_the_first_its_label_and_its_words() -> None:
    transcript = Transcript()
    transcript.add(1000.0, "note", "(in the room)")
    transcript.add(1004.25, "you", "look into boats")
    transcript.add(1071.0, "agent", "On").cut = True
    transcript.add(1072.0, "agent", "", open=True)
    assert printed(transcript) == [
        " 0:00.0            (in the room)",
        " 0:04.2  you       look into boats",
        " 1:11.0  agent     On — (cut)",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0:00.0"), (59.96, "1:00.0"), (3599.0, "59:59.0"), (-1e-9, "0:00.0")]
)
def test_times(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_line_that_was_cut_before_its_first_word_shows_that() -> None:
    assert words_of(Entry(0.0, "agent", "", cut=True)) == "— (cut)"


def test_lines_come_from_a_pipe_however_it_is_cut_up() -> None:
    reader, writer = os.pipe()
    for chunk in (b"hel", b"lo\nw\xc3", b"\xb6rld\n\n\xff", b"last"):
        os.write(writer, chunk)
    os.close(writer)
    assert lines_of(reader) == ["hello", "wörld", "", "\ufffdlast"]
    os.close(reader)


def test_lines_come_from_a_file(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("x" * 10_000 + "\nend\n")
    with script.open() as source:
        assert lines_of(source.fileno()) == ["x" * 10_000, "end"]


def test_a_source_that_is_gone_has_no_lines() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    assert lines_of(reader) == []


def test_an_output_of_few_letters_is_printed_to_all_the_same() -> None:
    raw = io.BytesIO()
    printer = Printer(io.TextIOWrapper(raw, "ascii"), 0, patient=True)
    printer.tell("ünder — way")
    assert raw.getvalue() == b"?nder ? way\n"


def test_when_nobody_reads_any_more_it_says_so_once_and_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    gone: list[bool] = []
    with os.fdopen(writer, "w") as output:
        printer = Printer(output, 0, patient=True, gone=lambda: gone.append(True))
        printer.tell("one")
        printer.tell("two")
    assert gone == [True]
