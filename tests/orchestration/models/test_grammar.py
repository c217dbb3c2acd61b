"""Merged grammars: what each of them understands is understood, nothing else is, and names never clash."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.models.grammar import merged
from orchestration.models.scripted import Intent, Scripted
from tests.orchestration.models.jsgf import compiled

BILLING = Scripted(
    [Intent(["the {thing} is (too high|wrong)"]), Intent(["hello"])], slots={"thing": ["bill", "last invoice"]}
)
SUPPORT = Scripted(
    [Intent(["my {thing} does not work"]), Intent(["hello [there]"])], slots={"thing": ["phone", "television"]}
)


def test_the_rules_of_both_stay_apart() -> None:
    assert merged([BILLING.grammar(), SUPPORT.grammar()]).splitlines() == [
        "#JSGF V1.0;",
        "grammar sottovoce;",
        "<m1_thing> = bill | last invoice;",
        "<m1_said> = ( the <m1_thing> is ( too high | wrong ) ) | ( hello );",
        "<m2_thing> = phone | television;",
        "<m2_said> = ( my <m2_thing> does not work ) | ( hello [ there ] );",
        "public <said> = <m1_said> | <m2_said>;",
    ]


@pytest.mark.parametrize("grammars", [[], [""], ["", " \n"]])
def test_of_none_there_is_none(grammars: Sequence[str]) -> None:
    assert merged(grammars) == ""


@pytest.mark.parametrize("alone", [BILLING.grammar(), "no grammar at all", "#JSGF V1.0; import <x>;"])
def test_one_alone_stays_as_it_is(alone: str) -> None:
    assert merged([alone]) == merged(["", alone, alone]) == alone


def test_all_that_grammars_may_hold_is_kept() -> None:
    one = """#JSGF V1.0 UTF-8 en;  // the header; with a comment
        grammar com.shop.orders; /* <rule> = that; is none */
        public <order> = /2.5/ [<polite>] buy <com.shop.orders.what> {a <tag> ; \\} } | (/1/ "<quoted;>")+;
        public <cancel> = <NULL> cancel <what>* ;
        <what> = a boat;
        <polite>=please"""
    rules = merged([one, "#JSGF V1.0; grammar x; public <what> = tea;"]).splitlines()
    assert rules == [
        "#JSGF V1.0;",
        "grammar sottovoce;",
        '<m1_order> = /2.5/ [<m1_polite>] buy <m1_what> {a <tag> ; \\} } | (/1/ "<quoted;>")+;',
        "<m1_cancel> = <NULL> cancel <m1_what>*;",
        "<m1_what> = a boat;",
        "<m1_polite> = please;",
        "<m2_what> = tea;",
        "public <said> = <m1_order> | <m1_cancel> | <m2_what>;",
    ]


def test_merged_ones_can_be_merged() -> None:
    twice = merged([merged([BILLING.grammar(), SUPPORT.grammar()]), "#JSGF V1.0; grammar x; public <said> = tea;"])
    assert "<m1_m1_thing> = bill | last invoice;" in twice
    assert twice.endswith("public <said> = <m1_said> | <m2_said>;")


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("hello", "grammar 'hello': it does not begin with '#JSGF V1.0;'"),
        (";", "it does not begin with"),
        ("#JSGF V1.0; grammar x; <said> = hello;", "it has no public rule"),
        ("#JSGF V1.0;", "it has no public rule"),
        ("#JSGF V1.0; grammar x; import <y>; public <said> = hello;", "'import <y>' is no rule"),
        ("#JSGF V1.0; grammar x; public said = hello;", "'public said = hello' is no rule"),
        ('#JSGF V1.0; grammar x; public <said> = a "b;', "'\"' is not closed"),
        ("#JSGF V1.0; grammar x; public <said> = a {b;", "'{' is not closed"),
        ("#JSGF V1.0; grammar x; public <said> = a <b;", "'<' is not closed"),
        ("#JSGF V1.0; grammar x; /* public <said> = a;", r"'/\*' is not closed"),
    ],
)
def test_what_is_no_grammar_is_refused_by_name(wrong: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        merged([BILLING.grammar(), wrong])


@given(st.lists(st.text(alphabet='<>=;/*"{}|ab. #JSGFgrampublic\n', max_size=60), max_size=3))
def test_garbage_is_merged_or_refused(bodies: list[str]) -> None:
    try:
        text = merged([BILLING.grammar(), *(f"#JSGF V1.0; public <a> = {body};" for body in bodies)])
    except ValueError:
        return
    assert merged([text, SUPPORT.grammar()]).endswith("public <said> = <m1_said> | <m2_said>;")


SLOTS = {"one": ["tea", "york"], "two": ["a", "york"]}
PATTERNS = st.lists(st.sampled_from(["go {one}", "go {two}", "b [go]", "{one} {two}", "a|b {one}", "tea"]), min_size=1)


@pytest.mark.speech
@given(
    st.lists(st.tuples(PATTERNS, st.permutations(["one", "two"])), min_size=2, max_size=3),
    st.lists(st.sampled_from(["a", "b", "go", "tea", "york"]), min_size=1, max_size=3),
)
def test_the_recogniser_accepts_what_one_of_them_understands_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[list[str], list[str]]], words: list[str]
) -> None:
    scripts = [
        Scripted([Intent(patterns)], slots=dict(zip(names, SLOTS.values(), strict=True))) for patterns, names in made
    ]
    accepts = compiled(merged([script.grammar() for script in scripts]), tmp_path_factory.getbasetemp() / "all.gram")
    sentences = [" ".join(words), *(sentence.lower() for script in scripts for sentence in script.examples())]
    for sentence in sentences:
        assert accepts(sentence) == any(script.understand(sentence) for script in scripts)
    assert all(map(accepts, sentences[1:]))
