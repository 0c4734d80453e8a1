"""Every Compose key of a service, in each of its forms."""

from __future__ import annotations

import pytest

from envspin.model import (
    Build,
    Condition,
    Dependency,
    FileGrant,
    Healthcheck,
    Mount,
    NetworkAttachment,
    Port,
    Resources,
    Ulimit,
)


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("command: sh -c 'a  b' c", "command", ("sh", "-c", "a  b", "c")),
        ("command: [sh, -c, a b, 1]", "command", ("sh", "-c", "a b", "1")),
        ("command: ''", "command", ()),
        ("command: []", "command", ()),
        ("command:", "command", None),
        ("command: [a, '$${HOME}']", "command", ("a", "${HOME}")),
        ("entrypoint: /run --now", "entrypoint", ("/run", "--now")),
        ("environment: {A: 1.10, B: NO, C: '', D: 010}", "environment", {"A": "1.10", "B": "NO", "C": "", "D": "010"}),
        ("environment: [A=1, B=x=y, 'C=']", "environment", {"A": "1", "B": "x=y", "C": ""}),
        ("environment: {HOST_A: , NOWHERE: }", "environment", {"HOST_A": "from host"}),
        ("environment: [HOST_A, NOWHERE]", "environment", {"HOST_A": "from host"}),
        ("ports: [80, '8080:81/udp']", "ports", (Port(80), Port(81, "udp"))),
        ("ports: [80, '80', 80/tcp]", "ports", (Port(80),)),
        ("ports: [{target: 80, protocol: udp, mode: host}]", "ports", (Port(80, "udp"),)),
        ("expose: [80, 90-91/udp]", "expose", (Port(80), Port(90, "udp"), Port(91, "udp"))),
        ("depends_on: [b]", "depends_on", (Dependency("b"),)),
        (
            "depends_on: {b: {condition: service_started}}",
            "depends_on",
            (Dependency("b", Condition.STARTED, explicit=True),),
        ),
        (
            "depends_on: {b: {condition: service_healthy, required: false, restart: true}}",
            "depends_on",
            (Dependency("b", Condition.HEALTHY, explicit=True, required=False),),
        ),
        ("healthcheck: {test: curl x}", "healthcheck", Healthcheck(("CMD-SHELL", "curl x"))),
        ("healthcheck: {test: [CMD, a, b]}", "healthcheck", Healthcheck(("CMD", "a", "b"))),
        ("healthcheck: {disable: true}", "healthcheck", Healthcheck(("NONE",), disable=True)),
        ("healthcheck: {test: [NONE]}", "healthcheck", Healthcheck(("NONE",), disable=True)),
        (
            "healthcheck: {interval: 1m, timeout: 2s, retries: 3, start_period: 4s, start_interval: 500ms}",
            "healthcheck",
            Healthcheck(None, 60, 2, 3, 4, 0.5),
        ),
        ("volumes: [data:/d]", "mounts", (Mount("volume", "/d", "data"),)),
        ("volumes: ['data:/d:ro,nocopy']", "mounts", (Mount("volume", "/d", "data", read_only=True, nocopy=True),)),
        ("volumes: [/anon]", "mounts", (Mount("anonymous", "/anon"),)),
        ("volumes: [data:/d/, more:/d]", "mounts", (Mount("volume", "/d", "more"),)),
        (
            "volumes: [{type: volume, source: data, target: /d, read_only: true, volume: {nocopy: true}}]",
            "mounts",
            (Mount("volume", "/d", "data", read_only=True, nocopy=True),),
        ),
        ("volumes: [{type: volume, target: /d}]", "mounts", (Mount("anonymous", "/d"),)),
        (
            "volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}}]",
            "mounts",
            (Mount("tmpfs", "/t", tmpfs_size=1 << 20, tmpfs_mode=0o700),),
        ),
        ("tmpfs: /run", "mounts", (Mount("tmpfs", "/run"),)),
        (
            "tmpfs: ['/run:size=1m,mode=755,noexec', /tmp]",
            "mounts",
            (Mount("tmpfs", "/run", tmpfs_size=1 << 20, tmpfs_mode=0o755), Mount("tmpfs", "/tmp")),
        ),
        ("networks: [back, front]", "networks", (NetworkAttachment("back"), NetworkAttachment("front"))),
        (
            "networks: {front: {aliases: [x, y]}, back: {priority: 9}}",
            "networks",
            (NetworkAttachment("back"), NetworkAttachment("front", ("x", "y"))),
        ),
        ("networks: []", "networks", (NetworkAttachment("default"),)),
        ("user: 1000", "networks", (NetworkAttachment("default"),)),
        ("network_mode: none", "networks", ()),
        ("network_mode: none", "network_mode", "none"),
        ("secrets: [token]", "grants", (FileGrant("token", "secret", "/run/secrets/token"),)),
        (
            "secrets: [{source: token, target: t, uid: '5', gid: 6, mode: 0400}]",
            "grants",
            (FileGrant("token", "secret", "/run/secrets/t", 5, 6, 0o400),),
        ),
        ("secrets: [{source: token, target: /etc/t}]", "grants", (FileGrant("token", "secret", "/etc/t"),)),
        ("configs: [conf]", "grants", (FileGrant("conf", "config", "/conf"),)),
        ("configs: [{source: conf, target: /etc/c}]", "grants", (FileGrant("conf", "config", "/etc/c"),)),
        ("profiles: [p, q]", "profiles", ("p", "q")),
        ("platform: linux/arm64", "platform", "linux/arm64"),
        ("user: 1000:1000", "user", "1000:1000"),
        ("working_dir: /w", "working_dir", "/w"),
        ("init: true", "init", True),
        ("init: false", "init", False),
        ("labels: {a: 1, b: , c: true}", "labels", {"a": "1", "b": "", "c": "true"}),
        ("labels: [a=1, b]", "labels", {"a": "1", "b": ""}),
        ("stop_signal: SIGINT", "stop_signal", "SIGINT"),
        ("stop_grace_period: 1m30s", "stop_grace_period", 90),
        (
            "extra_hosts: ['a:1.2.3.4', b=5.6.7.8, 'c:::1', 'd:[::1]']",
            "extra_hosts",
            ("a:1.2.3.4", "b:5.6.7.8", "c:::1", "d:::1"),
        ),
        ("extra_hosts: {a: 1.2.3.4, b: [1.1.1.1, 2.2.2.2]}", "extra_hosts", ("a:1.2.3.4", "b:1.1.1.1", "b:2.2.2.2")),
        ("hostname: h", "hostname", "h"),
        ("domainname: d.test", "domainname", "d.test"),
        ("shm_size: 64m", "shm_size", 64 << 20),
        (
            "ulimits: {nproc: 5, nofile: {soft: 1, hard: -1}}",
            "ulimits",
            (Ulimit("nproc", 5, 5), Ulimit("nofile", 1, -1)),
        ),
        ("cap_add: [NET_ADMIN, NET_ADMIN]", "cap_add", ("NET_ADMIN",)),
        ("cap_drop: [ALL]", "cap_drop", ("ALL",)),
        ("read_only: true", "read_only", True),
        ("security_opt: [no-new-privileges]", "security_opt", ("no-new-privileges",)),
        ("sysctls: {net.core.somaxconn: 10}", "sysctls", {"net.core.somaxconn": "10"}),
        ("sysctls: [net.core.somaxconn=10]", "sysctls", {"net.core.somaxconn": "10"}),
        (
            "mem_limit: 1g\nmem_reservation: 1m\ncpus: 0.5\npids_limit: 9",
            "resources",
            Resources(1 << 30, 1 << 20, 0.5, 9),
        ),
        (
            "deploy: {resources: {limits: {memory: 1g, cpus: '.5', pids: 9}, reservations: {memory: 1m}}}",
            "resources",
            Resources(1 << 30, 1 << 20, 0.5, 9),
        ),
        ("mem_limit: 1g\ndeploy: {resources: {limits: {memory: 1024m}}}", "resources", Resources(1 << 30)),
        ("pids_limit: -1", "resources", Resources()),
        ("dns: 1.1.1.1", "dns", ("1.1.1.1",)),
        ("dns: [1.1.1.1, 8.8.8.8]", "dns", ("1.1.1.1", "8.8.8.8")),
        ("dns_search: a.test", "dns_search", ("a.test",)),
        ("dns_opt: [use-vc]", "dns_opt", ("use-vc",)),
        ("group_add: [1, wheel]", "group_add", ("1", "wheel")),
        ("tty: true", "tty", True),
        ("stdin_open: yes", "stdin_open", True),
        ("ipc: private", "ipc", "private"),
        ("x-anything: {a: 1}", "image", "i"),
        ("read_only: ${NOWHERE:-true}", "read_only", True),
    ],
)
def test_key(bench, text, field, expected):
    bench.environ = {"HOST_A": "from host"}
    assert getattr(bench.service(text), field) == expected


