from __future__ import annotations

import pytest

from tests.voice.sip.exchange import request, response
from voice.sip import matching
from voice.sip.matching import merged, ours, theirs
from voice.sip.message import Request

INVITE = request()


def test_a_request_that_comes_again_is_the_same_and_so_is_its_acknowledgement() -> None:
    assert theirs(request()) == theirs(INVITE)
    assert theirs(request("ACK", to_tag="b2")) == theirs(INVITE)
    assert theirs(request("CANCEL"), "INVITE") == theirs(INVITE)
    assert theirs(request("CANCEL")) != theirs(INVITE)


@pytest.mark.parametrize(
    "other", [request(branch="z9hG4bK2"), request(sent_by="192.0.2.3:5070"), request(sent_by="192.0.2.2")]
)
def test_another_branch_or_sender_is_another(other: Request) -> None:
    assert theirs(other) != theirs(INVITE)


def test_a_port_that_is_not_written_is_5060() -> None:
    assert theirs(request(sent_by="192.0.2.2")) == theirs(request(sent_by="192.0.2.2:5060"))


@pytest.mark.parametrize("branch", ["", "1", "z9hG4bK", "Z9HG4BK"])
def test_a_branch_that_says_nothing_is_not_relied_on(branch: str) -> None:
    old = request(branch=branch)
    assert theirs(request(branch=branch)) == theirs(old)
    assert theirs(old.arrived_from("198.51.100.7", 1024)) == theirs(old)
    assert theirs(request("ACK", branch=branch, to_tag="b2")) == theirs(old)
    assert theirs(request("CANCEL", branch=branch), "INVITE") == theirs(old)
    for other in (
        request(branch=branch, sequence=8),
        request(branch=branch, call_id="other"),
        request(branch=branch, from_tag="a2"),
        request(branch=branch, sent_by="192.0.2.9"),
    ):
        assert theirs(other) != theirs(old)


def test_a_response_is_of_the_request_with_its_branch_and_method() -> None:
    assert ours(response(INVITE, 200)) == ours(INVITE)
    assert ours(response(request("CANCEL"), 200)) != ours(INVITE)


def test_one_request_by_two_ways_is_told_from_two() -> None:
    assert merged(request(branch="z9hG4bK2", sent_by="192.0.2.9")) == merged(INVITE)
    assert merged(request(branch="z9hG4bK2", sequence=8)) != merged(INVITE)
    for never in (request(to_tag="b2"), request("ACK"), request("CANCEL")):
        assert merged(never) is None


def test_cookies_are_known_however_they_are_written() -> None:
    assert theirs(request(branch="Z9hg4BKx"))[1] == "Z9hg4BKx"
    assert "z9hG4bK".lower() == matching.COOKIE
