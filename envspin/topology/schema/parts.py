"""The pieces that the schema is put together from: plain dicts, one for each way a reader takes a value.

Each mirrors a method of ``reader.Reader`` or a function of ``values``. A text with a ``$`` may become anything once
variables are put in, so every pattern lets it through. Keywords of JSON Schema speak about one type each; a value that
may have several shapes is therefore one dict with several types (``either``), which editors explain better than
alternatives.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Schema: TypeAlias = dict[str, Any]

VARIABLE = r"\$"
NOT_BLANK = r"[^ \t\r\n]"
NAME = "[A-Za-z0-9._-]+"
PORTS = "[0-9]{1,5}(?:-[0-9]{1,5})?"
PROTOCOL = "(?:[tT][cC][pP]|[uU][dD][pP]|[sS][cC][tT][pP])"
SIZE = r"[0-9]{1,15}(?:\.[0-9]{1,6})? ?[kKmMgGtTpP]?[iI]?[bB]?"
MODE = "(?:0o)?[0-7]{1,5}"
FALSE = "false|False|FALSE|no|No|NO|off|Off|OFF|n|N"
MAX_PORT = 65535

_TRUE = "true|True|TRUE|yes|Yes|YES|on|On|ON|y|Y"
_DIGITS = "[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}"
_NUMBER = r"[-+]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][-+]?[0-9]{1,2})?"
_SPAN = r"(?:(?:[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(?:ns|us|µs|μs|ms|s|m|h))+"
_SPAN_HINT = "a duration is a number with a unit: 500ms, 10s, 1m30s, 2h"
_TEXT_TYPES = ("string", "number", "boolean")


def key(description: str, schema: Schema, *, null: bool = True, **more: object) -> Schema:
    """Return the schema of a key's value with what editors say about it; without a value it counts as absent.

    ``more`` are further keywords, such as ``default`` and ``examples``. With ``null`` false a value is needed.
    """
    known = next((name for name, shape in shared_shapes().items() if null and shape == optional(schema)), None)
    if known is not None:
        schema = reference(known)
    if "$ref" in schema:
        return {"description": description, "allOf": [schema], **more}
    return {"description": description, **(optional(schema) if null else schema), **more}


@cache
def shared_shapes() -> dict[str, Schema]:
    """Return the shapes that many keys have, by the names of their definitions."""
    return {
        "text": optional(text()),
        "filledText": optional(filled()),
        "texts": optional(texts()),
        "pairs": optional(pairs()),
        "boolean": optional(boolean()),
        "number": optional(number()),
        "size": optional(size()),
        "duration": optional(duration()),
        "port": optional(port()),
    }


def optional(schema: Schema) -> Schema:
    """Return ``schema`` with null allowed; what a reference leads to must say so itself."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return either(schema, {"type": "null"}) if "type" in schema else schema


def replaced(description: str) -> Schema:
    """Return the schema of a key that is warned of: any value, and what happens instead."""
    return {"description": description, "deprecated": True, "deprecationMessage": description}


def refused(reason: str) -> Schema:
    """Return the schema of a key that is an error unless its value asks for nothing: null, false, or empty."""
    message = f"Not supported: {reason}."
    nothing = {
        "type": ["null", "boolean", "string", "array", "object"],
        "not": {"const": True},
        "pattern": rf"^(?:|false|False|FALSE)$|{VARIABLE}",
        "maxItems": 0,
        "maxProperties": 0,
    }
    return {"description": message, **nothing, "errorMessage": message, "doNotSuggest": True}


def reference(name: str) -> Schema:
    """Return a reference to a definition."""
    return {"$ref": f"#/definitions/{name}"}


def either(*schemas: Schema) -> Schema:
    """Return a value of any of these shapes; no two of them may use one keyword differently."""
    merged: Schema = {}
    types: dict[str, None] = {}
    for schema in schemas:
        kinds = schema["type"]
        types |= dict.fromkeys([kinds] if isinstance(kinds, str) else kinds)
        merged |= schema
    return {**merged, "type": list(types)}


def matching(pattern: str, hint: str) -> Schema:
    """Return a text that ``pattern`` matches as a whole."""
    return {"type": "string", "pattern": f"^(?:{pattern})$|{VARIABLE}", "patternErrorMessage": hint}


def text() -> Schema:
    """Return any text: numbers and truth values are texts too."""
    return {"type": list(_TEXT_TYPES)}


def filled() -> Schema:
    """Return a text that is not empty."""
    return {**text(), "minLength": 1}


