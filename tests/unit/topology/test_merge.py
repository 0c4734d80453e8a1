"""Several files, `extends`, `include`, profiles, the choice of files and names."""

from __future__ import annotations

import pytest

from envspin.errors import TopologyError
from envspin.model import Condition, Dependency, FileGrant, Healthcheck, Mount, NetworkAttachment, Port, Ulimit
from envspin.topology import find_compose_file, load_topology

A = "services:\n  a:\n    image: i\n    "


@pytest.mark.parametrize(
    ("base", "overlay", "field", "expected"),
    [
        ("user: a", "user: b", "user", "b"),
        ("user: a", "user:", "user", "a"),
        ("command: [a, b]", "command: [c]", "command", ("c",)),
        ("command: a", "command:", "command", None),
        ("entrypoint: a", "entrypoint: [b]", "entrypoint", ("b",)),
        ("environment: {A: 1, B: 2}", "environment: [B=3, C]", "environment", {"A": "1", "B": "3", "C": "see"}),
        ("labels: [a=1]", "labels: {b: 2}", "labels", {"a": "1", "b": "2"}),
        ("sysctls: [a=1]", "sysctls: {a: 2}", "sysctls", {"a": "2"}),
        ("ports: ['80', '81']", "ports: ['81', '82']", "ports", (Port(80), Port(81), Port(82))),
        ("expose: [80]", "expose: [80, 81]", "expose", (Port(80), Port(81))),
        ("cap_add: [A, B]", "cap_add: [B, C]", "cap_add", ("A", "B", "C")),
        ("dns: 1.1.1.1", "dns: [2.2.2.2, 1.1.1.1]", "dns", ("1.1.1.1", "2.2.2.2")),
        (
            "extra_hosts: ['h:::1']",
            "extra_hosts: {h: '::2', g: ['::3', '::4']}",
            "extra_hosts",
            ("h:::1", "h:::2", "g:::3", "g:::4"),
        ),
        (
            "extra_hosts: {h: '::1', g: '::3'}",
            "extra_hosts: ['h=::1', 'h:::2']",
            "extra_hosts",
            ("h:::1", "g:::3", "h:::2"),
        ),
        ("extra_hosts: {h: '::1'}", "extra_hosts: {g: '${V:-::2}'}", "extra_hosts", ("h:::1", "g:::2")),
        ("profiles: [p]", "profiles: [q]", "profiles", ("p", "q")),
        ("depends_on: [b]", "depends_on: [c]", "depends_on", (Dependency("b"), Dependency("c"))),
        (
            "depends_on: [b]",
            "depends_on: {b: {condition: service_healthy}}",
            "depends_on",
            (Dependency("b", Condition.HEALTHY, explicit=True),),
        ),
        (
            "depends_on: {b: {condition: service_healthy, required: false}, c: {condition: service_started}}",
            "depends_on: [b]",
            "depends_on",
            (Dependency("b"), Dependency("c", explicit=True)),
        ),
        ("env_file: [two.env, one.env]", "env_file: [{path: two.env}]", "environment", {"A": "1"}),
        ("env_file: two.env", "env_file: [one.env]", "environment", {"A": "1"}),
        (
            "networks: [n]",
            "networks: {n: {aliases: [x]}, m: }",
            "networks",
            (NetworkAttachment("n", ("x",)), NetworkAttachment("m")),
        ),
        (
            "networks: {n: {aliases: [x]}}",
            "networks: {n: {aliases: [x, y]}}",
            "networks",
            (NetworkAttachment("n", ("x", "y")),),
        ),
        (
            "volumes: [v:/a, /b]",
            "volumes: [{type: tmpfs, target: /a}]",
            "mounts",
            (Mount("tmpfs", "/a"), Mount("anonymous", "/b")),
        ),
        ("tmpfs: /a", "tmpfs: [/b]", "mounts", (Mount("tmpfs", "/a"), Mount("tmpfs", "/b"))),
        (
            "secrets: [s]",
            "secrets: [{source: s, target: s, mode: 0400}]",
            "grants",
            (FileGrant("s", "secret", "/run/secrets/s", mode=0o400),),
        ),
        (
            "healthcheck: {test: [CMD, a], retries: 2}",
            "healthcheck: {test: b}",
            "healthcheck",
            Healthcheck(("CMD-SHELL", "b"), retries=2),
        ),
        ("ulimits: {nofile: 1}", "ulimits: {nofile: {soft: 2, hard: 3}}", "ulimits", (Ulimit("nofile", 2, 3),)),
        ("extra_hosts: ['a:1.1.1.1']", "extra_hosts: ['a:2.2.2.2']", "extra_hosts", ("a:1.1.1.1", "a:2.2.2.2")),
        ("ports: ['80']", "ports: !reset []", "ports", ()),
        ("ports: ['80']", "ports: !override ['90']", "ports", (Port(90),)),
        ("environment: {A: 1, B: 2}", "environment: {A: !reset null}", "environment", {"B": "2"}),
        ("environment: {A: 1}", "environment: !override {B: 2}", "environment", {"B": "2"}),
        ("x-envspin: {ready: [{tcp: 1}], timeout: 5s}", "x-envspin: {ready: [{tcp: 2}]}", "timeout", 5.0),
    ],
)
def test_an_overlay_lies_over_the_file_below(bench, base, overlay, field, expected):
    bench.environ = {"C": "see"}
    bench.write("one.env", "A=1")
    bench.write("two.env", "A=2")
    rest = "\n  b: {image: b}\n  c: {image: c}\nnetworks: {n: , m: }\nvolumes: {v: }\nsecrets: {s: {content: x}}\n"
    topology = bench.load(A + base + rest, A + overlay + "\n", profiles=["*"])
    assert getattr(topology.services["a"], field) == expected


