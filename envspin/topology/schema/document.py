"""The whole schema: the top level of a file, and the definitions that it refers to."""

from __future__ import annotations

from envspin.topology.keys import UNSUPPORTED_TOP_LEVEL_KEYS
from envspin.topology.schema.build import make_build
from envspin.topology.schema.extension import make_service_extension, make_stub, make_topology_extension
from envspin.topology.schema.networking import make_attachment
from envspin.topology.schema.parts import Schema, key, mapping, named, reference, refused, replaced, shared_shapes
from envspin.topology.schema.probes import make_probe
from envspin.topology.schema.resources import make_deploy
from envspin.topology.schema.service import make_dependency, make_healthcheck, make_service, service_keys
from envspin.topology.schema.storage import make_grant, make_mount
from envspin.topology.schema.toplevel import (
    include_section,
    make_config,
    make_network,
    make_secret,
    make_volume,
    topology_name,
)

DIALECT = "http://json-schema.org/draft-07/schema#"


def make_schema() -> Schema:
    """Return the JSON Schema of a topology file; keys stand in a stable order."""
    return {
        "$schema": DIALECT,
        "title": "envspin topology",
        "description": (
            "A Compose file as envspin reads it. Deprecated keys are replaced with a warning that says what happens "
            "instead; keys that are not supported are errors."
        ),
        **mapping(_top_level_keys()),
        "definitions": _definitions(),
    }


def _top_level_keys() -> dict[str, Schema]:
    never = {name: refused(reason) for name, reason in UNSUPPORTED_TOP_LEVEL_KEYS.items()}
    return {
        "name": key("Name of the topology; its folder's if omitted.", topology_name()),
        "services": key("The containers of the environment.", named(reference("service"))),
        "networks": key("Networks, made anew for each environment.", named(reference("network"))),
        "volumes": key("Named volumes, made anew for each environment.", named(reference("volume"))),
        "configs": key("Files for services.", named(reference("config"))),
        "secrets": key("Confidential files for services.", named(reference("secret"))),
        "include": key("Other Compose files that belong to the topology.", include_section()),
        "x-envspin": key("What envspin knows beyond Compose.", reference("topologyExtension")),
        "version": replaced("`version` has no effect: leave it out."),
        **never,
    }


def _definitions() -> dict[str, Schema]:
    return {
        "service": make_service(),
        "serviceExtension": make_service_extension(),
        "stub": make_stub(service_keys()),
        "probe": make_probe(),
        "build": make_build(),
        "dependency": make_dependency(),
        "healthcheck": make_healthcheck(),
        "attachment": make_attachment(),
        "mount": make_mount(),
        "grant": make_grant(),
        "deploy": make_deploy(),
        "network": make_network(),
        "volume": make_volume(),
        "config": make_config(),
        "secret": make_secret(),
        "topologyExtension": make_topology_extension(),
        **shared_shapes(),
    }
