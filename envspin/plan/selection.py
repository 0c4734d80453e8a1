"""Which services take part, with which image, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from envspin.errors import UsageError
from envspin.plan.replicas import expand_replicas
from envspin.plan.traversal import collect_reachable, find_dependencies
from envspin.topology.formats import to_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envspin.model import Service, Topology


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run asks of a topology beyond its file.

    ``only`` names services that are wanted (with what they need; empty means all), ``stub`` those whose declared
    stub takes their place, ``pins`` maps services to images that replace what was written.
    """

    only: tuple[str, ...] = ()
    stub: tuple[str, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selected:
    """The services that take part, and the reason for each that does not."""

    services: Mapping[str, Service]
    left_out: Mapping[str, str]


def select_services(topology: Topology, selection: Selection) -> Selected:
    """Apply a selection to a topology; raise UsageError for unknown services and undeclared stubs."""
    _check_names(topology, selection)
    written = {name: topology.services[name] for name in topology.services if name in topology.active}
    wanted = _activate_named(topology, written, selection.only)
    changed = {name: _replace_service(service, selection) for name, service in wanted.items()}
    kept = _keep_needed(wanted, changed, selection)
    left_out = {
        name: _explain_absence(name, topology, written, selection) for name in topology.services if name not in kept
    }
    return Selected(expand_replicas({name: changed[name] for name in changed if name in kept}), left_out)


def _check_names(topology: Topology, selection: Selection) -> None:
    for option, names in (("only", selection.only), ("stub", selection.stub), ("set", selection.pins)):
        for name in names:
            if name not in topology.services:
                raise UsageError(
                    f"{option}: topology {topology.name} has no service {name!r}",
                    hint=suggest_name(name, topology.services),
                )
    check_images(selection.pins)
    for name in selection.stub:
        if topology.services[name].stub is None:
            raise UsageError(
                f"stub: service {name!r} declares no stub",
                hint=f"declare one under services.{name}.x-envspin.stub",
            )


def check_images(pins: Mapping[str, str]) -> None:
    """Raise UsageError for a pin that is no reference of an image."""
    for name, image in pins.items():
        try:
            to_image(image)
        except ValueError as error:
            raise UsageError(f"set: the image of {name!r}: {image!r} {error}") from None


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest known name, else all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(names)}" if names else "there are none"


def _activate_named(topology: Topology, active: Mapping[str, Service], only: Iterable[str]) -> dict[str, Service]:
    """Add inactive services that were asked for by name, as Compose does with those of profiles."""
    named = dict(active)
    for name in only:
        named[name] = topology.services[name]
    return {name: named[name] for name in topology.services if name in named}


def _replace_service(service: Service, selection: Selection) -> Service:
    if service.name in selection.stub and service.stub is not None:
        service = service.stub
    image = selection.pins.get(service.name)
    return service if image is None else replace(service, image=image, build=None)


def _keep_needed(wanted: Mapping[str, Service], changed: Mapping[str, Service], selection: Selection) -> set[str]:
    after = find_dependencies(changed)
    if selection.only:
        return collect_reachable(after, selection.only)
    # Without `only` everything takes part but what a stubbed service alone needed.
    before = find_dependencies(wanted)
    replaced = collect_reachable(before, [need for name in selection.stub for need in before[name]])
    return collect_reachable(after, [name for name in changed if name not in replaced or name in selection.stub])


def _explain_absence(name: str, topology: Topology, active: Mapping[str, Service], selection: Selection) -> str:
    if name not in active:
        if topology.services[name].replicas == 0:
            return "it has no replicas"
        return f"its profiles are inactive: {', '.join(topology.services[name].profiles)}"
    if selection.only:
        return f"not needed by {', '.join(selection.only)}"
    return f"only the real {', '.join(selection.stub)} needs it"
