from __future__ import annotations

import pytest

from voice.sip.message import Request, parse
from voice.sip.screening import refusal


def request(method: str, *lines: str, body: str = "", uri: str = "sip:100@192.0.2.1") -> Request:
    head = [
        f"{method} {uri} SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1",
        "From: <sip:a@192.0.2.2>;tag=1",
        "To: <sip:100@192.0.2.1>",
        "Call-ID: 1",
        f"CSeq: 1 {method}",
        *lines,
    ]
    found = parse(("\r\n".join(head) + "\r\n\r\n" + body).encode())
    assert isinstance(found, Request)
    return found


@pytest.mark.parametrize(
    ("asked", "status", "field"),
    [
        (request("INVITE"), None, None),
        (request("INVITE", "Require: timer"), None, None),
        (request("INVITE", "Content-Type: Application/SDP; x=y", body="v=0"), None, None),
        (request("INVITE", "Accept: text/plain, application/sdp;level=1"), None, None),
        (request("INVITE", "Accept:"), None, None),
        (request("OPTIONS", "Accept: text/plain"), None, None),
        (request("INFO", "Content-Type: application/dtmf-relay", body="Signal=1"), None, None),
        (request("ACK", "Require: magic"), None, None),
        (request("CANCEL", "Require: magic"), None, None),
        (request("FLY"), 501, "allow"),
        (request("REGISTER"), 405, "allow"),
        (request("INVITE", uri="http://192.0.2.1"), 416, None),
        (request("INVITE", "Require: timer, magic, Wand"), 420, "unsupported"),
        (request("INVITE", "Content-Type: text/plain", body="hi"), 415, "accept"),
        (request("INVITE", body="v=0"), 415, "accept"),
        (request("INVITE", "Content-Type: application/sdp", "e: gzip", body="v=0"), 415, "accept-encoding"),
        (request("INVITE", "Accept: text/plain"), 406, None),
        (request("INVITE", "Contact: nobody"), 400, None),
        (request("INVITE", "Require: ,"), 400, None),
    ],
    ids=lambda each: each.method if isinstance(each, Request) else str(each),
)
def test_a_request_is_refused_for_what_it_asks(asked: Request, status: int | None, field: str | None) -> None:
    refused = refusal(asked)
    assert (refused and refused.status) == status
    if field:
        assert refused is not None
        assert [name for name, _ in refused.fields] == [field]


def test_what_is_not_supported_is_named() -> None:
    refused = refusal(request("INVITE", "Require: timer, magic, Wand"))
    assert refused is not None
    assert refused.fields == (("unsupported", "magic, Wand"),)
