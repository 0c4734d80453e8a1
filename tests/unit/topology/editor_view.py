"""A Compose file as an editor sees it: JSON data by YAML 1.2's core schema; and mutants of such files."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from envspin.topology.nodes import Document, Mapping, Scalar, is_null
from envspin.topology.report import Report
from envspin.topology.source import parse_yaml

INTEGER = re.compile(r"[-+]?[0-9]+")
BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
TRUTH = {text: truth for truth in (True, False) for text in (str(truth), str(truth).lower(), str(truth).upper())}


def read_documents(text):
    """Return the documents of a file as an editor's data, leaving out what has a tag."""
    report = Report()
    parsed = parse_yaml(Document("compose.yaml", text, Path()), report)
    report.raise_if_failed()
    return [to_data(root) for root in parsed.roots if not is_null(root)]


def to_data(node):
    if isinstance(node, Scalar):
        return to_value(node.text) if node.plain else node.text
    if isinstance(node, Mapping):
        return {key: to_data(entry.value) for key, entry in node.entries.items() if entry.value.tag is None}
    return [to_data(item) for item in node.items if item.tag is None]


def to_value(text):
    """Return what an unquoted text is."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in TRUTH:
        return TRUTH[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if BASED.fullmatch(text):
        return int(text, 0)
    if FLOAT.fullmatch(text) or SPECIAL.fullmatch(text):
        return float(text.replace(".i", "i").replace(".I", "I").replace(".n", "n").replace(".N", "N"))
    return text


class Plain(str):
    """A text that is written without quotes, because it means a number, a truth value or nothing."""

    __slots__ = ()


def to_tree(text):
    """Return a file of one document as data that can be changed and written again; None for other files."""
    parsed = parse_yaml(Document("compose.yaml", text, Path()), Report())
    return None if len(parsed.roots) != 1 else _to_tree(parsed.roots[0])


def _to_tree(node):
    if isinstance(node, Scalar):
        return Plain(node.text) if node.plain and not isinstance(to_value(node.text), str) else node.text
    if isinstance(node, Mapping):
        return {key: _to_tree(entry.value) for key, entry in node.entries.items() if entry.value.tag is None}
    return [_to_tree(item) for item in node.items if item.tag is None]


def write(tree):
    """Return a tree as YAML."""
    if isinstance(tree, Plain):
        return str(tree) or "null"
    if isinstance(tree, str):
        return json.dumps(tree, ensure_ascii=False)
    if isinstance(tree, dict):
        return (
            "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {write(each)}" for key, each in tree.items()) + "}"
        )
    return "[" + ", ".join(map(write, tree)) + "]"


ODD = [
    *map(Plain, ("null", "~", "true", "False", "0", "-1", "1", "80", "0440", "0x1F", "0o17", "1.5", "1e3", "70000")),
    *map(Plain, (".5", "-0", ".inf", "+7", "123456789012345678901")),
    *("", " ", "yes", "off", "text", "${UNSET:-7}", "$HOMEX", "10s", "1h30m", "5 parsecs", "64m", "1.5 GB", "0", "-1"),
    *(
        "8080:80",
        "80/udp",
        "80/icmp",
        "3000-3005",
        "./a:/a:ro",
        "/a",
        "a:b",
        "a=b",
        "=b",
        "host",
        "none",
        "tcp",
        "exec",
    ),
    *("envspin.x=1", "service_healthy", "volume", "bind", "1e3", "0440", "{db.host}", "{db", "https://x/y.git", "null"),
    *([], {}, [[]], ["a"], [Plain("1")], [Plain("null")], [{}], {"a": "b"}, {"a": Plain("null")}, {"a": []}, {"": "b"}),
    *({"x-a": Plain("1")}, ["CMD"], ["CMD", "a"], {"tcp": Plain("80")}, {"soft": Plain("1")}, {"name": "n"}),
]
"""Values of every shape, to be put where they do not belong."""


class Mutator:
    """Changes trees at random; ``keys`` are names to put in."""

    def __init__(self, seed, keys):
        self.random = random.Random(seed)
        self.keys = keys

    def mutate(self, tree):
        """Return a copy of ``tree`` with one to three changes."""
        copy = _copy(tree)
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            change = self.random.choice((self.replace, self.replace, self.rename, self.delete, self.insert, self.move))
            change(copy)
        return copy

    def places(self, tree):
        """Return all values below ``tree`` as their container and key."""
        found = []
        for at in tree if isinstance(tree, dict) else range(len(tree)):
            found.append((tree, at))
            if isinstance(tree[at], dict | list):
                found += self.places(tree[at])
        return found

    def pick(self, tree, kind=(dict, list)):
        places = [place for place in self.places(tree) if isinstance(place[0], kind)]
        return self.random.choice(places) if places else (None, None)

    def pick_container(self, tree):
        held = [tree, *(where[at] for where, at in self.places(tree) if isinstance(where[at], dict | list))]
        return self.random.choice(held)

    def odd(self):
        return _copy(self.random.choice(ODD))

    def replace(self, tree):
        where, at = self.pick(tree)
        if where is not None:
            where[at] = self.odd()

    def rename(self, tree):
        where, at = self.pick(tree, dict)
        if where is not None:
            name = self.random.choice((f"{at}x", at[1:], at.upper(), self.random.choice(self.keys)))
            entries = [(name if key == at else key, value) for key, value in where.items()]
            where.clear()
            where.update(entries)

    def delete(self, tree):
        where, at = self.pick(tree)
        if where is not None:
            del where[at]

    def insert(self, tree):
        where = self.pick_container(tree)
        if isinstance(where, dict):
            where.setdefault(self.random.choice(self.keys), self.odd())
        else:
            where.insert(self.random.randint(0, len(where)), self.odd())

    def move(self, tree):
        """Put a copy of one value in the place of another."""
        (source, at), (target, to) = self.pick(tree), self.pick(tree)
        if source is not None and target is not None:
            target[to] = _copy(source[at])


def _copy(tree):
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(item) for item in tree] if isinstance(tree, list) else tree
