"""Files of variables."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.topology.dotenv import parse_dotenv
from envspin.topology.nodes import Document
from envspin.topology.report import Report

OUTSIDE = {"OUT": "outside", "A": "theirs"}


def parse(text, *, raw=False):
    report = Report()
    values = parse_dotenv(Document("v.env", text, Path(), confidential=True), OUTSIDE.get, report, raw=raw)
    return values, [problem.render() for problem in report._problems.values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("\n# comment\n\n", {}),
        ("X=1", {"X": "1"}),
        ("X=1\r\nY=2\r\n", {"X": "1", "Y": "2"}),
        ("  X = 1  ", {"X": "1"}),
        ("export X=1", {"X": "1"}),
        ("X: 1", {"X": "1"}),
        ("X=", {"X": ""}),
        ("X=\nY=2", {"X": "", "Y": "2"}),
        ("X=a b # c", {"X": "a b"}),
        ("X=a#b", {"X": "a#b"}),
        ("X= # c", {"X": ""}),
        ("X=#fff\nY='#'", {"X": "#fff", "Y": "#"}),
        ("X=a\t# c", {"X": "a"}),
        ("X='a b' # c", {"X": "a b"}),
        ("X='$OUT'", {"X": "$OUT"}),
        ('X="$OUT"', {"X": "outside"}),
        ("X=$OUT", {"X": "outside"}),
        ("X=${NO:-d}", {"X": "d"}),
        ('X="a\\nb"', {"X": "a\nb"}),
        ('X="a\\"b"', {"X": 'a"b'}),
        ('X="a\\tb\\\\c\\a\\b\\f\\v\\r"', {"X": "a\tb\\c\a\b\f\v\r"}),
        ('X="^\\d+\\.\\w$"', {"X": "^\\d+\\.\\w$"}),
        ('X="a\\\nb"', {"X": "a\\\nb"}),
        ('X="\\0101\\0000\\0"', {"X": "A\\0000\\0"}),
        ("X=C:\\new\\dir", {"X": "C:\\new\\dir"}),
        ('X="\\$OUT"', {"X": "$OUT"}),
        ("X='it\\'s'", {"X": "it's"}),
        ('X="line one\nline two"\nY=2', {"X": "line one\nline two", "Y": "2"}),
        ("X='one\ntwo'", {"X": "one\ntwo"}),
        ("X=1\nY=${X}", {"X": "1", "Y": "1"}),
        ("A=mine\nY=$A", {"A": "mine", "Y": "theirs"}),
        ("OUT\nNOWHERE", {"OUT": "outside"}),
        ("X=1\nX=2", {"X": "2"}),
        ("a.b-c=1", {"a.b-c": "1"}),
        ("X=a=b", {"X": "a=b"}),
        ("X=https://h/p#frag", {"X": "https://h/p#frag"}),
    ],
)
def test_quoting_rules(text, expected):
    assert parse(text) == (expected, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=x", "v.env:1:1: error[env-file-syntax]: a line must be NAME=VALUE"),
        ("A=1\nB C", "v.env:2:3: error[env-file-syntax]: `=` must follow the name"),
        ("X='open", "v.env:1:3: error[env-file-syntax]: the quote is not closed"),
        ('\n X="a" b', "v.env:2:7: error[env-file-syntax]: nothing but a comment may follow the closing quote"),
        ("X=${A", "v.env:1:3: error[interpolation-syntax]: `${` is not closed by `}`"),
    ],
)
def test_faults_are_named_without_showing_the_line(text, message):
    assert parse(text)[1] == [message]


@pytest.mark.parametrize("value", ["pass${word!9s3cr3t}", "pa${s3cr3t!}", "${NOPE:?s3cr3t}", "${s3cr3t"])
def test_faults_quote_nothing_of_a_value_that_has_an_unlucky_dollar(value):
    (fault,) = parse(f"PASSWORD={value}")[1]
    assert fault.startswith("v.env:1:10: error[interpolation-")
    assert "s3cr3t" not in fault


def test_reading_goes_on_after_a_fault():
    values, faults = parse("A=1\n?\nB=2\n!\nC=3")
    assert values == {"A": "1", "B": "2", "C": "3"}
    assert len(faults) == 2


def test_raw_files_take_everything_behind_the_equals_sign():
    assert parse("# c\nX='a' # b\nY=$OUT\nnothing\n", raw=True)[0] == {"X": "'a' # b", "Y": "$OUT"}


def test_raw_lines_end_at_a_newline_only():
    assert parse("X=a\u2028b\x0bc\r\nY=\n", raw=True) == ({"X": "a\u2028b\x0bc", "Y": ""}, [])


def test_raw_lines_without_a_name_are_reported():
    values, faults = parse("X=a\n =s3cr3t\nY=b", raw=True)
    assert values == {"X": "a", "Y": "b"}
    assert faults == ["v.env:2:1: error[env-file-syntax]: no name stands before the `=`"]


def test_large_files_are_read_in_linear_work():
    values, _ = parse('X="' + "y\\n" * 500_000 + '"')
    assert len(values["X"]) == 1_000_000


@given(st.text())
def test_any_text_is_read_or_reported(text):
    values, faults = parse(text)
    assert isinstance(values, dict)
    assert all("error[" in fault for fault in faults)


@given(st.text(alphabet=st.characters(exclude_characters="'\\\r", exclude_categories=["Cs"])))
def test_single_quotes_keep_everything(text):
    assert parse(f"X='{text}'") == ({"X": text}, [])
