"""Every key of the Compose specification is honoured, replaced with a warning, or refused by name."""

from __future__ import annotations

import copy
import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from envspin.errors import TopologyError
from envspin.topology.keys import REPLACED_SERVICE_KEYS, UNSUPPORTED_SERVICE_KEYS
from envspin.topology.service import READERS

from .compose_keys import BASE, FILES, NAMES, PLACES
from .compose_service_keys import SERVICE
from .key_examples import Example, Place

if TYPE_CHECKING:
    from envspin.model import Topology
    from envspin.problems import Problem

    Document = dict[str, Any]

CASES = [(place, key, example) for place in PLACES for key, example in place.keys.items()]


def choose(*outcomes: str):
    chosen = [case for case in CASES if case[2].outcome in outcomes]
    return pytest.mark.parametrize(("place", "key", "example"), chosen, ids=[name(*case[:2]) for case in chosen])


def name(place: Place, key: str) -> str:
    return f"{place.path}.{key}" if place.path else key


def locate(path: str) -> list[str | int]:
    """Return a path's steps, with names for stars: ``services.*.ports[]`` is services, a, ports, 0."""
    steps: list[str | int] = []
    for part in path.split(".") if path else ():
        key, is_list = part.removesuffix("[]"), part.endswith("[]")
        steps.append(NAMES[str(steps[-1])] if key == "*" else key)
        if is_list:
            steps.append(0)
    return steps


def put(document: Document, steps: list[str | int], value: Any) -> None:
    """Put a value at a place, making what leads there."""
    node: Any = document
    for step, following in itertools.pairwise(steps):
        if isinstance(node, list):
            node = node[0]
            continue
        if step not in node or (isinstance(following, int) and not isinstance(node[step], list)):
            node[step] = [{}] if isinstance(following, int) else {}
        node = node[step]
    if isinstance(node, list):
        node[0] = value
    else:
        node[steps[-1]] = value


def write(place: Place, key: str, value: Any = None) -> Document:
    """Return a small file with this key, or without it where there is no value."""
    document = copy.deepcopy(BASE)
    for path, needed in place.around.items():
        put(document, locate(path), copy.deepcopy(needed))
    steps = locate(place.path)
    if steps and (place.beside or not place.around):
        put(document, steps, copy.deepcopy(place.beside))
    if value is None:
        if not steps:
            document.pop(key, None)
    else:
        put(document, [*steps, key], copy.deepcopy(value))
    return document


def load(bench, document: Document) -> tuple[Topology | None, list[Problem]]:
    """Return what a file describes, without its warnings, and all that is said of it."""
    for path, text in FILES.items():
        bench.write(path, text)
    bench.environ = {"HOME": "/h", "USER": "u"}
    try:
        topology = bench.load(yaml.safe_dump(document, sort_keys=False))
    except TopologyError as error:
        return None, list(error.problems)
    return replace(topology, warnings=()), list(topology.warnings)


def find_places(document: Document, steps: list[str | int]) -> set[tuple[int, int]]:
    """Return where a key and its value stand in the written file, by another reader than ours."""
    node = yaml.compose(yaml.safe_dump(document, sort_keys=False))
    places: set[tuple[int, int]] = set()
    for step in steps:
        if isinstance(step, int):
            node = node.value[step]
            continue
        key, node = next(pair for pair in node.value if pair[0].value == step)
        places = {(each.start_mark.line + 1, each.start_mark.column + 1) for each in (key, node)}
        if isinstance(node, yaml.SequenceNode) and node.value:
            first = node.value[0].start_mark
            places.add((first.line + 1, first.column + 1))
    return places


def say_anew(bench, place: Place, key: str, example: Example) -> Problem:
    """Return the one thing that is said of a file with a key and not of the same file without it."""
    _, before = load(bench, write(place, key))
    document = write(place, key, example.value)
    _, after = load(bench, document)
    said = {(each.code, each.message) for each in before}
    (problem,) = [each for each in after if (each.code, each.message) not in said]
    assert problem.code == example.code
    assert re.search(rf"\b{key}\b", problem.message), problem.message
    assert (problem.mark.line, problem.mark.column) in find_places(document, [*locate(place.path), key])
    return problem


@choose("honoured")
def test_an_honoured_key_changes_the_topology_without_a_word(bench, place, key, example):
    topology, said = load(bench, write(place, key, example.value))
    assert said == []
    assert topology != load(bench, write(place, key, example.instead))[0]


@choose("replaced")
def test_a_replaced_key_is_named_in_a_warning_at_its_place(bench, place, key, example):
    assert say_anew(bench, place, key, example).severity == "warning"


@choose("refused")
def test_a_refused_key_is_named_in_an_error_at_its_place(bench, place, key, example):
    assert say_anew(bench, place, key, example).severity == "error"


@choose("idle")
def test_a_key_that_changes_nothing_in_compose_either_is_accepted(bench, place, key, example):
    topology, said = load(bench, write(place, key, example.value))
    assert said == []
    assert topology == load(bench, write(place, key))[0]


