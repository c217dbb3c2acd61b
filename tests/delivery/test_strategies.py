"""Strategies: when they let a delivery be spoken, and that they are themselves again after a restart."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.ledger import Delivery
from delivery.strategies import Immediate, Queued, Strategy, WaitForIdle, idle_since, read, resolve, seconds
from voice.floor import Blocker, FloorState, FloorView

ONE = Delivery("one", "lobby", "hello", {"name": "immediate"})
OPEN = FloorView(FloorState.OPEN, None, 10.0, 10.0)
AFTER_A_QUESTION = FloorView(FloorState.OPEN, None, 11.5, 10.0)
CLOSED = [
    FloorView(FloorState.USER_HOLDS, Blocker.CALLER_SPEAKING, 10.0),
    FloorView(FloorState.USER_HOLDS, Blocker.QUESTION, 10.0, 10.0),
    FloorView(FloorState.AGENT_AUDIBLE, Blocker.AGENT_SPEAKING, 10.0),
    FloorView(FloorState.AGENT_OWES, Blocker.REPLY, 10.0),
    FloorView(FloorState.EMPTY, Blocker.NOBODY, 10.0),
]


@dataclass(frozen=True)
class Twice(Strategy):
    name: ClassVar[str] = "test-twice"
    buffer: float = 2.0
    words: tuple[str, ...] = ()

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        return idle_since(floor, 2 * self.buffer)


@pytest.mark.parametrize("strategy", [WaitForIdle(2.0), Queued(2.0)], ids=str)
def test_idle_is_an_open_floor_for_as_long_as_the_buffer(strategy: Strategy) -> None:
    assert strategy.when(ONE, OPEN, 10.0) == 12.0
    assert strategy.when(ONE, OPEN, 50.0) == 12.0
    assert [strategy.when(ONE, floor, 10.0) for floor in CLOSED] == [None] * len(CLOSED)


@pytest.mark.parametrize(("buffer", "due"), [(0.0, 11.5), (1.0, 11.5), (1.5, 11.5), (2.0, 12.0)])
def test_a_question_is_waited_out_and_counts_towards_the_buffer(buffer: float, due: float) -> None:
    assert WaitForIdle(buffer).when(ONE, AFTER_A_QUESTION, 11.5) == due


def test_immediate_is_now_unless_nobody_hears() -> None:
    assert [Immediate().when(ONE, floor, 10.25) for floor in (OPEN, *CLOSED)] == [10.25] * 5 + [None]


def test_only_immediate_talks_over_and_only_queued_merges() -> None:
    assert [(s.talks_over, s.merges) for s in (Immediate(), WaitForIdle(), Queued())] == [
        (True, False),
        (False, False),
        (False, True),
    ]


# -- written and read


@pytest.mark.parametrize(
    "strategy",
    [Immediate(), WaitForIdle(), WaitForIdle(0.25, max_wait=None), Queued(2.0, "; ", 5.0), Twice(3.0)],
    ids=str,
)
def test_a_strategy_is_itself_again_after_a_restart(strategy: Strategy) -> None:
    again = read(json.loads(json.dumps(strategy.written())))
    assert type(again) is type(strategy)
    assert again.written() == json.loads(json.dumps(strategy.written()))


@pytest.mark.parametrize(
    ("name", "kind"), [("immediate", Immediate), ("wait_for_idle", WaitForIdle), ("queued", Queued)]
)
def test_its_name_is_enough(name: str, kind: type[Strategy]) -> None:
    assert resolve(name) == kind()


def test_a_strategy_resolves_to_itself() -> None:
    mine = WaitForIdle(3.0)
    assert resolve(mine) is mine


@pytest.mark.parametrize("written", [{"name": "wait_for_idel"}, {}, {"name": None}, {"name": ["queued"]}], ids=str)
def test_a_name_that_is_not_known_is_an_error_that_lists_those_that_are(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"known are .*immediate.*queued.*wait_for_idle"):
        read(written)


def test_a_parameter_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"strategy 'queued'.*'bufer'"):
        read({"name": "queued", "bufer": 1.0})
    with pytest.raises(ValueError, match="buffer"):
        read({"name": "queued", "buffer": -1.0})


@pytest.mark.parametrize("wrong", [None, 1, WaitForIdle])
def test_what_is_neither_a_strategy_nor_a_name_is_an_error(wrong: Any) -> None:
    with pytest.raises(ValueError, match="neither a Strategy nor the name of one"):
        resolve(wrong)


# -- parameters


@pytest.mark.parametrize("kind", [WaitForIdle, Queued])
@pytest.mark.parametrize("wrong", [None, -0.1, math.nan, math.inf, 1e9, True, "1"], ids=repr)
def test_a_buffer_is_a_number_of_seconds(kind: type[WaitForIdle], wrong: Any) -> None:
    with pytest.raises(ValueError, match="buffer"):
        kind(wrong)


@pytest.mark.parametrize("kind", [WaitForIdle, Queued])
def test_max_wait_may_be_none_but_not_nonsense(kind: type[WaitForIdle]) -> None:
    assert kind(1.0, max_wait=None).max_wait is None
    with pytest.raises(ValueError, match="max_wait"):
        kind(1.0, max_wait=-1.0)


def test_a_separator_is_text() -> None:
    with pytest.raises(ValueError, match="separator"):
        Queued(1.0, None)  # type: ignore[arg-type]


@given(st.floats(0, 24 * 3600))
def test_all_lengths_up_to_a_day_are_good(value: float) -> None:
    seconds("ttl", value)
    assert WaitForIdle(value).buffer == value


# -- a user's own


def test_a_strategy_needs_a_name_of_its_own() -> None:
    with pytest.raises(TypeError, match="needs a class attribute `name`"):

        class Nameless(WaitForIdle):
            pass

    with pytest.raises(TypeError, match=r"'queued' is taken by delivery\.strategies\.Queued"):

        class Another(Strategy):
            name: ClassVar[str] = "queued"

    assert resolve("queued") == Queued()


def test_one_name_in_two_modules_is_an_error_but_a_module_may_be_loaded_twice() -> None:
    def define(module: str) -> type[Strategy]:
        return type("Mine", (Strategy,), {"name": "test-mine", "__module__": module, "__qualname__": "Mine"})

    define("app")
    again = define("app")
    assert type(resolve("test-mine")) is again
    assert type(resolve("test-mine")) is not define("__main__")
    define("app")
    with pytest.raises(TypeError, match=r"'test-mine' is taken by app\.Mine"):
        define("other")


def test_parameters_that_would_be_lost_are_an_error() -> None:
    class Careless(Strategy):
        name: ClassVar[str] = "test-careless"

        def __init__(self, buffer: float = 1.0) -> None:
            self.buffer = buffer

    with pytest.raises(TypeError, match="make it a frozen dataclass"):
        Careless(5.0).written()


def test_a_strategy_without_parameters_needs_no_dataclass() -> None:
    class Plain(Strategy):
        name: ClassVar[str] = "test-plain"

    assert type(read(Plain().written())) is Plain
    with pytest.raises(NotImplementedError):
        Plain().when(ONE, OPEN, 0.0)
