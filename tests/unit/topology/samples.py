"""The corpus: topologies in each form that Compose files take, and how tests load and print them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from envspin.topology import dump_yaml, load_topology, to_compose

CORPUS = Path(__file__).with_name("corpus")
FILES = sorted(path.stem for path in CORPUS.glob("*.yaml"))
STACKS = [name for name in FILES if name.startswith("stack-")]
ENVIRON = {"HOMEX": "hx", "E": "", "HOME": "/home/u", "PATH": os.environ["PATH"]}


def files_of(name):
    """Return a topology's file and the overlays that lie beside it, in order."""
    return [CORPUS / f"{name}.yaml", *sorted(CORPUS.glob(f"{name}.override*"))]


def load(paths, *, allow_unsafe=True):
    return load_topology(paths, environ=ENVIRON, profiles=["*"], allow_unsafe=allow_unsafe)


def write_rendered(topology, folder):
    """Write the rendered text where its absolute paths still lie within the topology's folder."""
    path = folder / "compose.yaml"
    path.write_text(dump_yaml(to_compose(topology)), encoding="utf-8")
    return path


def essence(topology):
    return replace(topology, files=(), warnings=(), directory=Path())
