"""Every error that envspin raises.

An error has three parts: a message that says what happened, context lines that say where and why, and a hint that
says what to try. Commands turn an error into its ``exit_code``; nothing of docker's or requests' escapes.

    EnvspinError
    ├── UsageError                  2    the call makes no sense (unknown service, unknown environment, ...)
    ├── TopologyError               2    a Compose file is wrong; carries every problem with its place
    ├── NotReadyError               3    a service failed, or was not ready by its deadline
    ├── EngineError                 4    the engine failed
    │   ├── EngineUnreachableError  4    no engine answers
    │   ├── UnansweredError         4    a call got no whole answer: it may have happened or not
    │   ├── ExhaustedError          4    no subnet or port is left
    │   ├── ImageError              4    an image cannot be pulled or built
    │   ├── ConflictError           4    a name, subnet or port is taken
    │   ├── ObjectNotFoundError     4    the object is gone
    │   └── RegistryError           4    a registry did not answer, or refused
    │       ├── ManifestNotFoundError  4    the registry has no such repository, tag or digest
    │       └── PlatformMissingError   4    it has the image, but not for a platform that was asked for
    ├── LockError                   5    the lock is missing, stale, or not what runs
    ├── EnvspinTimeout              124  the overall deadline passed
    └── Interrupted                 130  Ctrl-C, SIGTERM or SIGHUP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envspin.problems import Problem


class EnvspinError(Exception):
    """The base of all errors of envspin.

    ``message`` is one sentence, ``context`` further lines (outermost first), ``hint`` what to try next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, context: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.context = tuple(context)
        self.hint = hint

    def __str__(self) -> str:
        """Render message, context and hint, each on lines of its own."""
        lines = [self.message, *(f"  {line}" for line in self.context)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class UsageError(EnvspinError):
    """The call makes no sense: an unknown service, environment or option value."""

    exit_code = 2


class TopologyError(EnvspinError):
    """A Compose file is wrong; ``problems`` holds all of them, in file order."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        message = f"{count} problem{'s' if count != 1 else ''} in the topology"
        super().__init__(message, hint=hint)

    def __str__(self) -> str:
        """Render every problem as ``FILE:LINE:COL: error[CODE]: message`` with its source line."""
        return "\n".join(problem.render() for problem in self.problems)


class NotReadyError(EnvspinError):
    """A service failed or was not ready by its deadline; ``service`` names it."""

    exit_code = 3

    def __init__(
        self, message: str, *, service: str = "", context: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, context=context, hint=hint)
        self.service = service


class EngineError(EnvspinError):
    """The container engine refused or failed a call."""

    exit_code = 4


class EngineUnreachableError(EngineError):
    """No container engine answers."""


class UnansweredError(EngineError):
    """A call was sent and no whole answer came: what it asked for may have happened, or may happen later."""


class ExhaustedError(EngineError):
    """No subnet or port is left; others may give theirs back."""


class ImageError(EngineError):
    """An image does not exist, or cannot be pulled or built."""


class ConflictError(EngineError):
    """A name, subnet or port is already taken."""


class ObjectNotFoundError(EngineError):
    """The container, network, volume or image is not there (any more)."""


class RegistryError(EngineError):
    """A registry did not answer, or refused."""


class PlatformMissingError(RegistryError):
    """The registry has the image, but not for a platform that was asked for."""


class ManifestNotFoundError(RegistryError):
    """The registry has no such repository, tag or digest."""


class LockError(EnvspinError):
    """The lock is missing, stale, or differs from what runs."""

    exit_code = 5


class EnvspinTimeout(EnvspinError):  # noqa: N818 - the name is part of the public surface
    """The deadline of the whole environment or command passed."""

    exit_code = 124


class Interrupted(EnvspinError):  # noqa: N818 - reads as what happened, like KeyboardInterrupt
    """The user or the system asked to stop: Ctrl-C, SIGTERM or SIGHUP."""

    exit_code = 130
