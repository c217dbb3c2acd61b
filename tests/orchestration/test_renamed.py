"""A name from elsewhere is answered with ours, and the function stays what it is for who looks at it."""

from __future__ import annotations

import inspect

import pytest

from orchestration import Agent
from orchestration.renamed import renamed


@renamed("Boat", colour="paint")
def boat(*, paint: str, length: float = 3.0) -> str:
    """Make a boat."""
    return f"{paint}, {length:g} m"


def test_other_arguments_are_passed_on() -> None:
    assert boat(paint="red", length=4) == "red, 4 m"
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'paint'"):
        boat()  # type: ignore[call-arg]


def test_the_other_name_is_answered_although_ours_is_missing() -> None:
    with pytest.raises(TypeError, match="Boat got an unknown argument 'colour'; it is called 'paint' here"):
        boat(colour="red")  # type: ignore[call-arg]


def test_what_is_passed_on_is_not_known_here() -> None:
    @renamed("Fleet", colour="paint")
    def fleet(**boats: str) -> dict[str, str]:
        return boats

    assert fleet(paint="red", name="Anna") == {"paint": "red", "name": "Anna"}
    with pytest.raises(TypeError, match="it is called 'paint' here"):
        fleet(colour="red")


def test_it_looks_as_it_did() -> None:
    assert (boat.__name__, boat.__doc__) == ("boat", "Make a boat.")
    assert list(inspect.signature(boat).parameters) == ["paint", "length"]
    assert "model" in inspect.signature(Agent).parameters