@pytest.mark.parametrize("flag", ["z", "Z", "cached", "delegated"])
def test_an_option_of_a_mount_that_has_no_effect_is_named_in_a_warning(bench, flag):
    plain, said = load(bench, {"services": {"a": {"image": "i", "volumes": ["./here:/x:rw,consistent"]}}})
    assert said == []
    topology, (problem,) = load(bench, {"services": {"a": {"image": "i", "volumes": [f"./here:/x:{flag}"]}}})
    assert topology == plain
    assert (problem.code, problem.severity) == ("replaced-key", "warning")
    assert f"`{flag}`" in problem.message


UNSAFE = [case for case in CASES if case[2].code.startswith("unsafe-")]


@pytest.mark.parametrize(("place", "key", "example"), UNSAFE, ids=[name(*case[:2]) for case in UNSAFE])
def test_what_is_unsafe_is_honoured_where_that_is_allowed(bench, place, key, example):
    text = yaml.safe_dump(write(place, key, example.value), sort_keys=False)
    plain = yaml.safe_dump(write(place, key), sort_keys=False)
    allowed = bench.load(text, allow_unsafe=True, environ={"HOME": "/h"})
    assert allowed.warnings == ()
    assert allowed != bench.load(plain, environ={"HOME": "/h"})


EXTENSIBLE = [place for place in PLACES if place.is_extensible]


@pytest.mark.parametrize("place", EXTENSIBLE, ids=[place.path for place in EXTENSIBLE])
def test_an_extension_is_accepted_and_changes_nothing(bench, place):
    plain, extended = write(place, "x-mine"), write(place, "x-mine", {"at": ["all"]})
    assert extended != plain
    assert [each for each in load(bench, extended)[1] if "x-mine" in each.message] == []
    assert load(bench, extended)[0] == load(bench, plain)[0]


@pytest.mark.parametrize("place", PLACES, ids=[place.path for place in PLACES])
def test_a_key_that_the_specification_does_not_have_is_an_error(bench, place):
    _, said = load(bench, write(place, "colour", {}))
    assert [each for each in said if each.code == "unknown-key" and "`colour`" in each.message]


@pytest.mark.parametrize("key", SERVICE.keys)
def test_a_key_of_a_service_has_exactly_one_treatment(key):
    assert [key in table for table in (READERS, REPLACED_SERVICE_KEYS, UNSUPPORTED_SERVICE_KEYS)].count(True) == 1


def test_no_key_is_invented():
    assert {*READERS, *REPLACED_SERVICE_KEYS, *UNSUPPORTED_SERVICE_KEYS} == set(SERVICE.keys)


@pytest.mark.parametrize("key", sorted(set(READERS) - {"extends"}))
def test_a_key_without_a_value_is_as_good_as_absent(bench, key):
    plain = "services:\n  a:\n    build: .\n" if key == "image" else "services:\n  a:\n    image: i\n"
    assert bench.load(f"{plain}    {key}:\n").services["a"] == bench.load(plain).services["a"]


TOP_LEVEL = """
name: n
version: '3'
services: {a: {image: i}}
networks:
  front: {internal: true, attachable: true, name: fixed, labels: [a=b], driver: bridge, driver_opts: {x: 1}}
volumes: {data: {name: fixed, driver: local, labels: {a: b}}}
configs: {c: {content: x}}
secrets: {s: {environment: HOMEX}}
x-mine: [anything, {at: all}]
"""


def test_top_level_sections(bench):
    topology = bench.load(TOP_LEVEL)
    network, volume = topology.networks["front"], topology.volumes["data"]
    assert (network.internal, network.labels, network.driver_opts) == (True, {"a": "b"}, {"x": "1"})
    assert (volume.driver, volume.labels) == ("local", {"a": "b"})
    assert (topology.sources["config:c"].content, topology.sources["secret:s"].environment) == ("x", "HOMEX")
    codes = [warning.code for warning in topology.warnings]
    assert codes == ["obsolete-key", "replaced-key", "replaced-name", "replaced-name", "interpolation-unset"]


def test_the_default_network_exists_only_when_someone_joins_it(bench):
    assert "default" in bench.load("services: {a: {image: i}}").networks
    assert "default" not in bench.load("services: {a: {image: i, network_mode: none}}").networks
    text = "services: {a: {image: i, networks: [n]}}\nnetworks: {n: }\n"
    assert set(bench.load(text).networks) == {"n"}
    text = "services: {a: {image: i, networks: [default]}}\nnetworks: {default: {internal: true}}\n"
    assert bench.load(text).networks["default"].internal


def test_external_parts_are_taken_when_allowed(bench):
    text = "services: {a: {image: i}}\nnetworks: {n: {external: true, name: real}, m: {external: {name: old}}}\n"
    text += "volumes: {v: {external: true}}\n"
    topology = bench.load(text, allow_unsafe=True)
    assert [network.external_name for network in (topology.networks["n"], topology.networks["m"])] == ["real", "old"]
    assert topology.volumes["v"].external_name == "v"
