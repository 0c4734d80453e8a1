"""Laws of merging files, on files made at random from keys of every rule."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.topology import load_topology
from envspin.topology.merge import Merger, content
from envspin.topology.nodes import Document, Mapping
from envspin.topology.report import Report
from envspin.topology.source import parse_yaml

from ...fuzz.check import essence

TEXTS = st.sampled_from(["x", "y", "NO", "1.10", "22:22", "a b", "é", "null"])
NAMES = st.sampled_from(["A", "B", "C", "D"])


def lists(*items):
    return st.lists(st.sampled_from(items), max_size=3, unique_by=json.dumps)


def pairs(values=TEXTS):
    """Names with values, in the form of a mapping or of a list."""
    mappings = st.dictionaries(NAMES, values, max_size=3)
    return mappings | mappings.map(lambda found: [f"{name}={value}" for name, value in found.items()])


HEALTHCHECKS = st.fixed_dictionaries(
    {"test": st.sampled_from(["x", ["CMD", "y"], ["CMD-SHELL", "z"]])},
    optional={"interval": st.sampled_from(["1s", "2s"]), "retries": st.integers(0, 3)},
)
LONG_MOUNT = {"type": "bind", "source": "./y", "target": "/a", "read_only": True}
VALUES = {
    "image": st.sampled_from(["i", "j:1"]),
    "user": st.sampled_from(["x", "NO", "1.10", "22:22", "é", "null"]),
    "hostname": st.sampled_from(["h", "g"]),
    "init": st.booleans(),
    "stop_grace_period": st.sampled_from(["1s", "1m30s"]),
    "command": st.sampled_from(["run it", ["a", "b"], ["c"], []]),
    "entrypoint": st.sampled_from(["run it", ["a", "b"]]),
    "environment": pairs(),
    "labels": pairs(),
    "sysctls": pairs(st.sampled_from(["1", "2"])),
    "ports": lists("80", "8080:80", "81/udp", {"target": 82}),
    "expose": lists("80", "81/udp"),
    "dns": lists("1.1.1.1", "2.2.2.2"),
    "cap_add": lists("X", "Y"),
    "security_opt": lists("x", "y:z"),
    "tmpfs": lists("/t", "/u"),
    "extra_hosts": lists("h:1.1.1.1", "g:2.2.2.2"),
    "profiles": lists("p", "q"),
    "volumes": lists("data:/a", "./x:/a:ro", "/b", "data:/c", LONG_MOUNT),
    "secrets": lists("token", "key", {"source": "token", "target": "key"}),
    "configs": lists("conf"),
    "depends_on": lists("b", "c")
    | st.dictionaries(st.sampled_from(["b", "c"]), st.just({"condition": "service_healthy"}), max_size=2),
    "networks": lists("front", "back")
    | st.dictionaries(st.sampled_from(["front", "back"]), st.none() | st.just({"aliases": ["n"]}), max_size=2),
    "healthcheck": HEALTHCHECKS,
    "ulimits": st.dictionaries(
        st.sampled_from(["nofile", "core"]), st.integers(0, 9) | st.just({"soft": 1, "hard": 2}), max_size=2
    ),
    "deploy": st.fixed_dictionaries(
        {}, optional={"resources": st.just({"limits": {"cpus": "0.5"}}), "mode": st.just("replicated")}
    ),
    "x-envspin": st.fixed_dictionaries(
        {}, optional={"ready": st.sampled_from([[{"tcp": 1}], [{"tcp": 2}, {"tcp": 3}]]), "timeout": st.just("1m")}
    ),
}
SERVICES = st.fixed_dictionaries({}, optional=VALUES)
TOP = {
    "services": {"b": {"image": "b"}, "c": {"image": "c"}},
    "networks": {"front": None, "back": None},
    "volumes": {"data": None},
    "secrets": {"token": {"content": "t"}, "key": {"content": "k"}},
    "configs": {"conf": {"content": "c"}},
}


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Return what loads files of these texts, or of service `a` with these keys, one over the other."""
    folder = tmp_path_factory.mktemp("demo")
    ground = folder / "ground.yaml"
    ground.write_text(json.dumps({**TOP, "services": {"a": {"image": "ground"}, **TOP["services"]}}))

    def load_files(*layers):
        paths = [ground]
        for number, layer in enumerate(layers):
            paths.append(folder / f"{number}.yaml")
            paths[-1].write_text(layer if isinstance(layer, str) else json.dumps({"services": {"a": layer}}))
        return essence(load_topology(paths, environ={}, profiles=["*"], allow_unsafe=True))

    return load_files


