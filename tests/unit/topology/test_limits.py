"""Limits over all files of a topology: what multiplies is refused before it costs time or memory."""

from __future__ import annotations

import pytest

from envspin.errors import TopologyError
from envspin.topology import limits, load_topology, read_name
from envspin.topology.report import MAX_PROBLEMS

PLAIN = "services: {a: {image: i}}\n"
VARIABLES = ", ".join(f"V{n}: x" for n in range(2_000))
BASE = f"services:\n  a:\n    image: i\n    environment: {{{VARIABLES}}}\n"


def services(template, count):
    return "".join("  " + template.format(n=n) + "\n" for n in range(count))


def of_files(template, count):
    return {f"f{n}.yaml": template.format(n=n, next=n + 1) for n in range(count)}


MULTIPLIED = {
    "files that include the next one twice": (
        {**of_files("include: [f{next}.yaml, ./f{next}.yaml]\n" + PLAIN.replace("{", "{{").replace("}", "}}"), 30)}
        | {"f30.yaml": PLAIN, "compose.yaml": "include: [f0.yaml]\n" + PLAIN},
        "too-many-files",
    ),
    "files that include each other": (
        dict.fromkeys(
            (*(f"f{n}.yaml" for n in range(12)), "compose.yaml"),
            f"include: [{', '.join(f'f{n}.yaml' for n in range(12))}]\n" + PLAIN,
        ),
        "too-many-files",
    ),
    "files that are large together": (
        of_files("x-a: [" + "x, " * 40_000 + "]\n", 3)
        | {"compose.yaml": "include: [f0.yaml, f1.yaml, f2.yaml]\n" + PLAIN},
        "yaml-size",
    ),
    "a large service that many extend": (
        {"compose.yaml": BASE + services("s{n}: {{extends: a}}", 200)},
        "yaml-size",
    ),
    "a large service that many extend and change": (
        {"compose.yaml": BASE + services("s{n}: {{extends: a, environment: {{A: b}}}}", 300)},
        "yaml-size",
    ),
    "a file of variables that many services take": (
        {
            "many.env": "".join(f"V{n}=x\n" for n in range(10_000)),
            "compose.yaml": "services:\n" + services("s{n}: {{image: i, env_file: many.env}}", 50),
        },
        "yaml-size",
    ),
    "services in masses": ({"compose.yaml": "services:\n" + services("s{n}: {{image: i}}", 10_001)}, "yaml-size"),
    "variables in masses": ({"compose.yaml": PLAIN + "x-a: " + "$A" * 100_000 + "\n"}, "interpolation-size"),
    "braces within a default": (
        {"compose.yaml": PLAIN + "x-a: '${A:-" + "{}" * 100_000 + "}'\n"},
        "interpolation-size",
    ),
    "variables that grow": (
        {".env": "A0=" + "x" * 900_000 + "\n" + "".join(f"A{n}=$A0\n" for n in range(1, 9)), "compose.yaml": PLAIN},
        "interpolation-size",
    ),
    "a file of variables without end": (
        {".env": "".join(f"V{n}=x\n" for n in range(60_000)), "compose.yaml": PLAIN},
        "env-file-syntax",
    ),
    "lines in masses": ({"compose.yaml": "\n" * 300_000 + PLAIN}, "yaml-size"),
    "commands in masses": (
        {"compose.yaml": "services:\n" + services("s{n}: {{image: i, command: " + "word " * 20_000 + "}}", 20)},
        "yaml-size",
    ),
    "a template without end": (
        {"compose.yaml": PLAIN + "x-envspin: {exports: {A: '" + "{a.host}" * 100_000 + "'}}\n"},
        "bad-template",
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", MULTIPLIED)
def test_what_multiplies_is_refused_by_its_limit(tmp_path, name):
    files, code = MULTIPLIED[name]
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    with pytest.raises(TopologyError) as caught:
        load_topology([tmp_path / "compose.yaml"], environ={})
    assert code in {problem.code for problem in caught.value.problems}


def test_each_limit_has_its_number_in_its_message():
    shown = {limit: f"{limit.most:,}" for limit in vars(limits).values() if isinstance(limit, limits.Limit)}
    sizes = {8 * limits.MIB: "8 MiB", 4 * limits.MIB: "4 MiB", limits.MIB: "1 MiB"}
    sizes |= {limits.MIB // 2: "512 KiB", limits.MIB // 4: "256 KiB", 64 * 1024: "64 KiB"}
    for limit, number in shown.items():
        assert sizes.get(limit.most, number) in limit.message


def test_an_error_after_hundreds_of_warnings_is_still_said(tmp_path):
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n" + services("s{n}: {{image: i, restart: always}}", MAX_PROBLEMS + 50) + "wrong: 1\n")
    with pytest.raises(TopologyError) as caught:
        load_topology([file], environ={})
    assert [problem.code for problem in caught.value.problems] == ["unknown-key"]


def test_after_five_hundred_errors_reading_stops_and_says_so(tmp_path):
    file = tmp_path / "compose.yaml"
    file.write_text(PLAIN + "".join(f"wrong{n}: 1\n" for n in range(MAX_PROBLEMS + 50)))
    with pytest.raises(TopologyError) as caught:
        load_topology([file], environ={})
    assert len(caught.value.problems) == MAX_PROBLEMS
    assert f"first {MAX_PROBLEMS}" in str(caught.value.hint)


def test_a_name_is_read_from_a_file_full_of_errors(tmp_path):
    file = tmp_path / "compose.yaml"
    file.write_text("name: known\n" + "x-a: 1\n" * (MAX_PROBLEMS + 50))
    assert read_name(file, environ={}) == "known"


def test_a_long_circle_is_shown_in_part(tmp_path):
    file = tmp_path / "compose.yaml"
    file.write_text(
        "services:\n" + "".join(f"  s{n}: {{image: i, depends_on: [s{(n + 1) % 90}]}}\n" for n in range(90))
    )
    with pytest.raises(TopologyError, match=r"s0 -> s1 -> .* -> \(70 more\) -> .* -> s89 -> s0"):
        load_topology([file], environ={})
