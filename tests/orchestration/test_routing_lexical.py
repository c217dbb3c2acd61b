"""How alike sentences look: the same words are the same, other words are not, and parts of words count."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.routing_lexical import MAX_READ, LexicalIndex

EXAMPLES = ["My invoice is wrong", "The screen is black", "Ich möchte etwas kaufen", "我想退款"]
ODD = st.text(max_size=80)


@pytest.mark.parametrize("place", range(len(EXAMPLES)))
def test_an_example_is_most_like_itself_however_it_is_written(place: int) -> None:
    index = LexicalIndex(EXAMPLES)
    for text in (EXAMPLES[place], EXAMPLES[place].upper(), f"  {EXAMPLES[place]}!? "):
        found = index.similarities(text)
        assert found[place] == pytest.approx(1.0)
        assert max(found) == found[place]
    assert all(each < 0.3 for at, each in enumerate(found) if at != place)


def test_other_forms_and_slips_of_the_pen_are_found() -> None:
    index = LexicalIndex(EXAMPLES)
    assert index.similarities("both of my invoices are wrogn")[0] > 0.3


def test_what_is_rare_weighs_more() -> None:
    index = LexicalIndex(["is it red", "is it blue", "is it green", "is it soft"])
    red, blue, *_ = index.similarities("red")
    assert red > index.similarities("is it")[0]
    assert blue == 0


def test_it_knows_no_meaning() -> None:
    assert max(LexicalIndex(EXAMPLES).similarities("you charged us twice")) < 0.1


@pytest.mark.parametrize("text", ["", "?!", "...", "\n"])
def test_no_words_are_like_nothing(text: str) -> None:
    assert LexicalIndex(EXAMPLES).similarities(text) == [0.0] * 4


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    index = LexicalIndex(EXAMPLES)
    begins = "invoice ".ljust(MAX_READ, "-")
    assert index.similarities(begins + " screen" * 10_000) == index.similarities(begins)


@given(st.lists(ODD, min_size=1, max_size=8), ODD)
def test_similarities_are_from_0_to_1_and_no_order_matters(examples: list[str], text: str) -> None:
    found = LexicalIndex(examples).similarities(text)
    assert all(0 <= each <= 1 for each in found)
    turned = LexicalIndex(examples[::-1]).similarities(text)
    assert turned[::-1] == found


def test_every_process_says_the_same() -> None:
    program = (
        "from orchestration.routing_lexical import *; print(LexicalIndex(['a bill', 'a bell']).similarities('my bill'))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert said == {f"{LexicalIndex(['a bill', 'a bell']).similarities('my bill')}\n"}
