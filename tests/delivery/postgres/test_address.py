"""A database's URL: what is wrong with it is named, its password never."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from delivery.postgres import PostgresLedger
from delivery.postgres.address import Address
from delivery.postgres.database import PostgresDatabase


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:secret@db.example:6432/calls", "ann@db.example:6432/calls"),
        ("postgres://ann:secret@db.example/calls", "ann@db.example/calls"),
        ("postgresql://ann:p%40ss%2Fw%3A%25@[::1]:5432/calls?sslmode=require", "ann@::1:5432/calls"),
        ("postgresql:///calls?host=/var/run/postgresql", "/var/run/postgresql/calls"),
        ("postgresql:///calls", "local socket/calls"),
        ("postgresql://ann:secret@one:1,two:2/calls?target_session_attrs=primary", "ann@one,two:1,2/calls"),
    ],
)
def test_it_is_shown_without_its_password(url: str, shown: str) -> None:
    address = Address(url)
    assert str(address) == shown
    for text in (repr(address), repr(PostgresLedger(url)), repr(PostgresDatabase(url))):
        assert shown in text
        assert "secret" not in text
    assert address.database == "calls"


def test_what_the_url_says_comes_before_our_settings() -> None:
    given = Address("postgresql://ann:p%40ss@db/calls?connect_timeout=9").conninfo(
        connect_timeout=3, client_encoding="UTF8"
    )
    told = conninfo_to_dict(given)
    assert (told["connect_timeout"], told["client_encoding"], told["password"]) == ("9", "UTF8", "p@ss")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, r"must be text like postgresql://.*not NoneType"),
        ("", "must begin with postgresql://, not with something else"),
        ("calls", "must begin with postgresql://"),
        ("mysql://ann@db/calls", "must begin with postgresql://, not with mysql://"),
        ("postgresql+psycopg://ann:secret@db/calls", r"must begin with postgresql://, not with postgresql\+psycopg://"),
        ("postgresql://ann:secret@db:5432", "must name a database at its end"),
        ("postgresql://ann:secret@db:5432/", "must name a database at its end"),
        ("postgresql://ann:secret@db:port/calls", "port .* no whole number"),
        ("postgresql://ann:secret@db:99999/calls", "port of 1 to 65535"),
        ("postgresql://ann:secret#1@db/calls", "%23"),
        ("postgresql://ann:secret word@db/calls", "%20"),
        ("postgresql://ann:secret%zz@db/calls", "PostgreSQL cannot read it.*%25 for %"),
        ("postgresql://ann:secret@1@db/calls/x?colour=red", 'parameter "colour", which PostgreSQL does not know'),
        ("postgresql://ann:secret@db/calls?connect_timeout=soon", "connect_timeout that is no whole number"),
    ],
)
def test_what_is_wrong_with_it_is_said(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as wrong:
        PostgresLedger(url)
    assert "secret" not in str(wrong.value)


def test_a_password_is_cut_out_of_whatever_is_said() -> None:
    address = Address("postgresql://ann:p%40ss%25word@db/calls?sslpassword=other")
    assert address.redacted("no p@ss%word, p%40ss%25word or other here") == "no ***, *** or *** here"
    assert Address("postgresql://ann@db/calls").redacted("all of it") == "all of it"


@pytest.mark.parametrize(
    ("field", "value"), [("connections", 0), ("connections", 2.5), ("timeout", 0), ("timeout", "5")]
)
def test_other_parameters_are_checked_too(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} must be"):
        PostgresLedger("postgresql://db/calls", **{field: value})  # type: ignore[arg-type]
