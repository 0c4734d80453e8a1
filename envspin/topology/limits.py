"""How much a topology may hold: far more than any needs, and so little that a hostile one is refused at once.

Each limit counts over all files of a topology. Together they keep reading below a second and 100 MB, whatever the files
say; the fastest way beyond each is measured by ``benchmarks/hostile.py``.
"""

from __future__ import annotations

from typing import NamedTuple

MIB = 1024 * 1024


class Limit(NamedTuple):
    """What is counted, how much of it is allowed, and how its excess is reported."""

    code: str
    most: int
    message: str


TEXT = Limit("yaml-size", 8 * MIB, "the files hold more than 8 MiB together")
VALUES = Limit("yaml-size", 100_000, "the files hold more than 100,000 values together")
READS = Limit("too-many-files", 200, "more than 200 files are drawn in")
EXTENSIONS = Limit("extends-depth", 20_000, "`extends` is followed more than 20,000 times")
MERGED = Limit("yaml-size", 300_000, "more than 300,000 values are merged")
EXPANDED = Limit("yaml-size", 150_000, "`extends` and `include` expand to more than 150,000 values")
VARIABLES = Limit("interpolation-size", 50_000, "values with variables hold more than 50,000 `$`, `{` and `}`")
SUBSTITUTED = Limit("interpolation-size", 4 * MIB, "variables add more than 4 MiB to the files")
ASSIGNMENTS = Limit("env-file-syntax", 50_000, "the files of variables set more than 50,000 variables")
SERVICES = Limit("yaml-size", 10_000, "there are more than 10,000 services")
ENVIRONMENT = Limit("yaml-size", 200_000, "all services together have more than 200,000 variables")
COMMANDS = Limit("yaml-size", MIB // 4, "the command lines are longer than 256 KiB together")
TEMPLATES = Limit("bad-template", MIB // 2, "the templates are longer than 512 KiB together")
PATTERNS = Limit("bad-probe", 64 * 1024, "the regular expressions are longer than 64 KiB together")
PATHS = Limit("yaml-size", 5_000, "more than 5,000 paths are named")
MOUNTS = Limit("bad-mount", 5_000, "there are more than 5,000 mounts")
GUESSES = 10_000
"""Names that are compared to find the nearest valid ones; further errors have no such hint."""
