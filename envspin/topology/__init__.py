"""Compose files -> `model.Topology`: text in, data out, no engine."""

from __future__ import annotations

from envspin.topology.loading import find_compose_file, load_topology, read_name
from envspin.topology.render import to_compose
from envspin.topology.source import dump_yaml
from envspin.topology.templates import parse_template

__all__ = ["dump_yaml", "find_compose_file", "load_topology", "parse_template", "read_name", "to_compose"]
