"""Dockerfiles as text: the images that a build takes, and pins put in without touching anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.engine.docker.dockerfile import find_bases, find_platforms, pin_bases

ID = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("dockerfile", "args", "bases"),
    [
        ("FROM debian:12\nRUN true\n", {}, ["debian:12"]),
        ("FROM --platform=linux/amd64 debian:12 AS one\nFROM one\nFROM scratch\n", {}, ["debian:12"]),
        ("FROM go AS Builder\nFROM builder\n", {}, ["go"]),
        ("FROM go AS go\nFROM go\n", {}, ["go"]),
        ("FROM a\nFROM b\nFROM a\n", {}, ["a", "b"]),
        ("ARG BASE=debian:12\nFROM ${BASE}\n", {}, ["debian:12"]),
        ("ARG BASE=debian:12\nFROM $BASE\n", {"BASE": "debian:13"}, ["debian:13"]),
        ("ARG BASE\nFROM $BASE\n", {"BASE": "debian:13"}, ["debian:13"]),
        ("ARG BASE\nFROM ${BASE}\n", {}, []),
        ("FROM ${BASE:-debian:12}\n", {"BASE": "undeclared"}, ["debian:12"]),
        ("ARG V='12'\nfrom debian:${V:-11}-slim\n", {}, ["debian:12-slim"]),
        ('ARG A=1 B="2"\nFROM x:$A.$B\n', {}, ["x:1.2"]),
        ("ARG A=1\nARG B=${A}2\nFROM x:$B\n", {}, ["x:12"]),
        ("ARG A=1\nFROM x\nARG A=2\nFROM y:$A\n", {}, ["x", "y:1"]),
        ("FROM x\nARG A=2\nFROM y:${A:-3}\n", {}, ["x", "y:3"]),
        ("FROM \"debian:12\" as one\nFROM 'debian:13'\n", {}, ["debian:12", "debian:13"]),
        ("ARG A=\nFROM x${A:+:yes}${A+:set}\n", {}, ["x:set"]),
        ("FROM x:${A-${B:-${C:-deep}}}\n", {}, ["x:deep"]),
        ("FROM x:${A##*-}\n", {}, ["x:${A##*-}"]),
        ("FROM '$A'x\\:1\n", {}, ["$Ax:1"]),
        ('FROM "x:\\$${A:-1}"\n', {}, ["x:$1"]),
        ("\ufeffFROM x\n", {}, ["x"]),
        ("  \tFrOm\tx\r\n", {}, ["x"]),
        ("# a comment\n\n#FROM y\nFROM x # no comment\n", {}, ["x"]),
        ("FROM \\\n# FROM z\n\n  x\\\n:1 \\\n AS one\nFROM one\n", {}, ["x:1"]),
        ("# syntax=docker/dockerfile:1\n# escape=`\nFROM `\n  x\nRUN dir c:\\\nFROM y\n", {}, ["x", "y"]),
        ("# comment\n# escape=`\nFROM \\\n  x\n", {}, ["x"]),
        ("FROM x\nRUN echo \\\\\nFROM y\n", {}, ["x", "y"]),
        ("FROM x\nRUN echo \\\nFROM y\n", {}, ["x"]),
        ("FROM x\nRUN <<EOF\nFROM y\nEOF\nFROM z\n", {}, ["x", "z"]),
        ('FROM x\nCOPY <<-"ONE" <<TWO /to/\nFROM a\n\tONE\nFROM b\nTWO\nFROM z\n', {}, ["x", "z"]),
        ("FROM x\nONBUILD RUN <<E\nFROM y\nE\nFROM z\n", {}, ["x", "z"]),
        ("FROM x\nRUN cat <<EOF\nFROM y\n", {}, ["x", "y"]),
        ("FROM x\nENV A=<<EOF\nFROM y\nEOF\n", {}, ["x", "y"]),
        ("FROM x AS one\nFROM y\nCOPY --from=One /a /a\nCOPY --from=0 /a /a\n", {}, ["x", "y"]),
        ('FROM x\ncopy --chown=1:1 --from="tools:1" --link /a /a\n', {}, ["x", "tools:1"]),
        ("FROM x\nCOPY --from=two /a /a\nFROM y AS two\n", {}, ["x", "two", "y"]),
        ("FROM x\nCOPY a --from=tools /a\nADD --from=tools /a /a\nRUN --from=tools\n", {}, ["x"]),
        ("ARG T=tools\nFROM x\nCOPY --from=$T /a /a\nCOPY --from=scratch /a /a\nCOPY --from= /a /a\n", {}, ["x"]),
        ("FROM\nFROM --platform=x\n\\\n", {}, []),
        ("", {}, []),
    ],
)  # fmt: skip
def test_bases_are_found_as_a_builder_finds_them(dockerfile, args, bases):
    assert find_bases(dockerfile, args) == tuple(bases)


@pytest.mark.parametrize(
    ("target", "bases"),
    [
        (None, ("a", "b", "tools", "c")),
        ("One", ("a",)),
        ("1", ("a", "b", "tools")),
        ("last", ("a", "b", "tools", "c")),
    ],
)
def test_stages_after_the_target_take_no_part(target, bases):
    text = "FROM a AS one\nFROM b\nCOPY --from=tools /a /a\nFROM c AS last\n"
    assert find_bases(text, {}, target) == bases


@pytest.mark.parametrize(
    ("dockerfile", "pinned"),
    [
        ("FROM a\n", f"FROM {ID}\n"),
        ("FROM b\n", "FROM b\n"),
        ("from  --platform=$P  a  as  One # odd\r\n", f"from  --platform=$P  {ID}  as  One # odd\r\n"),
        ('ARG A=a\nFROM "${A}"\nFROM $A AS x\n', f"ARG A=a\nFROM {ID}\nFROM {ID} AS x\n"),
        ("FROM \\\n# why\n\n a\\\n AS x\n", f"FROM \\\n# why\n\n {ID}\\\n AS x\n"),
        ("# escape=`\nFROM `\n a `\n AS x", f"# escape=`\nFROM `\n {ID} `\n AS x"),
        ("FROM b\nCOPY --chown=a --from=a a a\n", f"FROM b\nCOPY --chown=a --from={ID} a a\n"),
        ("FROM b\nCOPY --from='a' --link a a\n", f"FROM b\nCOPY --from={ID} --link a a\n"),
        ("FROM b AS a\nFROM a\nCOPY --from=a a a\nCOPY --from=0 a a\n",) * 2,
        ("FROM b\nRUN <<E\nFROM a\nE\nRUN echo FROM a\n# FROM a\n",) * 2,
        ("\ufeffFROM a\nRUN \udcff\x0b\u2028FROM a\n", f"\ufeffFROM {ID}\nRUN \udcff\x0b\u2028FROM a\n"),
    ],
)  # fmt: skip
def test_exactly_the_named_bases_are_replaced(dockerfile, pinned):
    assert pin_bases(dockerfile, {}, {"a": ID}) == pinned


WORDS = st.sampled_from(
    [
        *("FROM ", "from\t", "ARG ", "COPY ", "RUN ", "--from=", "--platform=x ", " AS ", "one", "scratch", "0"),
        *("a", "b:1", "A=", "$A", "${A:-b}", "${", "}", '"', "'", "\\", "`", "# ", "# escape=`\n", "<<E", "\nE\n"),
        *("\n", "\\\n", "\r\n", "\n\n", " ", "\ufeff", "\u2028", "\udcff"),
    ]
)
TEXTS = st.lists(WORDS, max_size=40).map("".join)
ARGS = st.dictionaries(st.sampled_from("AB"), st.sampled_from(["", "a", "b:1", "${B}"]))


@given(TEXTS, ARGS)
def test_pinning_each_base_to_itself_changes_nothing(text, args):
    assert pin_bases(text, args, {base: base for base in find_bases(text, args)}) == text
    assert pin_bases(text, args, {"not there": "anything"}) == text


@given(TEXTS, ARGS)
def test_after_pinning_the_pins_are_the_bases_and_the_other_lines_stand(text, args):
    pins = {base: f"{ID[:-2]}{number:02}" for number, base in enumerate(find_bases(text, args))}
    pinned = pin_bases(text, args, pins)
    assert find_bases(pinned, args) == tuple(pins.values())
    kept = [line for line in text.split("\n") if "FROM" not in line.upper() and "a" not in line and "b" not in line]
    rest = iter(pinned.split("\n"))
    if not any("\\" in line or "`" in line for line in text.split("\n")):
        assert all(line in rest for line in kept)


def test_platforms_are_those_that_from_names_itself():
    text = "ARG P=linux/arm/v7\nFROM --platform=$P base:1 AS one\nFROM --platform=$BUILDPLATFORM tool:1\nFROM plain:1\n"
    assert find_platforms(text, {}) == {"base:1": "linux/arm/v7"}
    assert find_platforms(text, {"P": "linux/s390x"}) == {"base:1": "linux/s390x"}
    assert find_platforms("FROM --platform=linux/arm64 go:1 AS b\nFROM go:1\n", {}) == {}
