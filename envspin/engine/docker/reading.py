"""The engine's API documents as our own plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from envspin.engine.base import ContainerInfo, ImageInfo, RegistrySettings, Resource
from envspin.model import Healthcheck, Port

if TYPE_CHECKING:
    from collections.abc import Iterable

NANO = 1_000_000_000


def read_image(document: dict[str, Any], reference: str) -> ImageInfo:
    """Read ``GET /images/NAME/json``, as asked for by ``reference``."""
    config = document.get("Config") or {}
    return ImageInfo(
        id=str(document["Id"]),
        name=next(iter(document.get("RepoTags") or ()), ""),
        digest=_choose_digest(document.get("RepoDigests") or (), reference),
        digests=tuple(dict.fromkeys(entry.partition("@")[2] for entry in document.get("RepoDigests") or ())),
        ports=read_ports(config.get("ExposedPorts") or {}),
        volumes=tuple(config.get("Volumes") or {}),
        healthcheck=_read_healthcheck(config.get("Healthcheck")),
        environment=dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
        labels=dict(config.get("Labels") or {}),
        platform=f"{document.get('Os', '')}/{document.get('Architecture', '')}",
        size=int(document.get("Size") or 0),
    )


def _choose_digest(entries: Iterable[str], reference: str) -> str | None:
    # One image id can have come from many repositories, from each under a manifest digest of its own.
    found = dict(entry.split("@", 1) for entry in entries if "@" in entry)
    name, _, digest = reference.partition("@")
    if digest in found.values():
        return digest
    path, slash, last = name.rpartition("/")
    repository = f"{path}{slash}{last.partition(':')[0]}".removeprefix("docker.io/").removeprefix("library/")
    return found.get(repository, next(iter(found.values()), None) if reference.startswith("sha256:") else None)


def read_registry_settings(document: dict[str, Any]) -> RegistrySettings:
    """Read ``GET /info``."""
    config = document.get("RegistryConfig") or {}
    known: dict[str, dict[str, Any]] = config.get("IndexConfigs") or {}
    hosts = (name for name, each in known.items() if each.get("Secure") is False)
    return RegistrySettings(
        mirrors=tuple(config.get("Mirrors") or ()),
        insecure=(*(config.get("InsecureRegistryCIDRs") or ()), *hosts),
    )


def read_ports(names: Iterable[str]) -> tuple[Port, ...]:
    """Read ``{"5432/tcp": ...}`` in order of number."""
    ports = []
    for name in names:
        number, _, protocol = name.partition("/")
        ports.append(Port(int(number), cast("Any", protocol or "tcp")))
    return tuple(sorted(ports, key=lambda port: (port.container, port.protocol)))


def _read_healthcheck(document: dict[str, Any] | None) -> Healthcheck | None:
    if not document or not document.get("Test") or document["Test"] == ["NONE"]:
        return None

    def seconds(key: str) -> float | None:
        return document[key] / NANO if document.get(key) else None

    return Healthcheck(
        test=tuple(document["Test"]),
        interval=seconds("Interval"),
        timeout=seconds("Timeout"),
        retries=document.get("Retries") or None,
        start_period=seconds("StartPeriod"),
        start_interval=seconds("StartInterval"),
    )


def read_container(document: dict[str, Any]) -> ContainerInfo:
    """Read ``GET /containers/ID/json``."""
    state = document.get("State") or {}
    settings = document.get("NetworkSettings") or {}
    networks: dict[str, dict[str, Any]] = settings.get("Networks") or {}
    status = str(state.get("Status", ""))
    return ContainerInfo(
        id=str(document["Id"]),
        name=str(document.get("Name", "")).lstrip("/"),
        image=str((document.get("Config") or {}).get("Image", "")),
        image_id=str(document.get("Image", "")),
        labels=dict((document.get("Config") or {}).get("Labels") or {}),
        status=status,
        exit_code=int(state.get("ExitCode") or 0) if status in {"exited", "dead"} else None,
        oom_killed=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        published=_read_published(settings.get("Ports") or {}),
        addresses={name: each["IPAddress"] for name, each in networks.items() if each.get("IPAddress")},
    )


def _read_published(ports: dict[str, list[dict[str, str]] | None]) -> dict[str, int]:
    return {name: int(bindings[0]["HostPort"]) for name, bindings in ports.items() if bindings}


def read_listed_container(document: dict[str, Any]) -> Resource:
    """Read one entry of ``GET /containers/json``."""
    names = document.get("Names") or [""]
    return Resource(
        "container",
        str(document["Id"]),
        names[0].lstrip("/"),
        document.get("Labels") or {},
        str(document.get("State", "")),
    )


def read_listed_network(document: dict[str, Any]) -> Resource:
    """Read one entry of ``GET /networks``."""
    return Resource("network", str(document["Id"]), str(document["Name"]), document.get("Labels") or {})


def read_listed_volume(document: dict[str, Any]) -> Resource:
    """Read one entry of ``GET /volumes``; a volume's name is its id."""
    return Resource("volume", str(document["Name"]), str(document["Name"]), document.get("Labels") or {})


def read_subject(event: dict[str, Any]) -> str:
    """Return the name of what an event is about; a volume's is its id."""
    actor = event.get("Actor") or {}
    return str((actor.get("Attributes") or {}).get("name") or actor.get("ID") or "")
