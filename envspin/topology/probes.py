"""`x-envspin.ready`: mappings with one key, the kind -> `model.Probe`."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from envspin.model import (
    AmqpProbe,
    ExecProbe,
    GrpcProbe,
    HealthcheckProbe,
    HttpProbe,
    LogProbe,
    MysqlProbe,
    PostgresProbe,
    RedisProbe,
    TcpProbe,
)
from envspin.topology import values
from envspin.topology.limits import PATTERNS
from envspin.topology.nodes import Mapping, Scalar, Sequence, describe_kind, is_null
from envspin.topology.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Mapping_

    from envspin.model import Probe
    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Node, Place

_STATUS_RANGE = re.compile(r"([1-5])xx", re.IGNORECASE)


class _Context(NamedTuple):
    """A probe's surroundings: who asks, for which service, and how messages call the place."""

    reader: Reader
    draft: Draft
    what: str

    @property
    def environment(self) -> Mapping_[str, str]:
        """The service's variables."""
        found: Mapping_[str, str] = self.draft.fields.get("environment", {})
        return found

    def fields(self, node: Node, readers: dict[str, Callable[[Reader, Node, str], object]]) -> dict[str, Any]:
        """Return the values of a probe's own keys; null and true stand for none."""
        if is_null(node) or (isinstance(node, Scalar) and node.text == "true"):
            return {}
        found = {}
        for key, entry in self.reader.keys(node, self.what, readers):
            value = readers[key](self.reader, entry.value, f"{self.what}.{key}")
            if value is not None:
                found[key] = value
        return found


def read_probes(reader: Reader, draft: Draft, node: Node, what: str) -> tuple[Probe, ...]:
    """Return the probes of `ready`: one, or a list of which all must pass."""
    items = node.items if isinstance(node, Sequence) else [node]
    if not items:
        reader.error("bad-probe", f"`{what}` holds no probe", node, "leave it out for the default")
    probes = (_read_probe(reader, draft, item, what) for item in items)
    return tuple(probe for probe in probes if probe is not None)


def _read_probe(reader: Reader, draft: Draft, node: Node, what: str) -> Probe | None:
    if isinstance(node, Scalar) and node.text in PROBES and not node.is_null:
        return PROBES[node.text](_Context(reader, draft, f"{what}.{node.text}"), _nothing(node))
    if not isinstance(node, Mapping):
        message = f"`{what}` must be a probe such as {{tcp: 5432}}, but {describe_kind(node)} was found"
        reader.error("bad-probe", message, node, "the kinds are " + ", ".join(PROBES))
        return None
    if len(node.entries) != 1:
        message = f"a probe of `{what}` must have one key, its kind"
        reader.error("bad-probe", message, node, "several probes are a list: [{tcp: 80}, {log: started}]")
        return None
    kind, entry = next(iter(node.entries.items()))
    if kind not in PROBES:
        reader.unknown_key(entry.key, what, PROBES)
        return None
    return PROBES[kind](_Context(reader, draft, f"{what}.{kind}"), entry.value)


def _nothing(node: Scalar) -> Scalar:
    return Scalar(node.document, node.line, node.column, "")


def _port(reader: Reader, node: Node, what: str) -> int | None:
    return reader.integer(node, what, 1, values.MAX_PORT)


def _only_port(context: _Context, at: Place) -> int | None:
    """Return the service's port if it has exactly one; otherwise the probe must say which."""
    declared = [*context.draft.fields.get("ports", ()), *context.draft.fields.get("expose", ())]
    ports = sorted({port.container for port in declared if port.protocol == "tcp"})
    if len(ports) == 1:
        return int(ports[0])
    found = "declares " + (f"several ({', '.join(map(str, ports))})" if ports else "none")
    message = f"`{context.what}` names no port, and `{context.draft.name}` {found}"
    context.reader.error("ambiguous-port", message, at, "say which one: port: 8080")
    return None


def _read_tcp(context: _Context, node: Node) -> Probe | None:
    if isinstance(node, Scalar) and not node.is_null:
        port = _port(context.reader, node, context.what)
        return TcpProbe(port) if port is not None else None
    fields = context.fields(node, {"port": _port})
    port = fields.get("port") or _missing_port(context, node)
    return TcpProbe(port) if port is not None else None


def _missing_port(context: _Context, node: Node) -> int | None:
    """Return the service's only port where the probe gives none (a faulty one is already reported)."""
    given = isinstance(node, Mapping) and not is_null(node.get("port"))
    return None if given else _only_port(context, node)


def _status(reader: Reader, node: Node, what: str) -> tuple[int, ...] | None:
    codes: list[int] = []
    for item in node.items if isinstance(node, Sequence) else [node]:
        scalar = reader.scalar(item, what, "a status code or a list of them")
        whole = _STATUS_RANGE.fullmatch(scalar.text) if scalar else None
        if whole:
            first = int(whole.group(1)) * 100
            codes += range(first, first + 100)
        elif scalar:
            code = reader.integer(scalar, what, 100, 599)
            codes += [] if code is None else [code]
    return tuple(codes)


def _regex(reader: Reader, node: Node, what: str) -> str | None:
    text = reader.name(node, what)
    if text is None:
        return None
    reader.report.charge(PATTERNS, len(text), node)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        reason = "" if isinstance(node, Scalar) and node.raw is not None else f": {error}"
        reader.error("bad-probe", f"`{what}` is not a regular expression{reason}", node)
        return None
    return text