def test_binds_start_at_the_file_and_know_their_host_path(bench):
    service = bench.service("volumes: [./a:/a, './b:/b:ro', {type: bind, source: c/../d, target: /d}]")
    assert service.mounts == (
        Mount("bind", "/a", str(bench.folder / "a")),
        Mount("bind", "/b", str(bench.folder / "b"), read_only=True),
        Mount("bind", "/d", str(bench.folder / "d")),
    )


def test_a_bind_may_refuse_to_create_its_source(bench):
    service = bench.service("volumes: [{type: bind, source: ./a, target: /a, bind: {create_host_path: false}}]")
    assert service.mounts[0].create_host_path is False


def build_of(bench, text):
    return bench.load(f"services:\n  a:\n    build: {text}\n").services["a"].build


def test_build_forms(bench):
    folder = bench.folder
    bench.environ = {"TOKEN": "t"}
    assert build_of(bench, "./app") == Build(folder / "app")
    assert build_of(bench, "{dockerfile: D, args: [A=1, TOKEN, NOWHERE]}") == Build(
        folder, "D", args={"A": "1", "TOKEN": "t"}
    )
    text = "{context: app, target: t, args: {A: 1}, labels: [l=1], network: none, shm_size: 1m, no_cache: true, "
    text += "pull: true, extra_hosts: ['h:1.2.3.4'], platforms: [linux/amd64], dockerfile_inline: 'FROM x'}"
    assert build_of(bench, text) == Build(
        folder / "app",
        dockerfile_inline="FROM x",
        args={"A": "1"},
        target="t",
        labels={"l": "1"},
        network="none",
        extra_hosts=("h:1.2.3.4",),
        platforms=("linux/amd64",),
        no_cache=True,
        pull=True,
        shm_size=1 << 20,
    )


