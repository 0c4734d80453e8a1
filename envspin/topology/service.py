"""One service: its Compose keys -> a draft of ``model.Service``.

``READERS`` says who reads which key; what a draft refers to (networks, volumes, other services) is checked later,
when all services are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envspin.model import Condition, Dependency, Healthcheck
from envspin.topology import formats, values
from envspin.topology.build import read_build
from envspin.topology.draft import Draft
from envspin.topology.keys import (
    REPLACED_SERVICE_KEYS,
    SERVICE_EXTENSION_KEYS,
    UNSUPPORTED_SERVICE_KEYS,
    asks_for_nothing,
)
from envspin.topology.limits import COMMANDS
from envspin.topology.mounts import read_grants, read_tmpfs, read_volumes
from envspin.topology.networking import (
    read_expose,
    read_extra_hosts,
    read_links,
    read_network_mode,
    read_networks,
    read_ports,
)
from envspin.topology.nodes import Mapping, Scalar, Sequence, is_null, shown
from envspin.topology.reader import EXTENSION_PREFIX, OWN_EXTENSION, Reader
from envspin.topology.resources import read_replicas, read_resources, read_ulimits
from envspin.topology.variables import read_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.topology.nodes import Entry, Node


_SECCOMP_PROFILES = ("unconfined", "builtin")


def read_service(reader: Reader, name: str, node: Mapping, path: str, siblings: Mapping | None = None) -> Draft:
    """Read all Compose keys of a service (not its ``x-envspin``); ``siblings`` are all services of the topology."""
    draft = Draft(name, node, path)
    for key, entry in node.entries.items():
        read = READERS.get(key)
        if read is not None:
            if not is_null(entry.value):
                read(reader, draft, entry)
        elif key in REPLACED_SERVICE_KEYS:
            if not is_null(entry.value):
                reader.warn("replaced-key", f"`{key}` of `{name}` {REPLACED_SERVICE_KEYS[key]}", entry.key)
        elif key in UNSUPPORTED_SERVICE_KEYS:
            if not asks_for_nothing(entry.value):
                reason = UNSUPPORTED_SERVICE_KEYS[key]
                reader.error("unsupported-key", f"`{key}` is not supported: {reason}", entry.key)
        elif not key.startswith(EXTENSION_PREFIX):
            known = (*READERS, *REPLACED_SERVICE_KEYS, OWN_EXTENSION)
            reader.unknown_key(entry.key, path, known, SERVICE_EXTENSION_KEYS)
        else:
            reader.check_extension(entry.key)
    read_environment(reader, draft)
    read_resources(reader, draft)
    if is_null(node.get("image")) and is_null(node.get("build")):
        hint = _guess_base(reader, name, node, siblings)
        reader.error("missing-key", f"the service `{name}` has neither `image` nor `build`", node, hint)
    return draft


def _guess_base(reader: Reader, name: str, node: Mapping, siblings: Mapping | None) -> str:
    """Return a hint: which service of another file is probably meant, else what every service needs."""
    others = siblings.entries.items() if siblings else ()
    meant = reader.guess(name, [each for each, entry in others if entry.value.document is not node.document])
    needed = "give an `image`, or a `build` with the folder of its Dockerfile"
    return f"no other file has `{name}`: {meant}" if meant else needed


def _simple(attribute: str, read: Callable[[Reader, Node, str], object]) -> Callable[[Reader, Draft, Entry], None]:
    """Return a reader that stores one value in one field."""

    def read_key(reader: Reader, draft: Draft, entry: Entry) -> None:
        value = read(reader, entry.value, draft.what(entry.key.text))
        if value is not None:
            draft.fields[attribute] = value

    return read_key


def _read_image(reader: Reader, draft: Draft, entry: Entry) -> None:
    # what is built needs no name
    read = Reader.name if is_null(draft.node.get("build")) else Reader.option
    what = draft.what("image")
    image = read(reader, entry.value, what)
    # a service of a profile may never take part, and the variables of its image then need no values
    profiles = draft.node.get("profiles")
    is_always_active = is_null(profiles) or (isinstance(profiles, Sequence) and not profiles.items)
    if image is not None and is_always_active:
        reader.convert(entry.value, what, formats.to_image)
    draft.fields["image"] = image


def _option(convert: Callable[[str], str]) -> Callable[[Reader, Node, str], str | None]:
    """Return a reader of an option that must have a form."""

    def read(reader: Reader, node: Node, what: str) -> str | None:
        return None if reader.option(node, what) is None else reader.convert(node, what, convert)

    return read


def _each(convert: Callable[[str], str]) -> Callable[[Reader, Node, str], tuple[str, ...]]:
    """Return a reader of a text or a list of texts that must have a form; those that variables left empty count not."""
    read_one = _option(convert)

    def read(reader: Reader, node: Node, what: str) -> tuple[str, ...]:
        given = [node] if isinstance(node, Scalar) else reader.scalars(node, what)
        found = [read_one(reader, scalar, what) for scalar in given]
        return tuple(dict.fromkeys(text for text in found if text is not None))

    return read


def _words(reader: Reader, node: Node, what: str) -> tuple[str, ...] | None:
    if isinstance(node, Sequence):
        return reader.strings(node, what)
    if isinstance(node, Scalar):
        reader.report.charge(COMMANDS, len(node.text), node)
    return reader.convert(node, what, values.split_words, quotes=False)  # a password may stand anywhere in it


def _security_opt(reader: Reader, node: Node, what: str) -> tuple[str, ...]:
    options = reader.unique(node, what)
    for option in options:
        name, _, profile = option.replace("=", ":", 1).partition(":")
        if name == "seccomp" and profile not in _SECCOMP_PROFILES:
            hint = "the engine's own profile holds unless `seccomp=unconfined` is asked for"
            reader.error("unsupported-value", f"`{what}`: profiles from files are not supported", node, hint)
    return options


def _labels(reader: Reader, node: Node, what: str) -> dict[str, str]:
    labels = reader.pairs(node, what)
    for name, (_, at) in labels.items():
        if name.startswith("envspin."):
            is_written = name in (at.document.line(at.line) or "")  # and not put together from variables
            subject = f"the label `{name}`" if is_written else "a label"
            message = f"{subject} is reserved: labels that begin with `envspin.` are envspin's own"
            reader.error("reserved-label", message, node)
    return {name: value or "" for name, (value, _) in labels.items()}


def _read_depends_on(reader: Reader, draft: Draft, entry: Entry) -> None:
    what = draft.what("depends_on")
    if isinstance(entry.value, Mapping):
        for name, (key, value) in entry.value.entries.items():
            draft.depends_on[name] = (_read_condition(reader, name, value, f"{what}.{name}"), key)
        return
    for scalar in reader.scalars(entry.value, what):
        draft.depends_on[scalar.text] = (Dependency(scalar.text), scalar)


def _read_condition(reader: Reader, name: str, node: Node, what: str) -> Dependency:
    condition: Condition | None = None
    required, implicit = True, False
    if is_null(node):
        return Dependency(name)
    for key, entry in reader.keys(node, what, ("condition", "required", "restart", OWN_EXTENSION)):
        if key == "required":
            required = reader.boolean(entry.value, f"{what}.required") is not False
        elif key == OWN_EXTENSION:
            for _, (_, value) in reader.keys(entry.value, f"{what}.{key}", ("ready",)):
                implicit = reader.boolean(value, f"{what}.{key}.ready") is True
        elif key == "condition":
            condition = reader.convert(entry.value, f"{what}.condition", _to_condition)
        else:
            reader.boolean(entry.value, f"{what}.restart")
    if isinstance(node, Mapping) and is_null(node.get("condition")):
        hint = "one of " + ", ".join(Condition)
        reader.error("missing-key", f"`{what}` has no `condition`", node, hint)
    return Dependency(name, condition or Condition.STARTED, condition is not None and not implicit, required)


def _to_condition(text: str) -> Condition:
    try:
        return Condition(text)
    except ValueError:
        raise ValueError("is not a condition: " + ", ".join(Condition)) from None


def _read_healthcheck(reader: Reader, draft: Draft, entry: Entry) -> None:
    what = draft.what("healthcheck")
    fields: dict[str, Any] = {}
    for key, (_, value) in reader.keys(entry.value, what, _HEALTHCHECK_KEYS):
        fields[key] = _HEALTHCHECK_KEYS[key](reader, value, f"{what}.{key}")
    if fields.get("disable") or (fields.get("test") or ("",))[0] == "NONE":
        fields.update(test=("NONE",), disable=True)
    fields["disable"] = bool(fields.get("disable"))
    draft.fields["healthcheck"] = Healthcheck(**fields)


def _read_test(reader: Reader, node: Node, what: str) -> tuple[str, ...] | None:
    if isinstance(node, Scalar):
        line = reader.text(node, what)
        return ("CMD-SHELL", line) if line else None
    test = reader.strings(node, what)
    if not test:
        return None
    if test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        hint = 'write ["CMD", "program", "argument"], or a text for the shell'
        reader.error("bad-value", f"`{what}`: the list must begin with CMD, CMD-SHELL or NONE", node, hint)
        return None
    if test[0] != "NONE" and len(test) == 1:
        reader.error("bad-value", f"`{what}`: no command follows {test[0]}", node)
        return None
    if test[0] == "CMD-SHELL" and len(test) > 2:  # noqa: PLR2004 - the word and one line
        reader.error("bad-value", f"`{what}`: CMD-SHELL takes one text", node)
        return None
    return test


_HEALTHCHECK_KEYS: dict[str, Callable[[Reader, Node, str], object]] = {
    "test": _read_test,
    "interval": Reader.duration,
    "timeout": Reader.duration,
    "retries": Reader.count,
    "start_period": Reader.duration,
    "start_interval": Reader.duration,
    "disable": Reader.boolean,
}


def _read_namespace(reader: Reader, draft: Draft, entry: Entry) -> None:
    key = entry.key.text
    mode = reader.option(entry.value, draft.what(key))
    if mode == "host":
        reader.refuse(f"unsafe-host-{key}", f"`{draft.name}` asks for the host's {key} namespace", entry.value)
    elif mode is not None and (key == "pid" or mode not in ("private", "shareable", "none")):
        reader.error("unsupported-value", f"`{key}: {shown(entry.value)}` is not supported", entry.value)
    draft.fields[key] = mode


def _read_privileged(reader: Reader, draft: Draft, entry: Entry) -> None:
    if reader.boolean(entry.value, draft.what("privileged")):
        reader.refuse("unsafe-privileged", f"`{draft.name}` asks to be privileged", entry.key)
        draft.fields["privileged"] = True


def _skip(_reader: Reader, _draft: Draft, _entry: Entry) -> None:
    """Leave a key to another step: merging (extends), the environment's reader."""


