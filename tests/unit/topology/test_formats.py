"""What only the engine would find wrong is found in the file."""

from __future__ import annotations

import pytest

from envspin.topology import dump_yaml, formats, to_compose

DIGEST = "sha256:" + "0123456789abcdef" * 4
TAKEN = {
    formats.to_image: [
        *("i", "7", "a/b", "a/b/c", "a-b--c_d__e.f", "postgres:16", "A:1/b", "UPPER/case", "localhost/x", "a:5000/b:c"),
        *(
            "example.com/x:T_a.g-1",
            f"x@{DIGEST}",
            f"x:1@{DIGEST}",
            "[::1]:5000/x",
            "[::1]/x",
            "localhost:5000",
            "f" * 64,
        ),
        *("x:" + "t" * 128, "n" * 255, "docker.io/library/redis:7", DIGEST, "1.2.3.4:5000/x"),
    ],
    formats.to_signal: ["SIGTERM", "term", "SigInt", "9", "+15", "015", "64", "SIGRTMIN", "RTMIN+15", "sigrtmax-14"],
    formats.to_capability: ["ALL", "NET_ADMIN", "CAP_NET_ADMIN", "net_admin", "Cap_Bpf"],
    formats.to_platform: ["linux", "linux/amd64", "Linux/AMD64", "linux/arm/v7", "windows(10.0.1)/amd64"],
    formats.to_address: ["1.2.3.4", "::1", "fe80::1%eth0", "2001:db8::1", " 1.2.3.4"],
    formats.to_host_entry: ["1.2.3.4", "[::1]", "::1", "host-gateway"],
    formats.to_hostname: ["h", "a.b.c", "a_b", "UP", "-", "ü", "h" * 64],
    formats.to_domain: ["d.test", "d" * 253],
    formats.to_user: ["0", "1000:1000", "postgres", "a.b-c_d:e"],
    formats.to_folder: ["/", "/w", "/a b"],
}
REFUSED = {
    formats.to_image: [
        *(
            "UPPER/Case",
            "Upper",
            "a b",
            "a:b:c",
            "a@sha256:zz",
            "http://x/y",
            "x:",
            ":x",
            "@",
            "/x",
            "x/",
            "a//b",
            "a/B",
        ),
        *("-a", "a_", "a___b", "a..b", "x:-t", "x:" + "t" * 129, "n" * 256, f"x@{DIGEST.upper()}", "x@md5:0", "x y:1"),
        *(" x", "x\n", "a.b:c/d", "a_b.c/d", "x:ü", "ü", "", f"@{DIGEST}"),
    ],
    formats.to_signal: ["", "0", "65", "-1", "SIG", "SIGNOPE", "RTMIN+16", "RTMAX-15", "TERM ", "9.0"],
    formats.to_capability: ["", "NET ADMIN", "NET-ADMIN", "CAP_1", "NET_ADMIN\n"],
    formats.to_platform: ["", "linux/", "/amd64", "linux/arm/v7/x", "linux amd64", "a,b"],
    formats.to_address: ["", "dns.test", "1.2.3", "1.2.3.4.5", "1.2.3.4:53", "::g"],
    formats.to_host_entry: ["", "somewhere", "HOST-GATEWAY", "1.2.3"],
    formats.to_hostname: ["a b", "a\n", "\x00", "h" * 65],
    formats.to_domain: ["a b", "d" * 254],
    formats.to_user: ["a b", "a:b\t"],
    formats.to_folder: ["w", "./w", "~"],
}


def cases(table):
    return pytest.mark.parametrize(
        ("read", "text"),
        [(read, text) for read, texts in table.items() for text in texts],
        ids=lambda each: getattr(each, "__name__", None) or repr(each),
    )


@cases(TAKEN)
def test_a_text_that_an_engine_takes_is_taken_as_it_is(read, text):
    assert read(text) == text


@cases(REFUSED)
def test_a_text_that_no_engine_takes_is_refused_without_being_repeated(read, text):
    with pytest.raises(ValueError, match=r".") as caught:
        read(text)
    assert len(text) < 7 or text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "image: UPPER/Case",
        "image: 'i:'",
        "image: 'i:${UNSET:-}'",
        "image: 'i:'\nbuild: .",
        "x-envspin: {stub: {image: a b}}",
        "volumes: ['.:/']",
        "volumes: [/]",
        "volumes: [data:/x/..]",
        "volumes: [{type: tmpfs, target: //}]",
        "tmpfs: /",
        "dns: dns.test",
        "dns: [1.1.1.1, x]",
        "cap_add: ['']",
        "cap_drop: [NET-ADMIN]",
        "stop_signal: SIGNOPE",
        "stop_signal: 65",
        "hostname: a b",
        "domainname: a b",
        "platform: linux//x",
        "working_dir: w",
        "extra_hosts: ['a b:1.1.1.1']",
        "extra_hosts: [a=somewhere]",
        "extra_hosts: {a: [1.1.1.1, somewhere]}",
        "user: a b",
        "ulimits: {nofile: {soft: 2, hard: 1}}",
        "ulimits: {nofile: {soft: -1, hard: 1}}",
        "mem_limit: 1g\nmem_reservation: 2g",
        "deploy: {resources: {limits: {memory: 1g}, reservations: {memory: 2g}}}",
    ],
)
def test_what_only_the_engine_would_refuse_is_one_error_at_its_place(bench, text):
    image = "" if text.startswith("image") else "    image: i\n"
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    (problem,) = bench.problems(f"services:\n  a:\n{image}{lines}volumes: {{data: }}\n")
    assert problem.startswith("compose.yaml:")


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("pid: ${X:-}", "pid", None),
        ("ipc: ${X:-}", "ipc", None),
        ("network_mode: ${X:-}\nnetworks: [front]", "network_mode", None),
        ("dns: ${X:-}", "dns", ()),
        ("dns: ['${X:-}', 1.1.1.1]", "dns", ("1.1.1.1",)),
        ("cap_add: ['${X:-}']", "cap_add", ()),
        ("platform: ${X:-}", "platform", None),
        ("hostname: ${X:-}", "hostname", None),
        ("stop_signal: ${X:-}", "stop_signal", None),
    ],
)
def test_an_option_that_variables_leave_empty_counts_as_absent(bench, text, field, expected):
    assert getattr(bench.service(text), field) == expected


def test_an_image_of_a_profile_may_wait_for_its_variables(bench):
    topology = bench.load("services: {a: {image: i}, b: {image: 'x:${TAG:-}', profiles: [p]}}")
    assert topology.services["b"].image == "x:"
    assert bench.load(dump_yaml(to_compose(topology))).services["b"].image == "x:"
    assert bench.codes("services: {a: {image: 'x:${TAG:-}'}}") == ["bad-value"]
    assert bench.codes("services: {a: {image: 'x:${TAG:-}', profiles: []}}") == ["bad-value"]


def test_a_reference_of_a_variable_is_shown_as_it_was_written(bench):
    bench.environ = {"TAG": "a secret"}
    (problem,) = bench.problems("services: {a: {image: 'x:${TAG}'}}")
    assert "x:${TAG}" in problem
    assert "a secret" not in problem
