"""Files -> one merged tree -> `model.Topology`."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.errors import TopologyError
from envspin.model import Origin
from envspin.problems import Problem
from envspin.topology.compose import build_topology
from envspin.topology.dotenv import parse_dotenv
from envspin.topology.files import COMPOSE_FILE_NAMES, display_name, is_file, read_text
from envspin.topology.garbage import without_collection
from envspin.topology.includes import Loader
from envspin.topology.nodes import Document
from envspin.topology.reader import Reader, nearest
from envspin.topology.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envspin.model import Topology
    from envspin.topology.source import Parsed

ENV_FILE = ".env"
PROFILES_VARIABLE = "COMPOSE_PROFILES"
NAME_VARIABLE = "COMPOSE_PROJECT_NAME"
_NOT_IN_NAME = re.compile(r"[^a-z0-9_-]")


def find_compose_file(path: Path) -> Path:
    """Return the Compose file that ``path`` means: itself, or the one in that folder.

    Raises ``TopologyError`` if there is none.
    """
    if os.path.isdir(path):  # noqa: PTH112 - unlike pathlib, it raises nothing for impossible names
        for name in COMPOSE_FILE_NAMES:
            if is_file(path / name):
                return path / name
        hint = "a topology is a folder with one of: " + ", ".join(COMPOSE_FILE_NAMES)
        raise TopologyError([Problem("file-missing", f"the folder `{path}` holds no Compose file", hint=hint)])
    if os.path.exists(path):  # noqa: PTH110
        return path
    raise TopologyError([Problem("file-missing", f"there is no file or folder `{path}`", hint=_nearest_file(path))])


def _nearest_file(path: Path) -> str | None:
    try:
        neighbours = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return None
    found = nearest(path.name, neighbours)
    return found or "name a Compose file, or the folder that holds one"


def load_topology(
    paths: Sequence[Path],
    *,
    environ: Mapping[str, str],
    env_files: Sequence[Path] = (),
    profiles: Sequence[str] = (),
    allow_unsafe: bool = False,
) -> Topology:
    """Return the topology that the Compose files ``paths`` (folders count too) describe, later ones over earlier.

    Variables come from ``environ``, then from ``env_files``, else from the ``.env`` beside the first file. Services
    are active if they have no profile, or one of ``profiles`` or of ``COMPOSE_PROFILES``. Raises ``TopologyError``
    with every problem that was found.
    """
    files = [find_compose_file(Path(path)) for path in paths]
    if not files:
        raise TopologyError([Problem("file-missing", "no Compose file was named")])
    with without_collection():
        return _load(files, environ, env_files, profiles, allow_unsafe=allow_unsafe)


def read_name(path: Path, *, environ: Mapping[str, str]) -> str:
    """Return the name of the topology in a file or folder, whatever else may be wrong with it.

    Raises ``TopologyError`` where there is no Compose file.
    """
    file = find_compose_file(path)
    report = Report(patient=True)
    directory = Path(os.path.abspath(file)).parent  # noqa: PTH100 - links stay as the user wrote them
    variables = {**_read_env_files((), directory, environ, report), **environ}
    loader = Loader(report)
    return _choose_name(loader, [loader.read(file, directory, variables)], directory)


def _load(
    files: Sequence[Path],
    environ: Mapping[str, str],
    env_files: Sequence[Path],
    profiles: Sequence[str],
    *,
    allow_unsafe: bool,
) -> Topology:
    report = Report()
    directory = Path(os.path.abspath(files[0])).parent  # noqa: PTH100 - links stay as the user wrote them
    variables = {**_read_env_files(env_files, directory, environ, report), **environ}
    loader = Loader(report)
    documents = [loader.read(file, directory, variables) for file in files]
    name = _choose_name(loader, documents, directory)
    variables.setdefault(NAME_VARIABLE, name)
    root = loader.merge_documents(documents)
    if root is None:
        report.raise_if_failed()
        raise TopologyError([Problem("file-empty", "the files hold no topology")])
    chosen = [*profiles, *filter(None, variables.get(PROFILES_VARIABLE, "").split(","))]
    reader = Reader(report, directory=directory, allow_unsafe=allow_unsafe)
    topology = build_topology(root, reader, name=name, files=loader.files, profiles=chosen)
    return replace(topology, variables=variables, origin=Origin(tuple(files), environ, tuple(env_files)))


def _read_env_files(
    env_files: Sequence[Path], directory: Path, environ: Mapping[str, str], report: Report
) -> dict[str, str]:
    values: dict[str, str] = {}
    default = directory / ENV_FILE
    found = list(env_files) or ([default] if is_file(default) else [])
    for path in found:
        text = read_text(path, None, report)
        if text is not None:
            document = Document(display_name(path), text, path.parent, confidential=True)
            known = {**values, **environ}
            values |= parse_dotenv(document, known.get, report)
    return values


def _choose_name(loader: Loader, documents: Sequence[Parsed], directory: Path) -> str:
    """Return the topology's name: the last `name:`, else the folder's, made fit."""
    for parsed in reversed(documents):
        scalar = loader.find_name(parsed)
        if scalar is None:
            continue
        name = normalise_name(scalar.text)
        if not name:
            message = "the topology's name must hold a lower-case letter or a digit"
            loader.report.error("bad-name", message, scalar)
            return "invalid"
        if name != scalar.text:
            shown = f"becomes `{name}`" if scalar.raw is None else "is changed"
            message = f"the topology's name {shown}: lower-case letters, digits, `-` and `_` are left"
            loader.report.warn("replaced-name", message, scalar)
        return name
    return normalise_name(directory.name) or "topology"


def normalise_name(text: str) -> str:
    """Return ``text`` as a project name of Compose's: lower case, without other characters; may be empty."""
    return _NOT_IN_NAME.sub("", text.lower()).lstrip("_-")
