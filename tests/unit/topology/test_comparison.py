"""Two topologies side by side: everything that differs is told, no secret is."""

from __future__ import annotations

from pathlib import Path

import pytest

from envspin.topology import load_topology
from envspin.topology.comparison import Difference, compare_topologies, find_undeclared
from envspin.topology.facts import collect_facts

from .samples import FILES, files_of
from .samples import load as load_sample

CANARY = "c4nary-9f2e"


@pytest.fixture
def load(tmp_path):
    """Write a topology (and other files) into a folder of its own and load it."""

    def call(side, text, files=None, *, environ=None, **options):
        folder = tmp_path / side
        folder.mkdir()
        for name, content in {"compose.yaml": text, **(files or {})}.items():
            (folder / name).write_text(content)
        paths = [folder / name for name in ("compose.yaml", "overlay.yaml") if (folder / name).exists()]
        env_files = [folder / name for name in files or () if name.endswith(".vars")]
        return load_topology(paths, environ=environ or {}, env_files=env_files, **options)

    return call


@pytest.fixture
def diff(load):
    """Compare two texts, each in a folder of its own."""

    def call(left, right, files=None, right_files=None, **options):
        both = load("left", left, files, **options), load("right", right, right_files or files, **options)
        return compare_topologies(*both)

    return call


@pytest.fixture
def diff_service(diff):
    """Compare two services `api`, written as the lines of their mappings."""

    def call(left, right, top="", **options):
        def text(lines):
            indented = "".join(f"    {line}\n" for line in lines.splitlines())
            return f"services:\n  api:\n    image: api:1\n{indented}  db: {{image: db}}\n{top}"

        return diff(text(left), text(right), **options)

    return call


def rows(differences):
    return [(each.service, each.kind, each.name, each.status, each.left, each.right) for each in differences]


@pytest.mark.parametrize(
    ("left", "right", "kind", "name", "values"),
    [
        ("environment: {HOST: a}", "environment: {HOST: b}", "variable", "HOST", ("a", "b")),
        ("environment: {PRICE: $$5}", "environment: {PRICE: $$6}", "variable", "PRICE", ("$5", "$6")),
        (
            "ports: ['8080:80']",
            "ports: ['80:80']",
            "port",
            "80/tcp",
            ("published as 8080", "published as 80"),
        ),
        ("ports: [80]", "expose: ['80']", "port", "80/tcp", ("published at a free port", "exposed")),
        ("mem_limit: 512m", "mem_limit: 1g", "resource", "mem_limit", ("536870912", "1073741824")),
        ("scale: 2", "deploy: {replicas: 3}", "resource", "scale", (2, 3)),
        ("ulimits: {nofile: 1}", "ulimits: {nofile: 2}", "resource", "ulimits.nofile.soft", (1, 2)),
        ("user: a", "user: b", "setting", "user", ("a", "b")),
        ("command: run a", "command: run b", "setting", "command", (["run", "a"], ["run", "b"])),
        ("labels: {x.y: a}", "labels: {x.y: b}", "setting", "labels.x.y", ("a", "b")),
        (
            "healthcheck: {test: t, interval: 1s}",
            "healthcheck: {test: t, interval: 2s}",
            "setting",
            "healthcheck.interval",
            ("1s", "2s"),
        ),
        (
            "depends_on: [db]",
            "depends_on: {db: {condition: service_started, required: false}}",
            "setting",
            "depends_on.db",
            ("until ready", "service_started, not required"),
        ),
        (
            "volumes: ['./a:/x']",
            "volumes: ['./b:/x']",
            "setting",
            "volumes./x",
            (
                {"type": "bind", "source": "./a", "bind": {"create_host_path": True}},
                {"type": "bind", "source": "./b", "bind": {"create_host_path": True}},
            ),
        ),
        (
            "networks: {default: {aliases: [a]}}",
            "networks: {default: {aliases: [b]}}",
            "setting",
            "networks.default.aliases",
            (["a"], ["b"]),
        ),
        (
            "x-envspin: {stub: {image: s, environment: {A: a}}}",
            "x-envspin: {stub: {image: s, environment: {A: b}}}",
            "setting",
            "x-envspin.stub.environment.A",
            ("a", "b"),
        ),
        (
            "x-envspin: {ready: {tcp: 1}}",
            "x-envspin: {ready: {tcp: 2}}",
            "setting",
            "x-envspin.ready",
            ([{"tcp": {"port": 1}}], [{"tcp": {"port": 2}}]),
        ),
    ],
)
def test_what_differs_in_a_service_is_told_with_both_values(diff_service, left, right, kind, name, values):
    found = next(each for each in diff_service(left, right) if each.name == name)
    assert found == Difference("api", kind, name, "differs", *values)