@given(SERVICES)
def test_nothing_laid_over_a_file_or_under_it_changes_nothing(load, service):
    assert load(service, {}) == load(service) == load({}, service) == load(service, "services: {}")


@given(SERVICES)
def test_a_file_laid_over_itself_changes_nothing(load, service):
    assert load(service, service) == load(service)


def parse(service):
    """Return the node of a file with a service `a`."""
    report = Report()
    parsed = parse_yaml(Document("a.yaml", json.dumps({"services": {"a": service}}), None), report)
    assert not report.failed
    return parsed.roots[0]


def merge(base, overlay):
    report = Report()
    merged = Merger(report).merge_files(base, overlay)
    assert not report.failed
    return merged


def ordered(node):
    """Return what a node says with the order of its keys."""
    if not isinstance(node, Mapping):
        return content(node)
    return [(key, ordered(entry.value)) for key, entry in node.entries.items()]


@given(SERVICES)
def test_lists_do_not_grow_when_a_file_is_laid_over_itself_again(service):
    """The readers take doubles away, too, so a topology would not tell."""
    twice = merge(parse(service), parse(service))
    assert ordered(merge(twice, parse(service))) == ordered(twice)


@given(SERVICES, SERVICES, SERVICES)
def test_it_does_not_matter_which_two_of_three_files_are_merged_first(first, second, third):
    one, two, three = (parse(service) for service in (first, second, third))
    assert ordered(merge(merge(one, two), three)) == ordered(merge(one, merge(two, three)))


KEYS_WITH_VALUES = st.sampled_from(sorted(VALUES)).flatmap(
    lambda key: st.tuples(st.just(key), VALUES[key], VALUES[key])
)


def tagged(key, tag, value):
    return f'services: {{"a": {{"{key}": {tag} {json.dumps(value)}}}}}'


@given(SERVICES, KEYS_WITH_VALUES)
def test_override_is_as_if_nothing_had_been_below(load, service, drawn):
    key, below, above = drawn
    rest = {name: value for name, value in service.items() if name != key}
    assert load({**rest, key: below}, tagged(key, "!override", above)) == load({**rest, key: above})


@given(SERVICES, KEYS_WITH_VALUES)
def test_reset_is_as_if_it_had_never_been_there(load, service, drawn):
    key, below, _ = drawn
    if key == "image":
        return
    rest = {name: value for name, value in service.items() if name != key}
    assert load({**rest, key: below}, tagged(key, "!reset", None)) == load(rest)


MAPPINGS = st.dictionaries(NAMES, TEXTS, max_size=4)


@given(st.sampled_from(["environment", "labels"]), MAPPINGS, MAPPINGS)
def test_lists_of_pairs_merge_like_mappings(load, key, low, high):
    def listed(found):
        return {key: [f"{name}={value}" for name, value in found.items()]}

    expected = {**low, **high}
    for base in ({key: low}, listed(low)):
        for overlay in ({key: high}, listed(high)):
            found = getattr(load(base, overlay).services["a"], key)
            assert list(found.items()) == list(expected.items())


@given(st.lists(st.lists(st.sampled_from(["s1", "s2", "s3", "s4"]), unique=True), min_size=1, max_size=3))
def test_services_stay_where_they_were_first_named(load, layers):
    files = [json.dumps({"services": {name: {"image": "i"} for name in names}}) for names in layers]
    expected = dict.fromkeys(["a", "b", "c", *(name for names in layers for name in names)])
    assert list(load(*files).services) == list(expected)


PLAIN = ("image", "user", "hostname", "init", "stop_grace_period", "command", "entrypoint")


@given(st.lists(st.fixed_dictionaries({}, optional={key: VALUES[key] for key in PLAIN}), min_size=1, max_size=4))
def test_of_plain_values_and_commands_the_last_file_wins(load, layers):
    last = {key: value for layer in layers for key, value in layer.items()}
    assert load(*layers) == load(last)


@given(st.lists(VALUES["volumes"], min_size=1, max_size=3))
def test_of_two_mounts_on_one_target_the_later_file_wins(load, layers):
    targets = {}
    for entry in (entry for layer in layers for entry in layer):
        target = entry["target"] if isinstance(entry, dict) else [*entry.split(":"), entry][1]
        targets[target] = entry
    found = load(*({"volumes": layer} for layer in layers)).services["a"]
    assert [mount.target for mount in found.mounts] == list(targets)
    assert found.mounts == load({"volumes": list(targets.values())}).services["a"].mounts


@given(st.lists(VALUES["ports"], min_size=1, max_size=3))
def test_ports_of_all_files_are_kept_once(load, layers):
    together = [entry for layer in layers for entry in layer]
    assert load(*({"ports": layer} for layer in layers)) == load({"ports": together})
