"""The templates of ``exports``: ``postgres://app:{secret.db}@{db.host}:{db.port}/app``.

Fields are ``{SERVICE.host}``, ``{SERVICE.port}`` (its first port), ``{SERVICE.port.8000}`` (that container port),
``{SERVICE.url}`` and ``{secret.NAME}``; ``{{`` and ``}}`` are braces themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

SECRET = "secret"  # noqa: S105 - the word of the template language
FIELDS = ("host", "port", "url")
MAX_PORT = 65535
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIELD = re.compile(r"(?P<service>[A-Za-z0-9._-]+?)\.(?P<what>host|url|port(?:\.(?P<port>[0-9]{1,5}))?)")
_SECRET = re.compile(r"secret\.(?P<name>[A-Za-z0-9._-]+)")


class TemplateError(ValueError):
    """A template does not parse; ``offset`` is the character at which."""

    def __init__(self, message: str, offset: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Text:
    """Text that stays as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class ServiceField:
    """A fact about a service: its host, its url, or a port (None: the first one)."""

    service: str
    what: Literal["host", "port", "url"]
    port: int | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class SecretField:
    """The value of a top-level secret."""

    name: str
    offset: int = 0


Part = Text | ServiceField | SecretField


def parse_template(text: str) -> list[Part]:
    """Return the parts of ``text`` in order; raises ``TemplateError`` where it does not parse."""
    parts: list[Part] = []
    literal: list[str] = []
    position = 0
    for token in _TOKEN.finditer(text):
        literal.append(text[position : token.start()])
        position = token.end()
        if token.group() in ("{{", "}}"):
            literal.append(token.group()[0])
        elif token.group(1) is None:
            brace = token.group()
            raise TemplateError(f"`{brace}` has no partner", token.start(), f"a brace itself is `{brace}{brace}`")
        else:
            _flush(literal, parts)
            parts.append(_parse_field(token.group(1), token.start()))
    literal.append(text[position:])
    _flush(literal, parts)
    return parts


def _flush(literal: list[str], parts: list[Part]) -> None:
    text = "".join(literal)
    literal.clear()
    if text:
        parts.append(Text(text))


def _parse_field(text: str, offset: int) -> Part:
    secret = _SECRET.fullmatch(text)
    if secret:
        return SecretField(secret.group("name"), offset)
    field = _FIELD.fullmatch(text)
    if not field:
        hint = "fields are {SERVICE.host} {SERVICE.port} {SERVICE.port.8000} {SERVICE.url} {secret.NAME}"
        raise TemplateError(f"`{{{text}}}` is not a field", offset, hint)
    port = field.group("port")
    if port is not None and not 0 < int(port) <= MAX_PORT:
        raise TemplateError(f"{port} is not a port", offset)
    what: Literal["host", "port", "url"] = "port"
    if field.group("what") in ("host", "url"):
        what = "host" if field.group("what") == "host" else "url"
    return ServiceField(field.group("service"), what, int(port) if port else None, offset)