def test_env_files_lie_below_environment_and_later_ones_win(bench):
    bench.environ = {"OUT": "o"}
    bench.write("one.env", "A=1\nB=1\nC=${OUT}\n")
    bench.write("two.env", "B='2'\nD=$OUT\n")
    service = bench.service("env_file: [one.env, {path: two.env, format: raw}]\nenvironment: {A: mine}")
    assert service.environment == {"A": "mine", "B": "'2'", "C": "o", "D": "$OUT"}


def test_an_env_file_may_use_what_the_ones_before_it_say(bench):
    bench.environ = {"OUT": "o"}
    bench.write("one.env", "A=1\nOUT=mine\n")
    bench.write("two.env", "B=$A\nC=$OUT\nA\n")
    bench.write("three.env", "A=3\nD=${A}-${B}\n")
    topology = bench.load(
        "services:\n"
        "  a: {image: i, env_file: [one.env, two.env, three.env]}\n"
        "  b: {image: i, env_file: [three.env, two.env]}\n"
    )
    assert topology.services["a"].environment == {"A": "3", "OUT": "mine", "B": "1", "C": "o", "D": "1-1"}
    assert topology.services["b"].environment == {"A": "3", "D": "3-", "B": "3", "C": "o"}


def test_an_env_file_that_is_not_required_may_be_missing(bench):
    assert bench.service("env_file: [{path: none.env, required: false}]").environment == {}


