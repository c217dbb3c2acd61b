"""Whether a value fits a JSON Schema: the part of it that tools and structured answers use.

Known are type, enum, const, properties, required, additionalProperties, items, anyOf, oneOf, allOf, $ref within the
schema, and the limits of numbers, texts and lists (https://json-schema.org/draft/2020-12). Other words are not looked
at. JSON's numbers: true is none, nor is NaN, and 1.0 is a whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_DEPTH = 100
"""Levels down to which a value is looked at; one that is deeper does not fit."""
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0,
    "integer": lambda value: not isinstance(value, bool) and isinstance(value, int | float) and value == value // 1,
}
_LIMITS: Mapping[str, tuple[str, Callable[[Any, Any], bool], str]] = {
    "minimum": ("number", lambda value, limit: value >= limit, "is less than"),
    "maximum": ("number", lambda value, limit: value <= limit, "is more than"),
    "exclusiveMinimum": ("number", lambda value, limit: value > limit, "is not more than"),
    "exclusiveMaximum": ("number", lambda value, limit: value < limit, "is not less than"),
    "minLength": ("string", lambda value, limit: len(value) >= limit, "is shorter than"),
    "maxLength": ("string", lambda value, limit: len(value) <= limit, "is longer than"),
    "minItems": ("array", lambda value, limit: len(value) >= limit, "has fewer items than"),
    "maxItems": ("array", lambda value, limit: len(value) <= limit, "has more items than"),
}


class MisfitError(ValueError):
    """What does not fit, and where."""


def check(value: Any, schema: Mapping[str, Any]) -> None:
    """Raises MisfitError naming the first place that does not fit, like "steps[2].who"."""
    _Check(schema).value(value, schema, "", 0)


class _Check:
    def __init__(self, whole: Mapping[str, Any]) -> None:
        self._whole = whole

    def value(self, value: Any, schema: Any, place: str, depth: int) -> None:
        """One value against one schema."""
        if schema is True or not isinstance(schema, Mapping):
            if schema is False:
                raise _misfit(place, "is not allowed")
            return
        if depth > MAX_DEPTH:
            raise _misfit(place, "is too deep")
        if isinstance(reference := schema.get("$ref"), str):
            self.value(value, self._referred(reference), place, depth + 1)
        self._kind(value, schema, place)
        self._ways(value, schema, place, depth)
        for word, (kind, fits, how) in _LIMITS.items():
            if word in schema and _TYPES[kind](value) and not fits(value, schema[word]):
                raise _misfit(place, f"{how} {schema[word]}")
        if isinstance(value, Mapping):
            self._object(value, schema, place, depth)
        if isinstance(value, list):
            for number, each in enumerate(value):
                self.value(each, schema.get("items", True), f"{place}[{number}]", depth + 1)

    def _kind(self, value: Any, schema: Mapping[str, Any], place: str) -> None:
        kinds = schema.get("type", ())
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(_TYPES.get(kind, _never)(value) for kind in kinds):
            raise _misfit(place, f"is no {' or '.join(kinds)}")
        if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
            raise _misfit(place, f"is none of {', '.join(map(repr, schema['enum']))[:300]}")
        if "const" in schema and not _same(value, schema["const"]):
            raise _misfit(place, f"is not {schema['const']!r:.60}")

    def _ways(self, value: Any, schema: Mapping[str, Any], place: str, depth: int) -> None:
        for each in schema.get("allOf", ()):
            self.value(value, each, place, depth + 1)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                fitting = sum(self._fits(value, way, place, depth + 1) for way in schema[word])
                if not fitting or (word == "oneOf" and fitting > 1):
                    raise _misfit(place, f"fits {'more than one' if fitting else 'none'} of the ways it may be")

    def _fits(self, value: Any, schema: Any, place: str, depth: int) -> bool:
        try:
            self.value(value, schema, place, depth)
        except MisfitError:
            return False
        return True

    def _object(self, value: Mapping[str, Any], schema: Mapping[str, Any], place: str, depth: int) -> None:
        known = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in value:
                raise _misfit(_inside(place, name), "is missing")
        others = schema.get("additionalProperties", True)
        for name, each in value.items():
            self.value(each, known.get(name, others), _inside(place, name), depth + 1)

    def _referred(self, reference: str) -> Any:
        """Raises MisfitError for one that leads nowhere: nothing fits then."""
        found: Any = self._whole
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        if not reference.startswith("#") or found is None:
            raise MisfitError(f"the schema refers to {reference!r:.60}, which is not there")
        return found


def _same(one: Any, other: Any) -> bool:
    """JSON's equality, for which true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _never(_: Any) -> bool:
    return False


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _misfit(place: str, what: str) -> MisfitError:
    return MisfitError(f"{place[:200] or 'it'} {what}")


__all__: Sequence[str] = ["MAX_DEPTH", "MisfitError", "check"]
