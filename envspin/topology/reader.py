"""Typed reading of nodes: each method returns a value, or None after reporting what is wrong and where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from envspin.topology import values
from envspin.topology.limits import GUESSES, PATHS
from envspin.topology.masking import MASK, sounds_secret
from envspin.topology.nodes import Mapping, Scalar, Sequence, describe_kind, is_null

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from envspin.model import Port
    from envspin.topology.nodes import Entry, Node, Place
    from envspin.topology.report import Report

    Value = TypeVar("Value")

EXTENSION_PREFIX = "x-"
OWN_EXTENSION = "x-envspin"
MAX_GUESSED = 64
MAX_TYPOS = 2
TYPO_CUTOFF = 0.85
MAX_CANDIDATES = 200
MAX_FOLDERS = 200
MAX_PORTS = 100_000
"""Ports of a whole topology, ranges counted out: far more than any engine could publish."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return a hint with the nearest valid name, if one is near."""
    if len(name) > MAX_GUESSED:
        return None
    from difflib import get_close_matches  # noqa: PLC0415 - most topologies are right

    names = list(known)
    if len(names) > MAX_CANDIDATES:
        names = [each for each in names if each[:1] == name[:1] and abs(len(each) - len(name)) <= 1][:MAX_CANDIDATES]
    found = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean `{found[0]}`?" if found else None