@pytest.mark.parametrize(
    ("lines", "kind", "name", "value"),
    [
        ("environment: {DEBUG: 'true'}", "variable", "DEBUG", "true"),
        ("ports: [9000]", "port", "9000/tcp", "published at a free port"),
        ("cpus: 1.5", "resource", "cpus", 1.5),
        ("cap_add: [SYS_PTRACE]", "setting", "cap_add", ["SYS_PTRACE"]),
        ("depends_on: {db: {condition: service_healthy}}", "setting", "depends_on.db", "service_healthy"),
    ],
)
def test_what_one_side_lacks_is_told_with_the_value_of_the_other(load, diff_service, lines, kind, name, value):
    (found,) = diff_service(lines, "")
    assert found == Difference("api", kind, name, "only-left", value, None)


def test_the_same_on_the_right(diff_service):
    (found,) = diff_service("", "environment: {DEBUG: 'true'}")
    assert found == Difference("api", "variable", "DEBUG", "only-right", None, "true")


def test_images_builds_and_what_takes_the_place_of_the_other(diff):
    left = "services: {a: {image: x:1}, b: {build: {context: b, args: {V: 1}}}, c: {build: c}}"
    right = "services: {a: {image: x:2}, b: {build: {context: b, args: {V: 2}}}, c: {image: c}}"
    assert rows(diff(left, right)) == [
        ("a", "image", "image", "differs", "x:1", "x:2"),
        ("b", "build", "args.V", "differs", "1", "2"),
        ("c", "image", "image", "only-right", None, "c"),
        ("c", "build", "context", "only-left", "./c", None),
        ("c", "build", "dockerfile", "only-left", "Dockerfile", None),
    ]


def test_a_service_of_one_side_is_one_difference(diff):
    left = "services: {a: {image: a}, mock: {image: m, environment: {A: b}, ports: [1]}}"
    right = "services: {a: {image: a}}"
    assert rows(diff(left, right)) == [("mock", "service", "mock", "only-left", "active", None)]


def test_a_service_that_only_one_sides_profiles_activate(load):
    text = "services: {a: {image: a}, debug: {image: d, profiles: [dev]}}"
    left, right = load("left", text, profiles=["dev"]), load("right", text)
    assert rows(compare_topologies(left, right)) == [("debug", "service", "debug", "differs", "active", "not active")]


def test_the_whole_topology(diff):
    left = """
services: {a: {image: a}}
networks: {front: {internal: true}}
volumes: {data: {labels: {a: b}}}
configs: {conf: {content: one}}
secrets: {token: {file: token.txt}, made: {x-envspin: {generate: 8}}}
x-envspin: {timeout: 10s, exports: {URL: 'http://{a.host}'}}
"""
    right = """
services: {a: {image: a}}
networks: {front: }
configs: {conf: {content: two}}
secrets: {token: {environment: TOKEN}, made: {x-envspin: {generate: 9}}}
x-envspin: {timeout: 20s, exports: {URL: 'https://{a.host}'}}
"""
    assert rows(diff(left, right, environ={"TOKEN": CANARY})) == [
        (None, "setting", "x-envspin.timeout", "differs", "10s", "20s"),
        (None, "network", "front", "differs", {"internal": True}, {}),
        (None, "volume", "data", "only-left", {"labels": {"a": "b"}}, None),
        (None, "config", "conf", "differs", {"content": "one"}, {"content": "two"}),
        (None, "secret", "made", "differs", {"generate": 8}, {"generate": 9}),
        (None, "secret", "token", "differs", {"file": "./token.txt"}, {"environment": "TOKEN", "content": "***"}),
        (None, "export", "URL", "differs", "http://{a.host}", "https://{a.host}"),
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("environment: [A=1, B=2]", "environment: {B: 2, A: '1'}"),
        ("environment: {A: 1}", "env_file: a.env"),
        ("labels: [a=b]", "labels: {a: b}"),
        ("command: run it", "command: [run, it]"),
        ("depends_on: [db]", "depends_on: {db: }"),
        ("cap_add: [A, B]", "cap_add: [B, A]"),
        ("ports: ['80']", "ports: [{target: 80}]"),
        ("mem_limit: 1g", "deploy: {resources: {limits: {memory: 1024m}}}"),
        ("volumes: ['./a:/x', './b:/y']", "volumes: [{type: bind, source: ./b, target: /y}, './a:/x']"),
        ("networks: [n, m]", "networks: {m: , n: }"),
    ],
)
def test_form_and_order_are_no_difference(diff_service, left, right):
    files = {"a.env": "A=1\n"}
    assert diff_service(left, right, top="networks: {n: , m: }", files=files) == []


