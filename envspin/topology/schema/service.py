"""A service: every key of Compose, honoured, replaced with a warning, or refused."""

from __future__ import annotations

from envspin.model import Condition
from envspin.topology.keys import REPLACED_SERVICE_KEYS, UNSUPPORTED_SERVICE_KEYS
from envspin.topology.schema.extension import dependency_extension
from envspin.topology.schema.networking import network_rule, networking_keys
from envspin.topology.schema.parts import (
    Schema,
    array,
    boolean,
    choice,
    duration,
    either,
    filled,
    integer,
    key,
    mapping,
    name,
    named,
    optional,
    pairs,
    reference,
    refused,
    replaced,
    size,
    text,
    texts,
)
from envspin.topology.schema.resources import resource_keys
from envspin.topology.schema.storage import storage_keys

_UNSAFE = "Refused without --allow-unsafe"


def service_keys() -> dict[str, Schema]:
    """Return Compose's keys of a service: those that envspin honours, then those it replaces, then those it refuses."""
    warned = {name: replaced(f"`{name}` {text}.") for name, text in REPLACED_SERVICE_KEYS.items()}
    unknown = {name: refused(reason) for name, reason in UNSUPPORTED_SERVICE_KEYS.items()}
    return {
        **_image_keys(),
        **_variable_keys(),
        **_order_keys(),
        **networking_keys(),
        **storage_keys(),
        **_process_keys(),
        **_security_keys(),
        **resource_keys(),
        **warned,
        **unknown,
    }


def make_service() -> Schema:
    """Return the schema of a service; what it extends, or a file below, may give what it lacks."""
    own = {"x-envspin": key("What envspin knows about the service beyond Compose.", reference("serviceExtension"))}
    return {**mapping({**service_keys(), **own}), **network_rule()}


def _image_keys() -> dict[str, Schema]:
    extends = {
        "service": key("Name of the service.", name(), null=False),
        "file": key("File that holds it; this one if omitted.", filled()),
    }
    line = either(text(), array(text()))
    return {
        "image": key("Image that the container is made from.", filled(), examples=["postgres:16"]),
        "build": key("How to build the image: the folder of its Dockerfile, or a mapping.", reference("build")),
        "platform": key("Platform of the image.", filled(), examples=["linux/amd64"]),
        "extends": key("Service that this one begins with.", either(filled(), mapping(extends, ["service"]))),
        "command": key("What the container runs: a command line, or a list of words.", line),
        "entrypoint": key("Program that gets the command; replaces the image's.", line),
    }


def _variable_keys() -> dict[str, Schema]:
    file = {
        "path": key("The file.", filled(), null=False),
        "required": key("Whether it is an error if the file does not exist.", boolean(), default=True),
        "format": key("`raw` takes values as they are, quotes included.", choice(["raw"])),
    }
    one = either(filled(), mapping(file, ["path"]))
    return {
        "environment": key(
            "Variables of the container; one without a value takes it from your environment.",
            pairs(),
            examples=[{"POSTGRES_PASSWORD": "test"}],
        ),
        "env_file": key("Files of variables, which `environment` overrides.", either(one, array(one))),
        "labels": key("Labels of the container; those that begin with `envspin.` are reserved.", pairs("envspin.")),
    }


def _order_keys() -> dict[str, Schema]:
    return {
        "depends_on": key(
            "Services that come first. In the short form they must be ready; the long form says what is awaited.",
            either(array(name()), named(reference("dependency"))),
            examples=[["db"]],
        ),
        "healthcheck": key("How the container tells whether it is healthy.", reference("healthcheck")),
        "profiles": key("The service takes part only if one of these is chosen with --profile.", texts()),
    }


def make_dependency() -> Schema:
    """Return the schema of one entry of `depends_on` in its long form."""
    conditions = {
        "condition": key("What the dependency must have reached.", choice([str(each) for each in Condition])),
        "required": key("Whether the dependency must take part.", boolean(), default=True),
        "restart": key("Has no effect: nothing is restarted.", boolean(), default=False),
        "x-envspin": dependency_extension(),
    }
    return optional(mapping(conditions))


def make_healthcheck() -> Schema:
    """Return the schema of `healthcheck`."""
    properties = {
        "test": key(
            "A line for the container's shell, or a list that begins with CMD, CMD-SHELL or NONE.",
            _make_test(),
            examples=[["CMD", "pg_isready"], "curl -f localhost:8080/health"],
        ),
        "interval": key("Does not slow readiness down: envspin checks at its own pace.", duration()),
        "timeout": key("How long one check may take.", duration(), examples=["5s"]),
        "retries": key(
            "Failures in a row after which a running container is unhealthy; while it starts they only mean not yet.",
            integer(0),
        ),
        "start_period": key("Added to the time that the service may take to become ready.", duration()),
        "start_interval": key("Does not slow readiness down: envspin checks at its own pace.", duration()),
        "disable": key("Switch the image's own check off.", boolean(), default=False),
    }
    return optional(mapping(properties))


def _make_test() -> Schema:
    words = {
        "type": "array",
        "items": [choice(("CMD", "CMD-SHELL", "NONE"))],
        "additionalItems": text(),
    }
    command = _first_is("CMD", "CMD-SHELL") | {"then": {"minItems": 2}}
    line = _first_is("CMD-SHELL") | {"then": {"maxItems": 2}}
    return {**either(text(), words), "allOf": [command, line]}


def _first_is(*values: str) -> Schema:
    return {"if": {"type": "array", "minItems": 1, "items": [{"enum": list(values)}]}}


def _process_keys() -> dict[str, Schema]:
    return {
        "user": key("User, or user:group, that the container runs as.", filled(), examples=["1000:1000"]),
        "group_add": key("Further groups of the user.", texts()),
        "working_dir": key("Folder in which the command starts.", filled()),
        "init": key("Run a small init process that reaps orphans and passes signals on.", boolean()),
        "tty": key("Give the container a terminal.", boolean(), default=False),
        "stdin_open": key("Keep the standard input open.", boolean(), default=False),
        "stop_signal": key("Signal that asks the container to stop.", filled(), examples=["SIGINT"]),
        "stop_grace_period": key("Time between that signal and the end.", duration(), examples=["10s"]),
    }


def _security_keys() -> dict[str, Schema]:
    sysctls = {"net.core.somaxconn": 1024}
    return {
        "read_only": key("The container's own file system cannot be written.", boolean(), default=False),
        "cap_add": key("Capabilities to add.", texts(), examples=[["NET_ADMIN"]]),
        "cap_drop": key("Capabilities to drop.", texts(), examples=[["ALL"]]),
        "security_opt": key("Options of the engine's security.", texts(), examples=[["no-new-privileges"]]),
        "sysctls": key("Settings of the kernel for the container.", pairs(), examples=[sysctls]),
        "shm_size": key("Size of /dev/shm.", size(), examples=["64m"]),
        "ipc": key(
            "Who shares its IPC namespace. `host` is refused without --allow-unsafe.",
            choice(("private", "shareable", "none", "host")),
        ),
        "pid": key(f"The host's process namespace. {_UNSAFE}.", choice(["host"])),
        "privileged": key(f"All privileges on this machine. {_UNSAFE}.", boolean(), default=False),
    }
