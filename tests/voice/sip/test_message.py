from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.sip.fields import MAX_CSEQ, MAX_PARTS, Address, CSeq, Via, listed, quoted, split, unquote
from voice.sip.malformed import Malformed
from voice.sip.message import Headers, Request, Response, parse
from voice.sip.uri import Uri

INVITE = (
    b"INVITE sip:100@192.0.2.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK1;rport, SIP/2.0/TCP proxy.example.org\r\n"
    b"From: Ren\xc3\xa9 <sip:rene@192.0.2.2>;tag=a1\r\n"
    b"To: <sip:100@192.0.2.1>\r\n"
    b"i: call@192.0.2.2\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"m: <sip:rene@192.0.2.2:5070>\r\n"
    b"Record-Route: <sip:one.example.org;lr>, <sip:two.example.org;lr>\r\n"
    b"Record-Route: <sip:three.example.org;lr>\r\n"
    b"l: 4\r\n"
    b"\r\n"
    b"bodyand more"
)


def invite(**lines: bytes) -> bytes:
    """The INVITE with some lines put in place of its own; b"" leaves one out."""
    data = INVITE
    for name, line in lines.items():
        begin = data.index(b"\r\n" + {"via": b"Via", "cseq": b"CSeq", "to": b"To", "call_id": b"i"}[name] + b":")
        end = data.index(b"\r\n", begin + 2)
        data = data[:begin] + (b"\r\n" + line if line else b"") + data[end:]
    return data


def test_a_request_is_read() -> None:
    request = parse(INVITE)
    assert isinstance(request, Request)
    assert (request.method, request.uri.user, request.body) == ("INVITE", "100", b"body")
    assert (request.via.sent_by, request.via.branch, request.via.transport) == ("192.0.2.2:5070", "z9hG4bK1", "UDP")
    assert (request.from_.name, request.from_.tag, request.to.tag) == ("René", "a1", None)
    assert (request.call_id, request.cseq) == ("call@192.0.2.2", CSeq(7, "INVITE"))
    contact = request.contact()
    assert contact is not None
    assert contact.uri.port == 5070
    routes = [Address.parse(item).uri.host for item in request.headers.items("record-route")]
    assert routes == ["one.example.org", "two.example.org", "three.example.org"]


def test_a_response_repeats_what_it_must() -> None:
    request = parse(INVITE)
    assert isinstance(request, Request)
    response = parse(bytes(request.answer(486, "Busy Here", ("retry-after", "5"), tag="b2")))
    assert isinstance(response, Response)
    assert (response.status, response.reason, response.final) == (486, "Busy Here", True)
    assert response.headers.all("via") == request.headers.all("via")
    assert (response.to.tag, response.from_.tag, response.call_id, response.cseq) == (
        "b2",
        "a1",
        request.call_id,
        request.cseq,
    )
    assert response.headers.get("retry-after") == "5"
    assert not bytes(request.answer(180, "Ringing")).count(b"tag=b2")


def test_a_tag_that_is_there_stays() -> None:
    request = parse(invite(to=b"To: <sip:100@192.0.2.1>;tag=theirs"))
    assert isinstance(request, Request)
    assert request.answer(200, "OK", tag="other").to.tag == "theirs"


def test_bytes_that_are_no_utf_8_come_back_as_they_went() -> None:
    request = parse(INVITE.replace(b"\xc3\xa9", b"\xe9"))
    assert isinstance(request, Request)
    assert request.from_.name == "Ren\ufffd"
    assert b"Ren\xe9 <sip:" in bytes(request.answer(200, "OK"))


@pytest.mark.parametrize("name", ["via", "cseq", "to", "call_id"])
def test_nothing_that_must_be_there_may_miss(name: str) -> None:
    with pytest.raises(Malformed):
        parse(invite(**{name: b""}))


@pytest.mark.parametrize(
    "line",
    [b"CSeq: 7 BYE", b"CSeq: INVITE", b"CSeq: -1 INVITE", b"CSeq: %d INVITE" % (MAX_CSEQ + 1), b"CSeq: 7 INVITE x"],
)
def test_a_cseq_that_makes_no_sense_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse(invite(cseq=line))


