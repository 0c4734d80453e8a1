"""A topology as single facts that two topologies can be compared by.

A fact is the value of one thing: the image of a service, one of its variables, the interval of its healthcheck. What
has no kind of its own is a `setting`, so that all that :mod:`envspin.topology.render` writes is among the facts.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from envspin.topology.reader import OWN_EXTENSION
from envspin.topology.render import render_topology

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envspin.model import Dependency, FileSource, Service, Topology

Kind: TypeAlias = Literal[
    "service", "image", "build", "variable", "port", "resource", "setting",
    "network", "volume", "config", "secret", "export",
]  # fmt: skip
Value: TypeAlias = Any
"""Texts, numbers, truth values, None, and lists and dicts of them."""

_RESOURCE_KEYS = ("mem_limit", "mem_reservation", "cpus", "pids_limit", "shm_size", "ulimits", "scale", "deploy")
_BY_TARGET = ("volumes", "configs", "secrets")
_UNORDERED = ("profiles", "cap_add", "cap_drop", "security_opt", "group_add")


class Fact(NamedTuple):
    """What a value is the value of; ``service`` is None for what belongs to the whole topology."""

    service: str | None
    kind: Kind
    name: str


def collect_facts(topology: Topology) -> dict[Fact, Value]:
    """Return every fact of ``topology`` but its name; paths below its folder are relative to it."""
    data = render_topology(topology)
    facts: dict[Fact, Value] = {}
    for name, service in topology.services.items():
        facts[Fact(name, "service", name)] = "active" if name in topology.active else "not active"
        for kind, key, value in _read_service(service, data["services"][name], topology.directory):
            facts[Fact(name, kind, key)] = value
    sections: tuple[tuple[Kind, str], ...] = (("network", "networks"), ("volume", "volumes"))
    for kind, section in sections:
        for name, value in data.get(section, {}).items():
            facts[Fact(None, kind, name)] = value
    for source in topology.sources.values():
        facts[Fact(None, source.kind, source.name)] = _describe_source(source, topology)
    extension = data.get(OWN_EXTENSION, {})
    for name, value in extension.pop("exports", {}).items():
        facts[Fact(None, "export", name)] = value
    for name, value in _flatten(OWN_EXTENSION, extension):
        facts[Fact(None, "setting", name)] = value
    return facts


def _read_service(service: Service, data: dict[str, Value], folder: PurePath) -> Iterator[tuple[Kind, str, Value]]:
    """Yield kind, name and value of everything that the rendered ``data`` of ``service`` says."""
    data = _normalise(service, data, folder)
    for name, value in data.pop("environment", {}).items():
        yield "variable", name, value
    for key, value in data.items():
        if key == "image":
            yield "image", key, value
        elif key == "build":
            yield from (("build", name.partition(".")[2], leaf) for name, leaf in _flatten(key, value))
        elif key == "ports":
            yield from (("port", name, leaf) for name, leaf in value.items())
        elif key in _BY_TARGET:
            yield from (("setting", f"{key}.{target}", leaf) for target, leaf in value.items())
        else:
            kind: Kind = "resource" if key in _RESOURCE_KEYS else "setting"
            yield from ((kind, name, leaf) for name, leaf in _flatten(key, value))


def _normalise(service: Service, data: dict[str, Value], folder: PurePath) -> dict[str, Value]:
    """Return a rendered service in which order and form mean nothing any more, by names instead of in lists."""
    data = {key: sorted(value) if key in _UNORDERED else value for key, value in data.items()}
    if "build" in data:
        data["build"] = {**data["build"], "context": _shorten_path(data["build"]["context"], folder)}
    ports = {**{str(port): "exposed" for port in service.expose}, **_describe_ports(service)}
    data.pop("expose", None)
    data["ports"] = ports
    data["depends_on"] = {each.service: _describe_dependency(each) for each in service.depends_on}
    for key in _BY_TARGET:
        data[key] = _by_target(data.get(key, ()), folder)
    if "networks" in data:
        data["networks"] = {name: value or {} for name, value in data["networks"].items()}
    extension = data.get(OWN_EXTENSION, {})
    if service.stub is not None:
        stub = _normalise(service.stub, extension["stub"], folder)
        data[OWN_EXTENSION] = {**extension, "stub": stub}
    return {key: value for key, value in data.items() if value not in ({}, [])}


def _describe_ports(service: Service) -> dict[str, Value]:
    return {
        str(port): f"published as {port.published}" if port.published else "published at a free port"
        for port in service.ports
    }


def _describe_dependency(dependency: Dependency) -> str:
    until = str(dependency.condition) if dependency.explicit else "until ready"
    return until if dependency.required else f"{until}, not required"


def _by_target(items: Sequence[Mapping[str, Value]], folder: PurePath) -> dict[str, Value]:
    """Return mounts, or grants of configs and secrets, by where they are in the container."""
    found: dict[str, Value] = {}
    for item in items:
        rest = {key: value for key, value in item.items() if key != "target"}
        if rest.get("type") == "bind":
            rest["source"] = _shorten_path(rest["source"], folder)
        found[item["target"]] = rest
    return found


def _describe_source(source: FileSource, topology: Topology) -> dict[str, Value]:
    """Return where a config or secret comes from, with the content where the topology knows it."""
    if source.generate is not None:
        return {"generate": source.generate}
    if source.file is not None:
        return {"file": _shorten_path(str(source.file), topology.directory)}
    if source.environment is not None:
        return {"environment": source.environment, "content": topology.variables.get(source.environment)}
    return {"content": source.content or ""}


def _shorten_path(path: str, folder: PurePath) -> str:
    """Return ``path`` relative to ``folder`` if it lies there."""
    if not PurePath(path).is_relative_to(folder):
        return path
    relative = str(PurePath(path).relative_to(folder))
    return relative if relative == "." else f"./{relative}"


def _flatten(name: str, value: Value) -> Iterator[tuple[str, Value]]:
    """Yield the leaves of nested mappings under dotted names; an empty mapping is a leaf."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(f"{name}.{key}", item)
    else:
        yield name, value
