"""Soups of variables in values and in files of variables, and several files that draw each other in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cases import CANARY, MAIN, Case, encode, read_corpus
from .grammar import service, whole_file, write

if TYPE_CHECKING:
    from .cases import Chance

_PIECES = [
    "${",
    "}",
    "$",
    "$$",
    "{",
    "A",
    "SECRET",
    "UNSET",
    ":-",
    "-",
    ":+",
    "+",
    ":?",
    "?",
    "!",
    " ",
    "${A}",
    "$SECRET",
]
_PIECES += [
    "${UNSET:-",
    "${A:+",
    "${EMPTY:?",
    "${PORT}",
    "${DB_PASSWORD}",
    "'",
    '"',
    "\\",
    "\n",
    "é",
    "${FILE_TOKEN}",
    "#",
]
_LINE_PIECES = [
    *_PIECES,
    "=",
    ":",
    "export ",
    "TOKEN=",
    f"TOKEN={CANARY}",
    f'"{CANARY}',
    f"'{CANARY}'",
    f"{CANARY} ",
    "\n",
    "\n",
]
_LINE_PIECES += [
    "\r\n",
    "\t",
    "PASSWORD: ",
    "-----BEGIN KEY-----\n",
    f"{CANARY}+/=\n",
    "\\n",
    "\x00",
    "\ufeff",
    "1",
    ".",
    "[x]",
]
_PLACES = [
    "image",
    "command",
    "user",
    "hostname",
    "working_dir",
    "init",
    "shm_size",
    "stop_grace_period",
    "cpus",
    "build",
]
_TEXTS = [text for name, text in read_corpus().items() if not name.startswith(("include", "extends"))]


def _soup(rng: Chance, pieces: list[str], most: int) -> str:
    return "".join(rng.choice(pieces) for _ in range(rng.randrange(1, most)))


def variables_soup(rng: Chance) -> Case:
    """Return a file with soups of variables in many places, beside soups as files of variables."""
    data = {"services": {"a": {"image": "i"}, "b": {"image": "i"}}}
    services = data["services"]
    for _ in range(rng.randint(1, 4)):
        services[rng.choice(["a", "b"])][rng.choice(_PLACES)] = _soup(rng, _PIECES, 10)
    services["a"]["environment"] = {"A": _soup(rng, _PIECES, 12), "B": None}
    services["b"]["ports"] = [_soup(rng, _PIECES, 6)] if rng.random() < 0.3 else [80]
    files = {MAIN: encode(write(rng, data))}
    if rng.random() < 0.6:
        services["b"]["env_file"] = [{"path": "vars_file", "format": "raw"}] if rng.random() < 0.2 else ["vars_file"]
        files = {MAIN: encode(write(rng, data)), "vars_file": encode(_soup(rng, _LINE_PIECES, 30))}
    if rng.random() < 0.6:
        files[".env"] = encode(_soup(rng, _LINE_PIECES, 30))
    return Case(files, allow_unsafe=rng.random() < 0.7)


def several_files(rng: Chance) -> Case:
    """Return two to five files: overlays on the command line, and others by `include` and `extends`."""
    names = [MAIN, "one.yaml", "two.yaml", "sub/three.yaml", "missing.yaml", "${SECRET}.yaml", "x" * 300, "sub", "a\0b"]
    files: dict[str, bytes] = {}
    for name in names[: rng.randint(2, 4)]:
        if rng.random() < 0.25:
            files[name] = encode(rng.choice(_TEXTS))
        else:
            files[name] = encode(_tag_some(rng, write(rng, _linked(rng, names))))
    files["sub/.env"] = encode(_soup(rng, _LINE_PIECES, 8) if rng.random() < 0.3 else f"SUB_TOKEN={CANARY}-sub\n")
    overlays = [name for name in ("one.yaml", "two.yaml") if name in files and rng.random() < 0.5]
    return Case(files, (MAIN, *overlays), shared=True, allow_unsafe=rng.random() < 0.7)


def _linked(rng: Chance, names: list[str]) -> dict[str, object]:
    """Return a file's data that draws in others."""
    data = whole_file(rng) if rng.random() < 0.6 else {"services": {"a": service(rng, ["b"]), "b": {"image": "i"}}}
    if rng.random() < 0.5:
        entries = [rng.choice(names) for _ in range(rng.randint(1, 2))]
        long = {"path": [rng.choice(names)], "project_directory": ".", "env_file": rng.choice(["sub/.env", "nope"])}
        data["include"] = [*entries, long] if rng.random() < 0.3 else entries
    services = data["services"] if isinstance(data["services"], dict) else {}
    for each in services.values():
        if isinstance(each, dict) and rng.random() < 0.4:
            each["extends"] = {"service": rng.choice(["a", "b", "c", "x"]), "file": rng.choice(names)}
            if rng.random() < 0.4:
                del each["extends"]["file"]
    return data


def _tag_some(rng: Chance, text: str) -> str:
    """Put `!reset` or `!override` before some values."""
    if rng.random() < 0.6:
        return text
    parts = text.split(": ")
    at = rng.randrange(len(parts))
    tag = rng.choice(["!reset ", "!override ", "!reset null #", "!!str "])
    return ": ".join([*parts[:at], tag + parts[at], *parts[at + 1 :]])