def test_two_folders_with_the_same_files_are_equal(diff):
    text = """
services:
  a: {build: {context: ., dockerfile: D}, volumes: ['./data:/data', '.:/all'], secrets: [s], configs: [c]}
secrets: {s: {file: ./s.txt}}
configs: {c: {file: sub/c.conf}}
"""
    assert diff(text, text, {"s.txt": CANARY}) == []


def test_a_path_outside_of_the_folder_stays_whole(load, tmp_path):
    text = f"services: {{a: {{build: {tmp_path}/shared}}}}"
    facts = collect_facts(load("left", text))
    assert f"{tmp_path}/shared" in facts.values()


def test_names_of_topologies_are_no_difference(diff):
    assert diff("name: one\nservices: {a: {image: a}}", "name: two\nservices: {a: {image: a}}") == []


@pytest.mark.parametrize("name", FILES)
def test_nothing_differs_from_itself(name):
    topology = load_sample(files_of(name))
    assert compare_topologies(topology, topology) == []


def test_env_files_and_overlays_count_for_their_own_side(diff):
    text = "services: {api: {image: 'api:${TAG}', environment: {LEVEL: '${LEVEL:-info}'}}}"
    overlay = "services: {api: {environment: {LEVEL: warning, REGION: eu}}}"
    found = diff(text, text, {"pre.vars": "TAG=2"}, {"prod.vars": "TAG=1", "overlay.yaml": overlay})
    assert rows(found) == [
        ("api", "image", "image", "differs", "api:2", "api:1"),
        ("api", "variable", "LEVEL", "differs", "info", "warning"),
        ("api", "variable", "REGION", "only-right", None, "eu"),
    ]


@pytest.mark.parametrize("form", ["environment: [KEY]", "environment: {KEY: }", "environment: {KEY: '${KEY}'}"])
def test_a_variable_that_one_side_hands_on_without_declaring_it(diff_service, form):
    (found,) = diff_service(form, form, files={"none.vars": ""}, right_files={"some.vars": "KEY=value"})
    assert found == Difference("api", "variable", "KEY", "undeclared", None, "value", undeclared_in="left")


def test_a_variable_that_another_text_needs_is_undeclared_for_its_service(diff_service):
    text = "command: 'serve --region ${REGION}'"
    found = diff_service(text, text, files={"pre.vars": "REGION=eu"}, right_files={"prod.vars": ""})
    assert found[0] == Difference("api", "variable", "REGION", "undeclared", "eu", None, undeclared_in="right")
    assert [(each.kind, each.name, each.status) for each in found[1:]] == [("setting", "command", "differs")]


def test_a_default_or_an_overlay_declares_what_would_be_missing(diff_service):
    text = "environment: {A: '${A:-x}', B: '${B-}', C: '${C:+y}', D: '${D}'}"
    overlay = "services: {api: {environment: {D: d}}}"
    assert diff_service(text, text, files={"overlay.yaml": overlay}) == []


def test_what_neither_side_declares_is_no_difference_but_can_be_asked_for(load):
    text = "services: {a: {image: a, command: '${TAG}', environment: [KEY]}}\nnetworks: {n: {labels: {x: '${LABEL}'}}}"
    left, right = load("left", text), load("right", text)
    assert compare_topologies(left, right) == []
    assert find_undeclared(left) == [("a", "KEY"), ("a", "TAG"), (None, "LABEL")]


