"""How much a topology may hold: far more than any needs, and so little that a hostile one is refused at once.

Each limit counts over all files of a topology. Together they keep reading below a second and 100 MB, whatever the files
say; the fastest way beyond each is measured by ``benchmarks/hostile.py``.
"""

from __future__ import annotations

from typing import NamedTuple

MIB = 1024 * 1024


class Limit(NamedTuple):
    """What is counted, how much of it is allowed, and how its excess is reported."""

    most: int
    message: str
    code: str = "too-large"


TEXT = Limit(8 * MIB, "the files hold more than 8 MiB together")
VALUES = Limit(100_000, "the files hold more than 100,000 values together")
READS = Limit(200, "more than 200 files are drawn in", "too-many-files")
EXTENSIONS = Limit(20_000, "`extends` is followed more than 20,000 times")
MERGED = Limit(300_000, "more than 300,000 values are merged")
EXPANDED = Limit(400_000, "aliases, `extends` and `include` expand to more than 400,000 values")
VARIABLES = Limit(150_000, "values with variables hold more than 150,000 `$`, `{` and `}`")
SUBSTITUTED = Limit(4 * MIB, "variables add more than 4 MiB to the files")
ASSIGNMENTS = Limit(50_000, "the files of variables set more than 50,000 variables")
SERVICES = Limit(10_000, "there are more than 10,000 services")
ENVIRONMENT = Limit(1_000_000, "files of variables give all services together more than 1,000,000 variables")
COMMANDS = Limit(MIB // 2, "the command lines are longer than 512 KiB together")
TEMPLATES = Limit(MIB // 2, "the templates are longer than 512 KiB together")
PATTERNS = Limit(64 * 1024, "the regular expressions are longer than 64 KiB together")
PATHS = Limit(15_000, "more than 15,000 paths are named")
MOUNTS = Limit(40_000, "services have more than 40,000 mounts, secrets and configs")
GUESSES = 10_000
"""Names that are compared to find the nearest valid ones; further errors have no such hint."""
