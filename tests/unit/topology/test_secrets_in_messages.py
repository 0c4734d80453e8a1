"""Nothing that may be a secret stands in a message, a hint, a line of a file, or a warning."""

from __future__ import annotations

import json

import pytest

from envspin.errors import TopologyError
from envspin.topology.keys import UNSUPPORTED_SERVICE_KEYS
from envspin.topology.service import READERS

from .compose_service_keys import SERVICE

CANARY = "hunter2Zq"
SECRET_FORMS = (
    f"{{API_TOKEN: {CANARY}}}",
    f"{{API_TOKEN: [{CANARY}]}}",
    f"{{API_TOKEN: *{CANARY}}}",
    f"{{API_TOKEN: !{CANARY} x}}",
    f"{{API_TOKEN: pa${CANARY}}}",
    f'{{API_TOKEN: "${{{CANARY}"}}',
    f'["API_TOKEN={CANARY}:x:y:z"]',
    f'["--password", [{CANARY}]]',
    f'"run --password {CANARY} \'open"',
    f'"run -H \'Authorization: Bearer {CANARY}"',
    f'"postgres://u:{CANARY}@h/d"',
    f'["postgres://u:{CANARY}@h/d"]',
    f'"x --token {CANARY}" y',
    f'{{API_TOKEN: "a\n        {CANARY}" y}}',
    f'{{API_TOKEN: "a\n        {CANARY}", ports: [[x]]}}',
    f'"--token\n        {CANARY} \\q"',
    f"\n      API_TOKEN:\n        - {CANARY}",
    f"\n      API_TOKEN:\n        {CANARY}: x",
    f"\n      API_TOKEN: |\n        first\n       {CANARY}",
    f"\n      API_TOKEN: |\n        first\n    {CANARY}",
    f"\n      API_TOKEN: |\n        first\n  {CANARY}\n  {CANARY}",
    f'\n      API_TOKEN: "first\n        {CANARY} \\q"',
    f"\n      API_TOKEN: 'first\n{CANARY}' x",
    f"\n      - --token\n      - [{CANARY}]",
    f"\n      - API_TOKEN=first\n     {CANARY}",
    f"|\n      run --token pa${CANARY}",
)
SECRETS = (
    f"secrets: {{u: {{contents: {CANARY}}}}}",
    f"secrets: {{u: {CANARY}}}",
    f'{{"secrets": {{"u": {{"contents": "{CANARY}"}}}}}}',
    f'{{\n"secrets": {{\n"u": {{\n"value": "{CANARY}"}}}}}}',
    f"secrets:\n  u: {{contents: {CANARY}, file: [x]}}",
    f"secrets:\n  u:\n    value: {CANARY}",
    f"secrets:\n  u:\n    content: [{CANARY}]",
    f"secrets:\n  u:\n    - {CANARY}",
    f"secrets:\n  u:\n    bad: '{CANARY}: x'",
    f'secrets: {{u: {{bad: "{CANARY}: x"}}}}',
    f"secrets:\n  u:\n    bad: {{name: [x], b: {CANARY}}}",
    f"secrets:\n  u:\n    content: |\n      first\n    {CANARY}",
    f"secrets:\n  u:\n    content: |\n      first\n  {CANARY}",
    f'secrets:\n  u:\n    content: "first\n      {CANARY} \\q"',
    f"secrets:\n  u:\n    contents: >-\n      {CANARY}",
    f"secrets:\n  u:\n    content: pa${CANARY}",
    f"secrets:\n  u:\n    content:\n      {CANARY}: x",
)


def service_file(key, value):
    return (
        f"services:\n  a:\n    image: i\n    {key}: {value}\n  b:\n    image: i\n    profiles: [p]\n"
        "  c:\n    image: i\n    depends_on: [a, b]\n"
    )


