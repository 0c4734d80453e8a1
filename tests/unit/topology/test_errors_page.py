"""`docs/errors.md` lists every code; it is written from the table and from the messages that users see.

`ENVSPIN_WRITE_GOLDEN=1 pytest tests/unit/topology/test_errors_page.py` writes the page anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from envspin.topology.codes import CODES

PAGE = Path(__file__).parents[3] / "docs" / "errors.md"
MESSAGES = Path(__file__).with_name("messages.golden")
WARNING = "Warning: "
HEAD = """\
# Errors and warnings of topology files

Whatever is wrong with a Compose file is reported at once, before anything is started, and the exit code is 2. Each
problem is one message: where it is (`FILE:LINE:COL`), its code in brackets, what is wrong, the line with a mark under
the place, and a hint where there is one. Lines that may hold secrets are shown with `***`. Problems in files that are
included, extended or laid over others name those files.

Warnings have the same form. They say what envspin does differently, or what has no effect; the environment starts.
"""


def render_page() -> str:
    examples = find_examples()
    parts = [HEAD]
    for title, wanted in (("Errors", False), ("Warnings", True)):
        parts.append(f"## {title}\n")
        for code, (cause, cure) in CODES.items():
            if cause.startswith(WARNING) == wanted:
                parts.append(render_code(code, cause.removeprefix(WARNING), cure, examples.get(code)))
    return "\n".join(parts)


def render_code(code: str, cause: str, cure: str, example: str | None) -> str:
    shown = f"\n```text\n{example}\n```\n" if example else ""
    return f"### `{code}`\n\nCause: {cause[0].upper()}{cause[1:]}  \nCure: {cure}\n{shown}"


def find_examples() -> dict[str, str]:
    """Return for each code the first message of it that a test asserts."""
    said = "\n".join(block.partition(">>>\n")[2] for block in MESSAGES.read_text(encoding="utf-8").split("=== ")[1:])
    found: dict[str, str] = {}
    for message in re.findall(r"^\S+: error\[[a-z-]+\]: .*\n(?:    .*\n)*", said, re.MULTILINE):
        code = message.partition("[")[2].partition("]")[0]
        found.setdefault(code, message.rstrip())
    return found


def test_the_page_lists_every_code_as_the_table_says_it():
    page = render_page()
    if os.environ.get("ENVSPIN_WRITE_GOLDEN"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page


def test_every_code_has_its_heading_once():
    headings = re.findall(r"^### `([a-z-]+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(CODES)


def test_most_errors_have_an_example():
    errors = [code for code, (cause, _) in CODES.items() if not cause.startswith(WARNING)]
    without = set(errors) - set(find_examples())
    assert len(without) <= len(errors) // 5, without
