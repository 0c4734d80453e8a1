"""Beginnings and ends of a run: a free name, a sweep of what others left, removal, and what a failed run leaves."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envspin.errors import EnvspinError, UsageError
from envspin.events import TeardownFinished, TeardownStarted
from envspin.run.diagnostics import KEEP_HINT
from envspin.run.janitor import grant_lease, list_environment, remove_environment, sweep
from envspin.run.naming import DEFAULT_TTL
from envspin.run.signals import shielded
from envspin.run.watcher.journal import NoJournal

if TYPE_CHECKING:
    from collections import Counter

    from envspin.engine.base import Engine
    from envspin.run.images import PullPolicy
    from envspin.run.naming import Identity
    from envspin.run.notifier import Notifier
    from envspin.run.watcher.journal import Journal


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What a run asks for beyond its topology and selection; times in seconds."""

    name: str | None = None
    timeout: float | None = None
    ttl: float | None = None
    pull: PullPolicy = "missing"
    keep_on_failure: bool = False
    no_wait: bool = False
    """Whether to fail at once where the engine has no subnet or port left, instead of waiting for others' to end."""


def tear_down(
    engine: Engine, env: str, notifier: Notifier, *, run_id: str | None = None, journal: Journal | None = None
) -> Counter[str]:
    """Remove everything of an environment (with ``run_id``: of that run), not broken off by further signals.

    Raises EngineError where something cannot be removed; a watcher goes on with it then.
    """
    began = time.monotonic()
    with shielded():
        notifier.tell(TeardownStarted(env))
        removed = _remove_or_abandon(engine, env, run_id, journal or NoJournal())
        notifier.tell(TeardownFinished(env, removed, time.monotonic() - began))
    return removed


def _remove_or_abandon(engine: Engine, env: str, run_id: str | None, journal: Journal) -> Counter[str]:
    try:
        removed = remove_environment(engine, env, run_id=run_id)
    except Exception as error:
        promise = journal.abandon()
        if isinstance(error, EnvspinError) and promise:
            error.context = (*error.context, promise)
        raise
    journal.close()
    return removed


def end_failed(
    engine: Engine,
    identity: Identity,
    options: UpOptions,
    notifier: Notifier,
    error: EnvspinError,
    journal: Journal | None = None,
) -> None:
    """Remove what a failed run made, or leave it for a look; whatever fails now must not hide the diagnosis."""
    try:
        if options.keep_on_failure:
            expires = time.time() + (DEFAULT_TTL if options.ttl is None else options.ttl)
            leave_running(engine, identity, expires, journal or NoJournal(), failed=True)
            _say_left(error, identity.env, expires)
        else:
            tear_down(engine, identity.env, notifier, run_id=identity.run_id, journal=journal)
    except EnvspinError as failure:
        error.context = (*error.context, f"and its removal failed: {failure.message}", *failure.context)


def _say_left(error: EnvspinError, env: str, expires: float) -> None:
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(expires))
    error.context = (*error.context, f"left running until {until}: `envspin logs {env}`, then `envspin down {env}`")
    error.hint = (error.hint or "").removesuffix(KEEP_HINT).removesuffix("; ") or None


def leave_running(
    engine: Engine, identity: Identity, expires: float, journal: Journal, *, failed: bool = False
) -> None:
    """Let an environment outlive its owner until ``expires``, a Unix time; raise EngineError."""
    grant_lease(engine, identity, expires=expires, failed=failed, journal=journal)
    journal.close()


def sweep_quietly(engine: Engine) -> None:
    """Remove what dead owners left; a sweep that fails must not fail the run beside it, the next start tries again."""
    with suppress(EnvspinError):
        sweep(engine)


def require_free(engine: Engine, name: str) -> None:
    """Raise UsageError where a living environment has this name already."""
    if list_environment(engine, name):
        sweep_quietly(engine)  # it may be what a dead owner left
    if list_environment(engine, name):
        raise UsageError(f"an environment named {name!r} exists already", hint=f"`envspin down {name}` removes it")
