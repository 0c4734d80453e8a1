"""YAML text -> nodes with their places; data -> YAML text. The one place that imports yaml.

The parser's event stream is walked with a stack of our own, so a hostile file can neither overflow the interpreter's
stack nor make us build more than the limits below: depth, size, nodes, and nodes after aliases are expanded (an
expanded alias shares its nodes, but everyone who walks the tree pays for them). Scalars stay text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from envspin.topology.limits import EXPANDED, VALUES
from envspin.topology.nodes import MAX_LINES, OVERRIDE_TAG, RESET_TAG, Entry, Mapping, Node, Place, Scalar, Sequence
from envspin.topology.syntax import report_syntax

if TYPE_CHECKING:
    from envspin.topology.nodes import Document
    from envspin.topology.report import Report

MAX_BYTES = 8 * 1024 * 1024
MAX_NODES = VALUES.most
MAX_EXPANDED = EXPANDED.most
MAX_DEPTH = 64

_STANDARD_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset(("!", _STANDARD_TAG + "str"))
_PLAIN_TAGS = frozenset(_STANDARD_TAG + kind for kind in ("int", "float", "bool", "null", "map", "seq"))
_MERGE_KEY = "<<"
_SECRETS = "secrets"
_Event: TypeAlias = Any
"""An event of the parser, or a place of one: the kinds differ in their attributes."""
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Parsed:
    """What a file holds: one root for each YAML document, and the values in which a ``$`` occurs."""

    roots: list[Node] = field(default_factory=list)
    templates: list[Scalar] = field(default_factory=list)
    tagged: bool = False
    """Whether `!reset` or `!override` occurs."""
    too_large: bool = False
    """Whether the file was given up because it holds too much."""


class _StopParsingError(Exception):
    """A limit was passed; the problem is already reported."""


@dataclass(slots=True)
class _Frame:
    """A collection that is still being read."""

    node: Sequence | Mapping
    anchor: str | None
    size: int = 1
    height: int = 1
    key: Scalar | None = None
    merges: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class _Anchor:
    node: Node
    size: int
    height: int
    template: bool = False
    """Whether it is a text in which a ``$`` occurs; long ones are not searched again for each alias."""


def parse_yaml(document: Document, report: Report) -> Parsed:
    """Parse ``document``; problems go to ``report``, and what was understood until then is returned."""
    builder = _Builder(document, report)
    if len(document.text) > MAX_BYTES:
        start = Place(document, 1, 1)
        builder.parsed.too_large = True
        report.error("yaml-size", f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB", start)
        return builder.parsed
    if document.count_lines() > MAX_LINES:
        builder.parsed.too_large = True
        report.error("yaml-size", f"the file has more than {MAX_LINES:,} lines", Place(document, 1, 1))
        return builder.parsed
    try:
        builder.run()
    except _StopParsingError:
        pass
    except yaml.YAMLError as error:
        report_syntax(error, builder.quoted, document, report)
    report.charge(VALUES, min(builder.nodes, MAX_NODES), Place(document, 1, 1))
    return builder.parsed


class _Builder:
    """Builds nodes from the events of one file."""

    def __init__(self, document: Document, report: Report) -> None:
        self.document = document
        self.report = report
        self.parsed = Parsed()
        self.stack: list[_Frame] = []
        self.anchors: dict[str, _Anchor | None] = {}
        self.nodes = 0
        self.quoted: tuple[Scalar, int] | None = None
        """The last text in quotes that spans lines, and the line of its end."""

    def run(self) -> None:
        """Read all events of the file."""
        handlers = {
            yaml.ScalarEvent: self.on_scalar,
            yaml.MappingStartEvent: self.on_mapping,
            yaml.SequenceStartEvent: self.on_sequence,
            yaml.MappingEndEvent: self.on_end,
            yaml.SequenceEndEvent: self.on_end,
            yaml.AliasEvent: self.on_alias,
            yaml.DocumentStartEvent: self.on_document,
        }
        parser = _PARSER(self.document.text)
        try:
            while (event := parser.get_event()) is not None:
                handler = handlers.get(type(event))
                if handler:
                    handler(event)
        finally:
            parser.dispose()

    def on_document(self, _event: _Event) -> None:
        """Forget the anchors: they do not reach over documents."""
        self.anchors = {}

    def on_scalar(self, event: _Event) -> None:
        """Add a text."""
        mark = event.start_mark
        plain = not event.style  # the C parser says "" and the other None
        node = Scalar(self.document, mark.line + 1, mark.column + 1, event.value, plain)
        end = event.end_mark
        if end.line > mark.line:
            self.note_lines(node, end, event.style)
        if event.tag is not None:
            self.set_tag(node, event.tag)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(node, 1, 1, template="$" in node.text)
        self.add(node, 1, 1, template="$" in node.text)

    def note_lines(self, node: Scalar, end: _Event, style: str | None) -> None:
        """Remember where a text of several lines ends."""
        if end.column:
            self.document.tails[end.line + 1] = end.column
        self.quoted = (node, end.line + 1) if style in ("'", '"') else None

    def on_mapping(self, event: _Event) -> None:
        """Begin a mapping."""
        mark = event.start_mark
        self.begin(Mapping(self.document, mark.line + 1, mark.column + 1, {}), event)

    def on_sequence(self, event: _Event) -> None:
        """Begin a list."""
        mark = event.start_mark
        self.begin(Sequence(self.document, mark.line + 1, mark.column + 1, []), event)

    def begin(self, node: Mapping | Sequence, event: _Event) -> None:
        """Put a new collection on the stack."""
        if event.tag is not None:
            self.set_tag(node, event.tag)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if len(self.stack) >= MAX_DEPTH:
            raise self.stopped("yaml-depth", f"nested deeper than {MAX_DEPTH} levels", node)
        if self.stack and isinstance(self.stack[-1].node, Mapping) and self.stack[-1].key is None:
            raise self.stopped("yaml-key", "a key must be text", node)
        if len(self.stack) == 1 and (key := self.stack[0].key) is not None and key.text == _SECRETS:
            self.document.secrets = (key.line, MAX_LINES)
        self.stack.append(_Frame(node, event.anchor))

    def on_end(self, event: _Event) -> None:
        """Finish the innermost collection."""
        frame = self.stack.pop()
        if len(self.stack) == 1 and (key := self.stack[0].key) is not None and key.text == _SECRETS:
            end = event.end_mark
            self.document.secrets = (key.line, end.line + (end.column > 0))
        if frame.merges and isinstance(frame.node, Mapping):
            self.apply_merges(frame.node, frame.merges)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = _Anchor(frame.node, frame.size, frame.height)
        self.add(frame.node, frame.size, frame.height)

    def on_alias(self, event: _Event) -> None:
        """Put the anchored node in the alias' place."""
        place = Place(self.document, event.start_mark.line + 1, event.start_mark.column + 1)
        if event.anchor not in self.anchors:
            named = "there is no anchor `&{}` before this alias"
            self.leave_out(named, "no anchor before this alias has its name", event.anchor, place)
            return
        anchor = self.anchors[event.anchor]
        if anchor is None:
            named = "`*{0}` stands within `&{0}` itself"
            self.leave_out(named, "the alias stands within what it names", event.anchor, place)
            return
        if len(self.stack) + anchor.height > MAX_DEPTH:
            raise self.stopped("yaml-depth", f"nested deeper than {MAX_DEPTH} levels", place)
        self.add(anchor.node, anchor.size, anchor.height, place, template=anchor.template)

    def leave_out(self, named: str, nameless: str, anchor: str, place: Place) -> None:
        """Report an alias, by its name unless that may be a password, and read nothing in its place."""
        message = nameless if self.report.hides(place) else named.format(anchor)
        self.report.error("yaml-alias", message, place)
        self.report.settle(place)
        self.add(Scalar(place.document, place.line, place.column, ""), 1, 1)

    def add(self, node: Node, size: int, height: int, place: Place | None = None, *, template: bool = False) -> None:
        """Put a finished node into its parent."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.stopped(VALUES.code, VALUES.message, place or node)
        if not self.stack:
            self.parsed.roots.append(node)
            return
        frame = self.stack[-1]
        frame.size += size
        if height >= frame.height:
            frame.height = height + 1
        if frame.size > MAX_EXPANDED:
            raise self.stopped(EXPANDED.code, EXPANDED.message, place or node)
        target = frame.node
        if type(target) is Sequence:
            target.items.append(node)
        elif frame.key is None:
            frame.key = self.check_key(node, place)
            return
        else:
            key, frame.key = frame.key, None
            self.add_entry(frame, key, node)
        if template and isinstance(node, Scalar):
            self.parsed.templates.append(node)

    def check_key(self, node: Node, place: Place | None) -> Scalar:
        """Return ``node`` if it can be a key."""
        if not isinstance(node, Scalar) or node.is_null:
            raise self.stopped("yaml-key", "a key must be text", place or node)
        return node

    def add_entry(self, frame: _Frame, key: Scalar, value: Node) -> None:
        """Add a key with its value; a key that is already there is an error."""
        entries = frame.node.entries if isinstance(frame.node, Mapping) else {}
        if key.text == _MERGE_KEY and key.plain:
            if frame.merges:
                self.report.error("yaml-duplicate-key", "`<<` occurs twice here", key, "give one list: <<: [*a, *b]")
            frame.merges.append(value)
        elif key.text in entries:
            first = entries[key.text].key.line
            self.report.error("yaml-duplicate-key", f"the key `{key.shown}` was already given at line {first}", key)
        else:
            entries[key.text] = Entry(key, value)

    def apply_merges(self, node: Mapping, merges: list[Node]) -> None:
        """Put the entries of ``<<`` below the mapping's own."""
        merged: dict[str, Entry] = {}
        for source in merges:
            for item in source.items if isinstance(source, Sequence) else [source]:
                if isinstance(item, Mapping):
                    for key, entry in item.entries.items():
                        merged.setdefault(key, entry)
                else:
                    self.report.error("yaml-merge", "`<<` takes a mapping or a list of mappings", item)
        node.entries = merged | node.entries

    def set_tag(self, node: Node, tag: str) -> None:
        """Keep the tags that mean something here."""
        if tag in (RESET_TAG, OVERRIDE_TAG):
            node.tag = tag
            self.parsed.tagged = True
        elif tag in _TEXT_TAGS:
            if isinstance(node, Scalar):
                node.plain = False
        elif tag in _PLAIN_TAGS:
            if isinstance(node, Scalar):
                node.plain = True
        else:
            shown = tag.replace(_STANDARD_TAG, "!!")
            subject = "this tag" if self.report.hides(node) else f"the tag `{shown}`"
            self.report.error("yaml-tag", f"{subject} means nothing here", node)

    def stopped(self, code: str, message: str, at: Place) -> _StopParsingError:
        """Report, and return what to raise: this file is given up."""
        self.parsed.too_large = code == VALUES.code
        self.report.error(code, message, at)
        return _StopParsingError()


_MUST_QUOTE = (
    r"(?s)^(?:[-+.]?[0-9].*|[yYnN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN))$"
)

_MUST_ESCAPE = "[^\t\n -~\xa0-\u2027\u202a-\ufefe\uff00-\uffef\U00010000-\U0010ffff]"
"""Control characters and the line breaks that only some YAML readers know.

Both patterns are compiled at their first use: that takes 5 ms, and few runs write YAML.
"""


class _Dumper(yaml.SafeDumper):
    """Writes text so that YAML 1.1 and 1.2 readers alike get text back."""

    def ignore_aliases(self, data: object) -> bool:
        """Write shared values in full: the output has no anchors."""
        del data
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if re.match(_MUST_QUOTE, text) or re.search(_MUST_ESCAPE, text):
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar(_STANDARD_TAG + "str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump_yaml(data: object) -> str:
    """Return plain data as YAML; texts that look like something else are quoted."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**30)
