"""Values against JSON Schemas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.models.schema_check import MisfitError, check

STEP = {
    "type": "object",
    "properties": {"who": {"enum": ["ann", "bob"]}, "hours": {"type": "number", "minimum": 0, "maximum": 8}},
    "required": ["who"],
    "additionalProperties": False,
}
PLAN = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 1, "maxLength": 10},
        "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1, "maxItems": 3},
        "done": {"type": "boolean"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "count": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 5},
        "kind": {"const": 1},
        "either": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        "both": {"allOf": [{"type": "string"}, {"minLength": 2}]},
        "extra": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    },
    "required": ["steps"],
    "$defs": {"step": STEP},
}


@pytest.mark.parametrize(
    "more",
    [
        {"title": "tea"},
        {"done": True, "note": None},
        {"note": "x", "count": 4, "kind": 1, "either": 1.5, "both": "ab"},
        {"count": 1.0},
        {"extra": {"a": "b"}},
        {"extra": None},
        {"unknown": object()},
        {"steps": [{"who": "bob", "hours": 8}, {"who": "ann", "hours": 0.5}]},
    ],
)
def test_what_fits(more: dict[str, Any]) -> None:
    check({"steps": [{"who": "ann"}], **more}, PLAN)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"steps": []}, r"steps has fewer items than 1"),
        ({"steps": [{"who": "ann"}] * 4}, r"steps has more items than 3"),
        ({"steps": [{"who": "ann"}, {"who": "eve"}]}, r"steps\[1\]\.who is none of 'ann', 'bob'"),
        ({"steps": [{}]}, r"steps\[0\]\.who is missing"),
        ({"steps": [{"who": "ann", "why": 1}]}, r"steps\[0\]\.why is not allowed"),
        ({"steps": [{"who": "ann", "hours": 9}]}, r"steps\[0\]\.hours is more than 8"),
        ({"steps": [{"who": "ann", "hours": -1}]}, r"steps\[0\]\.hours is less than 0"),
        ({"steps": [{"who": "ann", "hours": True}]}, r"steps\[0\]\.hours is no number"),
        ({"steps": "many"}, r"steps is no array"),
        ({"title": ""}, r"title is shorter than 1"),
        ({"title": "much too long"}, r"title is longer than 10"),
        ({"done": 1}, r"done is no boolean"),
        ({"note": 3}, r"note fits none of the ways"),
        ({"count": 1.5}, r"count is no integer"),
        ({"count": 0}, r"count is not more than 0"),
        ({"count": 5}, r"count is not less than 5"),
        ({"kind": True}, r"kind is not 1"),
        ({"either": 1}, r"either fits more than one"),
        ({"both": "a"}, r"both is shorter than 2"),
        ({"extra": {"a": 1}}, r"extra\.a is no string"),
        ({"extra": []}, r"extra is no object or null"),
    ],
)
def test_what_does_not_fit_is_named(more: dict[str, Any], told: str) -> None:
    with pytest.raises(MisfitError, match=f"^{told}"):
        check({"steps": [{"who": "ann"}], **more}, PLAN)


def test_odd_schemas_are_no_way_around() -> None:
    for schema in ({"$ref": "#/nowhere"}, {"$ref": "http://x/y"}, {"type": "riddle"}, {"$ref": "#"}):
        with pytest.raises(MisfitError):
            check({}, schema)
    check({}, {"not known": 1})
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(MisfitError, match="too deep"):
        check(deep, {"$ref": "#/$defs/list", "$defs": {"list": {"items": {"$ref": "#/$defs/list"}}}})


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
)


@given(values)
def test_any_value_is_told_from_a_plan(value: Any) -> None:
    if isinstance(value, dict) and "steps" in value:
        return
    with pytest.raises(MisfitError):
        check(value, PLAN)
