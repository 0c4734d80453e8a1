"""The command line: click commands that call the library and render what it says.

``envspin --help`` and ``envspin --version`` are answered from the catalog before anything else is imported: click
alone takes three times as long to import as Python takes to start.
"""

import os
import sys

from envspin import __version__
from envspin.cli.catalog import render_help

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code (the console script ``envspin``)."""
    text = find_quick_answer(sys.argv[1:])
    try:
        if text is not None:
            _write(text)
            return
        from envspin.cli.app import cli  # noqa: PLC0415 - click is slow to import

        cli(prog_name="envspin")
    except KeyboardInterrupt:  # while modules were loading
        sys.exit(INTERRUPTED)
    finally:
        # CPython notes an interrupt that left an exec() of text (dataclasses are made so, while modules load) and
        # dies of SIGINT at its end, even if it was handled: the exit code would be lost. Another exec() clears it.
        exec("")  # noqa: S102


def find_quick_answer(arguments: list[str]) -> str | None:
    """Return the whole output for a call that only asks for the help or the version; None for all others."""
    if "_ENVSPIN_COMPLETE" in os.environ:
        return None
    if arguments in (["--help"], ["-h"]):
        return render_help()
    if arguments == ["--version"]:
        return f"envspin {__version__}\n"
    return None


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough; keep the interpreter's own last flush quiet, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
