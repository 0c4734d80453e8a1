"""What a ready environment offers, as text: endpoints, exports, and where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envspin.cli.output import render_duration, render_image, render_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envspin.run.environment import Environment
    from envspin.run.service import ServiceHandle


def render_summary(environment: Environment) -> str:
    """Return endpoints, exports and times of an environment that has just become ready."""
    parts = [render_endpoints(environment.services)]
    if environment.masked_exports:
        parts.append(render_exports(environment.masked_exports))
    parts.append(render_times(environment.services, environment.critical_path, environment.ready_seconds))
    return "\n\n".join(parts)


def render_endpoints(services: Mapping[str, ServiceHandle]) -> str:
    """Return where each service is reached, its first port first."""
    rows = []
    for name, handle in services.items():
        reached = [(port, str(endpoint)) for port, endpoint in handle.endpoints.items()] or [("-", "-")]
        rows.append((name, *reached[0], render_image(handle)))
        rows.extend(("", *others, "") for others in reached[1:])
    return render_table(("SERVICE", "PORT", "REACHED AT", "IMAGE"), rows)


def render_exports(exports: Mapping[str, str]) -> str:
    """Return the exports, one on a line."""
    return "\n".join([click.style("EXPORTS", bold=True), *(f"{name}={value}" for name, value in exports.items())])


def render_times(services: Mapping[str, ServiceHandle], critical_path: Sequence[str], ready_seconds: float) -> str:
    """Return each service's times in the order of becoming ready; ``*`` marks the critical path."""
    critical = set(critical_path)
    rows = []
    for name, handle in sorted(services.items(), key=lambda item: _sort_key(item[1])):
        seconds = handle.seconds
        times = [_show(seconds.get(kind)) for kind in ("create", "start", "ready")]
        rows.append(("*" if name in critical else "", name, *times, _show(handle.started_at), _show(handle.ready_at)))
    headings = ("", "SERVICE", "CREATE", "START", "READY", "STARTED AT", "READY AT")
    table = render_table(headings, rows, right=frozenset(range(2, len(headings))))
    return f"{table}\n{_render_total([services[name] for name in critical_path if name in services], ready_seconds)}"


def _render_total(path: Sequence[ServiceHandle], ready_seconds: float) -> str:
    """Say how much of the whole the critical path took, and how much went by before its first start."""
    whole = f"{render_duration(ready_seconds)} in all"
    if not path:
        return whole
    chain = " -> ".join(handle.name for handle in path)
    begun = (path[0].started_at or 0.0) - path[0].seconds.get("start", 0.0)
    before = f"{render_duration(max(0.0, begun))} before it (images, networks, containers)"
    return f"* critical path: {chain}, {render_duration(sum(map(_sum_path, path)))}; {before}; {whole}"


def _sum_path(handle: ServiceHandle) -> float:
    return handle.seconds.get("start", 0.0) + handle.seconds.get("ready", 0.0)


def _sort_key(handle: ServiceHandle) -> float:
    return handle.ready_at if handle.ready_at is not None else float("inf")


def _show(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f}"
