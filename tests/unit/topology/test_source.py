"""YAML -> nodes: places, scalars, limits; data -> YAML."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from envspin.topology import source
from envspin.topology.nodes import Document, Mapping, Scalar, Sequence
from envspin.topology.report import Report


def parse(text):
    report = Report()
    parsed = source.parse_yaml(Document("f.yaml", text, Path()), report)
    return parsed, report


def problems(text):
    _, report = parse(text)
    return [(p.code, p.mark.line, p.mark.column) for p in report._problems.values()]


@pytest.mark.parametrize(
    "text",
    ["22:22", "NO", "yes", "on", "1.10", "010", "0o10", "0x1f", "1e3", "2024-01-01", "12:30:45", ".inf", "1_000", "+1"],
)
def test_plain_scalars_keep_their_text(text):
    parsed, report = parse(f"key: {text}\n")
    assert not report.failed
    assert parsed.roots[0].get("key").text == text


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_null_is_only_null_without_quotes(text):
    assert parse(f"key: {text}\n")[0].roots[0].get("key").is_null
    assert not parse(f'key: "{text}"\n')[0].roots[0].get("key").is_null


def test_standard_tags_decide_whether_a_text_may_be_null():
    root = parse("a: !!str null\nb: !!null ''\nc: !!int '3'\n")[0].roots[0]
    assert not root.get("a").is_null
    assert root.get("b").is_null
    assert root.get("c").text == "3"


def test_every_node_knows_its_place():
    root = parse("a:\n  - x\n  - {b: y}\n")[0].roots[0]
    items = root.get("a")
    assert isinstance(root, Mapping)
    assert isinstance(items, Sequence)
    inner = items.items[1].entries["b"]
    assert [(n.line, n.column) for n in (root.entries["a"].key, items.items[0], inner.key, inner.value)] == [
        (1, 1),
        (2, 5),
        (3, 6),
        (3, 9),
    ]


def test_columns_count_characters_not_bytes():
    root = parse('"ü": {"é": x}\n')[0].roots[0]
    assert root.get("ü").entries["é"].value.column == 12


def test_duplicate_keys_are_errors_and_reading_goes_on():
    assert problems("a: 1\nb: 2\na: 3\nb: 4\n") == [("yaml-duplicate-key", 3, 1), ("yaml-duplicate-key", 4, 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\n", ("yaml-syntax", 1, 4)),
        ("a:\n  b: {c: [1, 2]\n  d: e\n", ("yaml-syntax", 2, 6)),
        ("a: [\n  1, {b: 2}}\n]\n", ("yaml-syntax", 2, 12)),
        ('a: "b\nc: d\n', ("yaml-syntax", 1, 4)),
        ('a: "b\nc: d\ne: "f"\n', ("yaml-syntax", 1, 4)),
        ("- a\n- 'b\n- 'c'\n", ("yaml-syntax", 2, 3)),
        ("a: {b: ${X:-1}}\n", ("yaml-syntax", 1, 9)),
        ("a: b: c\n", ("yaml-syntax", 1, 5)),
        ("a:\n\t- b\n", ("yaml-syntax", 2, 1)),
        ("? [x]\n: y\n", ("yaml-key", 1, 3)),
        ("a: {~: y}\n", ("yaml-key", 1, 5)),
        ("null: y\n", ("yaml-key", 1, 1)),
        ("a: *nowhere\n", ("yaml-alias", 1, 4)),
        ("a: &a [*a]\n", ("yaml-alias", 1, 8)),
        ("a: &a {<<: *a}\n", ("yaml-alias", 1, 12)),
        ("a: !secret x\n", ("yaml-tag", 1, 4)),
        ("a: !!binary x\n", ("yaml-tag", 1, 4)),
        ("a: !!python/object:os.system x\n", ("yaml-tag", 1, 4)),
        ("a: {<<: text}\n", ("yaml-merge", 1, 9)),
        ("a: \x07\n", ("yaml-syntax", 1, 1)),
    ],
)
def test_bad_yaml_is_named_at_its_place(text, expected):
    assert problems(text) == [expected]


@pytest.mark.parametrize("value", ["*nowhere", "&x [*x]", "[*nowhere]", "{<<: *nowhere}"])
def test_reading_goes_on_after_an_alias_without_its_anchor(value):
    assert [code for code, _, _ in problems(f"a: {value}\nb: 1\nb: 2\n")] == ["yaml-alias", "yaml-duplicate-key"]


def test_a_variable_within_brackets_is_to_be_quoted():
    _, report = parse("a: {b: x-${X:-1}-y, c: d}\n")
    assert [problem.hint for problem in report._problems.values()] == ['quote it: "x-${X:-1}-y"']


def test_merge_keys_lie_below_the_mappings_own_and_earlier_ones_win():
    text = "one: &one {x: 1, y: 1}\ntwo: &two {y: 2, z: 2}\nall: {z: 3, <<: [*one, *two]}\n"
    entries = parse(text)[0].roots[0].get("all").entries
    assert {key: entry.value.text for key, entry in entries.items()} == {"x": "1", "y": "1", "z": "3"}


def test_a_quoted_merge_key_is_an_ordinary_key():
    assert "<<" in parse('a: {"<<": x}\n')[0].roots[0].get("a").entries


def test_two_documents_give_two_roots_and_do_not_share_anchors():
    parsed, report = parse("a: &x 1\n---\nb: 2\n")
    assert len(parsed.roots) == 2
    assert not report.failed
    assert problems("a: &x 1\n---\nb: *x\n") == [("yaml-alias", 3, 4)]


def test_values_with_a_dollar_are_remembered_and_keys_are_not():
    parsed, _ = parse("a: $X\n$K: y\nb: [$Y, {c: $Z}]\n")
    assert [scalar.text for scalar in parsed.templates] == ["$X", "$Y", "$Z"]


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40)
)
MERGE_BOMB = "m0: &m0 {k0: v}\n" + "".join(
    f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}], k{n}: v}}\n" for n in range(1, 60)
)
MANY_MERGES = "".join(f"a{n}: &a{n} {{k{n}: v}}\n" for n in range(15_000)) + (
    "all: {<<: [" + ", ".join(f"*a{n}" for n in range(15_000)) + "]}\n"
)
BOMBS = {
    "billion laughs": (LAUGHS, "too-large"),
    "merge keys that double": (MERGE_BOMB, "too-large"),
    "deep lists": ("a: " + "[" * 100_000, "yaml-depth"),
    "deep mappings": ("{a: " * 100_000, "yaml-depth"),
    "deep blocks": ("".join("  " * n + "a:\n" for n in range(2_000)), "yaml-depth"),
    "depth by aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100)),
        "yaml-depth",
    ),
    "many values": ("[" + "x," * 400_000 + "x]", "too-large"),
    "a large file": ("a: " + "x" * (source.MAX_BYTES + 1), "yaml-size"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_without_much_memory(name):
    text, code = BOMBS[name]
    tracemalloc.start()
    try:
        found = problems(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [each[0] for each in found] == [code]
    assert peak < 100 * 1024 * 1024


@pytest.mark.timeout(60)
def test_fifteen_thousand_merges_take_linear_work():
    parsed, report = parse(MANY_MERGES)
    assert not report.failed
    assert len(parsed.roots[0].get("all").entries) == 15_000


@pytest.mark.parametrize(
    "text",
    [
        "NO",
        "y",
        "1.10",
        "22:22",
        "010",
        "0o10",
        "0x1F",
        "1e3",
        ".inf",
        "~",
        "null",
        "",
        " x ",
        "a: b",
        "# c",
        "a #b",
        "*a",
        "&a",
        "!t",
        "- x",
        "{a}",
        "[a]",
        "'",
        '"',
        "%x",
        "@x",
        "`x",
        "a\nb",
        "a\n\n b\n",
        "\t",
        "\u2028",
        "😀",
        "-",
        "=",
    ],
)
def test_dumped_text_comes_back_as_the_same_text(text):
    dumped = source.dump_yaml({"key": text, "list": [text]})
    root = parse(dumped)[0].roots[0]
    value = root.get("key")
    assert isinstance(value, Scalar)
    assert (value.text, value.is_null) == (text, False)
    assert yaml.safe_load(dumped)["key"] == text


@given(st.text())
def test_any_text_survives_dumping(text):
    dumped = source.dump_yaml({"k": [text]})
    assert yaml.safe_load(dumped) == {"k": [text]}


def test_shared_values_are_dumped_without_anchors():
    shared = {"x": [1, 2]}
    assert "&" not in source.dump_yaml({"a": shared, "b": shared})
