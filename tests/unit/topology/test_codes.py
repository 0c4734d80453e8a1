"""The table of codes and the code that uses them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import envspin.topology
from envspin.topology.codes import CODES
from envspin.topology.report import Report, mask_secrets

TOPOLOGY = Path(envspin.topology.__file__).parent
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in TOPOLOGY.glob("*.py")}
WARNED_LATER = "".join(path.read_text(encoding="utf-8") for path in (TOPOLOGY.parent / "run").glob("*.py"))
COMPUTED = {"undefined-", "unsafe-host-"}


def test_every_code_is_used():
    text = WARNED_LATER + "".join(source for name, source in SOURCES.items() if name != "codes.py")
    unused = [code for code in CODES if f'"{code}"' not in text and not code.startswith(tuple(COMPUTED))]
    assert unused == []


def test_every_code_that_is_reported_is_in_the_table():
    pattern = re.compile(r'(?:error|warn|refuse|stopped|Error|Problem\()\(?\[?\(?\s*"([a-z]+(?:-[a-z]+)+)"')
    used = {code for source in SOURCES.values() for code in pattern.findall(source)}
    assert len(used) > 30
    assert used <= set(CODES)


def test_codes_have_a_cause_and_a_cure():
    for code, (cause, cure) in CODES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", code)
        assert cause.endswith(".")
        assert cure.endswith(".")
    assert list(CODES) == sorted(CODES)


def test_an_unknown_code_is_a_mistake_of_ours():
    with pytest.raises(KeyError):
        Report().error("no-such-code", "x", None)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  POSTGRES_PASSWORD: hunter2", "  POSTGRES_PASSWORD: ***"),
        ("  - API_TOKEN=abc", "  - API_TOKEN=***"),
        ('  "clientSecret": "abc"', '  "clientSecret": ***'),
        ("  password: ${PW:-hunter2}", "  password: ***"),
        ("  password: ${PW}", "  password: ${PW}"),
        ("  password: ${PW:?set it}", "  password: ${PW:?set it}"),
        ("  PASSWORD_FILE: /run/secrets/pw", "  PASSWORD_FILE: /run/secrets/pw"),
        ("  url: postgres://u:hunter2@h/d", "  url: postgres://u:***@h/d"),
        ("  secrets: [token]", "  secrets: [token]"),
        ("  image: postgres:16", "  image: postgres:16"),
    ],
)
def test_lines_are_shown_without_secrets(line, shown):
    assert mask_secrets(line) == shown


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("docker", "pydantic", "networkx", "testcontainers", "click", "rich", "requests", "jinja2")
    script = f"import sys, envspin.topology; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_one_module_imports_yaml():
    pattern = re.compile(r"^\s*(?:import|from) yaml\b", re.MULTILINE)
    assert [name for name, source in SOURCES.items() if pattern.search(source)] == ["source.py"]
