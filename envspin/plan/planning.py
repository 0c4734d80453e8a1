"""Topology and options in, plan out: every operation, what it waits for, and why it is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from envspin.errors import UsageError
from envspin.model import Condition
from envspin.plan.readiness import known_ports
from envspin.plan.selection import Selection, select_services
from envspin.plan.sources import ImageSource, collect_images, find_unlocked, lock_source
from envspin.plan.traversal import find_dependencies, measure_depths, sort_by_needs
from envspin.topology.garbage import without_collection
from envspin.topology.templates import ServiceField, parse_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envspin.model import Dependency, Service, Topology
    from envspin.plan.lock import Lock

Pin = Literal["set", "locked", "built", "unlocked"]
OperationKind = Literal["network", "volume", "image", "create", "start", "ready"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One step towards the environment.

    ``needs`` must have succeeded before it begins; ``wants`` are waited for, but may fail (``required: false``).
    """

    kind: OperationKind
    subject: str
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    cause: str = ""

    @property
    def id(self) -> str:
        """Name the operation uniquely within its plan."""
        return f"{self.kind}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``up`` will do, in an order in which it may be done."""

    topology: Topology
    services: Mapping[str, Service]
    operations: tuple[Operation, ...]
    images: Mapping[str, ImageSource]
    optional: frozenset[str] = frozenset()
    """Services whose failure only leaves their dependents without them (each says ``required: false``)."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    """Services whose image was replaced for this run, with that image."""
    unlocked: tuple[str, ...] = ()
    """The keys of images that the topology's lock should pin and does not; empty where there is no lock."""
    depths: Mapping[str, int] = field(default_factory=dict)
    """How long the longest chain of services below each one is; they are removed from the top."""

    def find_source(self, service: str) -> ImageSource:
        """Return how a service's image is had."""
        return next(each for each in self.images.values() if service in each.services)

    def describe_pin(self, service: str) -> Pin:
        """Say what holds a service's image: this run's choice, the lock, a build here, or nothing but its name."""
        name = self.services[service].replica_of or service
        if name in self.pins:
            return "set"
        source = self.find_source(service)
        return "locked" if source.locked is not None else "built" if source.build is not None else "unlocked"

    def __str__(self) -> str:
        return "\n".join(_render_lines(self))


@without_collection()
def make_plan(topology: Topology, selection: Selection | None = None, lock: Lock | None = None) -> Plan:
    """Work out every operation for the selected services, with their images as ``lock`` says.

    Raises UsageError for a selection that names unknown services or leaves nothing to start.
    """
    selection = selection or Selection()
    selected = select_services(topology, selection)
    if not selected.services:
        raise UsageError(
            f"topology {topology.name} has no service to start",
            hint="every service has an inactive profile (choose one with --profile) or no replicas",
        )
    depths = measure_depths(find_dependencies(selected.services))  # raises where a stub has closed a cycle
    check_exports(topology, selected.services)
    images = collect_images(topology, selected.services)
    if lock is not None:
        images = {key: lock_source(source, lock, selection) for key, source in images.items()}
    unsorted = {operation.id: operation for operation in _list_operations(topology, selected.services, images)}
    order = sort_by_needs({id_: (*each.needs, *each.wants) for id_, each in unsorted.items()})
    return Plan(
        topology=topology,
        services=selected.services,
        operations=tuple(unsorted[id_] for id_ in order),
        images=images,
        optional=_find_optional(selected.services),
        left_out=selected.left_out,
        pins=dict(selection.pins),
        unlocked=tuple(find_unlocked(images, lock, selection)) if lock is not None else (),
        depths=depths,
    )


def check_exports(topology: Topology, services: Mapping[str, Service]) -> None:
    """Raise UsageError for an export of a port that its service will not have, as far as that is known now.

    Where a service names no ports, those of its image count, which nobody has looked at yet.
    """
    for variable, template in topology.exports.items():
        for part in parse_template(template):
            if not isinstance(part, ServiceField) or part.port is None or part.service not in services:
                continue
            ports = known_ports(services[part.service], ())
            if ports and part.port not in {port.container for port in ports}:
                raise UsageError(
                    f"export {variable}: service {part.service} does not publish port {part.port}",
                    hint=f"list the port under services.{part.service}.ports",
                )


