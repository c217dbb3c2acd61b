"""What PocketSphinx itself makes of a grammar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def compiled(grammar: str, path: Path) -> Callable[[str], bool]:
    """A function that tells whether a sentence is in the grammar, which is written to `path` on the way."""
    pocketsphinx = pytest.importorskip("pocketsphinx")
    pocketsphinx.set_loglevel("FATAL")
    path.write_text(grammar, encoding="utf-8")
    read = pocketsphinx.Jsgf(str(path))
    accept = read.build_fsg(read.get_rule("sottovoce.said"), pocketsphinx.LogMath(), 1.0).accept
    return lambda sentence: bool(accept(sentence))
