"""Which of several pieces of work a few words mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.strategies.about import meant

WORK = ["boats", "the history of trains", "trains in Spain", "Übergrößen für Segler"]


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ("boats", ["boats"]),
        ("boat", ["boats"]),
        ("the one about BOATS, please", ["boats"]),
        ("trains", ["the history of trains", "trains in Spain"]),
        ("the trains in Spain", ["trains in Spain"]),
        ("history", ["the history of trains"]),
        ("übergröße", ["Übergrößen für Segler"]),
        ("planes", []),
        ("rain", []),
        ("", WORK),
        ("that one", WORK),
        ("?!", WORK),
    ],
)
def test_the_one_that_fits_best_is_meant(about: str, found: list[str]) -> None:
    assert meant(about, WORK, str) == found


def test_nothing_is_meant_of_nothing() -> None:
    assert meant("boats", [], str) == []
    assert meant("", [], str) == []


@given(st.text(max_size=50), st.lists(st.text(max_size=50), max_size=5))
def test_whatever_is_said_it_is_some_of_them_in_their_order(about: str, items: list[str]) -> None:
    numbers = meant(about, range(len(items)), lambda number: items[number])
    assert numbers == sorted(set(numbers))


@given(st.lists(st.sampled_from(["boats", "trains", "planes", "ships"]), min_size=1, max_size=5))
def test_what_is_named_in_full_is_always_meant(words: list[str]) -> None:
    assert " ".join(words) in meant(" ".join(words), [" ".join(words), "something else"], str)
