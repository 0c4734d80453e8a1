"""`x-envspin.ready`: the kinds of probes and their settings."""

from __future__ import annotations

from envspin.topology.schema.parts import (
    Schema,
    array,
    boolean,
    command,
    either,
    filled,
    integer,
    key,
    mapping,
    matching,
    pairs,
    port,
    text,
)

_NEED_SETTINGS = ("log", "exec")
_PORT = "Port of the container."
_ONLY_PORT = f"{_PORT[:-1]}; the service's only one if omitted."


def make_probe() -> Schema:
    """Return the schema of a probe: a mapping with one key, the kind, or the kind alone."""
    kinds = probe_kinds()
    alone = "|".join(kind for kind in kinds if kind not in _NEED_SETTINGS)
    written = {
        "type": "object",
        "properties": kinds,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return either(matching(alone, "a probe has a kind: {tcp: 5432}"), written)


def probe_kinds() -> dict[str, Schema]:
    """Return every kind of probe with its settings."""
    return {
        "tcp": key(
            "Ready when a connection to the port is accepted and stays open.",
            either(port(), mapping({"port": key(_ONLY_PORT, port())})),
            examples=[5432],
        ),
        "http": _http(),
        "log": key(
            "Ready when the output has a line that the regular expression matches.",
            either(filled(), mapping(_log_settings(), ["pattern"])),
            null=False,
            examples=["ready to accept connections"],
        ),
        "exec": key(
            "Ready when the command exits with 0 inside the container: a list, or a line for its shell.",
            command(),
            null=False,
            examples=[["pg_isready", "-U", "app"]],
        ),
        "healthcheck": key(
            "Ready when the service's healthcheck exits with 0; envspin runs it at its own pace.",
            either(_nothing(), mapping({})),
            examples=[{}],
        ),
        "postgres": _server("Ready when PostgreSQL answers a query over TCP.", 5432, _postgres_settings()),
        "redis": _server("Ready when PING is answered by PONG.", 6379, {"password": _own("Password", "none")}),
        "mysql": _server("Ready when MySQL or MariaDB greets over TCP.", 3306, {}),
        "amqp": _server("Ready when an AMQP 0-9-1 connection opens.", 5672, _amqp_settings()),
        "grpc": _server(
            "Ready when the gRPC health service says SERVING.",
            None,
            {"service": key("Name that is asked about; empty for the server as a whole.", text(), default="")},
        ),
    }


def _nothing() -> Schema:
    """Return `true`, which stands for no settings (null does too)."""
    return {**either({"type": "boolean"}, matching("true", "write {} for no settings")), "not": {"const": False}}


def _number_alone() -> Schema:
    """Return a port alone in a probe's place, or `true`."""
    also = matching("true|[0-9]{1,18}", "write the port, or a mapping with settings")
    return {**either(_nothing(), port(), also), "minimum": 1}


def _http() -> Schema:
    short = {**_number_alone(), **matching(r"true|[0-9]{1,18}|/[\s\S]*", "write a port, a /path, or a mapping")}
    short["type"] = _number_alone()["type"]
    code = integer(100, 599, also="[1-5][xX][xX]")
    settings = {
        "port": key(_ONLY_PORT, port()),
        "path": key("Path that is asked for.", matching(r"/[\s\S]*", "a path begins with `/`"), default="/"),
        "status": key(
            "Accepted status codes, such as 204 or 2xx; 200 to 399 if omitted.",
            either(code, array(code)),
            examples=[200, "2xx", [200, 204]],
        ),
        "body": key("Regular expression that must be found in the body.", filled()),
        "headers": key("Headers of the request.", pairs()),
        "method": key("Method of the request.", matching("[A-Za-z]{1,20}", "a method is a word"), default="GET"),
        "tls": key("Speak TLS; the certificate is not checked.", boolean(), default=False),
    }
    return key(
        "Ready when a request is answered with an accepted status.",
        either(short, mapping(settings)),
        examples=[{"port": 8080, "path": "/health"}],
    )


def _log_settings() -> dict[str, Schema]:
    return {
        "pattern": key("Regular expression.", filled(), null=False),
        "times": key("In how many lines it must be seen.", integer(1), default=1),
    }


def _server(description: str, default: int | None, settings: dict[str, Schema]) -> Schema:
    number = key(_PORT, port(), default=default) if default else key(_ONLY_PORT, port())
    examples: list[object] = [{}] if default else [{"port": 50051}]
    return key(description, either(_number_alone(), mapping({"port": number, **settings})), examples=examples)


def _own(what: str, otherwise: str) -> Schema:
    return key(f"{what}; {otherwise} if omitted.", filled())


def _postgres_settings() -> dict[str, Schema]:
    return {
        "user": _own("User", "the service's POSTGRES_USER"),
        "database": _own("Database", "the service's POSTGRES_DB"),
        "password": _own("Password", "the service's POSTGRES_PASSWORD"),
    }


def _amqp_settings() -> dict[str, Schema]:
    return {
        "user": _own("User", "the service's RABBITMQ_DEFAULT_USER"),
        "password": _own("Password", "the service's RABBITMQ_DEFAULT_PASS"),
        "vhost": _own("Virtual host", "the service's RABBITMQ_DEFAULT_VHOST"),
    }
