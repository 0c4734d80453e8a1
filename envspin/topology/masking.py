"""What sounds like a secret, and how it is kept out of everything that is printed.

A name tells (`POSTGRES_PASSWORD`, `apiKey`), and so does the place in a URL. Beyond that a :class:`Masker` knows the
contents of secrets, and the values of variables whose names tell, wherever they turn up again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
MIN_WITHIN_TEXT = 6
"""Characters that a known secret must have to be hidden as a part of a longer text."""

_TELLING = r"""(?: passw | passphrase | passcode | (?<!com)(?<!by)pass(?![a-z]) | (?<=[_-])pwd(?![a-z])
    | secret(?!s\b) | token | credential | authorization
    | (?:api|private|access|auth|signing|encryption|master)[_-]?key )"""
_SOME = r"[\w.-]{0,100}"  # bounded: nobody's time goes into a megabyte without a blank
_SECRET_NAME = re.compile(rf"(?ix) {_TELLING} (?! {_SOME} _file $ )")
_SECRET_VALUE = re.compile(
    rf"""(?ix) ( {_TELLING} (?! {_SOME} _file \b ) {_SOME}+ ["']? \s* [:=] \s* )
        (?! ["']? \$ \{{? \w+ (?: :?\? [^}}]* )? \}}? ["']? \s* $ ) \S .* """
)
_URL_PASSWORD = re.compile(
    r"""(?x) (://[^\s:/@]*:) (?! \d{0,5} (?: [/?\#\s,"'] | $ ) )  # a port follows the name of a host, too
        (?: (?: (?!://) [^\s/] )+ | (?: (?!://) . )+? ) @ """
)
_SECRET_ARGUMENT = re.compile(
    rf"""(?ix) ( (?<![\w-]) --? {_SOME} {_TELLING} (?! {_SOME} [_-]file \b ) {_SOME}+ ["']? ,? \s+ ["']? )
        (?! \$ ) [^\s"',\]]+ """
)
_PLAIN_WORD = re.compile(r"[a-z]*")

_Plain: TypeAlias = Any
"""Texts, numbers, truth values, None, and lists and dicts of them."""


def sounds_secret(name: str) -> bool:
    """Tell whether what is called ``name`` is probably a secret; the name of a file with one is none itself."""
    return _SECRET_NAME.search(name) is not None


def mask_secrets(line: str) -> str:
    """Hide what follows a name or an option that sounds like a secret, and passwords within URLs."""
    line = _SECRET_ARGUMENT.sub(rf"\1{MASK}", _SECRET_VALUE.sub(rf"\1{MASK}", line))
    return _URL_PASSWORD.sub(rf"\1{MASK}@", line)


class Masker:
    """Hides secrets in values of any shape.

    ``contents`` are secrets wherever a value equals one. Those, and ``values`` of variables with a telling name, are
    also hidden within longer texts, but not if they are short or one plain word: `postgres` is a default rather than a
    secret, and stands in images and URLs as well.
    """

    def __init__(self, contents: Iterable[str] = (), values: Iterable[str] = ()) -> None:
        self._contents = {content.strip() for content in contents} - {""}
        within = {text for text in (*self._contents, *values) if len(text) >= MIN_WITHIN_TEXT}
        within = {text for text in within if not _PLAIN_WORD.fullmatch(text)}
        longest_first = sorted(within, key=lambda text: (-len(text), text))
        self._within = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def mask(self, value: _Plain, name: str = "") -> _Plain:
        """Return ``value`` as it may be shown for ``name``."""
        if isinstance(value, dict):
            return {key: self.mask(item, key if sounds_secret(key) else name) for key, item in value.items()}
        if isinstance(value, list):
            return self._mask_words(value, name)
        if value in (None, "") or isinstance(value, bool):
            return value
        if sounds_secret(name):
            return MASK
        return self.mask_text(value) if isinstance(value, str) else value

    def mask_text(self, text: str) -> str:
        """Return a text without known secrets, passwords in URLs, and what follows a telling name."""
        if text.strip() in self._contents:
            return MASK
        if self._within is not None:
            text = self._within.sub(MASK, text)
        return "\n".join(mask_secrets(line) for line in text.split("\n"))

    def _mask_words(self, words: list[_Plain], name: str) -> list[_Plain]:
        """Mask a list; the word after an option with a telling name (`--requirepass`) is a secret, too."""
        masked = []
        previous = ""
        for word in words:
            masked.append(self.mask(word, previous if isinstance(word, str) and previous else name))
            is_option = isinstance(word, str) and word.startswith("-") and "=" not in word
            previous = word if is_option and sounds_secret(word) else ""
        return masked
