"""The sections beside the services: networks, volumes, configs, secrets and included files."""

from __future__ import annotations

from envspin.topology.schema.extension import secret_extension
from envspin.topology.schema.parts import (
    FALSE,
    VARIABLE,
    Schema,
    array,
    boolean,
    choice,
    either,
    exclude,
    filled,
    has,
    key,
    mapping,
    matching,
    optional,
    pairs,
    refused,
    replaced,
    text,
    texts,
)
from envspin.topology.toplevel import NETWORK_NO_EFFECT, UNSUPPORTED_SOURCE_KEYS

_NAME = "Replaced with a warning unless external: objects are named after their environment, so that many can run."
_EXTERNAL = "It exists outside the environment. Refused without --allow-unsafe: other environments could share it."
_SOURCES = ("file", "environment", "content")


def make_network() -> Schema:
    """Return the schema of a top-level network."""
    properties = {
        "internal": key("The network has no way out.", boolean(), default=False),
        "labels": key("Labels of the network.", pairs()),
        "driver": key("Networks are local bridges.", choice(("bridge", "default")), default="bridge"),
        "driver_opts": key("Options of the driver.", pairs()),
        **_outside_keys(),
    }
    ignored = {name: replaced(f"`{name}` has no effect: {reason}.") for name, reason in NETWORK_NO_EFFECT.items()}
    return optional(mapping({**properties, **ignored}))


def make_volume() -> Schema:
    """Return the schema of a top-level volume."""
    properties = {
        "labels": key("Labels of the volume.", pairs()),
        "driver": key("Driver of the volume.", filled(), default="local"),
        "driver_opts": key(
            "Options of the driver. One that mounts a folder outside the topology's is refused without --allow-unsafe.",
            pairs(),
        ),
        **_outside_keys(),
    }
    return optional(mapping(properties))


def _outside_keys() -> dict[str, Schema]:
    older = mapping({"name": key("Name of the object outside.", filled())})
    return {
        "external": key(_EXTERNAL, either(boolean(), older), default=False),
        "name": key(_NAME, filled()),
    }


def make_config() -> Schema:
    """Return the schema of a top-level config."""
    return _make_source(_source_keys())


def make_secret() -> Schema:
    """Return the schema of a top-level secret, which may be generated."""
    generated = has("x-envspin", has("generate") | {"type": "object"})
    rule = exclude(generated, _SOURCES, "a generated secret has no other source")
    secret = _make_source({**_source_keys(), "x-envspin": secret_extension()})
    return {**secret, "allOf": [*secret["allOf"], rule]}


def _source_keys() -> dict[str, Schema]:
    never = {name: refused("it needs a swarm") for name in UNSUPPORTED_SOURCE_KEYS}
    inside = either({"type": "boolean"}, matching(FALSE, "there is no store to take it from"))
    return {
        "file": key("File that holds the content.", filled(), examples=["./password.txt"]),
        "environment": key("Variable that holds the content.", filled()),
        "content": key("The content itself.", text()),
        "name": key("Replaced with a warning: objects are named after their environment.", filled()),
        "labels": replaced("`labels` has no effect: labels reach no program in a container."),
        "external": key(
            "Only `false`: there is no store to take it from.",
            {**inside, "not": {"const": True}},
            default=False,
        ),
        **never,
    }


def _make_source(properties: dict[str, Schema]) -> Schema:
    rules = [
        exclude(has(name), [each for each in _SOURCES if each != name], "exactly one source is needed")
        for name in _SOURCES
    ]
    return {**mapping(properties), "allOf": rules}


def include_section() -> Schema:
    """Return the schema of `include`."""
    paths = either(filled(), array(filled()))
    properties = {
        "path": key("The file, or a list of files of which later ones lie over earlier ones.", paths, null=False),
        "project_directory": key("Folder that its relative paths start at; the file's own if omitted.", filled()),
        "env_file": key("Files of variables for its `${...}`; the `.env` beside it if omitted.", texts()),
    }
    return array(either(filled(), mapping(properties, ["path"])))


def topology_name() -> Schema:
    """Return the schema of the topology's name."""
    hint = "the name must hold a lower-case letter or a digit"
    return {**text(), "pattern": rf"[A-Za-z0-9]|[^\u0000-\u007f]|{VARIABLE}", "patternErrorMessage": hint}