def _http_path(reader: Reader, node: Node, what: str) -> str | None:
    path = reader.name(node, what)
    if path is not None and not path.startswith("/"):
        reader.error("bad-probe", f"`{what}` must begin with `/`", node)
        return None
    return path


def _method(reader: Reader, node: Node, what: str) -> str | None:
    method = reader.name(node, what)
    if method is not None and not re.fullmatch(r"[A-Za-z]{1,20}", method):
        reader.error("bad-probe", f"`{what}` is not a method of HTTP", node)
        return None
    return method.upper() if method else None


def _read_http(context: _Context, node: Node) -> Probe | None:
    if isinstance(node, Scalar) and not node.is_null and node.text.startswith("/"):
        only = _only_port(context, node)
        return HttpProbe(only, node.text) if only is not None else None
    if isinstance(node, Scalar) and node.text.isdigit():
        port = _port(context.reader, node, context.what)
        return HttpProbe(port) if port is not None else None
    fields = context.fields(
        node,
        {
            "port": _port,
            "path": _http_path,
            "status": _status,
            "body": _regex,
            "headers": Reader.settings,
            "method": _method,
            "tls": Reader.boolean,
        },
    )
    port = fields.pop("port", None) or _missing_port(context, node)
    return HttpProbe(port, **fields) if port is not None else None


def _read_log(context: _Context, node: Node) -> Probe | None:
    if isinstance(node, Scalar) and not node.is_null:
        pattern = _regex(context.reader, node, context.what)
        return LogProbe(pattern) if pattern else None
    fields = context.fields(
        node, {"pattern": _regex, "times": lambda reader, value, what: reader.integer(value, what, 1)}
    )
    if "pattern" not in fields:
        if not isinstance(node, Mapping) or is_null(node.get("pattern")):
            context.reader.error("missing-key", f"`{context.what}` has no `pattern`", node)
        return None
    return LogProbe(**fields)


def read_command(reader: Reader, node: Node, what: str) -> tuple[str, ...] | None:
    """Return a command for `exec`: a list of words, or a line for the container's shell."""
    if isinstance(node, Scalar):
        line = reader.name(node, what)
        return ("/bin/sh", "-c", line) if line else None
    words = reader.strings(node, what)
    if not words:
        if isinstance(node, Sequence):
            reader.error("bad-value", f"`{what}` is an empty command", node)
        return None
    return words


def _read_exec(context: _Context, node: Node) -> Probe | None:
    command = read_command(context.reader, node, context.what)
    return ExecProbe(command) if command else None


def _read_healthcheck(context: _Context, node: Node) -> Probe | None:
    context.fields(node, {})
    check = context.draft.fields.get("healthcheck")
    if check is not None and check.disable:
        message = f"`{context.what}` needs the healthcheck, which `{context.draft.name}` disables"
        context.reader.error("bad-probe", message, node)
    return HealthcheckProbe()


def _read_postgres(context: _Context, node: Node) -> Probe | None:
    given = _port_or_fields(context, node, ("user", "database", "password"))
    known = context.environment
    user = known.get("POSTGRES_USER") or "postgres"
    defaults = {"user": user, "database": known.get("POSTGRES_DB"), "password": known.get("POSTGRES_PASSWORD")}
    return PostgresProbe(**{**defaults, **given})


def _read_redis(context: _Context, node: Node) -> Probe | None:
    return RedisProbe(**_port_or_fields(context, node, ("password",)))


def _read_mysql(context: _Context, node: Node) -> Probe | None:
    return MysqlProbe(**_port_or_fields(context, node, ()))


def _read_amqp(context: _Context, node: Node) -> Probe | None:
    given = _port_or_fields(context, node, ("user", "password", "vhost"))
    names = {"user": "RABBITMQ_DEFAULT_USER", "password": "RABBITMQ_DEFAULT_PASS", "vhost": "RABBITMQ_DEFAULT_VHOST"}
    known = {key: context.environment[name] for key, name in names.items() if context.environment.get(name)}
    return AmqpProbe(**{**known, **given})


def _port_or_fields(context: _Context, node: Node, names: tuple[str, ...]) -> dict[str, Any]:
    """Return a probe's keys: `port` and ``names``; a number alone is the port."""
    if isinstance(node, Scalar) and node.text.isdigit():
        port = _port(context.reader, node, context.what)
        return {} if port is None else {"port": port}
    return context.fields(node, {"port": _port, **dict.fromkeys(names, Reader.name)})


def _read_grpc(context: _Context, node: Node) -> Probe | None:
    if isinstance(node, Scalar) and node.text.isdigit():
        only = _port(context.reader, node, context.what)
        return GrpcProbe(only) if only is not None else None
    fields = context.fields(node, {"port": _port, "service": Reader.text})
    port = fields.get("port") or _missing_port(context, node)
    return GrpcProbe(port, fields.get("service", "")) if port is not None else None


PROBES: dict[str, Callable[[_Context, Node], Probe | None]] = {
    "tcp": _read_tcp,
    "http": _read_http,
    "log": _read_log,
    "exec": _read_exec,
    "healthcheck": _read_healthcheck,
    "postgres": _read_postgres,
    "redis": _read_redis,
    "mysql": _read_mysql,
    "amqp": _read_amqp,
    "grpc": _read_grpc,
}
