"""Plain data is given back by JSON exactly, is bounded whatever refers to what, and is nobody's to change."""

from __future__ import annotations

import copy
import enum
import json
import math
import pickle
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.plain import MAX_BITS, MAX_DEPTH, ReadOnly, plain, thawed

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**MAX_BITS) + 1, 2**MAX_BITS - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
MAPPINGS = st.dictionaries(TEXT, VALUES, max_size=5)


class Colour(enum.StrEnum):
    RED = "red"


class Floor(enum.IntEnum):
    GROUND = 0


@given(MAPPINGS)
def test_json_gives_it_back_exactly(data: dict[str, Any]) -> None:
    kept = plain(data, "metadata", 100_000)
    assert kept == data
    assert json.loads(json.dumps(kept)) == data
    assert repr(json.loads(json.dumps(kept))) == repr(data)  # 1 is not 1.0, and True is not 1


def test_what_is_almost_plain_becomes_plain() -> None:
    given = MappingProxyType(
        {"seats": (1, 2), Colour.RED: Colour.RED, "floor": Floor.GROUND, "more": MappingProxyType({})}
    )
    kept = plain(given, "metadata", 1_000)
    assert kept == {"seats": [1, 2], "red": "red", "floor": 0, "more": {}}
    assert [type(each) for each in (kept["red"], kept["floor"])] == [str, int]


def test_it_is_a_copy_that_cannot_be_changed() -> None:
    given: dict[str, Any] = {"user": {"name": "ann"}, "tags": ["new"]}
    kept = plain(given, "metadata", 1_000)
    given["user"]["name"] = "bob"
    given["tags"].append("old")
    assert kept == {"user": {"name": "ann"}, "tags": ["new"]}
    for each in (kept, kept["user"]):
        changes: list[Callable[[Any], object]] = [
            lambda it: it.__setitem__("name", 1),
            lambda it: it.update(name=1),
            lambda it: it.pop("name"),
            lambda it: it.setdefault("name", 1),
            lambda it: it.__ior__({"name": 1}),
            lambda it: it.clear(),
            lambda it: it.popitem(),
            lambda it: it.__delitem__("name"),
        ]
        for change in changes:
            with pytest.raises(TypeError, match="read-only; make a changed copy"):
                change(each)
    assert kept == {"user": {"name": "ann"}, "tags": ["new"]}


def test_it_can_be_copied_and_pickled() -> None:
    kept = plain({"user": {"name": "ann"}}, "metadata", 1_000)
    for twin in (copy.copy(kept), copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert twin == kept
        assert isinstance(twin, ReadOnly)


@given(MAPPINGS)
def test_thawed_it_is_anybodys(data: dict[str, Any]) -> None:
    kept = plain(data, "metadata", 100_000)
    own = thawed(kept)
    assert own == kept
    own["mine"] = [1]
    assert type(own) is dict
    assert "mine" not in kept or kept["mine"] == data["mine"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "metadata: list is no mapping; give a dict"),
        ({1: "a"}, "metadata: the key 1 is no text"),
        ({"a": {None: 1}}, r"metadata\['a'\]: the key None is no text"),
        ({"a": math.nan}, r"metadata\['a'\]: nan is nothing that JSON can hold"),
        ({"a": [1, math.inf]}, r"metadata\['a'\]\[1\]: inf is nothing"),
        ({"a": object()}, r"metadata\['a'\]: object is nothing that JSON can hold; use text, numbers, lists, dicts"),
        ({"a": {1, 2}}, r"metadata\['a'\]: set is nothing"),
        ({"a": b"raw"}, r"metadata\['a'\]: bytes is nothing"),
        ({"a": "x\0y"}, r"metadata\['a'\]: it holds characters that databases do not store"),
        ({"a": "\ud800"}, r"metadata\['a'\]: it holds characters that databases do not store"),
        ({"\ud800": 1}, "metadata, a key: it holds characters"),
        ({"a": 2**MAX_BITS}, r"metadata\['a'\]: a number of 257 bits is too big"),
        ({"a": "x" * 101}, "metadata: more than 100 characters; put less into it"),
        ({"x" * 101: 1}, "metadata: more than 100 characters"),
        ({"a": [0] * 101}, "metadata: more than 100 characters"),
    ],
)
def test_what_json_cannot_give_back_is_refused_by_its_place(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        plain(given, "metadata", 100)


def test_what_refers_to_itself_or_to_one_thing_often_is_bounded() -> None:
    circle: dict[str, Any] = {}
    circle["me"] = circle
    with pytest.raises(ValueError, match=f"^metadata: more than {MAX_DEPTH} levels deep"):
        plain(circle, "metadata", 10_000)
    laughs: list[Any] = ["ha"] * 10
    for _ in range(15):
        laughs = [laughs] * 10  # a thousand million million words
    with pytest.raises(ValueError, match="more than 10000 characters"):
        plain({"laughs": laughs}, "metadata", 10_000)
    deep: Any = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert plain({"deep": deep}, "metadata", 10_000)["deep"] == deep
    with pytest.raises(ValueError, match="levels deep"):
        plain({"deep": [deep]}, "metadata", 10_000)
