"""Commands that every container of the in-memory engine knows, and the choice of an answer to a command."""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING

from envspin.engine.fake.files import read_file
from envspin.engine.fake.script import ExecCall, ExecReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envspin.engine.fake.script import Script
    from envspin.engine.fake.world import FakeContainer


def describe_call(
    container: FakeContainer, command: Sequence[str], environment: Mapping[str, str], running_for: float
) -> ExecCall:
    """Return what a command sees of its container."""
    spec = container.spec
    return ExecCall(
        command=tuple(command),
        environment={**container.image.environment, **spec.environment, **environment},
        user=spec.user or "root",
        working_dir=spec.working_dir or "/",
        running_for=running_for,
        files=partial(read_file, container),
        hostname=spec.hostname or container.id[:12],
    )


def answer_command(script: Script, call: ExecCall) -> ExecReply:
    """Return what ``call`` does: as the script says, else as the known command does, else exit code 127."""
    for key in (shlex.join(call.command), call.command[0]):
        scripted = script.execs.get(key)
        if scripted is not None:
            return scripted if isinstance(scripted, ExecReply) else scripted(call)
    known = _COMMANDS.get(call.command[0].rpartition("/")[2])
    if known is None:
        return ExecReply(127, f'exec: "{call.command[0]}": executable file not found in $PATH\n')
    return known(call)


def _print_files(call: ExecCall) -> ExecReply:
    found = [call.files(path) for path in call.command[1:]]
    missing = [path for path, content in zip(call.command[1:], found, strict=True) if content is None]
    if missing:
        return ExecReply(1, "".join(f"cat: {path}: No such file or directory\n" for path in missing))
    return ExecReply(0, b"".join(content or b"" for content in found).decode("utf-8", "replace"))


def _print_environment(call: ExecCall) -> ExecReply:
    return ExecReply(0, "".join(f"{name}={value}\n" for name, value in call.environment.items()))


def _sleep(call: ExecCall) -> ExecReply:
    return ExecReply(seconds=float(call.command[1]))


_COMMANDS: dict[str, Callable[[ExecCall], ExecReply]] = {
    "true": lambda _call: ExecReply(),
    "false": lambda _call: ExecReply(1),
    "echo": lambda call: ExecReply(0, " ".join(call.command[1:]) + "\n"),
    "cat": _print_files,
    "env": _print_environment,
    "hostname": lambda call: ExecReply(0, call.hostname + "\n"),
    "pwd": lambda call: ExecReply(0, call.working_dir + "\n"),
    "sleep": _sleep,
    "whoami": lambda call: ExecReply(0, call.user + "\n"),
}
