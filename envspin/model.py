"""What a topology is, as frozen data: services, probes, mounts, networks, and where each was written.

Units throughout: durations are seconds (float), sizes are bytes (int), paths on the host are absolute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from envspin.problems import Mark, Problem

DEFAULT_READY_TIMEOUT = 60.0
"""Seconds a service may take to become ready when its topology does not say."""


class Condition(StrEnum):
    """What a dependency must have reached before its dependent starts (Compose's ``depends_on`` conditions)."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class Dependency:
    """One entry of ``depends_on``.

    The short form says no condition; envspin then waits until the dependency has proved ready. ``explicit`` tells a
    written ``service_started`` (honoured literally: started is enough) from the short form.
    """

    service: str
    condition: Condition = Condition.STARTED
    explicit: bool = False
    required: bool = True

    @property
    def waits_for_ready(self) -> bool:
        """Whether the dependent waits for readiness (or completion) rather than for the mere start."""
        return self.condition is not Condition.STARTED or not self.explicit


@dataclass(frozen=True, slots=True)
class Build:
    """How to build a service's image: Compose's ``build`` section."""

    context: Path
    dockerfile: str = "Dockerfile"
    dockerfile_inline: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None
    extra_hosts: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    shm_size: int | None = None

    @property
    def only_platform(self) -> str | None:
        """The platform that it is for where it names one alone; of several the engine takes its own."""
        return self.platforms[0] if len(self.platforms) == 1 else None


@dataclass(frozen=True, slots=True)
class Port:
    """A published container port; the engine chooses the host port on loopback."""

    container: int
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    published: str = field(default="", compare=False)
    """The fixed address on the host that the file asks for, which a free one replaces; empty where it asks for none."""

    def __str__(self) -> str:
        return f"{self.container}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Mount:
    """A named volume, bind, tmpfs or anonymous volume at ``target`` in the container."""

    kind: Literal["volume", "bind", "tmpfs", "anonymous"]
    target: str
    source: str | None = None
    """The volume's key in the topology, or the absolute host path of a bind."""
    read_only: bool = False
    nocopy: bool = False
    create_host_path: bool = True
    tmpfs_size: int | None = None
    tmpfs_mode: int | None = None


@dataclass(frozen=True, slots=True)
class FileSource:
    """Where a top-level config or secret gets its bytes from: exactly one of the fields is set."""

    name: str
    kind: Literal["config", "secret"]
    file: Path | None = None
    content: str | None = None
    environment: str | None = None
    generate: int | None = None
    """Length of a random value made anew for each environment (``x-envspin: {generate: N}``)."""
    mark: Mark | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FileGrant:
    """A config or secret given to a service as a file at ``target``."""

    source: str
    kind: Literal["config", "secret"]
    target: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Compose's ``healthcheck``; ``test`` is None where only timings override the image's own check."""

    test: tuple[str, ...] | None = None
    """``("CMD", ...)``, ``("CMD-SHELL", line)`` or ``("NONE",)``."""
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    start_interval: float | None = None
    disable: bool = False


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Ready when a connection to ``port`` is accepted and stays open."""

    port: int


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Ready when a request is answered with an accepted status and, if asked, a matching body."""

    port: int
    path: str = "/"
    status: tuple[int, ...] = ()
    """Accepted status codes; empty means any of 200 to 399."""
    body: str | None = None
    """A regular expression that must be found in the body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    tls: bool = False


@dataclass(frozen=True, slots=True)
class LogProbe:
    """Ready when ``pattern`` has been seen in ``times`` log lines."""

    pattern: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class ExecProbe:
    """Ready when ``command`` exits with 0 inside the container."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HealthcheckProbe:
    """Ready when the service's own healthcheck, executed by us at our pace, exits with 0."""


@dataclass(frozen=True, slots=True)
class PostgresProbe:
    """Ready when the server answers ``SELECT 1`` over TCP."""

    port: int = 5432
    user: str = "postgres"
    database: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MysqlProbe:
    """Ready when the server greets with its protocol handshake over TCP."""

    port: int = 3306


@dataclass(frozen=True, slots=True)
class RedisProbe:
    """Ready when ``PING`` is answered by ``PONG`` (not by ``LOADING``)."""

    port: int = 6379
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AmqpProbe:
    """Ready when an AMQP 0-9-1 connection to ``vhost`` opens."""

    port: int = 5672
    user: str = "guest"
    password: str = field(default="guest", repr=False)
    vhost: str = "/"


@dataclass(frozen=True, slots=True)
class GrpcProbe:
    """Ready when ``grpc.health.v1.Health/Check`` says SERVING for ``service``."""

    port: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class RunningProbe:
    """Ready when the container has been running for ``seconds`` without a stop: nothing better is known."""

    seconds: float = 0.3


@dataclass(frozen=True, slots=True)
class CompletedProbe:
    """Ready when the container has exited with code 0: the service is a job."""


Probe = (
    TcpProbe
    | HttpProbe
    | LogProbe
    | ExecProbe
    | HealthcheckProbe
    | PostgresProbe
    | MysqlProbe
    | RedisProbe
    | AmqpProbe
    | GrpcProbe
    | RunningProbe
    | CompletedProbe
)


@dataclass(frozen=True, slots=True)
class ResetStrategy:
    """How a service returns to its just-ready state between tests (``x-envspin.reset``)."""

    kind: Literal["postgres", "redis", "mysql", "amqp", "exec", "restart", "recreate"]
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkAttachment:
    """A service's membership of a network."""

    network: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A resource limit of the container's processes."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits on what a container may use; None means no limit of its own."""

    memory: int | None = None
    memory_reservation: int | None = None
    cpus: float | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a topology, merged, interpolated and validated.

    ``ready`` holds the probes that were written; an empty tuple means that planning chooses (the healthcheck, else
    tcp on each port, else that the container stays running).
    """

    name: str
    image: str | None = None
    build: Build | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    ports: tuple[Port, ...] = ()
    expose: tuple[Port, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    healthcheck: Healthcheck | None = None
    mounts: tuple[Mount, ...] = ()
    grants: tuple[FileGrant, ...] = ()
    networks: tuple[NetworkAttachment, ...] = ()
    """In the order written; empty only with ``network_mode: none``."""
    network_mode: str | None = None
    profiles: tuple[str, ...] = ()
    replicas: int = 1
    """How many containers of it run behind its name; 0 leaves it out."""
    replica_of: str | None = None
    """The service that this one is a further container of; set by planning only."""
    platform: str | None = None
    user: str | None = None
    working_dir: str | None = None
    init: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str | None = None
    stop_grace_period: float | None = None
    extra_hosts: tuple[str, ...] = ()
    """``name:address`` pairs."""
    hostname: str | None = None
    domainname: str | None = None
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    security_opt: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    tty: bool = False
    stdin_open: bool = False
    privileged: bool = False
    pid: str | None = None
    ipc: str | None = None
    ready: tuple[Probe, ...] = ()
    timeout: float | None = None
    job: bool = False
    stub: Service | None = None
    reset: ResetStrategy | None = None
    snapshot: bool = False
    mark: Mark | None = field(default=None, compare=False)
    undeclared: tuple[str, ...] = field(default=(), compare=False)
    """Variables that the service's text uses or hands on, and that nothing sets."""


def replica_names(service: str, replicas: int) -> list[str]:
    """Return how the containers of a service are called on its networks where it has several: ``web-1``, ``web-2``."""
    return [f"{service}-{number}" for number in range(1, replicas + 1)] if replicas > 1 else []


@dataclass(frozen=True, slots=True)
class Network:
    """A network of the topology; made anew for each environment."""

    name: str
    internal: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    external: bool = False
    external_name: str | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """A named volume of the topology; made anew for each environment."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    driver: str | None = None
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    external: bool = False
    external_name: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a topology was loaded from, so that it can be loaded again with other values of variables."""

    paths: tuple[Path, ...]
    """A Compose file and what is laid over it."""
    environ: Mapping[str, str] = field(repr=False)
    env_files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Topology:
    """A dependency graph of services, ready to be planned.

    ``services`` holds every service that was written; ``active`` names those that take part: not those of inactive
    profiles, nor those with no replicas.
    """

    name: str
    directory: Path
    files: tuple[Path, ...] = ()
    """All that were read, with what they include and extend."""
    origin: Origin | None = field(default=None, compare=False, repr=False)
    """What it was loaded from; None for one that was not."""
    services: Mapping[str, Service] = field(default_factory=dict)
    active: frozenset[str] = frozenset()
    networks: Mapping[str, Network] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    sources: Mapping[str, FileSource] = field(default_factory=dict)
    """Top-level configs and secrets, keyed ``config:NAME`` and ``secret:NAME``."""
    exports: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    hermetic: bool = False
    matrix: Mapping[str, object] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """What interpolation saw: configs and secrets with an ``environment`` source read it too."""
    undeclared: tuple[str, ...] = field(default=(), compare=False)
    """Variables that the text outside of services uses, and that nothing sets."""
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the test process reaches a container port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
