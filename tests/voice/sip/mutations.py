"""Datagrams as strangers and bad lines make them: known good ones with bytes, lines and pieces changed."""

from __future__ import annotations

from random import Random

NASTY = (
    b"\r\n", b"\n", b"\0", b"\xff\xfe", b"%00", b"%", b"<", b">", b'"', b"\\", b";", b",", b"@", b":", b"[", b"]", b"=",
    b" ", b"\t", b"\r\n ", b"0", b"-1", b"4294967296", b"9" * 5000, b"a" * 3000, b";a=b" * 200, b",<sip:a@b>" * 100,
    b"tel:+" + b"1" * 900, b"SIP/2.0", b"z9hG4bK", "\u5927".encode(), b"Via: SIP/2.0/UDP a\r\n" * 50,
)  # fmt: skip


def mutated(data: bytes, random: Random, others: list[bytes]) -> bytes:
    """`data` with one to four changes."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(data) + 1)
        to = min(len(data), at + random.choice((1, 1, 2, 8, 40, 400)))
        match random.choices(range(7), (4, 4, 4, 2, 2, 1, 1))[0]:
            case 0:
                data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + random.choice(NASTY) + data[at:]
            case 2:
                data = data[:at] + data[to:]
            case 3:
                data = data[:to] + data[at:to] * random.choice((1, 2, 30)) + data[to:]
            case 4:
                other = random.choice(others)
                begin = random.randrange(len(other) + 1)
                data = data[:at] + other[begin : begin + 80] + data[to:]
            case 5:
                lines = data.split(b"\r\n")
                random.shuffle(lines)
                data = b"\r\n".join(lines)
            case _:
                data = data[:at]
    return data