def leaves_replaced(value, replacement):
    """Yield ``value`` with one of its texts replaced, each in turn."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ({**value, key: each} for each in leaves_replaced(item, replacement))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from ([*value[:number], each, *value[number + 1 :]] for each in leaves_replaced(item, replacement))
    else:
        yield replacement


def told(bench, text):
    """Return all that is said of a file, as one text."""
    try:
        problems = bench.load(text).warnings
    except TopologyError as error:
        problems = error.problems
    return "\n".join(f"{p.message}\n{p.hint}\n{p.source_line}\n{p.render()}" for p in problems)


KEYS = sorted({*READERS, *UNSUPPORTED_SERVICE_KEYS, "unknown_key", "x-envspin"})


@pytest.mark.parametrize("key", KEYS)
def test_what_a_variable_is_worth_is_never_said(bench, key):
    bench.environ = {"CANARY": CANARY}
    example = SERVICE.keys[key].value if key in SERVICE.keys else "x"
    values = ["${CANARY}", ["${CANARY}"], {"${CANARY}": "x"}, {"x": "${CANARY}"}, ["envspin.${CANARY}=x"]]
    for value in [*values, *leaves_replaced(example, "${CANARY}"), *leaves_replaced(example, "x${CANARY}:y")]:
        assert CANARY not in told(bench, service_file(key, json.dumps(value)))


@pytest.mark.parametrize("form", SECRET_FORMS)
@pytest.mark.parametrize("key", KEYS)
def test_what_follows_a_telling_name_is_never_said(bench, key, form):
    if key == "depends_on" and form.startswith("\n      API_TOKEN:\n"):
        pytest.skip("that is the name of a service")
    assert CANARY not in told(bench, service_file(key, form))


@pytest.mark.parametrize("text", SECRETS)
def test_what_stands_in_a_top_level_secret_is_never_said(bench, text):
    services = "" if text.startswith("{") else "services: {a: {image: i}}\n"
    said = told(bench, f"{services}{text}\n")
    assert said
    assert CANARY not in said


def test_a_variable_that_names_a_profile_is_shown_as_it_is_written(bench):
    bench.environ = {"CANARY": CANARY}
    text = 'services:\n  a: {image: i, profiles: ["${CANARY}"]}\n  b: {image: i, depends_on: [a]}\n'
    assert "--profile ${CANARY}" in told(bench, text)


def test_a_password_with_a_dollar_sign_is_no_variable_by_name(bench):
    said = told(
        bench, "services:\n  a:\n    image: i\n    environment:\n      DB_PASSWORD: pa$hunter2\n      B: $other\n"
    )
    assert "a variable in this value is not set" in said
    assert "`$$`" in said
    assert "the variable `other` is not set" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("value", ["${DB_PASS}", "postgres://u:${DB_PASS}@h/d"])
def test_a_variable_in_braces_is_named_even_where_a_secret_is_expected(bench, value):
    said = told(bench, f"services:\n  a:\n    image: i\n    environment:\n      DB_PASSWORD: {value}\n")
    assert "the variable `DB_PASS` is not set" in said


def test_names_that_the_file_chooses_hide_nothing_below_them(bench):
    said = told(bench, "services:\n  token-service:\n    image: i\n    comand: seen\n")
    assert "    comand: seen" in said


def test_values_that_say_where_a_secret_is_are_shown(bench):
    said = told(bench, "services: {a: {image: i}}\nsecrets:\n  u: {file: a.txt, bad: x}\n")
    assert "u: {file: a.txt, bad: ***" in said


@pytest.mark.parametrize(
    ("line", "wider"),
    [
        ("environment: {A: [x], API_TOKEN: y}", 0),
        ('environment: {A: "日本", B: [x]}', 2),
        ('environment: {A: "e\u0301", B: [x]}', -1),
        ('environment: {A: "👍", B: [x]}', 1),
        ("environment: {A:\tb, B: [x]}", 0),
        ('environment: {A: "postgres://u:p@h", B: [x]}', None),
        ("environment: {API_TOKEN: y, B: [x]}", None),
    ],
)
def test_the_caret_counts_columns_of_the_screen_and_is_left_out_behind_a_mask(bench, line, wider):
    (said,) = bench.problems(f"services:\n  a:\n    image: i\n    {line}\n")
    carets = [each.index("^") for each in said.splitlines() if each.strip() == "^"]
    assert carets == ([] if wider is None else [8 + line.index("[x]") + wider])


def test_a_long_line_is_shown_around_its_place(bench):
    long = ", ".join(f"K{number}: v" for number in range(100))
    (said,) = bench.problems(f"services:\n  a:\n    image: i\n    environment: {{{long}, HERE: [x], {long.lower()}}}\n")
    _, line, caret = said.splitlines()
    assert line.startswith("    ...")
    assert line.endswith("...")
    assert len(line) < 140
    assert line[caret.index("^") :].startswith("[x]")


def test_a_secret_far_left_hides_the_rest_of_a_long_line(bench):
    long = ", ".join(f"K{number}: {CANARY}" for number in range(100))
    said = told(bench, f"services:\n  a:\n    image: i\n    environment: {{API_TOKEN: x, {long}, HERE: [x]}}\n")
    assert "API_TOKEN: ***" in said
    assert CANARY not in said
    assert "^" not in said