def test_a_name_without_value_takes_nothing_from_the_env_file(bench):
    bench.write("one.env", "A=1\n")
    assert bench.service("env_file: one.env\nenvironment: [A]").environment == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("container_name: c", "replaced-key"),
        ("restart: always", "replaced-key"),
        ("logging: {driver: none}", "replaced-key"),
        ("pull_policy: always", "replaced-key"),
        ("develop: {watch: []}", "replaced-key"),
        ("ports: ['8080:80']", "replaced-port"),
        ("ports: ['0.0.0.0::80']", "replaced-port"),
        ("ports: [{target: 80, published: 8080}]", "replaced-port"),
        ("links: [b]", "replaced-links"),
        ("deploy: {mode: global}", "replaced-key"),
        ("deploy: {restart_policy: {condition: any}}", "replaced-key"),
        ("environment: {A: $NOWHERE}", "interpolation-unset"),
    ],
)
def test_what_cannot_matter_is_replaced_with_a_warning(bench, text, code):
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    topology = bench.load(f"services:\n  a:\n    image: i\n{lines}  b: {{image: b}}\n")
    assert [warning.code for warning in topology.warnings] == [code]
    assert topology.warnings[0].severity == "warning"
    assert topology.warnings[0].mark.line == 4


@pytest.mark.parametrize("text", ["80", "'127.0.0.1::80'", "'0:80'", "{target: 80}", "{target: 80, published: 0}"])
def test_ports_that_are_free_anyway_need_no_warning(bench, text):
    assert bench.load(f"services:\n  a:\n    image: i\n    ports: [{text}]\n").warnings == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("privileged: true", "unsafe-privileged"),
        ("network_mode: host", "unsafe-host-network"),
        ("pid: host", "unsafe-host-pid"),
        ("ipc: host", "unsafe-host-ipc"),
        ("volumes: ['/var/run/docker.sock:/s']", "unsafe-engine-socket"),
        ("volumes: ['/run/user/7/podman.sock:/s:ro']", "unsafe-engine-socket"),
        ("volumes: ['/srv/engine:/s']", "unsafe-engine-socket"),
        ("volumes: [{type: bind, source: /run/docker.sock, target: /s}]", "unsafe-engine-socket"),
        ("volumes: ['./link.txt:/s']", "unsafe-engine-socket"),
        ("volumes: ['/etc:/e']", "unsafe-bind-mount"),
        ("volumes: ['../x:/e']", "unsafe-bind-mount"),
        ("volumes: ['./a/../../x:/e']", "unsafe-bind-mount"),
        ("volumes: ['~/x:/e']", "unsafe-bind-mount"),
        ("volumes: ['./out/x:/e']", "unsafe-bind-mount"),
        ("volumes: ['${NOWHERE:-/etc}:/e']", "unsafe-bind-mount"),
    ],
)
def test_what_reaches_outside_is_refused_unless_allowed(bench, text, code):
    bench.environ = {"DOCKER_HOST": "unix:///srv/engine", "HOME": "/home/someone"}
    (bench.folder / "out").symlink_to("/etc")
    (bench.folder / "link.txt").symlink_to("/var/run/docker.sock")
    file = f"services:\n  a:\n    image: i\n    {text}\n"
    assert bench.codes(file) == [code]
    assert bench.load(file, allow_unsafe=True).services["a"].image == "i"


