"""A merged file -> `model.Topology`: reads every section, then checks what only the whole can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from envspin.model import Condition, Dependency, Network, NetworkAttachment, Service, Topology
from envspin.topology.checks import check_active, check_cycles, check_references, check_replicas
from envspin.topology.extension import read_service_extension, read_topology_extension
from envspin.topology.keys import (
    REPLACED_SERVICE_KEYS,
    TOP_LEVEL_EXTENSION_KEYS,
    UNSUPPORTED_TOP_LEVEL_KEYS,
    asks_for_nothing,
)
from envspin.topology.limits import SERVICES
from envspin.topology.nodes import Mapping, describe_kind, is_null
from envspin.topology.reader import EXTENSION_PREFIX, Reader
from envspin.topology.service import READERS, read_service
from envspin.topology.toplevel import DEFAULT_NETWORK, check_name, read_networks, read_sources, read_volumes
from envspin.topology.undeclared import note_undeclared

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Node, Scalar

TOP_LEVEL_KEYS = ("name", "version", "services", "networks", "volumes", "configs", "secrets", "include", "x-envspin")


def build_topology(
    root: Mapping, reader: Reader, *, name: str, files: Sequence[Path], profiles: Sequence[str]
) -> Topology:
    """Return the topology that ``root`` describes; raises ``TopologyError`` with every problem found."""
    check_top_level_keys(reader, root)
    drafts = _read_services(reader, root)
    networks, volumes, sources = read_networks(reader, root), read_volumes(reader, root), read_sources(reader, root)
    _join_default_network(drafts, networks)
    _replace_links(reader, drafts)
    check_references(reader, drafts, networks, volumes, sources)
    check_cycles(reader, drafts)
    check_replicas(reader, drafts, root.get("services"))
    active = check_active(reader, drafts, profiles)
    secrets = [key.partition(":")[2] for key in sources if key.startswith("secret:")]
    extension = read_topology_extension(reader, root, drafts, secrets)
    reader.report.raise_if_failed()
    undeclared = note_undeclared(reader.report, root, drafts.values())
    return Topology(
        name=name,
        directory=reader.directory,
        files=tuple(files),
        services=_finish_services(drafts),
        active=active,
        networks=networks,
        volumes=volumes,
        sources=sources,
        exports=extension.exports,
        timeout=extension.timeout,
        hermetic=extension.hermetic,
        matrix=extension.matrix,
        undeclared=undeclared,
        warnings=reader.report.warnings(),
    )


def check_top_level_keys(reader: Reader, root: Mapping) -> None:
    """Report the keys of a file's top level that are not supported, without effect, or unknown."""
    for key, entry in root.entries.items():
        if key in UNSUPPORTED_TOP_LEVEL_KEYS:
            if not asks_for_nothing(entry.value):
                reason = UNSUPPORTED_TOP_LEVEL_KEYS[key]
                reader.error("unsupported-key", f"`{key}` is not supported: {reason}", entry.key)
        elif key == "version":
            reader.warn("obsolete-key", "`version` has no effect", entry.key, "leave it out")
        elif key == "name":
            if not is_null(entry.value):
                reader.scalar(entry.value, "name")
        elif key not in TOP_LEVEL_KEYS and not key.startswith(EXTENSION_PREFIX):
            reader.unknown_key(entry.key, "", TOP_LEVEL_KEYS, TOP_LEVEL_EXTENSION_KEYS)
        elif key not in TOP_LEVEL_KEYS:
            reader.check_extension(entry.key)


def _read_services(reader: Reader, root: Mapping) -> dict[str, Draft]:
    drafts: dict[str, Draft] = {}
    node = root.get("services")
    services = None if node is None or is_null(node) else reader.mapping(node, "services")
    if node is None or is_null(node) or (services is not None and not services.entries):
        reader.error("missing-key", "there are no services", root, "name at least one under `services:`")
    if services:
        reader.report.charge(SERVICES, len(services.entries), services)
    for name, (key, value) in services.entries.items() if services else ():
        mapping = _read_mapping(reader, name, key, value)
        if check_name(reader, name, key) and mapping is not None:
            draft = read_service(reader, name, mapping, f"services.{name}", services)
            draft.fields["mark"] = key.mark
            read_service_extension(reader, draft)
            drafts[name] = draft
    return drafts


def _read_mapping(reader: Reader, name: str, key: Scalar, value: Node) -> Mapping | None:
    """Return a service's mapping; where there is none, its keys are probably indented too little."""
    if isinstance(value, Mapping):
        return value
    found = describe_kind(value)
    is_key = name in READERS or name in REPLACED_SERVICE_KEYS
    hint = f"`{name}` is a key of a service" if is_key else "the keys of a service stand below its name"
    message = f"`services.{name}` must be a mapping, but {found} was found"
    reader.error("wrong-type", message, value if is_key else key, f"{hint}, indented further than it")
    return None


def _join_default_network(drafts: dict[str, Draft], networks: dict[str, Network]) -> None:
    """Let services that name no network join the default one, as in Compose."""
    for draft in drafts.values():
        for each in (draft, draft.stub) if draft.stub else (draft,):
            if not each.fields.get("networks") and not each.fields.get("network_mode"):
                each.fields["networks"] = (NetworkAttachment(DEFAULT_NETWORK),)
                networks.setdefault(DEFAULT_NETWORK, Network(DEFAULT_NETWORK))
            elif any(at.network == DEFAULT_NETWORK for at in each.fields.get("networks", ())):
                networks.setdefault(DEFAULT_NETWORK, Network(DEFAULT_NETWORK))


def _replace_links(reader: Reader, drafts: dict[str, Draft]) -> None:
    """Turn `links` into aliases of the target on the networks, and into an order of start."""
    aliases: dict[str, dict[str, None]] = {}
    for draft in drafts.values():
        for target, alias, at in draft.links:
            if target not in drafts:
                reader.undefined("service", target, at, drafts)
                continue
            draft.depends_on.setdefault(target, (Dependency(target, Condition.STARTED), at))
            if alias != target and alias in drafts:
                message = f"the link's name `{alias}` is already the name of a service"
                reader.error("conflicting-keys", message, at)
            elif alias != target:
                aliases.setdefault(target, {})[alias] = None
    for target, names in aliases.items():
        for draft in filter(None, (drafts[target], drafts[target].stub)):
            _add_aliases(draft, names)


def _add_aliases(draft: Draft, names: Iterable[str]) -> None:
    draft.fields["networks"] = tuple(
        replace(attachment, aliases=tuple(dict.fromkeys((*attachment.aliases, *names))))
        for attachment in draft.fields.get("networks", ())
    )


def _finish_services(drafts: dict[str, Draft]) -> dict[str, Service]:
    jobs = {
        dependency.service
        for draft in drafts.values()
        for dependency, _ in draft.depends_on.values()
        if dependency.condition is Condition.COMPLETED
    }
    return {name: _finish(draft, job=name in jobs) for name, draft in drafts.items()}


def _finish(draft: Draft, *, job: bool) -> Service:
    fields = dict(draft.fields)
    fields["mounts"] = tuple(draft.mounts.values())
    fields["depends_on"] = tuple(dependency for dependency, _ in draft.depends_on.values())
    if draft.undeclared:
        fields["undeclared"] = tuple(draft.undeclared)
    if job:
        fields["job"] = True
    if draft.stub:
        fields["stub"] = _finish(draft.stub, job=job)
    return Service(name=draft.name, **fields)
