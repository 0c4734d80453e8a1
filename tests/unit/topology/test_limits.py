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


def of_lists(count):
    """Return services that share a list of 100 values: each alias costs one value and expands to 100."""
    return "x-l: &l [" + "a, " * 100 + "]\nservices: {a: {image: i}}\nx-m: [" + "*l, " * count + "]\n"


MULTIPLIED = {
    "files that include the next one twice": (
        {**of_files("include: [f{next}.yaml, ./f{next}.yaml]\n" + PLAIN.replace("{", "{{").replace("}", "}}"), 30)}
        | {"f30.yaml": PLAIN, "compose.yaml": "include: [f0.yaml]\n" + PLAIN},
        limits.READS,
    ),
    "files that include each other": (
        dict.fromkeys(
            (*(f"f{n}.yaml" for n in range(12)), "compose.yaml"),
            f"include: [{', '.join(f'f{n}.yaml' for n in range(12))}]\n" + PLAIN,
        ),
        limits.READS,
    ),
    "files that are large together": (
        of_files("x-a: " + "y" * 3_000_000 + "\n", 3)
        | {"compose.yaml": "include: [f0.yaml, f1.yaml, f2.yaml]\n" + PLAIN},
        limits.TEXT,
    ),
    "files that hold much together": (
        of_files("x-a: [" + "x, " * 40_000 + "]\n", 3)
        | {"compose.yaml": "include: [f0.yaml, f1.yaml, f2.yaml]\n" + PLAIN},
        limits.VALUES,
    ),
    "a file that holds much": ({"compose.yaml": PLAIN + "x-a: [" + "x, " * 100_001 + "]\n"}, limits.VALUES),
    "aliases of a list": ({"compose.yaml": of_lists(4_000)}, limits.EXPANDED),
    "a large service that many extend": (
        {"compose.yaml": BASE + services("s{n}: {{extends: a}}", 200)},
        limits.EXPANDED,
    ),
    "a large service that many extend and change": (
        {"compose.yaml": BASE + services("s{n}: {{extends: a, environment: {{A: b}}}}", 300)},
        limits.MERGED,
    ),
    "services that extend each other again and again": (
        {
            "compose.yaml": "services:\n  s0: {image: i}\n"
            + "".join(f"  s{n}: {{extends: s{n - 1}}}\n" for n in range(1, 41))
            + services("t{n}: {{extends: s40}}", 600)
        },
        limits.EXTENSIONS,
    ),
    "a file of variables that many services take": (
        {
            "many.env": "".join(f"V{n}=x\n" for n in range(10_000)),
            "compose.yaml": "services:\n" + services("s{n}: {{image: i, env_file: many.env}}", 101),
        },
        limits.ENVIRONMENT,
    ),
    "files of variables upon each other": (
        {"many.env": "".join(f"V{n}=x\n" for n in range(30_000))}
        | {f"f{n}.env": "W=x\n" for n in range(40)}
        | {
            "compose.yaml": "services: {a: {image: i, env_file: [many.env, "
            + ", ".join(f"f{n}.env" for n in range(40))
            + "]}}"
        },
        limits.ENVIRONMENT,
    ),
    "services in masses": ({"compose.yaml": "services:\n" + services("s{n}: {{image: i}}", 10_001)}, limits.SERVICES),
    "variables in masses": ({"compose.yaml": PLAIN + "x-a: " + "$A" * 200_001 + "\n"}, limits.VARIABLES),
    "braces within a default": (
        {"compose.yaml": PLAIN + "x-a: '${A:-" + "{}" * 100_000 + "}'\n"},
        limits.VARIABLES,
    ),
    "variables that grow": (
        {".env": "A0=" + "x" * 900_000 + "\n" + "".join(f"A{n}=$A0\n" for n in range(1, 9)), "compose.yaml": PLAIN},
        limits.SUBSTITUTED,
    ),
    "a file of variables without end": (
        {".env": "".join(f"V{n}=x\n" for n in range(60_000)), "compose.yaml": PLAIN},
        limits.ASSIGNMENTS,
    ),
    "commands in masses": (
        {"compose.yaml": "services:\n" + services("s{n}: {{image: i, command: " + "word " * 6_000 + "}}", 30)},
        limits.COMMANDS,
    ),
    "a template without end": (
        {"compose.yaml": PLAIN + "x-envspin: {exports: {A: '" + "{a.host}" * 100_000 + "'}}\n"},
        limits.TEMPLATES,
    ),
    "a pattern without end": (
        {"compose.yaml": "services: {a: {image: i, x-envspin: {ready: {log: '" + "a" * 70_000 + "'}}}}\n"},
        limits.PATTERNS,
    ),
    "paths in masses": (
        {
            "compose.yaml": "x-f: &f ["
            + "{path: a.env, required: false}, " * 100
            + "]\nservices:\n"
            + services("s{n}: {{image: i, env_file: *f}}", 201)
        },
        limits.PATHS,
    ),
    "mounts in masses": (
        {
            "compose.yaml": f"x-v: &v [{', '.join(f'data:/d{n}' for n in range(100))}]\nservices:\n"
            + services("s{n}: {{image: i, volumes: *v}}", 401)
            + "volumes: {data: }\n"
        },
        limits.MOUNTS,
    ),
    "secrets in masses": (
        {
            "compose.yaml": f"x-s: &s [{', '.join(f'{{source: s, target: t{n}}}' for n in range(50))}]\nservices:\n"
            + services("s{n}: {{image: i, secrets: *s}}", 801)
            + "secrets: {s: {environment: S}}\n"
        },
        limits.MOUNTS,
    ),
    "tmpfs in masses": (
        {
            "compose.yaml": f"x-t: &t [{', '.join(f'/d{n}' for n in range(100))}]\nservices:\n"
            + services("s{n}: {{image: i, tmpfs: *t}}", 401)
        },
        limits.MOUNTS,
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", MULTIPLIED)
def test_what_multiplies_is_refused_by_its_limit(tmp_path, name):
    files, limit = MULTIPLIED[name]
    with pytest.raises(TopologyError) as caught:
        load(tmp_path, files)
    said = {(problem.code, problem.message) for problem in caught.value.problems}
    assert (limit.code, limit.message) in said


def test_each_limit_is_struck_by_a_case():
    every = {limit for limit in vars(limits).values() if isinstance(limit, limits.Limit)}
    assert {limit for _, limit in MULTIPLIED.values()} == every


def load(folder, files):
    for file, text in files.items():
        (folder / file).write_text(text)
    return load_topology([folder / "compose.yaml"], environ={})


EIGHT_VOLUMES = ", ".join(f"v{n}:/v{n}" for n in range(10, 18))
TWENTY_DEFAULTS = ", ".join(f"'E{n}=${{V{n}:-x}}'" for n in range(20))
EIGHTY_VALUES = ", ".join(f"V{n}: value" for n in range(34)) + "}, labels: {a: b, c: d"
DASHBOARD = "".join(f'      {{"id": {n}, "expr": {{"up{{a=\'$$a\'}}": "$$b"}}}},\n' for n in range(9_000))
HONEST = {
    "binds by an anchor": (
        {
            "compose.yaml": "x-v: &v [./a:/a:ro, ./b:/b, ./c:/c, ./d:/d, ./e:/e, ./f:/f]\nservices:\n"
            + services("s{n}: {{image: i, volumes: *v}}", 1_000)
        },
        1_000,
    ),
    "named volumes": (
        {
            "compose.yaml": "services:\n"
            + services(f"s{{n}}: {{{{image: i, volumes: [{EIGHT_VOLUMES}]}}}}", 2_000)
            + f"volumes: {{{', '.join(f'v{n}: ' for n in range(10, 18))}}}\n"
        },
        2_000,
    ),
    "paths": (
        {
            "a.env": "A=1\n",
            "b.env": "B=$A\n",
            "compose.yaml": "services:\n"
            + services("s{n}: {{build: s{n}, env_file: [a.env, b.env], volumes: ['./s{n}:/s', './c{n}:/c']}}", 1_200),
        },
        1_200,
    ),
    "commands": (
        {"compose.yaml": "services:\n" + services("s{n}: {{image: i, command: " + "--option=it " * 25 + "}}", 1_000)},
        1_000,
    ),
    "variables with defaults": (
        {
            "compose.yaml": "services:\n"
            + "".join(f"  s{n}: {{image: i, environment: [{TWENTY_DEFAULTS}]}}\n" for n in range(1_000))
        },
        1_000,
    ),
    "a dashboard": ({"compose.yaml": PLAIN + "configs:\n  dashboard:\n    content: |\n" + DASHBOARD}, 1),
    "a file of variables": (
        {
            "many.env": "".join(f"NAME_{n}=value-{n}\n" for n in range(300)),
            "compose.yaml": "services:\n" + services("s{n}: {{image: i, env_file: many.env}}", 1_000),
        },
        1_000,
    ),
    "values by an anchor": (
        {
            "compose.yaml": f"x-s: &s {{image: i, environment: {{{EIGHTY_VALUES}}}}}\nservices:\n"
            + services("s{n}: {{<<: *s, hostname: h{n}}}", 1_500)
        },
        1_500,
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HONEST)
def test_large_topologies_that_people_have_are_loaded(tmp_path, name):
    files, count = HONEST[name]
    assert len(load(tmp_path, files).services) == count


def test_services_see_the_files_of_variables_that_they_share_and_only_their_own_changes(tmp_path):
    files = {
        "a.env": "A=1\nB=a\n",
        "b.env": "B=$A\n",
        "compose.yaml": "services:\n"
        "  one: {image: i, env_file: [a.env, b.env]}\n"
        "  two: {image: i, env_file: [a.env, b.env], environment: {A: own}}\n"
        "  other: {image: i, env_file: [b.env, a.env]}\n"
        "  last: {image: i, env_file: [a.env, b.env]}\n",
    }
    found = {name: service.environment for name, service in load(tmp_path, files).services.items()}
    assert found == {
        "one": {"A": "1", "B": "1"},
        "two": {"A": "own", "B": "1"},
        "other": {"A": "1", "B": "a"},
        "last": {"A": "1", "B": "1"},
    }


def test_too_many_lines_are_a_matter_of_one_file(tmp_path):
    with pytest.raises(TopologyError) as caught:
        load(tmp_path, {"compose.yaml": "\n" * 300_000 + PLAIN})
    assert [problem.code for problem in caught.value.problems] == ["yaml-size"]


def test_each_limit_has_its_number_in_its_message():
    shown = {limit: f"{limit.most:,}" for limit in vars(limits).values() if isinstance(limit, limits.Limit)}
    sizes = {8 * limits.MIB: "8 MiB", 4 * limits.MIB: "4 MiB"}
    sizes |= {limits.MIB // 2: "512 KiB", 64 * 1024: "64 KiB"}
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