def test_both_meanings_of_a_name_are_told_apart(diff_service):
    left, right = "environment: {X: 1}\ncommand: 'run ${X}'", "environment: {X: 2}\ncommand: run"
    found = [each for each in diff_service(left, right) if each.kind == "variable"]
    assert rows(found) == [
        ("api", "variable", "X", "differs", "1", "2"),
        ("api", "variable", "X", "undeclared", None, "2"),
    ]


def test_the_callers_environment_declares_for_both_sides(diff_service):
    assert diff_service("environment: [KEY]", "environment: {KEY: v}", environ={"KEY": "v"}) == []


def test_a_secret_from_a_variable_that_is_not_set(diff):
    text = "services: {a: {image: a}}\nsecrets: {s: {environment: S_VALUE}}"
    found = diff(text, text, {"pre.vars": f"S_VALUE={CANARY}"}, {"prod.vars": ""})
    assert rows(found) == [
        (None, "variable", "S_VALUE", "undeclared", "***", None),
        (
            None,
            "secret",
            "s",
            "differs",
            {"environment": "S_VALUE", "content": "***"},
            {"environment": "S_VALUE", "content": None},
        ),
    ]


def test_an_undeclared_variable_of_a_fragment_that_many_services_share(load):
    text = "x-common: &c {environment: {A: '${A}'}, image: i}\nservices: {a: *c, b: *c, c: {image: c}}"
    assert find_undeclared(load("left", text)) == [("a", "A"), ("b", "A")]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (f"environment: {{DB_PASSWORD: {CANARY}}}", "environment: {DB_PASSWORD: other}"),
        (f"environment: {{DB_PASSWORD: {CANARY}}}", ""),
        (f"environment: {{SMTP_PASS: {CANARY}}}", ""),
        (f"environment: {{URL: 'postgres://app:{CANARY}@db/app'}}", "environment: {URL: 'postgres://app:x@db/app'}"),
        (f"environment: {{OPTS: '-v --token {CANARY} -x'}}", ""),
        (f"environment: {{COPY: {CANARY}}}", "environment: {API_KEY: " + CANARY + "}"),
        (f"environment: {{DSN: 'host=db password={CANARY}'}}", ""),
        (f"command: [serve, --requirepass, {CANARY}, -v]", "command: serve"),
        (f"command: serve --token={CANARY}", "command: serve"),
        (
            f"environment: {{REDIS_PASSWORD: {CANARY}}}\nhealthcheck: {{test: redis-cli -a {CANARY} ping}}",
            "environment: {REDIS_PASSWORD: other}",
        ),
        (f"labels: {{traefik.auth.password: {CANARY}}}", ""),
        (f"build: {{context: ., args: {{NPM_TOKEN: {CANARY}}}}}", ""),
        (f"x-envspin: {{ready: {{redis: {{port: 1, password: {CANARY}}}}}}}", ""),
        (f"x-envspin: {{ready: {{http: {{port: 1, headers: {{Authorization: Bearer {CANARY}}}}}}}}}", ""),
        (f"x-envspin: {{stub: {{image: s, environment: {{TOKEN: {CANARY}}}}}}}", ""),
        (f"environment: {{COPY: {CANARY}}}", "environment: {COPY: other}"),
    ],
)
def test_no_secret_is_in_a_difference_though_the_difference_is(diff_service, left, right):
    top = f"secrets: {{s: {{content: {CANARY}}}}}" if "COPY: other" in right else ""
    found = diff_service(left, right, top=top)
    assert found
    assert CANARY not in repr(found)
    assert "***" in repr(found)


@pytest.mark.parametrize(
    "source", [f"content: {CANARY}", "environment: HIDDEN", "file: ./hidden.txt"], ids=["content", "variable", "file"]
)
def test_a_value_that_equals_a_secret_is_masked_wherever_the_secret_comes_from(diff, source):
    text = f"services: {{a: {{image: a, environment: {{PLAIN: {CANARY}}}}}}}\nsecrets: {{s: {{{source}}}}}"
    other = text.replace(f"PLAIN: {CANARY}", "PLAIN: x")
    found = diff(text, other, {"hidden.txt": f"{CANARY}\n", "my.vars": f"HIDDEN={CANARY}"})
    assert rows(found) == [("a", "variable", "PLAIN", "differs", "***", "x")]


