"""Dockerfiles as text: which images a build takes, and the same text with those images pinned.

The grammar is that of the builders (docs.docker.com/reference/dockerfile): parser directives, continuation lines with
comments among them, here-documents, flags before arguments, and quotes and variables in words. Text that no builder
accepts is not complained about here: the build says what is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DIRECTIVE = re.compile(r"\s*#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
_VARIABLE = re.compile(r"([A-Za-z_]\w*)(?:(:?)([-+?])(.*))?", re.DOTALL)
_NO_IMAGE = "scratch"
_PLATFORM_FLAG = "--platform="
_FROM_FLAG = "--from="
_BYTE_ORDER_MARK = "\ufeff"


class _Line(NamedTuple):
    """A line of the file, without its end."""

    start: int
    text: str


class _Word(NamedTuple):
    """A word of an instruction, as written."""

    start: int
    """Where in the instruction's text it begins."""
    text: str


@dataclass(frozen=True, slots=True)
class _Instruction:
    """An instruction on one line, whatever lines it was written on."""

    text: str
    places: tuple[int, ...]
    """For each character, where in the file it is."""
    escape: str

    def split(self) -> list[_Word]:
        return [_Word(match.start(), match[0]) for match in _make_word_pattern(self.escape).finditer(self.text)]


@dataclass(frozen=True, slots=True)
class _Use:
    """An image's name at a place of the file."""

    image: str
    """With variables put in."""
    start: int
    end: int
    platform: str = ""
    """What ``FROM --platform`` says; empty where that is nothing, or a variable that only builders set."""


def find_platforms(text: str, args: Mapping[str, str], target: str | None = None) -> dict[str, str]:
    """Return the platform of each image of ``find_bases`` for which every use of it names the same."""
    found: dict[str, set[str]] = {}
    for use in _find_uses(text, args, target):
        found.setdefault(use.image, set()).add(use.platform)
    return {image: platform for image, (platform, *others) in found.items() if platform and not others}


def find_bases(text: str, args: Mapping[str, str], target: str | None = None) -> tuple[str, ...]:
    """Return the images that a build up to a stage (None: the last) takes, in order, each once.

    They are those of ``FROM``, with ``args`` put in for the arguments declared before the first ``FROM``, and those of
    ``COPY --from``; the Dockerfile's own stages and ``scratch`` are none.
    """
    return tuple(dict.fromkeys(use.image for use in _find_uses(text, args, target)))


def pin_bases(text: str, args: Mapping[str, str], pins: Mapping[str, str]) -> str:
    """Return the text with other images in the places of those that ``pins`` names; all else stays as it is."""
    pieces, end = [], 0
    for use in _find_uses(text, args, None):
        pin = pins.get(use.image, use.image)
        if pin != use.image:
            pieces += [text[end : use.start], pin]
            end = use.end
    return "".join([*pieces, text[end:]])


def _find_uses(text: str, args: Mapping[str, str], target: str | None) -> Iterator[_Use]:
    values: dict[str, str] = {}
    stages: list[str] = []  # names of the stages so far, the last being the one that the instruction is in
    for instruction in _read_instructions(text):
        keyword, *words = instruction.split()
        match keyword.text.upper():
            case "ARG" if not stages:
                _declare(values, words, args, instruction.escape)
            case "FROM":
                if target is not None and stages and target.lower() in {stages[-1], str(len(stages) - 1)}:
                    return
                flags = [word.text for word in words if word.text.startswith("--")]
                words = [word for word in words if not word.text.startswith("--")]
                platform = next((each for each in flags if each.startswith(_PLATFORM_FLAG)), _PLATFORM_FLAG)
                platform = _expand(platform.removeprefix(_PLATFORM_FLAG), values, instruction.escape)
                yield from (replace(use, platform=platform) for use in _read_from(instruction, words, values, stages))
                is_named = len(words) > 2 and words[1].text.upper() == "AS"  # noqa: PLR2004 - IMAGE AS NAME
                stages.append(words[2].text.lower() if is_named else "")
            case "COPY":
                yield from _read_copy(instruction, words, stages[:-1])


def _declare(values: dict[str, str], words: list[_Word], args: Mapping[str, str], escape: str) -> None:
    for word in words:
        name, equals, default = word.text.partition("=")
        if name in args:
            values[name] = args[name]
        elif equals:
            values[name] = _expand(default, values, escape)


def _read_from(
    instruction: _Instruction, words: list[_Word], values: Mapping[str, str], stages: list[str]
) -> Iterator[_Use]:
    if not words:
        return
    image = _expand(words[0].text, values, instruction.escape)
    if image and image != _NO_IMAGE and image.lower() not in stages:
        yield _locate(instruction, words[0], image)


