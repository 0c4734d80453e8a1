"""Commands inside a container, run so that nobody has to wait for their end."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from envspin.errors import ConflictError, EngineError, EngineUnreachableError, EnvspinTimeout, ObjectNotFoundError
from envspin.run.probes.base import Hopeless, InProgress, NotReady
from envspin.run.probes.descriptions import last_line, quote_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envspin.engine.base import ExecResult
    from envspin.run.probes.base import Target

DEFAULT_TIMEOUT = 30.0
"""Seconds that a check's command may run when nothing else is said; the default of the engine's healthchecks."""

SLICE = 0.025
"""Seconds for which one check waits for a running command."""

NOT_RUNNABLE = frozenset({126, 127})
SHELL = "/bin/sh"


class CommandRunner:
    """Runs one command at a time on a thread of its own.

    A command may hang for its whole timeout. Waiting for it in slices lets a cancelled wait end at once; the command
    that is left behind ends with its container, and its thread, a daemon, with it.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._future: Future[ExecResult] | None = None

    def poll(self, command: Sequence[str], timeout: float, remaining: float) -> None:
        """Start the command or go on waiting for it; return when it has exited with 0.

        Raises InProgress while it runs, NotReady when it failed, Hopeless when it never can succeed.
        """
        if self._future is None:
            self._future = self._start(command, timeout)
        try:
            result = self._future.result(min(SLICE, remaining))
        except TimeoutError:
            raise InProgress(f"`{quote_command(command)}` is still running") from None
        except EnvspinTimeout as error:
            self._future = None
            raise NotReady(f"`{quote_command(command)}` did not end within {timeout:g} s") from error
        except EngineError as error:
            self._future = None
            raise _translate(error) from error
        self._future = None
        _judge(command, result)

    def _start(self, command: Sequence[str], timeout: float) -> Future[ExecResult]:
        future: Future[ExecResult] = Future()

        def run() -> None:
            try:
                result = self._target.execute(command, timeout)
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks for the result
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="envspin-exec-probe", daemon=True).start()
        return future


def _translate(error: EngineError) -> Exception:
    """Say what a refused exec means for readiness; an unreachable engine is no matter of readiness."""
    if isinstance(error, ObjectNotFoundError):
        return Hopeless("the container is gone")
    if isinstance(error, EngineUnreachableError):
        return error
    if isinstance(error, ConflictError):
        return NotReady("the container is not running")
    return NotReady(error.message)


def _judge(command: Sequence[str], result: ExecResult) -> None:
    """Return if the command succeeded.

    A command that is not found stays NotReady: images that install things when they start are common. An image
    without a shell will not get one.
    """
    if result.exit_code == 0:
        return
    said = last_line(result.output)
    if result.exit_code in NOT_RUNNABLE and command[:1] == (SHELL,) and _lacks_shell(result.output):
        raise Hopeless(f"the image has no {SHELL}; give the check as a list of words that needs no shell")
    what = f"`{quote_command(command)}` exited with {result.exit_code}"
    raise NotReady(f"{what}: {said}" if said else what)


def _lacks_shell(output: str) -> bool:
    """Tell the engine's complaint about the shell itself from a shell's about a command."""
    text = output.lower()
    return f'"{SHELL}"' in text and ("no such file" in text or "not found" in text)
