from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from voice.sip.alarms import SLACK, Alarms

steps = st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 20).map(float)), max_size=40)


@settings(max_examples=60)
@given(steps, st.integers(0, 20))
def test_it_is_what_the_smallest_of_a_table_would_be(changes: list[tuple[int, float | None]], now: int) -> None:
    alarms: Alarms[int] = Alarms()
    table: dict[int, float] = {}
    for name, at in changes:
        alarms.set(name, at)
        table.pop(name, None)
        if at is not None:
            table[name] = at
        assert alarms.next() == min(table.values(), default=None)
    due = alarms.due(now)
    assert sorted(due) == sorted(name for name, at in table.items() if at <= now)
    assert [table[name] for name in due] == sorted(table[name] for name in due)
    assert alarms.next() == min((at for at in table.values() if at > now), default=None)
    assert len(alarms) == len(table) - len(due)


def test_deadlines_that_are_always_put_off_do_not_pile_up() -> None:
    alarms: Alarms[str] = Alarms()
    alarms.set("first", 1.0)
    for at in range(10_000):
        alarms.set("call", 1000.0 + at)
    assert len(alarms._heap) <= 2 * 2 + SLACK + 1
    assert alarms.due(1.0) == ["first"]
    assert alarms.next() == 10_999.0