def _list_operations(
    topology: Topology, services: Mapping[str, Service], images: Mapping[str, ImageSource]
) -> Iterator[Operation]:
    image_of = {name: source.key for source in images.values() for name in source.services}
    for network in used_networks(services):
        if not topology.networks[network].external:
            yield Operation("network", network, cause=f"joined by {_join(_members(services, network))}")
    for volume in used_volumes(services):
        if not topology.volumes[volume].external:
            yield Operation("volume", volume, cause="named volume")
    for source in images.values():
        yield Operation("image", source.key, cause=f"{source.describe()}, for {_join(source.services)}")
    for service in services.values():
        yield _plan_create(topology, service, image_of[service.name])
        yield _plan_start(service, services)
        yield Operation("ready", service.name, (f"start:{service.name}",), cause=_explain_ready(service))


def used_networks(services: Mapping[str, Service]) -> list[str]:
    """Return the networks that these services join, in order of first use."""
    return list(dict.fromkeys(each.network for service in services.values() for each in service.networks))


def used_volumes(services: Mapping[str, Service]) -> list[str]:
    """Return the named volumes that these services mount, in order of first use."""
    mounts = (mount for service in services.values() for mount in service.mounts if mount.kind == "volume")
    return list(dict.fromkeys(str(mount.source) for mount in mounts))


def _members(services: Mapping[str, Service], network: str) -> list[str]:
    return [name for name, service in services.items() if any(each.network == network for each in service.networks)]


def _plan_create(topology: Topology, service: Service, image: str) -> Operation:
    networks = [f"network:{each.network}" for each in service.networks if not topology.networks[each.network].external]
    volumes = [
        f"volume:{mount.source}"
        for mount in service.mounts
        if mount.kind == "volume" and not topology.volumes[str(mount.source)].external
    ]
    needs = (f"image:{image}", *networks, *dict.fromkeys(volumes))
    return Operation("create", service.name, needs, cause="created at once; only the start waits")


def _plan_start(service: Service, services: Mapping[str, Service]) -> Operation:
    present = [each for each in service.depends_on if each.service in services]
    needs = tuple(_reached(each) for each in present if each.required)
    wants = tuple(_reached(each) for each in present if not each.required)
    awaited = _join([_describe_dependency(each, services) for each in present])
    cause = f"after {awaited}" if awaited else "waits for nothing"
    return Operation("start", service.name, (f"create:{service.name}", *needs), wants, cause)


def _reached(dependency: Dependency) -> str:
    return f"{'ready' if dependency.waits_for_ready else 'start'}:{dependency.service}"


def _describe_dependency(dependency: Dependency, services: Mapping[str, Service]) -> str:
    if not dependency.waits_for_ready:
        return f"{dependency.service} has started"
    completed = dependency.condition is Condition.COMPLETED or services[dependency.service].job
    return f"{dependency.service} {'has completed' if completed else 'is ready'}"


def _explain_ready(service: Service) -> str:
    if service.job:
        return "a job: ready when it has exited with 0"
    if service.ready:
        kinds = [type(probe).__name__.removesuffix("Probe").lower() for probe in service.ready]
        return f"by its {' and '.join(kinds)} probe"
    return "by its healthcheck" if service.healthcheck else "by its image's healthcheck, its ports, or that it stays up"


def _find_optional(services: Mapping[str, Service]) -> frozenset[str]:
    uses: dict[str, list[bool]] = {}
    for service in services.values():
        for dependency in service.depends_on:
            uses.setdefault(dependency.service, []).append(dependency.required)
    return frozenset(name for name, required in uses.items() if name in services and not any(required))


def _join(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names)


def _render_lines(plan: Plan) -> Iterator[str]:
    kinds = [operation.kind for operation in plan.operations]
    counts = [(len(plan.services), "service"), (kinds.count("network"), "network"), (kinds.count("volume"), "volume")]
    counted = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    yield f"plan for {plan.topology.name}: {counted}"
    width = max(len(operation.subject) for operation in plan.operations)
    for number, operation in enumerate(plan.operations, 1):
        yield f"{number:4}  {operation.kind:<8}{operation.subject:<{width}}  {operation.cause}".rstrip()
    for name, image in plan.pins.items():
        source = next((each for each in plan.images.values() if name in each.services), None)
        lock = " (locked, too)" if source is not None and source.locked is not None else ""
        yield f"pinned: {name} runs {image}, set for this run{lock}"
    for key in plan.unlocked:
        yield f"not locked: {key}, for {_join(plan.images[key].services)}"
    for name, reason in plan.left_out.items():
        yield f"left out: {name} ({reason})"