@pytest.mark.parametrize("text", ["privileged: false", "volumes: ['./x:/x', '.:/all']"])
def test_what_stays_inside_is_not_refused(bench, text):
    assert bench.service(text)


def test_a_stub_answers_to_the_names_of_links_too(bench):
    text = "services: {web: {image: i, x-envspin: {stub: {image: s}}}, f: {image: i, links: ['web:backend']}}"
    web = bench.load(text).services["web"]
    assert [web.networks[0].aliases, web.stub.networks[0].aliases] == [("backend",), ("backend",)]


def test_links_become_aliases_and_an_order(bench):
    topology = bench.load("services:\n  a:\n    image: i\n    links: ['b:db', b]\n  b: {image: b}\n")
    assert topology.services["a"].depends_on == (Dependency("b"),)
    assert topology.services["b"].networks == (NetworkAttachment("default", ("db",)),)


def test_a_completed_dependency_makes_a_job(bench):
    topology = bench.load(
        "services:\n  a: {image: i, depends_on: {b: {condition: service_completed_successfully}}}\n  b: {image: b}\n"
    )
    assert topology.services["b"].job
    assert not topology.services["a"].job


def test_the_mark_of_a_service_is_its_name(bench):
    mark = bench.load("services:\n\n  a: {image: i}\n").services["a"].mark
    assert (mark.line, mark.column) == (3, 3)


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("platform: ${NONE}", "platform", None),
        ("user: ${NONE}", "user", None),
        ("working_dir: ${NONE:-}", "working_dir", None),
        ("hostname: $NONE", "hostname", None),
        ("domainname: ${NONE}", "domainname", None),
        ("stop_signal: ${NONE}", "stop_signal", None),
        ("network_mode: ${NONE}", "networks", (NetworkAttachment("default"),)),
        ("ports: ['${NONE}:80', '${NONE}:81/udp', '127.0.0.1:${NONE}:82']", "ports", None),
        ("build: {context: ., target: '${NONE}', network: '${NONE}', dockerfile: '${NONE}'}", "build", None),
    ],
)
def test_what_a_variable_leaves_empty_counts_as_absent(bench, text, field, expected):
    wanted = {"ports": (Port(80), Port(81, "udp"), Port(82)), "build": Build(context=bench.folder)}
    assert getattr(bench.service(text), field) == wanted.get(field, expected)


def test_an_image_may_be_left_empty_only_where_it_is_built(bench):
    assert bench.load("services: {a: {image: '${NONE}', build: .}}").services["a"].image is None
    assert bench.codes("services: {a: {image: '${NONE}'}}") == ["bad-value"]


@pytest.mark.parametrize(
    "text",
    [
        "user: ''",
        "platform: ''",
        "ports: [':80']",
        "build: {context: ., target: ''}",
        "extra_hosts: {'': 1.1.1.1}",
        "extra_hosts: {x: ['']}",
    ],
)
def test_what_is_written_empty_is_an_error(bench, text):
    assert len(bench.codes(f"services:\n  a:\n    image: i\n    {text}\n")) == 1


def test_a_device_of_a_volume_starts_at_the_file_that_names_it(bench):
    topology = bench.load(
        "services: {a: {image: i, volumes: ['data:/d']}}\n"
        "volumes: {data: {driver_opts: {type: none, o: bind, device: ./x/../data}}}\n"
    )
    assert topology.volumes["data"].driver_opts["device"] == str(bench.folder / "data")


@pytest.mark.parametrize("device", ["tmpfs", ":/export/folder", "//server/share"])
def test_a_device_that_is_no_path_of_the_host_stays(bench, device):
    text = f"services: {{a: {{image: i}}}}\nvolumes: {{v: {{driver_opts: {{device: '{device}'}}}}}}\n"
    assert bench.load(text, allow_unsafe=True).volumes["v"].driver_opts["device"] == device