def _read_copy(instruction: _Instruction, words: list[_Word], stages: list[str]) -> Iterator[_Use]:
    for word in words:
        if not word.text.startswith("--"):
            return
        written = word.text.removeprefix(_FROM_FLAG)
        # Builders put no variables into this flag: such a name is an error, or a stage's that we cannot know.
        if written == word.text or "$" in written:
            continue
        image = _expand(written, {}, instruction.escape)
        if image and image != _NO_IMAGE and not image.isdecimal() and image.lower() not in stages:
            yield _locate(instruction, _Word(word.start + len(_FROM_FLAG), written), image)


def _locate(instruction: _Instruction, word: _Word, image: str) -> _Use:
    last = word.start + len(word.text) - 1
    return _Use(image, instruction.places[word.start], instruction.places[last] + 1)


def _read_instructions(text: str) -> Iterator[_Instruction]:
    lines = _split_lines(text)
    escape = _find_escape(lines)
    # A doubled escape character at the end of a line is that character, not a continuation.
    continuation = re.compile(rf"(?<!{re.escape(escape)}){re.escape(escape)}[ \t\r]*$")
    index = 0
    while index < len(lines):
        parts: list[_Line] = []
        is_complete = False
        while not is_complete and index < len(lines):
            line = lines[index]
            index += 1
            # Comments and empty lines stand between instructions, and between the lines of one.
            if line.text.strip() and not line.text.lstrip().startswith("#"):
                match = continuation.search(line.text)
                parts.append(_Line(line.start, line.text[: match.start()] if match else line.text))
                is_complete = match is None
        instruction = _join(parts, escape)
        if instruction.text.strip():
            index = _skip_heredocs(instruction, lines, index)
            yield instruction


def _split_lines(text: str) -> list[_Line]:
    start = 1 if text.startswith(_BYTE_ORDER_MARK) else 0
    lines = []
    for line in text[start:].split("\n"):
        lines.append(_Line(start, line))
        start += len(line) + 1
    return lines


def _find_escape(lines: list[_Line]) -> str:
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.text)
        if match is None:
            break
        if match[1].lower() == "escape" and match[2] in {"\\", "`"}:
            return match[2]
    return "\\"


def _join(parts: list[_Line], escape: str) -> _Instruction:
    places = [line.start + offset for line in parts for offset in range(len(line.text))]
    return _Instruction("".join(line.text for line in parts), tuple(places), escape)


def _skip_heredocs(instruction: _Instruction, lines: list[_Line], index: int) -> int:
    """Return the index of the line after the instruction's here-documents; one that never ends is none."""
    words = [word.text for word in instruction.split()]
    if words[0].upper() == "ONBUILD":
        words = words[1:]
    if not words or words[0].upper() not in {"RUN", "COPY", "ADD"}:
        return index
    for word in words[1:]:
        match = _HEREDOC.fullmatch(word)
        if match is None:
            continue
        ends = match[2].strip("\"'")
        for after in range(index, len(lines)):
            line = lines[after].text.removesuffix("\r")
            if (line.lstrip("\t") if match[1] else line) == ends:
                index = after + 1
                break
    return index


@cache
def _make_word_pattern(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(rf"""(?:{mark}.|"(?:{mark}.|[^"{mark}])*"|'[^']*'|[^\s])+""", re.DOTALL)


@cache
def _make_part_patterns(escape: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what a word is made of outside double quotes and inside them."""
    mark = re.escape(escape)
    inner = r"[^{}]*"
    for _ in range(3):  # a default may hold variables with defaults
        inner = rf"(?:[^{{}}]|\{{{inner}\}})*"
    variable = rf"\$\{{(?P<braced>{inner})\}}|\$(?P<plain>[A-Za-z_]\w*)"
    quotes = rf"""'(?P<single>[^']*)'|"(?P<double>(?:{mark}.|[^"{mark}])*)"|{mark}(?P<escaped>.)"""
    return (
        re.compile(rf"{quotes}|{variable}", re.DOTALL),
        re.compile(rf"""{mark}(?P<escaped>["${mark}])|{variable}""", re.DOTALL),
    )


def _expand(word: str, values: Mapping[str, str], escape: str) -> str:
    """Take the quotes off a word and put its variables in, as a shell does."""
    outside, inside = _make_part_patterns(escape)

    def replace(match: re.Match[str]) -> str:
        kind, content = str(match.lastgroup), match[str(match.lastgroup)]
        if kind == "double":
            return inside.sub(replace, content)
        if kind == "braced":
            return _resolve(content, values, escape, match[0])
        return values.get(content, "") if kind == "plain" else content

    return outside.sub(replace, word)


def _resolve(content: str, values: Mapping[str, str], escape: str, written: str) -> str:
    match = _VARIABLE.fullmatch(content)
    if match is None:
        return written
    name, colon, operator, word = match.groups()
    value = values.get(name, "")
    is_set = bool(value) if colon else name in values
    if operator == "-" and not is_set:
        return _expand(word, values, escape)
    if operator == "+":
        return _expand(word, values, escape) if is_set else ""
    return value
