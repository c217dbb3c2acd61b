"""Whatever our conversations look like, the Messages API takes them: its rules are those of `tests.fakes`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.models.anthropic import Anthropic
from orchestration.models.anthropic_request import BEGIN, GO_ON, NO_RESULT, messages_of
from orchestration.models.model import Message, Role, ToolCall, ToolSpec
from tests.fakes.anthropic_rules import Cache, Refused, check

LOOK = ToolSpec("look", "Look it up.", {"type": "object", "properties": {}})


def user(text: str) -> Message:
    return Message(Role.USER, text)


def said(text: str, *calls: ToolCall) -> Message:
    return Message(Role.ASSISTANT, text, calls)


def result(call: str, text: str) -> Message:
    return Message(Role.TOOL, text, call=call)


def call(id: str, name: str = "look", **arguments: Any) -> ToolCall:
    return ToolCall(id, name, arguments)


def request(messages: Sequence[Message], *, tools: Sequence[ToolSpec] = (), prompt: str = "", **how: Any) -> Any:
    """As it goes over the wire. Raises Refused when the API would."""
    body = Anthropic(**how)._request(messages, prompt, tools)
    written = json.loads(json.dumps(body, allow_nan=False).encode())
    check(written)
    return written


def short(messages: Sequence[Message]) -> list[Any]:
    """Role and blocks, shortly."""
    turns = messages_of(messages)
    check(
        {"model": "m", "max_tokens": 1, "messages": turns, "tools": [{"name": "t", "input_schema": {"type": "object"}}]}
    )
    return [(turn["role"], [_short(block) for block in turn["content"]]) for turn in turns]


def _short(block: dict[str, Any]) -> Any:
    match block["type"]:
        case "text":
            return block["text"]
        case "tool_use":
            return (block["id"], block["input"])
    return (block["tool_use_id"], block["content"], block.get("is_error", False))


def test_neighbours_of_one_role_are_one_message() -> None:
    assert short([user("a"), user("b"), said("c"), said("d"), user("e")]) == [
        ("user", ["a", "b"]),
        ("assistant", ["c", "d"]),
        ("user", ["e"]),
    ]


def test_results_come_right_behind_their_calls_whatever_was_said_between() -> None:
    talk = [user("a"), said("", call("1"), call("2")), user("b"), result("2", "two"), said("c"), result("1", "one")]
    assert short([*talk, user("d")]) == [
        ("user", ["a"]),
        ("assistant", [("1", {}), ("2", {})]),
        ("user", [("1", "one", False), ("2", "two", False), "b"]),
        ("assistant", ["c"]),
        ("user", ["d"]),
    ]


def test_a_call_without_a_result_says_so_and_a_result_without_a_call_is_left_out() -> None:
    assert short([result("0", "zero"), user("a"), said("", call("1")), user("b")]) == [
        ("user", ["a"]),
        ("assistant", [("1", {})]),
        ("user", [("1", NO_RESULT, True), "b"]),
    ]


def test_errors_of_tools_are_marked_as_such() -> None:
    turns = short([user("a"), said("", call("1")), result("1", "error: it is out of order")])
    assert turns[-1] == ("user", [("1", "error: it is out of order", True)])


def test_a_conversation_begins_and_ends_with_the_user() -> None:
    assert short([said("Hello, how can I help?")]) == [
        ("user", [BEGIN]),
        ("assistant", ["Hello, how can I help?"]),
        ("user", [GO_ON]),
    ]
    assert short([]) == [("user", [BEGIN])]
    assert short([user(" \n")]) == [("user", [BEGIN])]


def test_ids_that_come_again_are_told_apart_and_odd_ones_made_plain() -> None:
    talk = [user("a"), said("", call("c"), call("c")), result("c", "1"), result("c", "2")]
    talk += [said("", call("c")), result("c", "3"), said("", call("über 1")), result("über 1", "4"), user("b")]
    assert [turn[1] for turn in short(talk) if turn[0] == "user"] == [
        ["a"],
        [("c", "1", False), ("c_2", "2", False)],
        [("c_3", "3", False)],
        [("_ber_1", "4", False), "b"],
    ]


def test_what_is_no_text_and_no_json_is_made_some() -> None:
    odd = ToolCall("1", "no name!", {"a": math.inf, "b": {1: ("x", "\ud800")}, "c": object})
    body = request([user("half a \ud83d face"), said("", odd), result("1", "")], tools=[LOOK])
    assert body["messages"][0]["content"][0]["text"] == "half a ? face"
    use = body["messages"][1]["content"][0]
    assert (use["name"], use["input"]) == ("no_name_", {"a": "inf", "b": {"1": ["x", "?"]}, "c": "<class 'object'>"})


def test_a_conversation_with_calls_can_be_told_on_without_tools() -> None:
    body = request([user("a"), said("", call("1")), result("1", "one"), user("b")])
    assert [tool["name"] for tool in body["tools"]] == ["look"]
    assert body["tool_choice"] == {"type": "none"}


def test_the_prompt_the_tools_and_the_conversation_are_cached() -> None:
    body = request(
        [user("a"), said("b"), user("c")], tools=[LOOK, ToolSpec("b", "", {})], prompt="Be kind.", cache="1h"
    )
    mark = {"type": "ephemeral", "ttl": "1h"}
    assert body["system"] == [{"type": "text", "text": "Be kind.", "cache_control": mark}]
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, mark]
    assert body["messages"][-1]["content"] == [{"type": "text", "text": "c", "cache_control": mark}]
    assert "cache_control" not in json.dumps(request([user("a")], tools=[LOOK], prompt="x", cache=False))


def test_a_conversation_that_grows_is_read_from_the_cache_but_for_its_end() -> None:
    cache, talk = Cache(), [user("a question " * 10)]
    for _ in range(12):
        before = cache.counts(request(talk, tools=[LOOK], prompt="Be kind. " * 20))
        talk += [said("an answer"), user("another question")]
        now = cache.counts(request(talk, tools=[LOOK], prompt="Be kind. " * 20))
        assert (
            now["cache_read_input_tokens"] >= before["cache_read_input_tokens"] + before["cache_creation_input_tokens"]
        )
        assert now["cache_creation_input_tokens"] < 50
        assert now["input_tokens"] == 0


def test_how_it_thinks_is_said_as_each_model_takes_it() -> None:
    def thinking(**how: Any) -> Any:
        body = request([user("a")], **how)
        return body.get("thinking", {}).get("type"), body.get("output_config")

    assert thinking() == ("disabled", None)
    assert thinking(effort="high") == (None, {"effort": "high"})
    assert thinking(model="claude-sonnet-5-5") == (None, None)
    assert thinking(model="claude-sonnet-5-5", thinking=False) == ("between_tools", None)
    assert thinking(thinking=True) == ("adaptive", None)


def test_the_rules_know_what_is_illegal() -> None:
    right = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}
    check(right)
    use = {"type": "tool_use", "id": "1", "name": "t", "input": {}}
    for wrong in (
        [],
        [{"role": "assistant", "content": "a"}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        [{"role": "user", "content": " "}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": [use]}, {"role": "user", "content": "b"}],
    ):
        with pytest.raises(Refused):
            check({**right, "messages": wrong, "tools": [{"name": "t", "input_schema": {"type": "object"}}]})


texts = st.one_of(st.sampled_from(["", " ", "hello", "error: no", "\ud800", "\x00"]), st.text(max_size=8))
ids = st.sampled_from(["1", "2", "3", "", "ü", "a b"])
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=4,
)
tool_calls = st.builds(
    ToolCall, ids, st.one_of(st.just("look"), st.text(max_size=70)), st.dictionaries(texts, plain, max_size=2)
)
anything = st.builds(
    Message,
    st.sampled_from(Role),
    texts,
    st.lists(tool_calls, max_size=3).map(tuple),
    st.one_of(st.none(), ids),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(anything, max_size=12),
    st.sampled_from([(), (LOOK,), (LOOK, ToolSpec("b", "", {}))]),
    texts,
    st.sampled_from([True, False, "1h"]),
)
def test_any_conversation_is_a_legal_request(
    messages: list[Message], tools: tuple[ToolSpec, ...], prompt: str, cache: bool | str
) -> None:
    request(messages, tools=tools, prompt=prompt, cache=cache)


@settings(max_examples=80, deadline=None)
@given(st.lists(anything, max_size=10))
def test_no_words_are_lost(messages: list[Message]) -> None:
    turns = messages_of(messages)
    there = [block["text"] for turn in turns for block in turn["content"] if block["type"] == "text"]
    words = [message.text for message in messages if message.role is not Role.TOOL and message.text.strip()]
    assert [text for text in there if text not in (BEGIN, GO_ON)] == [text.replace("\ud800", "?") for text in words]
