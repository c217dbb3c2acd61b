from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.sip.malformed import Malformed
from voice.sip.uri import MAX_URI, Uri, parse


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:alice@Example.ORG", "alice", "example.org", None),
        ("SIP:alice@192.0.2.1:5070", "alice", "192.0.2.1", 5070),
        ("sips:example.org", None, "example.org", None),
        ("sip:%61lice:secret@example.org;transport=tcp", "alice", "example.org", None),
        ("sip:a;b=c?d@example.org", "a;b=c?d", "example.org", None),
        ("sip:alice@[2001:DB8::1]:5060", "alice", "2001:db8::1", 5060),
        ("tel:+1-555-0100;phone-context=x", "+1-555-0100", "", None),
        ("isbn:2983792873", None, "", None),
    ],
)
def test_addresses_are_read(text: str, user: str | None, host: str, port: int | None) -> None:
    uri = parse(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert str(uri) == text
    assert uri.known == (not text.startswith("isbn"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "alice@example.org",
        "1sip:a@b",
        "sip:@example.org",
        "sip:a@b@c",
        "sip:a@",
        "sip:a b@c",
        "sip:a@<b>",
        "sip:a@b:65536",
        "sip:a@b:",
        "sip:a@b:-1",
        "sip:a@b:²",
        "sip:a@[::1",
        "sip:a@[::1]x",
        "sip:a@[1.2.3.4]",
        "sip:a@b;=c",
        "sip:a@b\r\nVia: x",
        "sip:" + "a" * MAX_URI,
    ],
)
def test_what_is_no_address_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("sip:+1-555-0100@example.org;user=phone", "+15550100"),
        ("sip:100@example.org", "100"),
        ("tel:(555)0100", "5550100"),
        ("sip:+15550100;npdi@example.org", "+15550100"),
        ("sip:alice@example.org", None),
        ("sip:example.org", None),
        ("sip:+@example.org", None),
    ],
)
def test_a_number_is_known_for_one(text: str, number: str | None) -> None:
    assert parse(text).number == number


@given(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.integers(0, 65535),
    st.sampled_from(["example.org", "192.0.2.1", "::1"]),
)
def test_what_is_written_is_read_again(user: str, port: int, host: str) -> None:
    uri = Uri.of(host, port, user=user, transport="tls")
    assert parse(str(uri)) == uri
    assert (uri.user, uri.host, uri.port, dict(uri.parameters)) == (user, host, port, {"transport": "tls"})
    assert str(uri).isascii()


@given(st.text(max_size=60))
def test_nothing_else_than_malformed_comes_of_a_text(text: str) -> None:
    for each in (text, f"sip:{text}", f"sip:a@{text}", f"sip:a@b;{text}", f"tel:{text}"):
        with contextlib.suppress(Malformed):
            assert parse(each).text == each


def test_an_address_of_ours_cannot_break_a_message() -> None:
    with pytest.raises(ValueError):
        Uri.of("example.org", transport="tcp\r\nVia: x")