class Reader:
    """What reading a topology needs: the report, the topology's folder, and how strict to be."""

    def __init__(self, report: Report, *, directory: Path, allow_unsafe: bool = False) -> None:
        self.report = report
        self.directory = directory
        self.allow_unsafe = allow_unsafe
        self.env_files: dict[tuple[object, ...], dict[str, str]] = {}
        """What services get from files of variables, by the last file's path, format and surroundings, and by the
        identity of what the files before it gave, which is one of these, too."""
        self._ports = 0
        self._guesses = 0
        self._real_paths: dict[str, str] = {}
        self._paths: dict[tuple[Path, str], Path] = {}

    def error(self, code: str, message: str, at: Place, hint: str | None = None) -> None:
        """Report an error."""
        self.report.error(code, message, at, hint)

    def warn(self, code: str, message: str, at: Place, hint: str | None = None) -> None:
        """Report a warning."""
        self.report.warn(code, message, at, hint)

    def refuse(self, code: str, message: str, at: Place) -> None:
        """Report something that only ``--allow-unsafe`` lets through."""
        if not self.allow_unsafe:
            self.error(code, message, at, "pass --allow-unsafe if this topology is trusted")

    def mapping(self, node: Node, what: str) -> Mapping | None:
        """Return ``node`` if it is a mapping."""
        if isinstance(node, Mapping):
            return node
        self.wrong_type(node, what, "a mapping")
        return None

    def sequence(self, node: Node, what: str) -> Sequence | None:
        """Return ``node`` if it is a list."""
        if isinstance(node, Sequence):
            return node
        self.wrong_type(node, what, "a list")
        return None

    def scalar(self, node: Node, what: str, expected: str = "text") -> Scalar | None:
        """Return ``node`` if it is a text (not null)."""
        if isinstance(node, Scalar) and not node.is_null:
            return node
        self.wrong_type(node, what, expected)
        return None

    def wrong_type(self, node: Node, what: str, expected: str) -> None:
        """Report that ``node`` has the wrong shape."""
        found = describe_kind(node)
        self.error("wrong-type", f"`{what}` must be {expected}, but {found} was found", node)

    def text(self, node: Node, what: str) -> str | None:
        """Return a text as written."""
        scalar = self.scalar(node, what)
        return scalar.text if scalar else None

    def name(self, node: Node, what: str) -> str | None:
        """Return a text that is not empty."""
        scalar = self.scalar(node, what)
        if scalar is not None and not scalar.text:
            self.error("bad-value", f"`{what}` must not be empty", scalar)
            return None
        return scalar.text if scalar else None

    def option(self, node: Node, what: str) -> str | None:
        """Return a text that is not empty; one that variables left empty counts as absent, as in Compose."""
        if isinstance(node, Scalar) and node.raw is not None and not node.text:
            return None
        return self.name(node, what)

    def convert(
        self, node: Node, what: str, convert: Callable[[str], Value], code: str = "bad-value", *, quotes: bool = True
    ) -> Value | None:
        """Return what ``convert`` makes of a text; its ``ValueError`` becomes a problem, which ``quotes`` the text."""
        scalar = self.scalar(node, what)
        if scalar is None:
            return None
        try:
            return convert(scalar.text)
        except ValueError as error:
            found = f"`{MASK if sounds_secret(what.rpartition('.')[2]) else scalar.shown}`" if quotes else "the text"
            self.error(code, f"`{what}`: {found} {error}", scalar)
            return None

    def boolean(self, node: Node, what: str) -> bool | None:
        """Return true or false."""
        return self.convert(node, what, values.to_boolean)

    def integer(self, node: Node, what: str, minimum: int | None = None, maximum: int | None = None) -> int | None:
        """Return a whole number within the bounds."""
        return self.convert(node, what, lambda text: values.to_integer(text, minimum, maximum))

    def count(self, node: Node, what: str) -> int | None:
        """Return a whole number that is not negative."""
        return self.integer(node, what, 0)

    def number(self, node: Node, what: str) -> float | None:
        """Return a number that is not negative."""
        return self.convert(node, what, values.to_number)

    def duration(self, node: Node, what: str) -> float | None:
        """Return seconds."""
        return self.convert(node, what, values.to_duration, "bad-duration")

    def size(self, node: Node, what: str) -> int | None:
        """Return bytes."""
        return self.convert(node, what, values.to_size, "bad-size")

    def strings(self, node: Node, what: str, *, single: bool = False) -> tuple[str, ...] | None:
        """Return a list of texts; with ``single`` one text counts as a list of itself."""
        if single and isinstance(node, Scalar) and not node.is_null:
            return (node.text,)
        return tuple(item.text for item in self.scalars(node, what))

    def unique(self, node: Node, what: str) -> tuple[str, ...]:
        """Return a text or a list of texts, each once."""
        return tuple(dict.fromkeys(self.strings(node, what, single=True) or ()))

    def scalars(self, node: Node, what: str) -> Iterator[Scalar]:
        """Yield the texts of a list."""
        sequence = self.sequence(node, what)
        for item in sequence.items if sequence else ():
            scalar = self.scalar(item, what, "a list of texts")
            if scalar is not None:
                yield scalar

    def pairs(self, node: Node, what: str, separators: str = "=") -> dict[str, tuple[str | None, Scalar]]:
        """Return names with values from a mapping or from a list of ``NAME=VALUE``; a value may be missing."""
        if isinstance(node, Mapping):
            return self._pairs_of_mapping(node, what)
        found: dict[str, tuple[str | None, Scalar]] = {}
        if not isinstance(node, Sequence):
            self.wrong_type(node, what, "a mapping or a list")
            return found
        for scalar in self.scalars(node, what):
            cuts = [at for mark in separators if (at := scalar.text.find(mark)) >= 0]
            cut = min(cuts) if cuts else -1
            name = scalar.text if cut < 0 else scalar.text[:cut]
            if not name.strip():
                self.error("bad-value", f"`{what}` has an entry without a name", scalar)
                continue
            found[name] = (None if cut < 0 else scalar.text[cut + 1 :], scalar)
        return found

    def _pairs_of_mapping(self, node: Mapping, what: str) -> dict[str, tuple[str | None, Scalar]]:
        found: dict[str, tuple[str | None, Scalar]] = {}
        for name, (key, value) in node.entries.items():
            if not name.strip():
                self.error("bad-value", f"`{what}` has an entry without a name", key)
            elif not isinstance(value, Scalar):
                self.wrong_type(value, f"{what}.{name}", "text")
            else:
                found[name] = (None if value.is_null else value.text, value)
        return found

    def settings(self, node: Node, what: str) -> dict[str, str]:
        """Return names with values; a missing value is an empty one (labels, driver options)."""
        return {name: value or "" for name, (value, _) in self.pairs(node, what).items()}

    def keys(self, node: Node, what: str, known: Iterable[str]) -> Iterator[tuple[str, Entry]]:
        """Yield the entries of a mapping whose keys are ``known`` and whose values are not null.

        Others are errors, apart from extensions (``x-*``).
        """
        mapping = self.mapping(node, what)
        for key, entry in mapping.entries.items() if mapping else ():
            if key in known:
                if not is_null(entry.value):
                    yield key, entry
            elif not key.startswith(EXTENSION_PREFIX):
                self.unknown_key(entry.key, what, known)

    def unknown_key(self, key: Scalar, what: str, known: Iterable[str], extension: Collection[str] = ()) -> None:
        """Report a key that nobody knows, with the nearest one that exists, or that it belongs under `x-envspin`."""
        where = f"in `{what}`" if what else "at the top level"
        names = list(known)
        hint = f"`{key.text}` belongs under `{OWN_EXTENSION}`" if key.text in extension else self.guess(key.text, names)
        if hint is None and len(names) <= 12:  # noqa: PLR2004 - more would not help
            hint = "the keys here are: " + ", ".join(names)
        self.error("unknown-key", f"unknown key `{key.shown}` {where}", key, hint)

    def check_extension(self, key: Scalar) -> None:
        """Warn of an extension whose name is so near to ours that it is probably meant: others are anybody's."""
        if key.text == OWN_EXTENSION or not key.text.startswith("x-e"):
            return
        if abs(len(key.text) - len(OWN_EXTENSION)) > MAX_TYPOS:
            return
        from difflib import get_close_matches  # noqa: PLC0415 - rarely needed

        if get_close_matches(key.text, [OWN_EXTENSION], cutoff=TYPO_CUTOFF):
            message = f"`{key.shown}` means nothing here"
            self.warn("unknown-key", message, key, f"did you mean `{OWN_EXTENSION}`?")

    def guess(self, name: str, known: Collection[str]) -> str | None:
        """Return :func:`nearest` as long as not too many names were compared: that is slow, and hints are a luxury."""
        if self._guesses > GUESSES:
            return None
        self._guesses += 1 + min(len(known), MAX_CANDIDATES)
        return nearest(name, known)

    def path(self, node: Node, what: str) -> Path | None:
        """Return an absolute path; relative ones start at the folder of the file that says so."""
        text = self.name(node, what)
        return None if text is None else self.resolve(text, node)

    def count_ports(self, ports: list[Port], at: Place) -> bool:
        """Tell whether the topology may have these ports too; report it once when there are too many."""
        self._ports += len(ports)
        if self._ports > MAX_PORTS:
            if self._ports - len(ports) <= MAX_PORTS:
                self.error("bad-port", f"there are more than {MAX_PORTS:,} ports", at)
            return False
        return True

    def real_path(self, path: Path) -> str:
        """Return ``path`` with symbolic links followed as far as it exists."""
        return self._follow(str(path))

    def _follow(self, path: str) -> str:
        found = self._real_paths.get(path)
        if found is None:
            # The folders above are the same for most paths, so they are followed once.
            folder, name = os.path.split(path)
            if path.count("/") >= MAX_FOLDERS:
                return "/"  # which lies outside every topology, as does what nobody can look at
            linked = not name or os.path.islink(path)  # noqa: PTH114 - a bad path is no error here
            found = os.path.realpath(path) if linked else f"{self._follow(folder).rstrip('/')}/{name}"
            self._real_paths[path] = found
        return found

    def is_outside(self, path: Path) -> bool:
        """Tell whether ``path``, links followed, lies outside the topology's folder."""
        real, folder = self.real_path(path), self.real_path(self.directory)
        return real != folder and not real.startswith(folder.rstrip("/") + "/")

    def resolve(self, text: str, at: Place) -> Path:
        """Return ``text`` as an absolute path, without ``..`` and with ``~`` expanded."""
        self.report.charge(PATHS, 1, at)
        if text == "~" or text.startswith("~/"):
            home = at.document.variables.get("HOME") or str(Path.home())
            text = home + text[1:]
        key = (at.document.directory, text)
        found = self._paths.get(key)
        if found is None:
            joined = os.path.join(key[0], text.replace("\0", ""))  # noqa: PTH118 - pathlib takes four times as long
            found = self._paths[key] = Path(os.path.normpath(joined))
        return found

    def undefined(self, kind: str, name: str, at: Place, known: Collection[str]) -> None:
        """Report a name that nothing at the top level has."""
        hint = self.guess(name, known)
        if hint is None and kind != "service":
            hint = f"define it under the top-level `{kind}s`"
        elif hint is None and 0 < len(known) <= 12:  # noqa: PLR2004 - more would not help
            hint = "the services here are: " + ", ".join(known)
        shown = at.shown if isinstance(at, Scalar) and at.raw is not None else name
        self.error(f"undefined-{kind}", f"there is no {kind} `{shown}`", at, hint)
