"""Requests as a phone makes them, for the tests of transactions."""

from __future__ import annotations

from voice.sip.message import Request, Response, parse


def request(
    method: str = "INVITE",
    *,
    branch: str = "z9hG4bK1",
    sent_by: str = "192.0.2.2:5070",
    to_tag: str = "",
    from_tag: str = "a1",
    sequence: int = 7,
    call_id: str = "call@192.0.2.2",
    more: str = "",
) -> Request:
    """`branch` may be empty: then the Via has none; `more` are whole header lines."""
    lines = [
        f"{method} sip:100@192.0.2.1 SIP/2.0",
        f"Via: SIP/2.0/UDP {sent_by}" + (f";branch={branch}" if branch else ""),
        "From: <sip:rene@192.0.2.2>" + (f";tag={from_tag}" if from_tag else ""),
        "To: <sip:100@192.0.2.1>" + (f";tag={to_tag}" if to_tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: {sequence} {method}",
    ]
    message = parse(("\r\n".join(lines) + f"\r\n{more}Content-Length: 0\r\n\r\n").encode())
    assert isinstance(message, Request)
    return message


def response(asked: Request, status: int, tag: str = "b2") -> Response:
    """An answer as it comes off the wire."""
    message = parse(bytes(asked.answer(status, "Whatever", tag=tag)))
    assert isinstance(message, Response)
    return message