READERS: dict[str, Callable[[Reader, Draft, Entry], None]] = {
    "image": _read_image,
    "build": read_build,
    "command": _simple("command", _words),
    "entrypoint": _simple("entrypoint", _words),
    "environment": _skip,
    "env_file": _skip,
    "extends": _skip,
    "ports": read_ports,
    "expose": read_expose,
    "depends_on": _read_depends_on,
    "healthcheck": _read_healthcheck,
    "volumes": read_volumes,
    "tmpfs": read_tmpfs,
    "networks": read_networks,
    "network_mode": read_network_mode,
    "secrets": read_grants,
    "configs": read_grants,
    "profiles": _simple("profiles", Reader.unique),
    "platform": _simple("platform", _option(formats.to_platform)),
    "user": _simple("user", _option(formats.to_user)),
    "working_dir": _simple("working_dir", _option(formats.to_folder)),
    "init": _simple("init", Reader.boolean),
    "labels": _simple("labels", _labels),
    "stop_signal": _simple("stop_signal", _option(formats.to_signal)),
    "stop_grace_period": _simple("stop_grace_period", Reader.duration),
    "extra_hosts": read_extra_hosts,
    "hostname": _simple("hostname", _option(formats.to_hostname)),
    "domainname": _simple("domainname", _option(formats.to_domain)),
    "shm_size": _simple("shm_size", Reader.size),
    "ulimits": read_ulimits,
    "cap_add": _simple("cap_add", _each(formats.to_capability)),
    "cap_drop": _simple("cap_drop", _each(formats.to_capability)),
    "read_only": _simple("read_only", Reader.boolean),
    "security_opt": _simple("security_opt", _security_opt),
    "sysctls": _simple("sysctls", Reader.settings),
    "mem_limit": _skip,
    "mem_reservation": _skip,
    "cpus": _skip,
    "pids_limit": _skip,
    "deploy": _skip,
    "dns": _simple("dns", _each(formats.to_address)),
    "dns_search": _simple("dns_search", Reader.unique),
    "dns_opt": _simple("dns_opt", Reader.unique),
    "group_add": _simple("group_add", Reader.unique),
    "tty": _simple("tty", Reader.boolean),
    "stdin_open": _simple("stdin_open", Reader.boolean),
    "links": read_links,
    "privileged": _read_privileged,
    "pid": _read_namespace,
    "ipc": _read_namespace,
    "scale": read_replicas,
}
