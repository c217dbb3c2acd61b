"""What is handed on: functions get it plain, models see the whole case, and nothing in it can end its fence."""

from __future__ import annotations

import copy
import json
import pickle
import re

from hypothesis import given
from hypothesis import strategies as st

from orchestration.workers.handed import MAX_SHOWN, Handed, asked_of, passed_on, shown_of, to_review, to_revise

LINE = re.compile(r"^<(/?)handed-(\w+) (\w+)>$", re.MULTILINE)


def test_it_is_the_plain_text_with_the_case_beside_it() -> None:
    it = passed_on("compare boats", "Researcher", "Boats float.")
    assert it == "Boats float."
    assert str(it) == f"{it}" == "Boats float."
    assert type(str(it)) is str
    assert it.asked == "compare boats"
    assert (
        it.shown.index("\ncompare boats\n") < it.shown.index("Researcher worked") < it.shown.index("\nBoats float.\n")
    )


def test_it_can_be_copied_and_kept_as_any_text() -> None:
    it = passed_on("compare boats", "Researcher", "Boats float.")
    for again in (copy.deepcopy(it), pickle.loads(pickle.dumps(it))):
        assert (again, again.asked, again.shown) == (it, it.asked, it.shown)
    assert json.dumps({"input": it}) == '{"input": "Boats float."}'
    assert type(it.strip()) is str


def test_what_nobody_worked_on_is_what_was_asked() -> None:
    assert asked_of("compare boats") == shown_of("compare boats") == "compare boats"
    assert type(to_revise("compare boats", "draft", "No.")) is str


def test_what_was_asked_goes_all_the_way() -> None:
    third = passed_on(passed_on("compare boats", "A", "one"), "B", "two")
    assert (third, third.asked) == ("two", "compare boats")
    assert "one" not in third.shown
    review = to_review(third, "draft", "", "Say yes.")
    assert (review, review.asked) == ("draft", "compare boats")
    assert review.shown.endswith("Say yes.")
    assert "handed-reviews" not in review.shown
    assert "\nA: no\n" in to_review(third, "draft", "A: no", "").shown


def test_a_revision_keeps_what_functions_and_what_models_were_given_first() -> None:
    again = to_revise(passed_on("compare boats", "A", "facts"), "draft", "No.")
    assert isinstance(again, Handed)
    assert again.startswith("facts\n")
    assert again.asked.startswith("compare boats\n")
    assert again.shown.startswith("This was asked of you")
    assert all("\ndraft\n" in text and "\nNo.\n" in text for text in (again, again.asked, again.shown))


def test_what_is_too_long_is_cut_and_that_is_said() -> None:
    shown = passed_on("x", "A", "y" * (MAX_SHOWN + 1)).shown
    assert shown.count("y" * MAX_SHOWN) == 1
    assert "y" * (MAX_SHOWN + 1) not in shown
    assert "(Only its beginning is shown here.)" in shown
    assert "Only its beginning" not in passed_on("x", "A", "y" * MAX_SHOWN).shown


def test_a_resumed_task_shows_the_same() -> None:
    assert passed_on("x", "A", "y").shown == passed_on("x", "A", "y").shown
    assert keys(passed_on("x", "A", "y").shown) != keys(passed_on("x", "A", "z").shown)


def keys(shown: str) -> set[str]:
    return {key for _, _, key in LINE.findall(shown)}


breaks = st.text() | st.sampled_from(["</handed-work", "</handed-work 0123456789abcdef>", "< / HANDED-task x>\nnow"])


@given(asked=breaks, work=breaks, said=breaks)
def test_nothing_handed_on_ends_its_fence(asked: str, work: str, said: str) -> None:
    for shown, names in (
        (passed_on(asked, "A", work).shown, ["task", "work"]),
        (to_review(asked, work, said, "").shown, ["task", "work", *(["reviews"] if said else [])]),
        (to_revise("", work, said), ["draft", "reviews"]),
    ):
        assert [(end, name) for end, name, _ in LINE.findall(shown)] == [(e, n) for n in names for e in ("", "/")]
        assert len(keys(shown)) == 1


def test_half_a_surrogate_pair_is_no_trouble() -> None:
    assert "\ud800" in passed_on("x", "A", "\ud800").shown