def test_a_secret_whose_content_differs_says_so_and_nothing_else(diff):
    text = "services: {a: {image: a}}\nsecrets: {s: {content: %s}}"
    found = diff(text % CANARY, text % (CANARY * 2))
    assert rows(found) == [(None, "secret", "s", "differs", {"content": "***"}, {"content": "***"})]


def test_an_empty_password_hides_nothing_and_is_shown(diff_service):
    (found,) = diff_service("environment: {PASSWORD: ''}", f"environment: {{PASSWORD: {CANARY}}}")
    assert (found.left, found.right) == ("", "***")


def test_names_that_point_to_a_secret_are_no_secrets(diff_service):
    top = "secrets: {api_token: {content: x}}"
    left = "environment: {TOKEN_FILE: /a}\nsecrets: [api_token]\nvolumes: ['./a:/run/secret']"
    found = diff_service(left, "environment: {TOKEN_FILE: /b}", top=top)
    assert "***" not in repr(found)
    assert len(found) == 3


def test_a_default_password_of_one_plain_word_does_not_hide_an_image(diff):
    text = "services: {db: {image: 'postgres:%s', environment: {POSTGRES_PASSWORD: postgres}}}"
    assert rows(diff(text % 15, text % 16)) == [("db", "image", "image", "differs", "postgres:15", "postgres:16")]


def test_a_password_of_one_lower_case_word_is_hidden_within_other_texts(diff_service):
    left = 'environment: {DB_PASSWORD: correcthorsebattery}\ncommand: ["mysql", "-pcorrecthorsebattery"]'
    assert rows(diff_service(left, "environment: {DB_PASSWORD: other}")) == [
        ("api", "variable", "DB_PASSWORD", "differs", "***", "***"),
        ("api", "setting", "command", "only-left", ["mysql", "-p***"], None),
    ]


def test_a_copy_under_an_innocent_name_does_not_make_a_password_open(diff_service):
    left = "environment: {DB_PASSWORD: correcthorsebattery, COPY: correcthorsebattery}\ncommand: -pcorrecthorsebattery"
    assert "battery" not in repr(diff_service(left, ""))


@pytest.mark.parametrize(
    "environment",
    [
        "{MINIO_ROOT_USER: minioadmin, MINIO_ROOT_PASSWORD: minioadmin}",
        "{MYSQL_DATABASE: minioadmin, MYSQL_PASSWORD: minioadmin}",
    ],
)
def test_a_default_that_is_a_users_or_databases_name_as_well_stays_readable(diff_service, environment):
    found = diff_service(f"environment: {environment}\nhostname: minioadmin-1", "")
    shown = {each.name: each.left for each in found}
    assert shown.pop(next(name for name in shown if name.endswith("PASSWORD"))) == "***"
    assert sorted(shown.values()) == ["minioadmin", "minioadmin-1"]


@pytest.mark.parametrize("word", ["storage", "frontend", "registry-data", "postgres", "keycloak"])
def test_words_that_the_topology_shows_anyway_are_not_hidden_within_texts(diff, word):
    text = (
        "services: {storage: {image: postgres:1}, a: {image: 'x.io/y/keycloak:2', networks: [frontend],"
        " environment: {URL: 'http://%s-x/', DB_PASSWORD: %s}}}\n"
        "networks: {frontend: }\nvolumes: {registry-data: }"
    )
    found = diff(text % (word, word), text % ("x", word))
    assert rows(found) == [("a", "variable", "URL", "differs", f"http://{word}-x/", "http://x-x/")]


@pytest.mark.parametrize(
    ("content", "text", "shown"),
    [
        ("ab", "ab", "***"),
        ("ab", "x ab y", "x ab y"),
        ("open", "x open y", "x *** y"),
        ("open", "/open/opened", "/***/opened"),
        ("zebra", "z=zebra;", "z=***;"),
        ("secretly", "xsecretlyx", "x***x"),
        ("p@ss/wörd", "x/p%40ss%2Fw%C3%B6rd", "x/***"),
    ],
)
def test_the_content_of_a_secret_is_hidden_however_plain_it_is(diff_service, content, text, shown):
    found = diff_service(f"environment: {{NOTE: '{text}'}}", "", top=f"secrets: {{s: {{content: '{content}'}}}}")
    assert [each.left for each in found] == [shown]


