"""Variables in texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.topology.interpolation import MAX_NESTING, InterpolationError, interpolate

VARIABLES = {"A": "a", "EMPTY": "", "DOLLAR": "${A}", "_x1": "under"}


def expand(text):
    return interpolate(text, VARIABLES.get)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$A", "a"),
        ("$A$A", "aa"),
        ("$A.b", "a.b"),
        ("${A}", "a"),
        ("x${A}y", "xay"),
        ("$_x1", "under"),
        ("$$A", "$A"),
        ("$$$A", "$a"),
        ("$$$$", "$$"),
        ("$${A}", "${A}"),
        ("$1", "$1"),
        ("100$", "100$"),
        ("a$ b", "a$ b"),
        ("$UNSET", ""),
        ("${UNSET}", ""),
        ("${UNSET-d}", "d"),
        ("${UNSET:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${EMPTY:-d}", "d"),
        ("${A-d}", "a"),
        ("${A:-d}", "a"),
        ("${UNSET+o}", ""),
        ("${UNSET:+o}", ""),
        ("${EMPTY+o}", "o"),
        ("${EMPTY:+o}", ""),
        ("${A+o}", "o"),
        ("${A:+o}", "o"),
        ("${A?m}", "a"),
        ("${A:?m}", "a"),
        ("${EMPTY?m}", ""),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:b}", "a:b"),
        ("${UNSET:--}", "-"),
        ("${UNSET:-$A}", "a"),
        ("${UNSET:-${A}}", "a"),
        ("${UNSET:-${EMPTY:-${A}}}!", "a!"),
        ("${UNSET:-x${A}y}", "xay"),
        ("${UNSET:-{}}", "{}"),
        ('${UNSET:-{"k": "v"}}', '{"k": "v"}'),
        ("${UNSET:-$$x}", "$x"),
        ("${A:+${UNSET:-deep}}", "deep"),
        ("$DOLLAR", "${A}"),
        ("${UNSET:-$DOLLAR}", "${A}"),
    ],
)
def test_every_operator(text, expected):
    assert expand(text) == expected


@pytest.mark.parametrize(
    ("text", "code", "offset", "words"),
    [
        ("x${", "interpolation-syntax", 1, "not closed"),
        ("${A", "interpolation-syntax", 0, "not closed"),
        ("${UNSET:-${A}", "interpolation-syntax", 0, "not closed"),
        ("${}", "interpolation-syntax", 0, "name of a variable"),
        ("${1}", "interpolation-syntax", 0, "name of a variable"),
        ("ab${A!x}", "interpolation-syntax", 5, "`!` cannot follow"),
        ("${A:}", "interpolation-syntax", 3, "`:` cannot follow"),
        ("${UNSET:-${A!}}", "interpolation-syntax", 12, "`!` cannot follow"),
        ("x${UNSET:?give it}", "interpolation-required", 1, "`UNSET` is required but not set: give it"),
        ("${EMPTY:?}", "interpolation-required", 0, "`EMPTY` is required but empty"),
        ("${UNSET?}", "interpolation-required", 0, "not set"),
        ("${UNSET:-${UNSET?inner}}", "interpolation-required", 9, "inner"),
    ],
)
def test_faults_say_what_and_where(text, code, offset, words):
    with pytest.raises(InterpolationError) as caught:
        expand(text)
    assert (caught.value.code, caught.value.offset) == (code, offset)
    assert words in caught.value.message


def test_an_unused_word_is_not_evaluated():
    assert expand("${A:-${UNSET:?never asked}}") == "a"
    assert expand("${UNSET:+${UNSET:?never asked}}") == ""


def test_unset_variables_are_told():
    told = []
    assert interpolate("$U ${V} ${W:-x} $A", VARIABLES.get, told.append) == "  x a"
    assert told == ["U", "V"]


def test_nesting_and_growth_have_limits():
    deep = "${U:-" * (MAX_NESTING + 2) + "x" + "}" * (MAX_NESTING + 2)
    with pytest.raises(InterpolationError, match="nested deeper"):
        expand(deep)
    with pytest.raises(InterpolationError, match="1 MiB"):
        interpolate("$X" * 2000, {"X": "x" * 1000}.get)


def test_unclosed_braces_in_masses_are_refused_at_once():
    with pytest.raises(InterpolationError):
        expand("${A" * 200_000)


@given(st.text())
def test_a_text_whose_dollars_are_doubled_comes_back(text):
    assert interpolate(text.replace("$", "$$"), {}.get) == text


def fault_of(text):
    try:
        interpolate(text, VARIABLES.get)
    except InterpolationError as error:
        return error
    return None


@given(st.text() | st.text(alphabet="${}A:-+?x"))
def test_any_text_is_expanded_or_refused_with_a_place_inside(text):
    fault = fault_of(text)
    assert fault is None or 0 <= fault.offset < len(text)


WORDS = st.text(alphabet=st.characters(exclude_characters="${}", exclude_categories=["Cs"]), max_size=8)
NAMES = st.sampled_from(["A", "EMPTY", "UNSET"])


def meaning(name, operator, word):
    """What Compose's table of operators says, written down a second time."""
    value = VARIABLES.get(name)
    is_set = value is not None and (not operator.startswith(":") or value != "")
    if operator[-1] == "-":
        return value if is_set else word
    return word if is_set else ""


@given(WORDS, NAMES, st.sampled_from([":-", "-", ":+", "+"]), WORDS, WORDS)
def test_operators_follow_the_table(before, name, operator, word, after):
    assert expand(f"{before}${{{name}{operator}{word}}}{after}") == before + meaning(name, operator, word) + after


@given(NAMES, st.sampled_from([":-", "-", ":+", "+"]), NAMES, st.sampled_from([":-", "-", ":+", "+"]), WORDS)
def test_nested_operators_compose(outer, operator, inner, inner_operator, word):
    expected = meaning(outer, operator, meaning(inner, inner_operator, word))
    assert expand(f"${{{outer}{operator}${{{inner}{inner_operator}{word}}}}}") == expected
