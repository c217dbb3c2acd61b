"""Which transaction a message belongs to: the same name for what comes again, another for all else.

RFC 3261 sections 17.1.3 (responses), 17.2.3 (requests, also those of RFC 2543 clients) and 8.2.2.2 (merged requests).
"""

from __future__ import annotations

from dataclasses import replace

from voice.sip.message import Request, Response

Name = tuple[str, ...]

COOKIE = "z9hg4bk"
"""How a branch begins that no other request has, in lower case (section 8.1.1.7)."""


def theirs(request: Request, method: str | None = None) -> Name:
    """The transaction of a request that came in; `method`: the one of this method that it goes with.

    An ACK goes with its INVITE. The To tag is not looked at: an ACK has another than its INVITE.
    """
    method = method or request.method
    method = "INVITE" if method == "ACK" else method
    branch = request.via.branch
    if branch.lower().startswith(COOKIE) and len(branch) > len(COOKIE):
        return ("theirs", branch, request.via.sent_by, method)
    added = ("received", "rport")  # by us; what the client wrote is compared
    written = {name: value for name, value in request.via.parameters.items() if name not in added}
    via = str(replace(request.via, parameters=written))
    sequence = str(request.cseq.sequence)
    return ("old", str(request.uri), request.from_.tag or "", request.call_id, sequence, via, method)


def ours(message: Request | Response) -> Name:
    """The transaction of a request of ours, or of a response to one."""
    return ("ours", message.via.branch, message.cseq.method)


def merged(request: Request) -> Name | None:
    """The same for one request that came by two ways, and so with two branches; None for one that cannot."""
    if request.to.tag is not None or request.method in ("ACK", "CANCEL"):
        return None
    return (request.from_.tag or "", request.call_id, str(request.cseq.sequence), request.method)