def test_the_name_of_a_user_does_not_open_the_content_of_a_secret(diff_service):
    found = diff_service("environment: {DB_USER: zebra1, NOTE: x zebra1}", "", top="secrets: {s: {content: zebra1}}")
    assert [each.left for each in found] == ["***", "x ***"]


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (f'labels: ["tok-${{DB_PASSWORD}}=1"]\nenvironment: {{DB_PASSWORD: {CANARY}}}', "labels.tok-***"),
        (f'tmpfs: ["/${{DB_PASSWORD}}"]\nenvironment: {{DB_PASSWORD: {CANARY}}}', "volumes./***"),
        (f'environment: ["tok-${{DB_PASSWORD}}=1", DB_PASSWORD={CANARY}]', "tok-***"),
        (f'environment: ["tok-${{DB_PASSWORD}}", DB_PASSWORD={CANARY}]', "tok-***"),
    ],
)
def test_no_secret_is_in_a_name(diff_service, lines, name):
    found = diff_service(lines, "", environ={"DB_PASSWORD": CANARY})
    assert name in [each.name for each in found]
    assert CANARY not in repr(found)


def test_no_secret_is_in_a_key_of_a_value_nor_does_a_key_get_lost(diff):
    text = (
        "services: {a: {image: a}}\nvolumes: {v: {labels: {'x-%s': 1, 'x-***': 2, 'y': 3}}}\n"
        "secrets: {s: {content: %s}}"
    )
    other = text.replace("'y'", "'z'")
    (found,) = diff(text % (CANARY, CANARY), other % (CANARY, CANARY))
    assert found.left == {"labels": {"x-***": "1", "x-*** (2)": "2", "y": "3"}}


def test_a_short_secret_is_hidden_where_it_is_a_whole_part_of_a_name(diff_service):
    found = diff_service("labels: {ab: 1, abc: 2}", "", top="secrets: {s: {content: ab}}")
    assert [each.name for each in found] == ["labels.***", "labels.abc"]


def test_a_variable_that_is_named_like_a_secret_is_not_told_as_undeclared(load):
    text = f"services: {{a: {{image: a, environment: ['tok-${{DB_PASSWORD}}', DB_PASSWORD={CANARY}]}}}}"
    assert find_undeclared(load("left", text, environ={"DB_PASSWORD": CANARY})) == [("a", "tok-***")]


def test_a_config_from_a_variable_with_a_telling_name_is_hidden_though_it_is_short(diff):
    text = "services: {a: {image: a}}\nconfigs: {c: {environment: API_TOKEN}}"
    (found,) = diff(text, text, {"l.vars": "API_TOKEN=abc"}, {"r.vars": "API_TOKEN=xyz"})
    assert (found.left["content"], found.right["content"]) == ("***", "***")


@pytest.mark.parametrize(
    "lines",
    [
        f"command: [redis-server, --requirepass, {CANARY}]",
        f"x-envspin: {{ready: {{redis: {{port: 1, password: {CANARY}}}}}}}",
        f"build: {{context: ., args: {{NPM_TOKEN: {CANARY}}}}}",
        f"labels: {{proxy.password: {CANARY}}}",
        f"x-envspin: {{stub: {{image: s, environment: {{TOKEN: {CANARY}}}}}}}",
    ],
)
def test_what_any_telling_name_or_option_says_is_hidden_in_other_places_too(diff_service, lines):
    found = diff_service(f"{lines}\nhealthcheck: {{test: redis-cli -a{CANARY} ping}}", "")
    assert CANARY not in repr(found)


def test_another_option_is_not_the_value_of_an_option(diff_service):
    (found,) = diff_service("command: [mongod, --auth, --bind_ip_all, --auth, -f, /x]", "")
    assert "***" not in repr(found)


def test_paths_are_those_of_the_files(load):
    topology = load("left", "services: {a: {build: .}}")
    assert Path(str(topology.directory)).name == "left"
    assert collect_facts(topology)["a", "build", "context"] == "."
