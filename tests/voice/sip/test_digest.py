from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.voice.sip.test_screening import request
from voice.sip.digest import HASHES, LIFETIME, MAX_NONCES, Account, Challenger, Checked, Verdict, credentials
from voice.sip.message import Request, Response, parse
from voice.sip.uri import Uri

MUFASA = Account("Mufasa", "Circle of Life")
ASKED = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
HERE = "192.0.2.2"


def challenger(**passwords: str) -> Challenger:
    return Challenger("sottovoce", b"s" * 32, passwords.get)


def answered(who: Challenger, account: Account, now: float, *, only: str = "", count: int = 1) -> Request:
    """A request that answers a challenge made at `now`."""
    asked = request("INVITE")
    lines = [line for line in who.challenge(HERE, now) if only in line[1]]
    response = parse(bytes(asked.answer(401, "Unauthorized", *lines)))
    assert isinstance(response, Response)
    proof = credentials(account, asked, response, "c0ffee", count)
    assert proof is not None
    found = parse(bytes(replace(asked, headers=asked.headers.with_(proof))))
    assert isinstance(found, Request)
    return found


@pytest.mark.parametrize(
    ("algorithm", "right"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616_comes_out(algorithm: str, right: str) -> None:
    asked = replace(request("OPTIONS"), uri=Uri("x", "/dir/index.html"))
    get = replace(asked, method="GET", headers=asked.headers.without("cseq").with_(("cseq", "1 GET")))
    response = get.answer(401, "Unauthorized", ("www-authenticate", ASKED.format(algorithm)))
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    proof = credentials(MUFASA, get, response, cnonce)
    assert proof is not None
    assert f'response="{right}"' in proof[1]
    assert "nc=00000001" in proof[1]
    assert 'opaque="FQhe' in proof[1]


@pytest.mark.parametrize("algorithm", HASHES)
def test_who_knows_the_password_is_let_in_once_a_count(algorithm: str) -> None:
    who = challenger(anna="secret")
    proof = answered(who, Account("anna", "secret"), 10.0, only=algorithm)
    assert who.check(proof, HERE, 11.0) == Checked(Verdict.GOOD, "anna")
    assert who.check(proof, HERE, 11.0).verdict is Verdict.STALE
    again = answered(who, Account("anna", "secret"), 10.0, only=algorithm, count=2)
    assert who.check(again, HERE, 12.0).verdict is Verdict.GOOD


def test_the_best_hash_is_used() -> None:
    value = answered(challenger(), MUFASA, 0.0).headers.get("authorization")
    assert value is not None
    assert "algorithm=SHA-256" in value


@pytest.mark.parametrize(
    ("account", "source", "now", "verdict"),
    [
        (Account("anna", "wrong"), HERE, 10.0, Verdict.WRONG),
        (Account("eve", "secret"), HERE, 10.0, Verdict.WRONG),
        (Account("eve", ""), HERE, 10.0, Verdict.WRONG),
        (Account("anna", "secret"), "192.0.2.3", 10.0, Verdict.STALE),
        (Account("anna", "secret"), HERE, 10.0 + LIFETIME + 1, Verdict.STALE),
        (Account("anna", "secret"), HERE, 9.0, Verdict.STALE),
    ],
)
def test_others_are_not(account: Account, source: str, now: float, verdict: Verdict) -> None:
    who = challenger(anna="secret")
    assert who.check(answered(who, account, 10.0), source, now) == Checked(verdict)


def test_a_nonce_of_another_process_is_stale() -> None:
    proof = answered(Challenger("sottovoce", b"t" * 32, {"anna": "secret"}.get), Account("anna", "secret"), 1.0)
    assert challenger(anna="secret").check(proof, HERE, 1.0).verdict is Verdict.STALE


def test_without_credentials_for_us_they_are_missing() -> None:
    who = challenger(anna="secret")
    for line in (
        (),
        ("Authorization: NoOneKnowsThisScheme opaque-data=here",),
        ('Authorization: Digest realm="other"',),
    ):
        assert who.check(request("INVITE", *line), HERE, 0.0).verdict is Verdict.MISSING


def test_no_count_works_twice_however_many_nonces_there_are() -> None:
    who = challenger(anna="secret")
    first = answered(who, Account("anna", "secret"), 0.0)
    assert who.check(first, HERE, 0.0).verdict is Verdict.GOOD
    for at in range(1, MAX_NONCES + 1):
        who._counts[f"{at}.x"] = 1
    who._counts.popitem(last=False)
    assert who.check(first, HERE, 1.0).verdict is Verdict.STALE


def test_a_proxy_is_answered_in_its_own_field() -> None:
    asked = request("INVITE")
    response = asked.answer(407, "Proxy", ("proxy-authenticate", ASKED.format("MD5")))
    proof = credentials(MUFASA, asked, response, "c")
    assert proof is not None
    assert proof[0] == "proxy-authorization"


def test_one_of_old_without_qop_is_answered_as_of_old() -> None:
    asked = request("INVITE")
    response = asked.answer(401, "Unauthorized", ("www-authenticate", 'Digest realm="a", nonce="b"'))
    proof = credentials(MUFASA, asked, response, "c")
    assert proof is not None
    assert "qop" not in proof[1]
    assert "algorithm" not in proof[1]


@pytest.mark.parametrize(
    "value", ["Basic x", 'Digest realm="a"', 'Digest realm="a", nonce="b", algorithm=AKAv1-MD5', 'Digest realm="a']
)
def test_what_we_cannot_answer_is_not_answered(value: str) -> None:
    asked = request("INVITE")
    assert credentials(MUFASA, asked, asked.answer(401, "No", ("www-authenticate", value)), "c") is None


def test_a_password_goes_to_its_realm_only() -> None:
    asked = request("INVITE")
    response = asked.answer(401, "No", ("www-authenticate", ASKED.format("MD5")))
    assert credentials(replace(MUFASA, realm="elsewhere"), asked, response, "c") is None


def test_no_password_shows() -> None:
    assert "Circle" not in repr(MUFASA)
    assert "ssss" not in repr(challenger(anna="secret"))


PARTS = st.sampled_from(
    ["realm=sottovoce", 'nonce="1.x"', "nc=00000001", "nc=zzzzzzzz", "qop=auth", "username=anna", 'response="\u00e9"']
)


@given(st.lists(PARTS, max_size=7), st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20))
def test_whatever_is_sent_is_judged(parts: list[str], text: str) -> None:
    asked = request("INVITE")
    line = ("authorization", f"Digest {', '.join([*parts, text])}")
    verdict = challenger(anna="x").check(replace(asked, headers=asked.headers.with_(line)), HERE, 0.5).verdict
    assert verdict is not Verdict.GOOD
