from __future__ import annotations

import base64
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.voice.sip.mutations import mutated
from voice.sip import sdp
from voice.sip.malformed import Malformed
from voice.sip.negotiation import Agreed, Place, Secrecy, answer, offered, settled
from voice.sip.sdp import DTMF, G722, OPUS, PCMA, PCMU, Codec, Description, Direction

KEY = bytes(range(30))
INLINE = base64.b64encode(KEY).decode()
PLACE = Place("192.0.2.9", 40_000, new_key=lambda size: b"k" * size)


def offer(*lines: str, media: str = "audio 5004 RTP/AVP 0 8 9 101", host: str = "192.0.2.4") -> Description:
    head = ["v=0", f"o=- 1 2 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", f"m={media}"]
    return sdp.parse("\r\n".join([*head, "a=rtpmap:101 telephone-event/8000", *lines, ""]).encode())


def agree(offer: Description, place: Place = PLACE) -> tuple[Description, Agreed]:
    reply, agreed = answer(offer, place, "7", "1")
    return sdp.parse(bytes(reply)), agreed


def test_the_best_codec_that_both_speak_is_taken() -> None:
    reply, agreed = agree(offer())
    assert agreed.format.codec == G722
    assert (agreed.host, agreed.port, agreed.keys) == ("192.0.2.4", 5004, 101)
    assert [(each.payload, each.codec.name) for each in reply.media[0].formats] == [(9, "G722"), (101, DTMF)]
    assert (reply.media[0].host, reply.media[0].port) == ("192.0.2.9", 40_000)
    assert agree(offer(), Place("192.0.2.9", 4, [PCMA, PCMU]))[1].format.codec == PCMA


def test_payload_types_are_those_of_the_offer() -> None:
    lines = ("a=rtpmap:111 opus/48000/2", "a=rtpmap:126 telephone-event/48000", "a=fmtp:111 useinbandfec=1")
    reply, agreed = agree(offer(*lines, media="audio 5004 RTP/AVP 0 111 126 101"), Place("192.0.2.9", 4, [OPUS, PCMU]))
    assert (agreed.format.payload, agreed.format.codec, agreed.keys) == (111, OPUS, 126)
    assert reply.media[0].names == ("111", "126")


def test_a_number_that_is_explained_otherwise_is_taken_as_explained() -> None:
    _, agreed = agree(offer("a=rtpmap:0 PCMA/8000", media="audio 5004 RTP/AVP 0"))
    assert (agreed.format.payload, agreed.format.codec) == (0, PCMA)


@pytest.mark.parametrize(
    "media",
    ["audio 5004 RTP/AVP 3 18", "audio 0 RTP/AVP 0", "video 5004 RTP/AVP 0", "audio 5004 udp x", "audio 5 RTP/SAVP 0"],
)
def test_what_fits_nothing_is_488(media: str) -> None:
    with pytest.raises(Malformed) as caught:
        agree(offer(media=media))
    assert caught.value.status == 488


def test_other_streams_are_declined_in_their_place() -> None:
    reply, _ = agree(offer("m=video 5006 RTP/AVP 31", "m=audio 5008 RTP/AVP 0"))
    assert [(media.kind, media.port != 0) for media in reply.media] == [
        ("audio", True),
        ("video", False),
        ("audio", False),
    ]


@pytest.mark.parametrize(
    ("theirs", "ours", "hears"),
    [
        ("sendrecv", Direction.BOTH, True),
        ("sendonly", Direction.RECEIVE, False),
        ("recvonly", Direction.SEND, True),
        ("inactive", Direction.NONE, False),
    ],
)
def test_who_holds_us_does_not_hear(theirs: str, ours: Direction, hears: bool) -> None:
    reply, agreed = agree(offer(f"a={theirs}"))
    assert (reply.media[0].direction, agreed.direction, agreed.hears) == (ours, ours, hears)


def test_hold_as_of_old_is_hold() -> None:
    assert not agree(offer(host="0.0.0.0"))[1].hears


def test_encrypted_sound_is_agreed_with_both_keys() -> None:
    crypto = f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}|2^20"
    media = "audio 5004 RTP/SAVP 0"
    reply, agreed = agree(offer("a=crypto:1 AEAD_AES_256_GCM inline:x", crypto, media=media))
    assert agreed.theirs is not None
    assert agreed.ours is not None
    assert (agreed.theirs.key, agreed.theirs.tag, agreed.ours.tag, agreed.ours.key) == (KEY, 2, 2, b"k" * 30)
    assert reply.media[0].crypto == (agreed.ours,)
    assert INLINE not in repr(agreed)
    assert str(KEY) not in repr(agreed)


@pytest.mark.parametrize(
    "place",
    [
        Place("192.0.2.9", 4),
        Place("192.0.2.9", 4, secrecy=Secrecy.NEVER, new_key=bytes),
    ],
)
def test_encrypted_sound_is_refused_where_it_cannot_be(place: Place) -> None:
    crypto = f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}"
    with pytest.raises(Malformed):
        agree(offer(crypto, media="audio 5004 RTP/SAVP 0"), place)
    assert agree(offer(crypto), place)[1].ours is None  # offered beside plain sound: plain it is


