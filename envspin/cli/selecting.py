"""Which environment a call means where ENV may be left out in front of other words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envspin.errors import TopologyError, UsageError
from envspin.run.environment import Environment
from envspin.run.inventory import find_environment, list_environments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envspin.engine.base import Engine

_PORT = re.compile(r"[0-9]{1,5}(/(tcp|udp|sctp))?")


def open_environment(engine: Engine, selector: str | None) -> Environment:
    """Open the environment meant by a selector, the only one for None; raise UsageError where it is not clear."""
    return Environment.open(find_environment(engine, selector).env, engine=engine)


def take_environment(engine: Engine, words: Sequence[str]) -> tuple[Environment, list[str]]:
    """Return the environment and the words after it.

    The first word is the environment if it names one, by name, beginning or topology folder; else all words are left
    and the environment is the only one there is.
    """
    if words and _names_environment(engine, words[0]):
        return open_environment(engine, words[0]), list(words[1:])
    return open_environment(engine, None), list(words)


def take_service(engine: Engine, words: Sequence[str]) -> tuple[Environment, str]:
    """Read ``[ENV] SERVICE``."""
    *selector, service = words
    return open_environment(engine, selector[0] if selector else None), service


def take_port(engine: Engine, words: Sequence[str]) -> tuple[Environment, str, str | None]:
    """Read ``[ENV] SERVICE [PORT]``: of two words, the second is a port if it is a number."""
    rest = list(words)
    port = rest.pop() if len(rest) > 1 and _PORT.fullmatch(rest[-1]) else None
    if len(rest) > 2:  # noqa: PLR2004 - ENV and SERVICE
        raise UsageError(f"{rest[-1]!r} is no port", hint="write a container port such as 5432 or 53/udp")
    environment, service = take_service(engine, rest)
    return environment, service, port


def _names_environment(engine: Engine, word: str) -> bool:
    if any(each.env.startswith(word) for each in list_environments(engine)):
        return True
    try:
        find_environment(engine, word)
    except (UsageError, TopologyError):
        return False
    return True
