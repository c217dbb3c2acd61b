"""A file of entries: what is torn, foreign or huge in it costs nothing but itself, and it does not grow for ever."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.status import ALL_ROOMS, InMemoryStatusBackend, StatusEntry, StatusError, StatusFilter, StatusLevel
from orchestration.status.entry import MAX_DETAIL, MAX_METADATA, MAX_NAME
from orchestration.status.jsonl import MAX_LINE, JsonlFile, entry_of, line_of, tail
from tests.orchestration.status.stores import entry
from voice.clock import run

names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
metadata = st.dictionaries(texts, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts, max_size=4)
entries = st.builds(
    StatusEntry,
    names,
    names,
    st.sampled_from(StatusLevel),
    texts,
    metadata,
    st.none() | st.sampled_from(["lobby", "attic 2", "Küche"]),
    st.floats(0, 2e11),
    names,
)


def read(path: Path, limit: int = 1000, **options: int) -> list[StatusEntry]:
    async def main() -> list[StatusEntry]:
        file = JsonlFile(path, **options)
        try:
            return await file.open(limit)
        finally:
            await file.aclose()

    return run(main())


def append(path: Path, *batches: Sequence[StatusEntry], **options: int) -> None:
    async def main() -> None:
        file = JsonlFile(path, **options)
        await file.open(1)
        for batch in batches:
            await file.append(batch)
        await file.aclose()

    run(main())


# -- lines


@given(entries)
def test_a_line_stands_for_its_entry(one: StatusEntry) -> None:
    line = line_of(one)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert entry_of(line) == one
    assert entry_of(line.rstrip(b"\n")) == one


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_no_entry_or_one_that_is_right(line: bytes) -> None:
    found = entry_of(line)
    assert found is None or entry_of(line_of(found)) == found


@given(
    st.dictionaries(
        st.sampled_from([*StatusEntry.__dataclass_fields__, "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("ok"),
            lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.text(max_size=3), deeper, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_fields_of_any_kind_are_no_entry_or_one_that_is_right(fields: dict[str, Any]) -> None:
    found = entry_of(json.dumps(fields).encode())
    assert found is None or entry_of(line_of(found)) == found


@given(entries, st.data())
def test_a_torn_line_is_no_entry(one: StatusEntry, data: st.DataObject) -> None:
    line = line_of(one)
    assert entry_of(line[: data.draw(st.integers(0, len(line) - 2))]) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 10_000,
        b'{"agent_id":"a","action":"b","status":"ok","id":"1"}',
        b'{"agent_id":"a","action":"b","status":"ok","id":"1","timestamp":NaN}',
        b'{"agent_id":"a","action":"b","status":"ok","id":"1","timestamp":-1}',
        b'{"agent_id":"a","action":"b","status":"ok","id":"1","timestamp":1e300}',
        b'{"agent_id":"a","action":"b","status":"ok","id":"1","timestamp":true}',
        b'{"agent_id":"a","action":"b","status":"well","id":"1","timestamp":1}',
        b'{"agent_id":"a","action":"b","status":["ok"],"id":"1","timestamp":1}',
        b'{"agent_id":"a","action":"b","status":"ok","id":"1","timestamp":1,"level":"info"}',
        b'{"agent_id":"a\\n","action":"b","status":"ok","id":"1","timestamp":1}',
        b'\xff\xfe{"agent_id":"a"}',
    ],
)
def test_what_is_no_entry_is_told_apart(line: bytes) -> None:
    assert entry_of(line) is None


def test_the_longest_entry_is_no_line_too_long() -> None:
    astral = "\U0001f6a4"
    longest = entry(
        agent_id=astral * MAX_NAME,
        action=astral * MAX_NAME,
        detail=astral * MAX_DETAIL,
        room=astral * 64,
        metadata={"x": "y" * (MAX_METADATA - 10)},
    )
    assert len(line_of(longest)) < MAX_LINE
    assert entry_of(line_of(longest)) == longest


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line and bool(line.strip())), max_size=20))
def test_the_lines_of_a_whole_file_come_one_by_one(lines: list[bytes]) -> None:
    assert [line and line.rstrip(b"\n") for line in tail(io.BytesIO(b"\n".join(lines)), 10_000)] == [
        line.rstrip(b"\n") for line in lines
    ]


@given(st.integers(0, 3), st.integers(-2, 2), st.booleans())
def test_a_line_that_is_too_long_is_passed_over_whole(times: int, more: int, ended: bool) -> None:
    huge = b"x" * max(0, times * MAX_LINE + more)
    found = list(tail(io.BytesIO(b"first\n" + huge + b"\nlast" + b"\n" * ended), 10 * MAX_LINE))
    middle = [None] if len(huge) > MAX_LINE else [huge + b"\n"] if huge else []
    assert found == [b"first\n", *middle, b"last" + b"\n" * ended]


def test_only_the_end_of_a_huge_file_is_read() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            self.taken += len(line)
            return line

    file = Counted(b"".join(b"%d\n" % n for n in range(200_000)))
    found = list(tail(file, 1000))
    assert found[-1] == b"199999\n"
    assert found == [b"%d\n" % n for n in range(200_000 - len(found), 200_000)]
    assert file.taken <= 1000 + MAX_LINE


# -- files


def test_what_is_torn_foreign_or_huge_is_skipped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "status.jsonl"
    good = [line_of(entry(n)) for n in range(4)]
    path.write_bytes(
        good[0]
        + b"\n\n"
        + b"not json\n"
        + good[1]
        + b"x" * (3 * MAX_LINE)
        + b"\n"
        + good[2]
        + b'{"id":1}\n'
        + good[3][:-9]
    )
    assert read(path) == [entry(0), entry(1), entry(2)]
    assert "4 lines are no status entries" in caplog.text


def test_a_torn_end_does_not_swallow_what_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "status.jsonl"
    path.write_bytes(line_of(entry(1)) + line_of(entry(2))[:-5])
    append(path, [entry(3)], [entry(4)])
    assert read(path) == [entry(1), entry(3), entry(4)]
    path.write_bytes(line_of(entry(1))[:-1])  # torn between the entry and its line's end: nothing is lost
    append(path, [entry(2)])
    assert read(path) == [entry(1), entry(2)]


@given(st.lists(entries, min_size=1, max_size=6, unique_by=lambda e: e.id), st.data())
def test_wherever_it_is_torn_all_before_it_and_all_after_it_is_there(
    tmp_path_factory: pytest.TempPathFactory, many: list[StatusEntry], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("torn") / "s"
    lines = [line_of(each) for each in many]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    before = [one for n, one in enumerate(many) if len(b"".join(lines[: n + 1])) <= cut + 1]
    append(path, [entry(99)])
    assert read(path) == [*before, entry(99)]


def test_a_full_file_becomes_the_one_before_and_that_goes(tmp_path: Path) -> None:
    path = tmp_path / "status.jsonl"
    big = {"detail": "x" * 2000}
    append(path, *([entry(n, **big)] for n in range(150)), max_bytes=MAX_LINE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["status.jsonl", "status.jsonl.1"]
    assert all(p.stat().st_size < MAX_LINE + 3000 for p in tmp_path.iterdir())
    found = [int(e.id[1:]) for e in read(path, max_bytes=MAX_LINE)]
    assert found == list(range(150 - len(found), 150))
    assert len(found) > 31
    assert [e.id for e in read(path, 3, max_bytes=MAX_LINE)] == ["e147", "e148", "e149"]


@pytest.mark.parametrize("max_bytes", [0, MAX_LINE - 1, 1e6, True, "1"])
def test_a_size_that_is_none_is_told(tmp_path: Path, max_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"max_bytes must be a whole number from {MAX_LINE} on"):
        InMemoryStatusBackend(path=tmp_path / "s", max_bytes=max_bytes)


def test_a_path_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(StatusError, match=r"missing/s: No such file or directory; name a file in a directory"):
        read(tmp_path / "missing" / "s")
    with pytest.raises(StatusError, match=r"Is a directory; name a file"):
        read(tmp_path)


def test_closed_it_says_so_and_what_cannot_be_written_too(tmp_path: Path) -> None:
    async def main() -> None:
        file = JsonlFile(tmp_path / "deep" / "s")
        (tmp_path / "deep").mkdir()
        with pytest.raises(StatusError, match=r"closed; await open\(\) first"):
            await file.append([entry(1)])
        await file.open(10)
        (tmp_path / "deep" / "s").unlink()
        (tmp_path / "deep").rmdir()
        with pytest.raises(StatusError, match="No such file or directory"):
            await file.append([entry(1)])
        (tmp_path / "deep").mkdir()
        await file.append([entry(2)])
        await file.aclose()

    run(main())
    assert read(tmp_path / "deep" / "s") == [entry(2)]


def test_what_could_not_be_written_is_in_memory_and_written_later_once(tmp_path: Path) -> None:
    async def main() -> None:
        deep = tmp_path / "deep"
        deep.mkdir()
        backend = InMemoryStatusBackend(path=deep / "s")
        await backend.open()
        (deep / "s").unlink()
        deep.rmdir()
        with pytest.raises(StatusError):
            await backend.append([entry(1)])
        assert await backend.recent(9, StatusFilter(ALL_ROOMS)) == [entry(1)]
        deep.mkdir()
        await backend.append([entry(1), entry(2)])
        assert await backend.recent(9, StatusFilter(ALL_ROOMS)) == [entry(1), entry(2)]
        await backend.aclose()
        assert [entry_of(line) for line in (deep / "s").read_bytes().splitlines()] == [entry(1), entry(2)]

    run(main())
