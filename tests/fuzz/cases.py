"""What the fuzzer feeds: a case is a few files; each is made again from its seed, its generator and its number."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROJECT = Path(__file__).parents[2]
CANARY = "c4nary"
"""Part of every planted secret; no message may hold it."""
ENVIRON = {
    "A": "a",
    "EMPTY": "",
    "HOME": "/home/u",
    "TAG": "1.2",
    "SECRET": f"{CANARY}-environ",
    "DB_PASSWORD": f"{CANARY}:p'a\"s{{s}}@w:0rd",
    "API_TOKEN": f"{CANARY}\n- two lines",
    "PORT": "8080",
    "BIG": f"{CANARY}x" * 3000,
}
MAIN = "compose.yaml"
CORPUS = PROJECT / "tests" / "unit" / "topology" / "corpus"
_SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Case:
    """Files by name, which of them are named on the command line, and how they are loaded."""

    files: Mapping[str, bytes]
    paths: tuple[str, ...] = (MAIN,)
    allow_unsafe: bool = True
    shared: bool = False
    """Whether the files that those of the corpus draw in must be there."""

    def write(self, folder: Path) -> list[Path]:
        """Write the files into ``folder`` and return the paths to load."""
        if self.shared and not (folder / _SHARED).exists():
            shutil.copytree(CORPUS / _SHARED, folder / _SHARED)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return [folder / name for name in self.paths]

    def remove(self, folder: Path) -> None:
        """Remove the files, so that no later case sees them; the shared ones stay, as nothing changes them."""
        for name in self.files:
            (folder / name).unlink(missing_ok=True)


def of_text(text: str, rng: Chance, **files: str) -> Case:
    """Return the case of one file, beside others that it may name (``env`` stands for ``.env``)."""
    others = {name.replace("env", ".env"): encode(content) for name, content in files.items()}
    return Case({MAIN: encode(text), **others}, allow_unsafe=rng.random() < 0.7)


def encode(text: str) -> bytes:
    """Return the bytes of a text, which may hold lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


class Chance(random.Random):
    """The source of chance of one case; ``daring`` is how often it prefers what is wrong."""

    daring = 0.0

    def pick(self, good: Sequence[Any], bad: Sequence[Any]) -> Any:
        """Return one of the good, seldom one of the bad."""
        return self.choice(bad if bad and self.random() < self.daring else good)


def chance_for(seed: int, name: str, index: int) -> Chance:
    """Return the source of chance of one case: a third of the cases dare nothing, a third much."""
    chance = Chance(f"{seed}/{name}/{index}")
    chance.daring = chance.choice([0.0, 0.02, 0.25])
    return chance


def log_uniform(rng: Chance, low: int, high: int) -> int:
    """Return a whole number of any magnitude between the two, small ones as often as large ones."""
    return min(high, int(low * (high / low) ** rng.random()))


def read_corpus() -> dict[str, str]:
    """Return the texts of valid files, by name."""
    found = {path.name: path for path in sorted(CORPUS.glob("*.yaml"))}
    found |= {path.name: path for path in sorted(CORPUS.glob("*.override"))}
    found["shop.yaml"] = PROJECT / "topologies" / "shop" / "compose.yaml"
    return {name: path.read_text(encoding="utf-8") for name, path in found.items()}
