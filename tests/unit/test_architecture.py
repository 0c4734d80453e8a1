"""The picture of DESIGN holds: data flows downwards, and each package has one place that imports it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "envspin"
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))

LAYERS = [
    {"errors"},
    {"model", "problems", "reference"},
    {"events"},
    {"topology"},
    {"plan"},
    {"registry"},
    {"engine"},
    {"run"},
    {"testing", "cli"},
    {"pytest_plugin", "__main__", "__init__"},
]
"""From what imports nothing of ours to what may import all; a module sees its own layer and those above it here."""

SITES = {
    "yaml": "topology/source.py",
    "networkx": "plan/graph.py",
    "docker": ("engine/docker/", "registry/credentials.py"),
    "requests": ("engine/docker/", "registry/"),
    "urllib3": ("engine/docker/", "registry/"),
    "click": "cli/",
    "rich": "cli/",
    "h2": "run/probes/grpc.py",
    "psutil": "run/ownership.py",
    "filelock": ("run/timings.py", "run/locks.py"),
    "platformdirs": "run/record.py",
    "pytest": ("pytest_plugin.py", "testing.py"),
}

PURE = ("topology", "plan")
IMPURE_MODULES = {"threading", "socket", "time", "subprocess", "asyncio", "concurrent", "random", "urllib", "http"}


def read_imports(path: Path, *, runtime_only: bool = False) -> Iterator[str]:
    tree = ast.parse((ROOT / path).read_text())
    skipped = {
        id(node)
        for guard in ast.walk(tree)
        if runtime_only and isinstance(guard, ast.If) and ast.unparse(guard.test) == "TYPE_CHECKING"
        for node in ast.walk(guard)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def find_layer(name: str) -> int:
    (layer,) = [number for number, names in enumerate(LAYERS) if name in names]
    return layer


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_from_its_own_layer_and_those_before_it(path):
    own = find_layer(path.parts[0].removesuffix(".py"))
    for module in read_imports(path, runtime_only=True):
        parts = module.split(".")
        if parts[0] == "envspin" and len(parts) > 1:
            assert find_layer(parts[1]) <= own, f"{path} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_each_package_is_imported_in_one_place(path):
    for module in read_imports(path):
        site = SITES.get(module.split(".")[0])
        if site is not None:
            assert path.as_posix().startswith(site), f"{path} imports {module}, whose place is {site}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] in PURE], ids=str)
def test_everything_up_to_the_plan_is_pure(path):
    assert not IMPURE_MODULES & {module.split(".")[0] for module in read_imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_files_and_functions_stay_small(path):
    text = (ROOT / path).read_text()
    assert text.count("\n") <= 450, "look for the concept that wants a name"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1 - (ast.get_docstring(node, clean=False) or "").count("\n")
            assert length <= 60, f"{node.name} has {length} lines"