def test_probes_of_an_overlay_replace_those_below(bench):
    topology = bench.load(A + "x-envspin: {ready: [{tcp: 1}]}\n", A + "x-envspin: {ready: [{tcp: 2}]}\n")
    assert [probe.port for probe in topology.services["a"].ready] == [2]


def test_a_build_may_be_text_below_and_a_mapping_above(bench):
    topology = bench.load("services: {a: {build: ./x}}\n", "services: {a: {build: {args: [A=1]}}}\n")
    build = topology.services["a"].build
    assert (build.context, build.args) == (bench.folder / "x", {"A": "1"})


def test_overlays_add_services_and_top_level_parts(bench):
    overlay = "name: other\nservices: {z: {image: z}}\nnetworks: {n: {internal: true}}\n"
    overlay += "x-envspin: {exports: {B: '{z.host}'}}\n"
    topology = bench.load(A + "user: x\nx-envspin: {exports: {A: '{a.host}'}}\nnetworks: {n: }\n", overlay)
    assert topology.name == "other"
    assert set(topology.services) == {"a", "z"}
    assert topology.networks["n"].internal
    assert topology.exports == {"A": "{a.host}", "B": "{z.host}"}
    assert topology.files == (bench.folder / "compose.yaml", bench.folder / "overlay1.yaml")


def test_faults_of_an_overlay_name_that_file(bench):
    assert bench.problems(A + "user: x\n", A + "users: y\n")[0].startswith("overlay1.yaml:4:5: error[unknown-key]")


def test_shapes_that_do_not_fit_are_named(bench):
    (problem,) = bench.problems(A + "x-a: {b: c}\n", A + "x-a: [b]\n")
    assert "overlay1.yaml:4:10: error[wrong-type]" in problem
    assert "compose.yaml:4:10" in problem


def test_extends_in_one_file_and_over_several_levels(bench):
    topology = bench.load(
        """
services:
  base: {image: i, environment: {A: 1, B: 1, C: 1}, ports: ['80'], command: x}
  middle: {extends: base, environment: [B=2, C=2]}
  top: {extends: {service: middle}, environment: {C: 3}, ports: ['81'], command: [y, z]}
"""
    )
    top = topology.services["top"]
    assert top.environment == {"A": "1", "B": "2", "C": "3"}
    assert top.ports == (Port(80), Port(81))
    assert top.command == ("y", "z")


def test_extends_of_another_file_starts_its_paths_there(bench):
    bench.write(
        "shared/base.yaml",
        "services: {web: {build: ., volumes: [./d:/d], env_file: v.env, extends: deep}, deep: {user: u}}\n",
    )
    bench.write("shared/v.env", "A=1\n")
    service = bench.load(
        "services: {a: {extends: {file: shared/base.yaml, service: web}, volumes: [./d:/e]}}\n"
    ).services["a"]
    assert service.build.context == bench.folder / "shared"
    assert service.user == "u"
    assert service.environment == {"A": "1"}
    assert [mount.source for mount in service.mounts] == [str(bench.folder / "shared/d"), str(bench.folder / "d")]


def test_faults_in_extended_files_name_that_file(bench):
    bench.write("base.yaml", "services:\n  web:\n    image: i\n    usr: x\n")
    problems = bench.problems("services: {a: {extends: {file: base.yaml, service: web}}}\n")
    assert problems[0].startswith("base.yaml:4:5: error[unknown-key]")


def test_include_brings_services_with_their_own_folder_and_variables(bench):
    bench.write(
        "lib/compose.yaml", "services: {db: {image: 'd:${V}', build: ., environment: {W: '${W}'}}}\nvolumes: {vol: }\n"
    )
    bench.write("lib/.env", "V=lib\nW=lib\n")
    bench.environ = {"W": "caller"}
    topology = bench.load(
        "include: [lib/compose.yaml]\nservices: {a: {image: i, depends_on: [db], volumes: [vol:/v]}}\n"
    )
    db = topology.services["db"]
    assert (db.image, db.build.context, db.environment) == ("d:lib", bench.folder / "lib", {"W": "caller"})
    assert topology.files[1] == bench.folder / "lib/compose.yaml"


