"""An environment's variables as text that other programs read."""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import TYPE_CHECKING

from envspin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMATS = ("dotenv", "json", "shell")

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


def render_variables(variables: Mapping[str, str], style: str) -> str:
    """Return the variables as dotenv lines, a JSON object, or ``export`` commands for a POSIX shell."""
    if style == "json":
        return json.dumps(dict(variables), indent=2, ensure_ascii=False)
    if style == "shell":
        return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    return "\n".join(f"{name}={_quote(value)}" for name, value in variables.items())


def _quote(value: str) -> str:
    r"""Quote a value so that Compose reads it back, and so do python-dotenv and a shell's ``source`` where they can.

    A shell reads ``\n`` as two characters. A backtick that cannot stand in single quotes is written as Compose's octal
    escape: a backslash before it would stay in Compose, and without one a shell would run what follows.
    """
    if _PLAIN.fullmatch(value):
        return value
    if not any(character in value for character in "'\\\n"):  # Compose takes \' for a quote even in single quotes
        return f"'{value}'"
    escaped = re.sub(r'([\\"$])', r"\\\1", value).replace("\n", "\\n").replace("`", r"\0140")
    return f'"{escaped}"'


def write_dotenv(path: Path, variables: Mapping[str, str]) -> None:
    """Write a dotenv file that its user alone can read; raise UsageError where it cannot be written."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)  # the file may have been there with other rights
            file.write(render_variables(variables, "dotenv") + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="choose another --env-out") from error


def check_writable(path: Path) -> None:
    """Raise UsageError where a file cannot be written, before an environment is started for it."""
    target = path if path.exists() else path.absolute().parent
    if path.is_dir() or not os.access(target, os.W_OK):
        raise UsageError(f"{path} cannot be written", hint="choose another --env-out")
