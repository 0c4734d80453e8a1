"""What sounds like a secret, and how it is kept out of everything that is printed.

A name tells (`POSTGRES_PASSWORD`, `apiKey`), and so does the place in a URL. Beyond that a :class:`Masker` knows the
contents of secrets, and the values of variables whose names tell, wherever they turn up again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "***"
MIN_WITHIN_TEXT = 6
"""Characters that the value of a telling name must have to be hidden as a part of a longer text."""
MIN_CONTENT_WITHIN_TEXT = 4
"""The same for the content of a secret; below ``MIN_WITHIN_TEXT`` it is hidden as a whole word only."""

_KEYS = r"""(?: api | app | private | access | auth | signing | encryption | master | account | admin | crypt | fernet
    | hmac | jwt | license | logged[_-]?in | nonce | salt | session | shared | storage )"""
_TELLING = rf"""(?: passw | passphrase | passcode | (?<!com)(?<!by)(?<!over)pass(?![a-z])
    | (?<=[_.-])pwd?(?![a-z]) | (?-i: (?<=[a-z\d])Pwd?(?![a-z]) )
    | secret(?!s\b) | token | credential | (?<![a-z])creds?(?![a-z]) | authorization | erlang[_-]?cookie
    | {_KEYS}[_-]?key(?! board | cloak | space | stone | word ) )"""
_LAST = r"""(?: (?<![a-z\d]) (?: jwt | salts? | pepper | (?:basic|http)?auth | bearer | pw )
    | (?<=[_-])sk | (?-i: (?<=[a-z\d]) (?: Jwt | Salt | Pepper | Auth | Bearer ) )
    | (?<![\w.$-]) (?-i: [Pp]wd ) | (?<=;)pwd | (?<=;\ )pwd ) (?![\w.-])"""
"""Words that tell only as the last of a name: `JWT`, but not `JWT_ISSUER`. `PWD` is the working directory of a shell,
`Pwd` and what follows a semicolon a part of a connection string."""

_SOME = r"[\w.-]{0,100}"  # bounded: nobody's time goes into a megabyte without a blank
_NO_FILE = rf"(?! {_SOME} [_-]file (?![a-z]) )"
_SECRET_NAME = re.compile(rf"(?ix) {_TELLING} (?! {_SOME} _file $ ) | {_LAST}")
_SECRET_VALUE = re.compile(
    rf"""(?ix) (
            (?: {_TELLING} (?! {_SOME} _file \b ) {_SOME}+ ["']? \s* [:=]
              | {_LAST} (?: \s* = | ["'] \s* : | \s* : (?=\s) ) (?! \s* [{{[&*|>!] ) )  # `auth:8080` is a service
            \s* )
        (?! ["']? \$ \{{? \w{{1,100}} (?: :?\? [^}}]{{0,200}} )? \}}? ["']? \s* $ ) \S .* """
)
_SECRET_ARGUMENT = re.compile(
    rf"""(?ix) ( (?<![\w-]) --? {_SOME} (?: {_TELLING} {_NO_FILE} {_SOME}+ | {_LAST} ) ["']? ,? \s+ ["']? )
        (?! \$ | --[a-z] | -[a-z](?![\w-]) ) [^\s"',\]]+ """
)
_OPTION = re.compile(r"(?i)--[a-z]|-[a-z]$")
_CREDENTIALS = re.compile(
    r"""(?x) (?<!\w) ( (?i:bearer)\s{1,9} (?=[^\s"',]{6}) | (?i:basic)\s{1,9} (?=[a-z]{0,100}[A-Z\d=]) )
        [^\s"',$]+ """
)
_URL_PASSWORD = re.compile(
    r"""(?x) (://[^\s:/@]*:) (?! \d{0,5} (?: [/?\#\s,"'] | $ ) )  # a port follows the name of a host, too
        (?: (?: (?!://) [^\s/] )+ | (?: (?!://) . )+? ) @ """
)
_URL_USER = re.compile(r"://[^\s:/@?#${}]{16,}(?=(?::\*\*\*)?@)")
_URL = re.compile(r"""://[^\s"'<>]+""")
_NOT_IN_URL = re.compile(r"[^A-Za-z0-9._~-]")
_URL_KEY = re.compile(r"(?<=[^/]/)[\w:-]{20,} | (?<=[?&]key=)[^&\s\#]+ | (?<=[?&]sig=)[^&\s\#]+", re.VERBOSE)
_LOOKS_RANDOM = re.compile(r"(?s)(?=.*[A-Za-z])(?:(?=.*[A-Z])(?=.*[a-z])|(?=(?:.*?\d){2}))")

_Plain: TypeAlias = Any
"""Texts, numbers, truth values, None, and lists and dicts of them."""


def sounds_secret(name: str) -> bool:
    """Tell whether what is called ``name`` is probably a secret; the name of a file with one is none itself."""
    return _SECRET_NAME.search(name) is not None


def mask_secrets(line: str) -> str:
    """Hide what follows a name or an option that sounds like a secret, and passwords and long keys within URLs."""
    line = _SECRET_ARGUMENT.sub(rf"\1{MASK}", _SECRET_VALUE.sub(rf"\1{MASK}", line))
    line = _CREDENTIALS.sub(rf"\1{MASK}", line)
    if "://" not in line:
        return line
    line = _URL_USER.sub(f"://{MASK}", _URL_PASSWORD.sub(rf"\1{MASK}@", line))
    return _URL.sub(lambda url: _URL_KEY.sub(_mask_key, url[0]), line)


def _mask_key(found: re.Match[str]) -> str:
    """Return a part of a path as it may be shown: a long one of letters of both cases, or with digits, is a key."""
    before = found.string[found.start() - 1]
    return MASK if before == "=" or _LOOKS_RANDOM.match(found[0]) else found[0]


def find_secrets(value: _Plain, name: str = "") -> Iterator[str]:
    """Yield every text in ``value`` that a name tells to be a secret: its own, that of a key, or that of an option."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from find_secrets(item, key if sounds_secret(key) else name)
    elif isinstance(value, list):
        for word, telling in _name_words(value, name):
            yield from find_secrets(word, telling)
    elif isinstance(value, str) and sounds_secret(name):
        yield value


def _name_words(words: list[_Plain], name: str) -> Iterator[tuple[_Plain, str]]:
    """Yield each word with the name that it is the value of: that of the option before it if that tells.

    So the word after `--requirepass` is a secret; another option is no value.
    """
    previous = ""
    for word in words:
        if not isinstance(word, str):
            yield word, name
            previous = ""
            continue
        yield word, previous if previous and not _OPTION.match(word) else name
        previous = word if word.startswith("-") and "=" not in word and sounds_secret(word) else ""


class Masker:
    """Hides secrets in values of any shape, and in names.

    - ``contents`` are those of secrets: hidden wherever a value equals one, and within longer texts from 4 characters
      on (as whole words; from 6 on in every place).
    - ``values`` belong to variables, keys and options with a telling name: hidden wherever they occur, also within
      longer texts, from 6 characters on.
    - ``names`` are words that everybody sees anyway (services, images, networks, volumes, keys). A secret that is the
      same as one of them is not hidden within longer texts: it would make them unreadable, and guessable at that.
    - ``defaults`` are names of users, databases and hosts that stand openly in variables: with
      `POSTGRES_USER=postgres` the value of `POSTGRES_PASSWORD=postgres` is hidden there, but not in other places.
    """

    def __init__(
        self,
        contents: Iterable[str] = (),
        values: Iterable[str] = (),
        *,
        names: Iterable[str] = (),
        defaults: Iterable[str] = (),
    ) -> None:
        self._contents = {content.strip() for content in contents} - {""}
        self._names = frozenset(names)
        known = {text.strip() for text in values} - set(defaults) | self._contents
        within: set[str] = set()
        for text in known - self._names:
            minimum = MIN_CONTENT_WITHIN_TEXT if text in self._contents else MIN_WITHIN_TEXT
            if len(text) >= minimum:
                within.update((text, _encode_for_url(text)))
        patterns = map(_make_pattern, sorted(within, key=lambda text: (-len(text), text)))
        self._within = re.compile("|".join(patterns)) if within else None

    def mask(self, value: _Plain, name: str = "") -> _Plain:
        """Return ``value`` as it may be shown for ``name``."""
        if isinstance(value, dict):
            return self._mask_entries(value, name)
        if isinstance(value, list):
            return [self.mask(word, telling) for word, telling in _name_words(value, name)]
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

    def mask_name(self, name: str) -> str:
        """Return the name of a variable or key without known secrets; each part after a dot may be one."""
        if name in self._names:
            return name
        parts = [part if part in self._names or part not in self._contents else MASK for part in name.split(".")]
        return self.mask_text(".".join(parts))

    def _mask_entries(self, entries: dict[str, _Plain], name: str) -> dict[str, _Plain]:
        """Mask keys and values; keys that look the same afterwards get numbers."""
        masked: dict[str, _Plain] = {}
        for key, item in entries.items():
            shown = base = self.mask_name(key)
            count = 1
            while shown in masked:
                count += 1
                shown = f"{base} ({count})"
            masked[shown] = self.mask(item, key if sounds_secret(key) else name)
        return masked


def _encode_for_url(text: str) -> str:
    return _NOT_IN_URL.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode(errors="replace")), text)


def _make_pattern(text: str) -> str:
    pattern = re.escape(text)
    return pattern if len(text) >= MIN_WITHIN_TEXT else rf"(?<!\w){pattern}(?!\w)"
