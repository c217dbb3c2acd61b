"""Letters: a text in plain ASCII for engines that know no more, and where each letter came from."""

from __future__ import annotations

import unicodedata

SPOKEN = {
    **dict.fromkeys("“”„«»", '"'),
    **dict.fromkeys("‘’‚‹›", "'"),
    **dict.fromkeys("–—", ", "),
    "…": "...",
    "€": " euros ",
    "£": " pounds ",
    "°": " degrees ",
    "×": " times ",
    "÷": " divided by ",
    "−": "-",
    "ß": "ss",
    "æ": "ae",
    "Æ": "Ae",
    "ø": "o",
    "Ø": "O",
    "œ": "oe",
    "ł": "l",
}
"""How characters that do not decompose into ASCII are written (dashes as the pause they stand for)."""


class Letters:
    """`ascii` is `text` in printable ASCII; what cannot be written becomes a space."""

    def __init__(self, text: str) -> None:
        written = [_write(character) for character in text]
        self.ascii = "".join(written)
        self._origin = [index for index, letters in enumerate(written) for _ in letters]

    def origin(self, index: int) -> int:
        """Which character of the text the letter `ascii[index]` came from."""
        return self._origin[index]


def _write(character: str) -> str:
    if character in SPOKEN:
        return SPOKEN[character]
    plain = unicodedata.normalize("NFKD", character).replace("⁄", "/")  # a half is 1, a slash of its own, and 2
    return "".join(letter for letter in plain if " " <= letter <= "~") or " "
