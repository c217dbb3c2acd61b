from __future__ import annotations

import pytest

from tests.voice.sip.exchange import request
from voice.sip.malformed import Malformed
from voice.sip.routing import MAX_DATAGRAM, Hop, along, next_hop, way_back
from voice.sip.uri import parse
from voice.sip.wire import Peer

TARGET = parse("sip:rene@192.0.2.2:5070")
LOOSE = ["<sip:one.example.org;lr>", "<sip:two.example.org;lr>"]
STRICT = ["<sip:one.example.org>", "<sip:two.example.org;lr>"]


def test_a_request_goes_through_the_proxies_that_want_it() -> None:
    assert along(TARGET, LOOSE) == (TARGET, LOOSE)
    assert next_hop(TARGET, LOOSE) == Hop("one.example.org", None, "UDP")
    assert along(TARGET, []) == (TARGET, [])


def test_a_proxy_of_old_finds_itself_in_the_first_line() -> None:
    uri, route = along(TARGET, STRICT)
    assert (str(uri), route) == ("sip:one.example.org", ["<sip:two.example.org;lr>", "<sip:rene@192.0.2.2:5070>"])


def test_a_proxy_of_old_is_next_all_the_same() -> None:
    assert next_hop(TARGET, STRICT).host == "one.example.org"


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("sip:example.org", Hop("example.org", None, "UDP")),
        ("sip:example.org:5080;transport=TCP", Hop("example.org", 5080, "TCP")),
        ("sip:example.org;transport=tls", Hop("example.org", None, "TLS")),
        ("sips:example.org", Hop("example.org", None, "TLS")),
        ("sips:example.org;transport=tcp", Hop("example.org", None, "TLS")),
        ("sip:example.org;maddr=192.0.2.9", Hop("192.0.2.9", None, "UDP")),
    ],
)
def test_an_address_says_how_it_is_reached(text: str, hop: Hop) -> None:
    assert next_hop(parse(text), []) == hop


@pytest.mark.parametrize(("text", "status"), [("tel:+15550100", 416), ("sip:a.org;transport=sctp", 503)])
def test_what_cannot_be_reached_is_said_so(text: str, status: int) -> None:
    with pytest.raises(Malformed) as error:
        next_hop(parse(text), [])
    assert error.value.status == status


def test_a_number_is_called_by_way_of_a_proxy() -> None:
    assert next_hop(parse("tel:+15550100"), LOOSE).host == "one.example.org"


def test_a_long_request_goes_by_tcp_unless_it_says_otherwise() -> None:
    assert next_hop(TARGET, [], MAX_DATAGRAM) == Hop("192.0.2.2", 5070, "UDP")
    assert next_hop(TARGET, [], MAX_DATAGRAM + 1) == Hop("192.0.2.2", 5070, "TCP", long=True)
    assert next_hop(parse("sip:a.org;transport=udp"), [], 5000) == Hop("a.org", None, "UDP")


def test_numbers_are_not_looked_up() -> None:
    assert Hop("192.0.2.2", None, "UDP").peer == Peer("UDP", "192.0.2.2", 5060)
    assert Hop("2001:db8::1", None, "TLS").peer == Peer("TLS", "2001:db8::1", 5061)
    assert Hop("192.0.2.2", 5070, "TCP").peer == Peer("TCP", "192.0.2.2", 5070)
    assert Hop("example.org", 5070, "TCP").peer is None


@pytest.mark.parametrize(("host", "port"), [("0.0.0.0", None), ("224.0.1.75", None), ("::", 5060), ("192.0.2.1", 0)])
def test_nothing_is_sent_to_what_is_no_place(host: str, port: int | None) -> None:
    with pytest.raises(Malformed):
        _ = Hop(host, port, "UDP").peer


def test_a_response_goes_to_where_its_request_came_from() -> None:
    behind_nat = Peer("UDP", "198.51.100.7", 1024)
    assert way_back(request(), behind_nat) == behind_nat


def test_without_its_connection_a_response_goes_to_where_new_ones_are_taken() -> None:
    assert way_back(request(), Peer("TCP", "198.51.100.7", 40_000)) == Peer("TCP", "198.51.100.7", 5070)
    assert way_back(request(sent_by="a.org"), Peer("TLS", "198.51.100.7", 4)) == Peer("TLS", "198.51.100.7", 5061)
