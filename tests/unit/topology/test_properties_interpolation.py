"""Interpolation against a second model: templates are made as trees, written as text, and worked out from the tree."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from envspin.topology.interpolation import InterpolationError, interpolate

NAMES = ["A", "B_2", "_c", "EMPTY", "UNSET", "NONE"]
LETTERS = "".join(chr(code) for code in range(32, 127) if chr(code) not in "${}") + "é\n\t😀"


@dataclass(frozen=True)
class Literal:
    text: str


@dataclass(frozen=True)
class Dollar:
    """``$$``."""


@dataclass(frozen=True)
class Bare:
    """``$NAME``, followed by something that cannot belong to the name."""

    name: str


@dataclass(frozen=True)
class Braced:
    """``${NAME}``, or with an operator and the template behind it."""

    name: str
    operator: str = ""
    word: tuple[object, ...] = ()


class MissingError(Exception):
    """The model's own word for a required variable that is not there."""


def render(template):
    """Write a template as text."""
    parts = []
    for at, node in enumerate(template):
        if isinstance(node, Literal):
            parts.append(node.text)
        elif isinstance(node, Dollar):
            parts.append("$$")
        elif isinstance(node, Bare):
            following = template[at + 1] if at + 1 < len(template) else None
            ends = not isinstance(following, Literal) or not (following.text[0].isalnum() or following.text[0] == "_")
            parts.append(f"${node.name}" if ends else f"${{{node.name}}}")
        else:
            parts.append(f"${{{node.name}{node.operator}{render(node.word)}}}")
    return "".join(parts)


def evaluate(template, variables):
    """Work out a template by Compose's table of operators."""
    result = ""
    for node in template:
        if isinstance(node, Literal):
            result += node.text
        elif isinstance(node, Dollar):
            result += "$"
        elif isinstance(node, Bare):
            result += variables.get(node.name, "")
        else:
            result += choose(node, variables)
    return result


def choose(node, variables):
    given_value = variables.get(node.name)
    counts = given_value if node.operator.startswith(":") else given_value is not None
    match node.operator[-1:]:
        case "":
            return given_value or ""
        case "-":
            return given_value if counts else evaluate(node.word, variables)
        case "+":
            return evaluate(node.word, variables) if counts else ""
        case "?" if counts:
            return given_value
    raise MissingError(node.name)


names = st.sampled_from(NAMES)
leaves = st.one_of(
    st.text(alphabet=LETTERS, min_size=1, max_size=6).map(Literal),
    st.just(Dollar()),
    names.map(Bare),
    names.map(Braced),
)
operators = st.sampled_from([":-", "-", ":+", "+", ":?", "?"])


def sequences(nodes):
    return st.lists(nodes, max_size=4).map(tuple)


nodes = st.recursive(leaves, lambda inner: st.builds(Braced, names, operators, sequences(inner)), max_leaves=12)
templates = sequences(nodes)
values = st.text(alphabet=LETTERS + "${}", max_size=6)
environments = st.fixed_dictionaries({"A": values, "EMPTY": st.just("")}, optional={"B_2": values, "_c": values})


@given(templates, environments)
@example((Braced("UNSET", ":-", (Braced("EMPTY", "?", (Literal("m"),)), Dollar())),), {"A": "a", "EMPTY": ""})
def test_a_template_is_worth_what_the_model_says(template, environment):
    text = render(template)
    try:
        expected, missing = evaluate(template, environment), None
    except MissingError as error:
        expected, missing = "", str(error)
    if missing is None:
        assert interpolate(text, environment.get) == expected
        return
    with pytest.raises(InterpolationError) as caught:
        interpolate(text, environment.get)
    assert caught.value.code == "interpolation-required"
    assert f"`{missing}`" in caught.value.message
    assert text.startswith(f"${{{missing}", caught.value.offset)


def unset_in(template, variables):
    """Yield the plain variables without a value that working out a template comes upon."""
    for node in template:
        if isinstance(node, Bare) or (isinstance(node, Braced) and not node.operator):
            if node.name not in variables:
                yield node.name
        elif isinstance(node, Braced):
            value = variables.get(node.name)
            counts = value if node.operator.startswith(":") else value is not None
            if bool(counts) == (node.operator[-1] == "+"):
                yield from unset_in(node.word, variables)


@given(templates, environments)
def test_each_unset_variable_that_counts_is_told(template, environment):
    told = []
    try:
        interpolate(render(template), environment.get, told.append)
    except InterpolationError:
        return
    assert told == list(unset_in(template, environment))


@given(st.text().filter(lambda text: "$" not in text))
def test_a_text_without_a_dollar_is_left_alone(text):
    assert interpolate(text, lambda name: pytest.fail(f"{name} was asked for")) == text


@given(templates, environments)
def test_a_value_that_is_escaped_and_put_in_again_stays_the_same(template, environment):
    try:
        once = interpolate(render(template), environment.get)
    except InterpolationError:
        return
    assert interpolate(once.replace("$", "$$"), {}.get) == once


@given(templates, environments, templates)
def test_templates_side_by_side_are_worth_their_values_side_by_side(first, environment, second):
    left, right = render((*first, Literal(" "))), render(second)
    try:
        expected = interpolate(left, environment.get) + interpolate(right, environment.get)
    except InterpolationError:
        with pytest.raises(InterpolationError):
            interpolate(left + right, environment.get)
    else:
        assert interpolate(left + right, environment.get) == expected


BROKEN = [("${", 0), ("${}", 0), ("${1}", 0), ("${ A}", 0), ("${A!x}", 3), ("${A:}", 3), ("${A b}", 3), ("${é}", 0)]


@given(templates, st.sampled_from(BROKEN), st.sampled_from(["", "UNSET:-", "A:+"]))
def test_a_fault_is_placed_where_it_stands(before, broken, outer):
    """Also within a default that is used; what stands before it is as long as it is."""
    environment = (
        {"A": "a", "B_2": "b", "_c": "c", "EMPTY": "e", "UNSET": "u", "NONE": "n"} if not outer else {"A": "a"}
    )
    start = render((*before, Literal(" ")))
    try:
        interpolate(start, environment.get)
    except InterpolationError:
        return
    text, offset = broken
    head = f"${{{outer}" if outer else ""
    whole = start + head + text + ("}" if outer else "")
    with pytest.raises(InterpolationError) as caught:
        interpolate(whole, environment.get)
    assert caught.value.code == "interpolation-syntax"
    if text == "${" and outer:  # the brace that closes the outer one closes the inner one
        assert caught.value.offset == len(start)
    else:
        assert caught.value.offset == len(start) + len(head) + offset


@given(st.text(alphabet="${}A:-+?! x", max_size=40), environments)
def test_whatever_is_wrong_has_its_place_in_the_text(text, environment):
    fault = None
    try:
        interpolate(text, environment.get)
    except InterpolationError as error:
        fault = error
    if fault is not None:
        assert 0 <= fault.offset < len(text)
        assert fault.code in {"interpolation-syntax", "interpolation-required"}