@pytest.mark.parametrize(
    "line", [b"Via: SIP/2.0/UDP", b"Via: SIP/2.0 UDP a", b"Via: , SIP/2.0/UDP a", b"Via: x", b"Via:"]
)
def test_a_via_that_makes_no_sense_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse(invite(via=line))


def test_lines_may_end_as_they_like_but_hold_no_stray_return() -> None:
    head, _, _ = INVITE.partition(b"\r\n\r\n")
    assert parse(head.replace(b"\r\n", b"\n") + b"\n\nbody").body == b"body"
    with pytest.raises(Malformed):
        parse(INVITE.replace(b"i: call", b"i: call\rVia: x"))


@pytest.mark.parametrize(
    "field", [("to", "a\r\nVia: b"), ("to", "a\nb"), ("to\r\n", "a"), ("", "a"), ("a b", "c"), ("a:", "c")]
)
def test_what_would_break_a_message_apart_cannot_be_sent(field: tuple[str, str]) -> None:
    with pytest.raises(ValueError):
        Headers([field])


def test_a_repr_shows_no_credentials() -> None:
    assert "secret" not in repr(Headers([("authorization", "Digest secret")]))


def test_an_address_is_written_and_read_again() -> None:
    address = Address(Uri.of("192.0.2.1", 5060, user="a b"), 'The "Ag\\ent"', {"tag": "x", "text": "a;b", "flag": None})
    assert Address.parse(str(address)) == address


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=30))
def test_what_is_quoted_is_read_again(text: str) -> None:
    visible = "".join(each for each in text if each.isprintable())
    assert unquote(quoted(text)) == visible
    assert split(f"{quoted(text)},<a,b>", ",")[1:] == ["<a,b>"]


@given(st.text(st.sampled_from('ab<>",;\\= \t@:[]%'), max_size=40))
def test_nothing_else_than_malformed_comes_of_a_value(text: str) -> None:
    for read in (Via.parse, Address.parse, CSeq.parse, lambda text: listed([text])):
        for value in (text, f"SIP/2.0/UDP {text}", f"<sip:a@b>{text}", f'"{text}'):
            with contextlib.suppress(Malformed):
                read(value)


def test_lists_have_an_end() -> None:
    assert len(listed(["a,b", "c"])) == 3
    for values in (["a," * MAX_PARTS + "a"], ["a"] * (MAX_PARTS + 1), ["a,,b"]):
        with pytest.raises(Malformed):
            listed(values)


@given(st.binary(max_size=300))
def test_nothing_else_than_malformed_comes_of_bytes(data: bytes) -> None:
    for each in (data, INVITE[: len(data)] + data, data + INVITE):
        with contextlib.suppress(Malformed):
            parse(each)


@pytest.mark.parametrize(
    ("via", "seen"),
    [
        (b"Via: SIP/2.0/UDP 192.0.2.2:5070;branch=z9", "SIP/2.0/UDP 192.0.2.2:5070;branch=z9"),
        (b"v: SIP/2.0/UDP pc;branch=z9", "SIP/2.0/UDP pc;branch=z9;received=192.0.2.2"),
        (
            b"v: SIP/2.0/UDP pc:9;rport;branch=z9, SIP/2.0/TCP b",
            "SIP/2.0/UDP pc:9;rport=40;branch=z9;received=192.0.2.2",
        ),
        (b"v: SIP/2.0/UDP 192.0.2.2;branch=z9;received=1.2.3.4", "SIP/2.0/UDP 192.0.2.2;branch=z9;received=192.0.2.2"),
    ],
)
def test_responses_go_back_to_where_the_request_came_from(via: bytes, seen: str) -> None:
    request = parse(invite(via=via))
    assert isinstance(request, Request)
    arrived = request.arrived_from("192.0.2.2", 40)
    items = arrived.answer(200, "OK").headers.items("via")
    assert items == [seen, *request.headers.items("via")[1:]]
    assert arrived.via.branch == request.via.branch == "z9"
    assert arrived.arrived_from("2001:db8::1", 41).via.parameters["received"] == "2001:db8::1"
    assert parse(bytes(arrived)) == arrived


@pytest.mark.parametrize("tag", [b";tag", b";tag=", b';tag=""'])
def test_an_empty_tag_is_malformed(tag: bytes) -> None:
    with pytest.raises(Malformed):
        parse(invite(to=b"To: <sip:100@192.0.2.1>" + tag))
