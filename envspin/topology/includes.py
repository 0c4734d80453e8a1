"""Reading files and what they draw in: variables, `extends`, `include`, overlays."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.topology import limits
from envspin.topology.compose import check_top_level_keys
from envspin.topology.dotenv import parse_dotenv
from envspin.topology.files import display_name, is_file, read_text
from envspin.topology.interpolation import InterpolationError, count_work, interpolate
from envspin.topology.merge import Merger, content, count_values, strip_tags
from envspin.topology.nodes import Document, Entry, Mapping, Place, Scalar, Sequence, is_null
from envspin.topology.reader import OWN_EXTENSION, Reader
from envspin.topology.report import MAX_PROBLEMS
from envspin.topology.source import Parsed, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping as Mapping_
    from collections.abc import Sequence as Sequence_

    from envspin.topology.nodes import Node
    from envspin.topology.report import Report

MAX_EXTENDS = 50
_SECTIONS = ("services", "networks", "volumes", "configs", "secrets")
_ENV_FILE = ".env"
_DOLLAR_HINT = "a dollar sign itself is written `$$`"
_QUOTED_NAME = re.compile(r"`(\w+)`")


def _is_reference(text: str, name: str) -> bool:
    """Tell whether ``name`` is surely a variable in ``text`` rather than the end of a password with a dollar sign."""
    return name.isupper() and any(f"${{{name}{mark}" in text for mark in "}:?+-")


class Loader:
    """Reads the files of one topology; ``files`` holds them in the order of reading."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.files: list[Path] = []
        self.merger = Merger(report)
        self._extended: dict[Path, Mapping | None] = {}
        self._circles: set[tuple[str, str]] = set()
        self._reader = Reader(report, directory=Path())

    def read(self, path: Path, directory: Path, variables: Mapping_[str, str], at: Place | None = None) -> Parsed:
        """Parse a file whose relative paths start at ``directory``; variables are not put in yet."""
        self.report.charge(limits.READS, 1, at)
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as the user wrote them
        if absolute not in self.files:
            self.files.append(absolute)
        text = read_text(path, at, self.report)
        if text is None:
            return Parsed()
        document = Document(display_name(path), text, directory, variables)
        parsed = parse_yaml(document, self.report)
        if parsed.too_large:
            self.report.raise_if_failed()  # to go on with half of a huge file takes as long as reading it did
        self._check_roots(parsed, document)
        return parsed

    def _check_roots(self, parsed: Parsed, document: Document) -> None:
        """Report an empty file, and one whose top level is not a mapping."""
        filled = [root for root in parsed.roots if not is_null(root)]
        if not filled and not self.report.failed:
            place = Place(document, 1, 1)
            self.report.error("file-empty", "the file is empty", place, "a topology needs at least `services:`")
        for root in filled:
            if not isinstance(root, Mapping):
                self.report.error("wrong-type", "a Compose file must be a mapping with `services:`", root)

    def find_name(self, parsed: Parsed) -> Scalar | None:
        """Return the file's `name:` with variables put in; faults are left to be reported with all others."""
        for root in reversed(parsed.roots):
            name = root.get("name") if isinstance(root, Mapping) else None
            if not isinstance(name, Scalar) or is_null(name):
                continue
            try:
                text = interpolate(name.text, name.document.variables.get)
            except InterpolationError:
                return None
            raw = name.text if "$" in name.text else None
            return Scalar(name.document, name.line, name.column, text, name.plain, raw=raw)
        return None

    def merge_documents(self, documents: Sequence_[Parsed], trail: tuple[Path, ...] = ()) -> Mapping | None:
        """Put variables in, resolve `extends` and `include`, and lay later files over earlier ones."""
        merged: Mapping | None = None
        for parsed in documents:
            self._substitute(parsed)
            for root in parsed.roots:
                if isinstance(root, Mapping):
                    layer = self._include(self._extend_services(root), trail)
                    merged = layer if merged is None else self.merger.merge_files(merged, layer)
        written: list[Node] = [root for parsed in documents for root in parsed.roots]
        if merged is not None and not trail and written != [merged]:
            self.report.charge(limits.EXPANDED, count_values(merged), merged)
        if merged is not None and any(parsed.tagged for parsed in documents):
            stripped = strip_tags(merged)
            return stripped if isinstance(stripped, Mapping) else None
        return merged

    def _substitute(self, parsed: Parsed) -> None:
        """Replace the variables of all values of a file, in place; each unset one is warned of once."""
        unset: set[tuple[str, bool]] = set()
        met: set[tuple[str, int]] = set()
        for scalar in parsed.templates:
            if scalar.raw is not None:
                continue
            self.report.charge(limits.VARIABLES, count_work(scalar.text), scalar)

            def warn(name: str, scalar: Scalar = scalar) -> None:
                if (name, id(scalar)) in met or len(unset) > MAX_PROBLEMS:
                    return  # further warnings would be dropped
                met.add((name, id(scalar)))
                place = scalar.place_at(max(scalar.text.find("$"), 0))
                hidden = not _is_reference(scalar.text, name) and (
                    self.report.hides(place) or f"${name}" not in scalar.masked.replace("{", "")
                )
                if (name, hidden) not in unset:
                    unset.add((name, hidden))
                    subject = "a variable in this value" if hidden else f"the variable `{name}`"
                    hint = _DOLLAR_HINT if hidden else None
                    self.report.warn("interpolation-unset", f"{subject} is not set and counts as empty", place, hint)

            try:
                text = interpolate(scalar.text, scalar.document.variables.get, warn)
            except InterpolationError as error:
                self._report_substitution(error, scalar)
                self.report.settle(scalar)
                text = ""
            scalar.raw, scalar.text = scalar.text, text
            self.report.charge(limits.SUBSTITUTED, len(text), scalar)

    def _report_substitution(self, error: InterpolationError, scalar: Scalar) -> None:
        """Report a text that cannot be substituted; what stands in it is not said if it may be a secret."""
        place = scalar.place_at(error.offset)
        required = error.code == "interpolation-required"
        named = required and any(_is_reference(scalar.text, name) for name in _QUOTED_NAME.findall(error.message))
        if named or not self.report.hides(place):
            self.report.error(error.code, error.message, place, error.hint)
            return
        message = "a variable in this value is required but not set" if required else "this value cannot be substituted"
        self.report.error(error.code, message, place, _DOLLAR_HINT)

    def _extend_services(self, root: Mapping) -> Mapping:
        """Return a file in which every `extends` is resolved."""
        entry = root.entries.get("services")
        if entry is None or not isinstance(entry.value, Mapping):
            return root
        services = entry.value
        if not any(
            isinstance(each.value, Mapping) and "extends" in each.value.entries for each in services.entries.values()
        ):
            return root
        done: dict[str, Entry] = {}
        for name, (key, node) in services.entries.items():
            resolved = self._extend(root, name, node, ()) if isinstance(node, Mapping) else node
            done[name] = Entry(key, resolved)
        return root.replaced({**root.entries, "services": Entry(entry.key, services.replaced(done))})

    def _extend(self, root: Mapping, name: str, service: Mapping, trail: tuple[tuple[str, str], ...]) -> Mapping:
        """Return ``service`` laid over what it extends."""
        entry = service.entries.get("extends")
        if entry is None or is_null(entry.value):
            return service
        self.report.charge(limits.EXTENSIONS, 1, entry.key)
        here = (root.document.name, name)
        own = service.replaced({key: value for key, value in service.entries.items() if key != "extends"})
        if here in trail:
            names = " -> ".join([each for _, each in trail[trail.index(here) :]] + [name])
            if self._circles.isdisjoint(trail):
                self.report.error("extends-cycle", f"services extend each other in a circle: {names}", entry.key)
            self._circles.update(trail)
            self.report.settle(own)
            return own
        if len(trail) >= MAX_EXTENDS:
            self.report.error("extends-depth", f"more than {MAX_EXTENDS} services extend each other", entry.key)
            return own
        found = self._find_extended(root, service, entry)
        if found is None:
            self.report.settle(own)
            return own
        base_root, base_name, base = found
        return self.merger.merge_services(self._extend(base_root, base_name, base, (*trail, here)), own)

    def _find_extended(self, root: Mapping, service: Mapping, entry: Entry) -> tuple[Mapping, str, Mapping] | None:
        """Return the file, name and node of the service that ``entry`` (an `extends`) names."""
        name_node: Node | None = entry.value
        source: Mapping | None = root
        if isinstance(entry.value, Mapping):
            name_node = entry.value.get("service")
            for key, (_, value) in self._reader.keys(entry.value, "extends", ("service", "file")):
                if key == "file":
                    path = self._reader.path(value, "extends.file")
                    source = self._read_extended(path, value, service) if path else None
            if name_node is None:
                self.report.error("missing-key", "`extends` has no `service`", entry.value)
                return None
        name = self._reader.name(name_node, "extends") if name_node is not None else None
        if name is None or source is None or name_node is None:
            return None
        services = source.get("services")
        known = services.entries if isinstance(services, Mapping) else {}
        base = known.get(name)
        if base is None or not isinstance(base.value, Mapping):
            self._reader.undefined("service", name, name_node, known)
            return None
        return source, name, base.value

    def _read_extended(self, path: Path, at: Node, service: Mapping) -> Mapping | None:
        """Return the root of a file that a service extends; it is read once."""
        if path not in self._extended:
            parsed = self.read(path, path.parent, service.document.variables, at)
            self._substitute(parsed)
            roots = [root for root in parsed.roots if isinstance(root, Mapping)]
            self._extended[path] = roots[0] if roots else None
        return self._extended[path]

    def _include(self, root: Mapping, trail: tuple[Path, ...]) -> Mapping:
        """Return ``root`` with what its `include` draws in."""
        entry = root.entries.get("include")
        if entry is None or is_null(entry.value):
            return root
        sequence = self._reader.sequence(entry.value, "include")
        kept = root.replaced({key: value for key, value in root.entries.items() if key != "include"})
        for item in sequence.items if sequence else ():
            included = self._load_included(item, trail)
            if included is not None:
                kept = self._import(kept, included)
        return kept

    def _load_included(self, item: Node, trail: tuple[Path, ...]) -> Mapping | None:
        """Load the files of one `include` entry as a project of its own."""
        paths: list[Path] = []
        directory: Path | None = None
        env_files: list[tuple[Path, Node]] = []
        if isinstance(item, Scalar):
            paths = self._paths(item, "include")
        else:
            for key, (_, value) in self._reader.keys(item, "include", ("path", "project_directory", "env_file")):
                if key == "path":
                    paths = self._paths(value, "include.path")
                elif key == "env_file":
                    env_files = [(path, value) for path in self._paths(value, "include.env_file")]
                else:
                    directory = self._reader.path(value, "include.project_directory")
            if not paths and isinstance(item, Mapping) and is_null(item.get("path")):
                self.report.error("missing-key", "an entry of `include` has no `path`", item)
        if not paths:
            return None
        again = next((path for path in paths if path in trail), None)
        if again is not None:
            self.report.error("include-cycle", f"`{display_name(again)}` includes itself in a circle", item)
            return None
        folder = directory or paths[0].parent
        variables = self._included_variables(item, folder, env_files)
        documents = [self.read(path, folder, variables, item) for path in paths]
        return self.merge_documents(documents, (*trail, *paths))

    def _paths(self, node: Node, what: str) -> list[Path]:
        items = node.items if isinstance(node, Sequence) else [node]
        found = (self._reader.path(item, what) for item in items)
        return [path for path in found if path is not None]

    def _included_variables(self, item: Node, folder: Path, env_files: list[tuple[Path, Node]]) -> Mapping_[str, str]:
        """Return the including file's variables over those of the included project's own files."""
        outer = item.document.variables
        default = folder / _ENV_FILE
        if not env_files and is_file(default):
            env_files = [(default, item)]
        values: dict[str, str] = {}
        for path, at in env_files:
            text = read_text(path, at, self.report)
            if text is not None:
                document = Document(display_name(path), text, path.parent, confidential=True)
                values |= parse_dotenv(document, {**values, **outer}.get, self.report)
        if not values:
            return outer
        self.report.charge(limits.ENVIRONMENT, len(values) + len(outer), item)
        return {**values, **outer}

    def _import(self, root: Mapping, included: Mapping) -> Mapping:
        """Add an included project's sections; what exists already must say the same."""
        check_top_level_keys(self._reader, included)
        entries = dict(root.entries)
        for section in _SECTIONS:
            theirs = included.entries.get(section)
            if theirs is None or is_null(theirs.value):
                continue
            ours, given = entries.get(section), self._reader.mapping(theirs.value, section)
            if given is None:
                continue
            if ours is None or is_null(ours.value):
                entries[section] = theirs
            elif isinstance(ours.value, Mapping):
                entries[section] = Entry(ours.key, self._import_section(section, ours.value, given))
        extension = included.entries.get(OWN_EXTENSION)
        if extension is not None:
            own = entries.get(OWN_EXTENSION)
            merged = self.merger.merge(extension.value, own.value, (OWN_EXTENSION,)) if own else extension.value
            entries[OWN_EXTENSION] = Entry(extension.key, merged)
        return root.replaced(entries)

    def _import_section(self, section: str, ours: Mapping, theirs: Mapping) -> Mapping:
        for name, entry in theirs.entries.items():
            mine = ours.entries.get(name)
            if mine is not None and content(mine.value) != content(entry.value):
                message = f"`{section}.{name}` is also defined, differently, in {entry.key.mark}, which is included"
                self.report.error("include-conflict", message, mine.key)
        return ours.replaced({**theirs.entries, **ours.entries})
