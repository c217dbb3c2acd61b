"""A worker process says what it is told, and its end is noticed, whatever it was."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.worker import HEAD, LARGEST, Worker, WorkerDiedError, read, write


@pytest.fixture
def parrot() -> Iterator[Worker]:
    worker = Worker("tests.voice.parrot")
    yield worker
    worker.stop()


@given(st.lists(st.tuples(st.sampled_from([b"A", b"\0", b"\xff"]), st.binary(max_size=50))))
def test_what_is_written_is_read(messages: list[tuple[bytes, bytes]]) -> None:
    stream = io.BytesIO()
    for kind, content in messages:
        write(stream, kind, content)
    stream.seek(0)
    assert list(iter(lambda: read(stream), None)) == messages


@given(st.binary(max_size=30))
def test_a_stream_that_breaks_off_is_at_its_end(content: bytes) -> None:
    whole = io.BytesIO()
    write(whole, b"A", content)
    for length in range(len(whole.getvalue())):
        assert read(io.BytesIO(whole.getvalue()[:length])) is None


def test_an_impossible_length_is_no_message() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        read(io.BytesIO(HEAD.pack(b"A", LARGEST + 1)))


def test_it_answers_and_what_it_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    parrot = Worker("tests.voice.parrot")
    for content in (b"", b"hello", bytes(1_000_000)):
        parrot.send(b"A", content)
        assert parrot.receive(10) == (b"A", content)
    assert parrot.alive
    parrot.stop()
    assert not parrot.alive
    assert "must not come between" in capfd.readouterr().err


def test_its_end_is_told_with_its_status(parrot: Worker) -> None:
    parrot.send(b"D")
    with pytest.raises(WorkerDiedError, match=r"tests.voice.parrot \(process \d+\) ended, exit status"):
        parrot.receive(10)
    assert not parrot.alive
    with pytest.raises(WorkerDiedError):
        parrot.send(b"A")
    with pytest.raises(WorkerDiedError):
        parrot.receive(10)


def test_a_killed_one_is_noticed(parrot: Worker) -> None:
    os.kill(parrot.pid, signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match="exit status -9"):
        parrot.receive(10)


def test_one_that_says_nothing_is_killed(parrot: Worker) -> None:
    parrot.send(b"S")
    with pytest.raises(WorkerDiedError, match=r"said nothing for 0.1 s, exit status -9"):
        parrot.receive(0.1)
    assert not parrot.alive


def test_one_that_talks_nonsense_is_at_its_end(parrot: Worker) -> None:
    parrot.send(b"G")
    with pytest.raises(WorkerDiedError, match="out of step"):
        parrot.receive(10)
    assert not parrot.alive


def test_a_module_that_is_none_is_told() -> None:
    worker = Worker("tests.voice.no_such_module")
    with pytest.raises(WorkerDiedError, match="exit status"):
        worker.receive(10)


def test_forgetting_it_ends_it() -> None:
    worker = Worker("tests.voice.parrot")
    process = worker._process
    del worker
    assert process.returncode == -signal.SIGKILL