def test_plain_sound_is_refused_where_it_must_be_encrypted() -> None:
    with pytest.raises(Malformed):
        agree(offer(), Place("192.0.2.9", 4, secrecy=Secrecy.ALWAYS, new_key=bytes))


@pytest.mark.parametrize(
    "line",
    [
        "1 AES_CM_128_HMAC_SHA1_80 inline:short",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}|2^20|1:4",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE} UNENCRYPTED_SRTP",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE};inline:{INLINE}",
        f"x AES_CM_128_HMAC_SHA1_80 inline:{INLINE}",
        f"1 F8_128_HMAC_SHA1_80 inline:{INLINE}",
        "1 AES_CM_128_HMAC_SHA1_80",
    ],
)
def test_keys_that_we_could_not_use_are_passed_over(line: str) -> None:
    assert offer(f"a=crypto:{line}").media[0].crypto == ()


CODECS = st.lists(st.sampled_from([G722, PCMU, PCMA, OPUS]), min_size=1, max_size=4, unique=True)


@given(CODECS, CODECS, st.sampled_from(Direction), st.sampled_from(Direction), st.booleans())
def test_both_ends_agree_on_the_same(
    ours: list[Codec], theirs: list[Codec], direction: Direction, wish: Direction, secret: bool
) -> None:
    secrecy = Secrecy.ALWAYS if secret else Secrecy.IF_OFFERED
    here = Place("192.0.2.9", 40_000, ours, secrecy, lambda size: b"h" * size)
    there = Place("2001:db8::4", 5004, theirs, secrecy, lambda size: b"t" * size)
    first = sdp.parse(bytes(offered(here, "1", "1", direction)))
    try:
        reply, told = answer(first, there, "2", "1")
    except Malformed:
        assert not set(ours) & set(theirs)
        return
    agreed = settled(first, sdp.parse(bytes(reply)))
    assert (agreed.format.codec, agreed.format.payload) == (told.format.codec, told.format.payload)
    assert agreed.keys == told.keys is not None
    assert (agreed.host, agreed.port, told.host, told.port) == ("2001:db8::4", 5004, "192.0.2.9", 40_000)
    assert agreed.direction == told.direction.reversed == direction
    if secret:
        assert (agreed.ours, agreed.theirs) == (told.theirs, told.ours)
        assert agreed.ours is not None
        assert agreed.theirs is not None
        assert (agreed.ours.key[:1], agreed.theirs.key[:1]) == (b"h", b"t")
    else:
        assert agreed.ours is agreed.theirs is None


@pytest.mark.parametrize(
    "change",
    [
        (b" 40000 ", b" 0 "),
        (b"G722/8000", b"GSM/8000"),
        (b"m=audio", b"m=video"),
        (b"RTP/AVP", b"RTP/SAVP"),
        (b"m=audio", b"m=audio 1 RTP/AVP 0\r\nm=audio"),
    ],
)
def test_an_answer_that_is_none_is_refused(change: tuple[bytes, bytes]) -> None:
    first = offered(PLACE, "1", "1")
    reply = bytes(answer(first, PLACE, "2", "1")[0])
    assert settled(first, sdp.parse(reply)).format.codec == G722
    assert change[0] in reply
    with pytest.raises(Malformed) as caught:
        settled(first, sdp.parse(reply.replace(*change)))
    assert caught.value.status == 488


def test_an_offer_that_must_be_encrypted_needs_srtp() -> None:
    with pytest.raises(ValueError, match="srtp"):
        offered(Place("192.0.2.9", 4, secrecy=Secrecy.ALWAYS), "1", "1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=1",
        "v=0\nx",
        "v=0\no=- 1 1 IN IP4",
        "v=0\no=- 1 1 IN IP4 h\nc=IN IP4 example.org",
        "v=0\no=- 1 1 IN IP4 h\nc=IN IP6 fe80::1%eth0",
        "v=0\no=- 1 1 IN IP4 h\nm=audio x RTP/AVP 0",
        "v=0\no=- 1 1 IN IP4 h\nm=audio 5 RTP/AVP 128",
        "v=0\no=- 1 1 IN IP4 h\nm=audio 5 RTP/AVP " + "0 " * 100,
        "v=0\no=- 1 1 IN IP4 h" + "\nm=audio 5 RTP/AVP 0" * 50,
        "v=0\no=- 1 1 IN IP4 h" + "\na=x" * 5000,
    ],
)
def test_what_is_no_description_is_488(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        sdp.parse(text.encode())
    assert caught.value.status == 488


def test_mutated_descriptions_do_no_harm() -> None:
    secret = Place("192.0.2.9", 4, secrecy=Secrecy.ALWAYS, new_key=bytes)
    data = [bytes(offered(PLACE, "1", "1")), bytes(offered(secret, "1", "1"))]
    random, agreed = Random(1), 0
    for _ in range(1500):
        try:
            reply, _ = answer(sdp.parse(mutated(random.choice(data), random, data)), PLACE, "2", "1")
        except Malformed:
            continue
        sdp.parse(bytes(reply))
        agreed += 1
    assert 150 < agreed < 1350
