from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from envspin.errors import TopologyError
from envspin.topology import load_topology

if TYPE_CHECKING:
    from pathlib import Path

    from envspin.model import Service, Topology


class Workbench:
    """Writes files into a fresh folder, which is also the current one, and loads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {}

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, text: str, *overlays: str, **options: Any) -> Topology:
        files = [self.write("compose.yaml", text)]
        files += [self.write(f"overlay{number}.yaml", overlay) for number, overlay in enumerate(overlays, 1)]
        return load_topology(files, **{"environ": self.environ, **options})

    def service(self, text: str, **options: Any) -> Service:
        """Load a service `a` with these keys, written as the lines of its mapping."""
        lines = "".join(f"    {line}\n" for line in text.splitlines())
        return self.load(f"services:\n  a:\n    image: i\n{lines}{TOP}", **options).services["a"]

    def problems(self, text: str, *overlays: str, **options: Any) -> list[str]:
        """Return the rendered errors of a file that must not load."""
        with pytest.raises(TopologyError) as caught:
            self.load(text, *overlays, **options)
        return [problem.render() for problem in caught.value.problems]

    def codes(self, text: str, *overlays: str, **options: Any) -> list[str]:
        with pytest.raises(TopologyError) as caught:
            self.load(text, *overlays, **options)
        return [problem.code for problem in caught.value.problems]


TOP = """
  b: {image: b}
networks: {front: , back: }
volumes: {data: , more: }
secrets: {token: {content: t}, key: {content: k}}
configs: {conf: {content: c}}
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    folder = tmp_path / "demo"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Workbench(folder)