def name() -> Schema:
    """Return the name of a service, network, volume, config or secret."""
    return {**matching(NAME, "names hold letters, digits, `.`, `_` and `-`"), "type": list(_TEXT_TYPES)}


def boolean() -> Schema:
    """Return true or false, also as YAML 1.1's words."""
    return either({"type": "boolean"}, matching(f"{_TRUE}|{FALSE}", "this must be true or false"))


def integer(minimum: int | None = None, maximum: int | None = None, *, also: str = "") -> Schema:
    """Return a whole number, also in quotes; ``also`` is a pattern of further texts."""
    sign = "[-+]" if minimum is None or minimum < 0 else r"(?:\+|-(?=0+$))"
    bounds = {"minimum": minimum, "maximum": maximum}
    hint = "this must be a whole number" + (f" of at least {minimum}" if minimum is not None else "")
    return {
        **either({"type": "integer"}, matching(f"{sign}?(?:{_DIGITS})" + (f"|{also}" if also else ""), hint)),
        **{keyword: bound for keyword, bound in bounds.items() if bound is not None},
    }


def port() -> Schema:
    """Return the number of a port."""
    return integer(1, MAX_PORT)


def number() -> Schema:
    """Return a number that is not negative."""
    return {**either({"type": "number"}, matching(_NUMBER, "this must be a number")), "minimum": 0}


def duration() -> Schema:
    """Return a duration; 0 is the only one without a unit."""
    zero = {"type": "integer", "minimum": 0, "maximum": 0, "errorMessage": _SPAN_HINT}
    return either(zero, matching(f"0|{_SPAN}", _SPAN_HINT))


def positive_duration() -> Schema:
    """Return a duration that is longer than nothing."""
    return {**matching(f"(?=.*[1-9]){_SPAN}", _SPAN_HINT), "errorMessage": _SPAN_HINT}


def size() -> Schema:
    """Return a number of bytes, with or without a unit."""
    hint = "a size is a number with an optional unit: 512k, 64m, 1.5g"
    return {**either({"type": "number"}, matching(SIZE, hint)), "minimum": 0}


def mode() -> Schema:
    """Return permission bits; an unquoted 0440 reaches an editor as the number 440."""
    return {**either({"type": "integer"}, matching(MODE, "permissions look like 0440")), "minimum": 0, "maximum": 7777}


def choice(values: Iterable[str], *, also: str = "") -> Schema:
    """Return one of some words; ``also`` is a pattern of further spellings."""
    other = f"^(?:{also})$|{VARIABLE}" if also else VARIABLE
    return {"anyOf": [{"enum": list(values)}, {"type": "string", "pattern": other}]}


def array(items: Schema, minimum: int = 0) -> Schema:
    """Return a list."""
    return {"type": "array", "items": items, **({"minItems": minimum} if minimum else {})}


def texts() -> Schema:
    """Return one text or a list of them."""
    return either(text(), array(text()))


def command() -> Schema:
    """Return a command line that is not empty, or a list of at least one word."""
    return either(filled(), array(text(), 1))


def mapping(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """Return a mapping with these keys and extensions (``x-*``), no others."""
    needed = list(required)
    return {
        "type": "object",
        "properties": dict(properties),
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
    }


def table(values: Schema, names: str = "") -> Schema:
    """Return a mapping whose keys the user chooses; ``names`` is a pattern that they match."""
    return {
        "type": "object",
        "additionalProperties": values,
        **({"propertyNames": {"pattern": names}} if names else {}),
    }


def named(values: Schema) -> Schema:
    """Return a mapping from names to ``values``."""
    return table(values, f"^{NAME}$")


def pairs(reserved: str = "") -> Schema:
    """Return names with values: a mapping, or a list of ``NAME=VALUE``; no name begins with ``reserved``."""
    start = f"^(?!{re.escape(reserved)})" if reserved else "^"
    item = {**text(), "pattern": rf"{start}[^=]*[^= \t\r\n]"}
    return either(table(optional(text()), rf"{start}[\s\S]*{NOT_BLANK}"), array(item))


def exclude(given: Schema, others: Iterable[str], message: str) -> Schema:
    """Return a rule: where a mapping matches ``given``, ``others`` have no value."""
    absent = {"type": "null", "errorMessage": message}
    return {"if": given, "then": {"properties": dict.fromkeys(others, absent)}}


def has(name: str, schema: Schema | None = None) -> Schema:
    """Return the condition that a mapping's ``name`` has a value, one that matches ``schema``."""
    return {"required": [name], "properties": {name: schema or {"not": {"type": "null"}}}}
