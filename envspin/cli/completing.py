"""Dynamic completion: names of environments and services, from the engine and from Compose files.

Completion never fails and never prints: where no engine answers or a file is wrong, there is nothing to offer.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.cli import context as cli_context
from envspin.errors import EnvspinError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import click
    from click.shell_completion import CompletionItem

_PLAIN = re.compile(r"\w[\w.+@-]*")
"""File names that need no quotes in any shell; hidden ones are not offered."""


def complete_environments(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the environments that exist."""
    return _beginning(incomplete, _list_services())


def complete_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer environments first, then the services of the one that was named, or of all while none is."""
    given = context.params.get(str(parameter.name)) or ()
    environments = _list_services()
    if given:
        named = environments.get(str(given[0]), ())
        return _beginning(incomplete, named) if len(given) == 1 else []
    services = sorted({service for names in environments.values() for service in names})
    return _beginning(incomplete, [*environments, *services])


def complete_topology_services(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the services of the topology that the call names."""
    return _beginning(incomplete, _read_services(context))


def complete_pins(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the services of the topology, each with an ``=`` to write the image after."""
    return _beginning(incomplete, (f"{name}=" for name in _read_services(context)))


def complete_baselines(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer what a lock is held against: registries, environments and files."""
    if "/" in incomplete:
        return offer_beside_files(incomplete, {})
    return offer_beside_files(incomplete, {"registry": "what tags stand for now", **dict.fromkeys(_list_services())})


def offer_beside_files(incomplete: str, words: Mapping[str, str | None]) -> list[CompletionItem]:
    """Offer words (with what each means) and files."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - not needed for a help

    items = [CompletionItem(word, help=text) for word, text in words.items() if word.startswith(incomplete)]
    if not items:
        return [CompletionItem(incomplete, type="file")]
    # Told to complete files, bash forgets all other words, or takes files only where there are none.
    return [*items, *(CompletionItem(name) for name in _list_files(incomplete) if name not in words)]


def _list_files(incomplete: str) -> list[str]:
    """Return what in this folder begins so, but what a shell would not take as it is written."""
    try:
        entries = sorted(os.scandir(), key=lambda entry: entry.name)
    except OSError:
        return []
    plain = (each for each in entries if each.name.startswith(incomplete) and _PLAIN.fullmatch(each.name))
    return [f"{each.name}/" if each.is_dir() else each.name for each in plain]


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _list_services() -> dict[str, tuple[str, ...]]:
    """Return the services of each environment."""
    from envspin.run.inventory import list_environments  # noqa: PLC0415 - not needed for a help

    try:
        with cli_context.open_engine() as engine:
            return {each.env: tuple(each.services) for each in list_environments(engine)}
    except EnvspinError:
        return {}


def _read_services(context: click.Context) -> list[str]:
    # While an option still lacks its value, click leaves FILE among the words that it has not read.
    file = context.params.get("file") or next(iter(context.args), None)
    paths = ([file] if file else []) + list(context.params.get("files") or ())
    request = cli_context.TopologyRequest(paths=tuple(map(Path, paths)) or (Path(),), allow_unsafe=True)
    try:
        return list(request.load().services)
    except EnvspinError:
        return []