def test_include_in_its_long_form(bench):
    bench.write(
        "lib/one.yaml", "services: {db: {image: '${V}', build: ./x}}\nx-envspin: {exports: {DB: '{db.host}'}}\n"
    )
    bench.write("lib/two.yaml", "services: {db: {user: u}}\n")
    bench.write("v.env", "V=v\n")
    topology = bench.load(
        "include: [{path: [lib/one.yaml, lib/two.yaml], project_directory: ., env_file: v.env}]\n"
        "services: {a: {image: i}}\n"
    )
    db = topology.services["db"]
    assert (db.image, db.user, db.build.context) == ("v", "u", bench.folder / "x")
    assert topology.exports == {"DB": "{db.host}"}


def test_the_same_file_may_be_included_twice_but_not_in_a_circle(bench):
    bench.write("lib.yaml", "services: {db: {image: d}}\n")
    assert "db" in bench.load("include: [lib.yaml, lib.yaml]\nservices: {a: {image: i}}\n").services
    bench.write("lib.yaml", "include: [other.yaml]\n")
    bench.write("other.yaml", "include: [lib.yaml]\n")
    assert bench.codes("include: [lib.yaml]\nservices: {a: {image: i}}\n") == ["include-cycle"]


def test_a_file_that_includes_itself_is_a_circle(bench):
    assert bench.codes("include: [compose.yaml]\nservices: {a: {image: i}}\n") == ["include-cycle"]


PROFILES = "services: {a: {image: i}, p: {image: i, profiles: [p]}, q: {image: i, profiles: [p, q], depends_on: [p]}}\n"


@pytest.mark.parametrize(
    ("profiles", "environ", "active"),
    [([], {}, "a"), (["p"], {}, "apq"), ([], {"COMPOSE_PROFILES": "p"}, "apq"), (["*"], {}, "apq")],
)
def test_profiles_choose_services(bench, profiles, environ, active):
    bench.environ = environ
    assert bench.load(PROFILES, profiles=profiles).active == frozenset(active)


def test_a_dependency_outside_the_profiles_is_an_error_unless_it_is_not_required(bench):
    assert bench.codes(PROFILES, profiles=["q"]) == ["inactive-dependency"]
    text = PROFILES.replace("[p]}}", "{p: {condition: service_started, required: false}}}}")
    assert bench.load(text, profiles=["q"]).active == frozenset("aq")


def test_dot_env_lies_below_the_environment(bench):
    bench.write(".env", "A=file\nB=file\n")
    bench.environ = {"B": "caller"}
    service = bench.service("environment: {A: $A, B: $B, P: '$COMPOSE_PROJECT_NAME'}")
    assert service.environment == {"A": "file", "B": "caller", "P": "demo"}


def test_env_files_that_are_named_replace_dot_env(bench):
    bench.write(".env", "A=dot\n")
    files = [bench.write("one", "A=one\nB=one\n"), bench.write("two", "B=two\n")]
    assert bench.service("environment: {A: $A, B: $B}", env_files=files).environment == {"A": "one", "B": "two"}


@pytest.mark.parametrize("name", ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"])
def test_a_folder_stands_for_its_compose_file(tmp_path, name):
    (tmp_path / "docker-compose.yml").write_text("")
    (tmp_path / name).write_text("")
    assert find_compose_file(tmp_path) == tmp_path / name
    assert find_compose_file(tmp_path / name) == tmp_path / name


def test_missing_files_are_errors_with_a_hint(tmp_path):
    (tmp_path / "shop").mkdir()
    with pytest.raises(TopologyError, match="there is no file or folder") as caught:
        find_compose_file(tmp_path / "shpo")
    assert caught.value.problems[0].hint == "did you mean `shop`?"
    with pytest.raises(TopologyError, match="holds no Compose file"):
        find_compose_file(tmp_path / "shop")
    (tmp_path / "compose.yaml").write_text("services: {a: {image: i}}")
    with pytest.raises(TopologyError, match="does not exist"):
        load_topology([tmp_path], environ={}, env_files=[tmp_path / "none.env"])


@pytest.mark.parametrize(("folder", "name"), [("My Shop!", "myshop"), ("_x-1", "x-1"), ("...", "topology")])
def test_a_topology_without_a_name_has_its_folders(tmp_path, folder, name):
    (tmp_path / "sub" / folder).mkdir(parents=True) if folder != "..." else (tmp_path / "---").mkdir()
    path = tmp_path / "sub" / folder if folder != "..." else tmp_path / "---"
    (path / "compose.yaml").write_text("services: {a: {image: i}}")
    assert load_topology([path], environ={}).name == name


def test_names_are_made_fit_with_a_warning(bench):
    topology = bench.load("name: My Shop\nservices: {a: {image: i}}\n")
    assert topology.name == "myshop"
    assert [warning.code for warning in topology.warnings] == ["replaced-name"]


def test_a_name_may_come_from_a_variable(bench):
    bench.environ = {"N": "from-env"}
    assert bench.load("name: ${N}-1\nservices: {a: {image: i}}\n").name == "from-env-1"
