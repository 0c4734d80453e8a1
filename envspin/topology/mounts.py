"""What a service finds in its file system: volumes, binds, tmpfs, secrets and configs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from envspin.model import FileGrant, Mount
from envspin.topology import values
from envspin.topology.keys import asks_for_nothing
from envspin.topology.limits import MOUNTS
from envspin.topology.nodes import Mapping, Scalar, Sequence, is_null, shown

if TYPE_CHECKING:
    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Entry, Node, Place
    from envspin.topology.reader import Reader

_SOCKET_NAMES = frozenset(("docker.sock", "podman.sock", "containerd.sock", "crio.sock"))
_PLAIN_FLAGS = frozenset(("rw", "consistent", "default"))
"""What a mount is without saying so."""
_REPLACED_FLAGS = {
    "z": "files keep their SELinux labels",
    "Z": "files keep their SELinux labels",
    "cached": "mounts are always consistent",
    "delegated": "mounts are always consistent",
}
_PROPAGATIONS = frozenset(("shared", "slave", "private", "rshared", "rslave", "rprivate"))
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]")
_DRIVE_HINT = "Compose reads it so; give the volume a longer name"
_LONG_KEYS = ("type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image")


def read_volumes(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `volumes`: short and long entries; the later of two mounts on one target wins, as in Compose."""
    what = draft.what("volumes")
    sequence = reader.sequence(entry.value, what)
    for item in sequence.items if sequence else ():
        reader.report.charge(MOUNTS, 1, item)
        if isinstance(item, Mapping):
            mount = _read_long(reader, draft, item, what)
        else:
            mount = _read_short(reader, draft, item, what)
        if mount:
            draft.mounts[mount.target] = mount


def _read_short(reader: Reader, draft: Draft, node: Node, what: str) -> Mount | None:
    scalar = reader.scalar(node, what, "a list of texts or mappings")
    if scalar is None:
        return None
    if _WINDOWS_PATH.match(scalar.text):
        reader.error("bad-mount", f"`{what}`: a single letter before `:` is a drive of Windows", scalar, _DRIVE_HINT)
        return None
    parts = scalar.text.split(":")
    if len(parts) > 3 or not all(parts):  # noqa: PLR2004 - source, target, options
        reader.error("bad-mount", f"`{what}`: `{scalar.shown}` is not a mount", scalar, "write SOURCE:TARGET[:ro]")
        return None
    source, target, options = (["", *parts, ""] if len(parts) == 1 else [*parts, ""])[:3]
    flags = options.split(",") if options else []
    if not _check_target(reader, target, scalar, what) or not _check_flags(reader, flags, scalar, what):
        return None
    target, read_only, nocopy = _clean(target), "ro" in flags, "nocopy" in flags
    if source.startswith(("/", ".", "~")):
        path = check_bind(reader, draft, source, scalar)
        return Mount("bind", target, str(path), read_only=read_only)
    if source:
        draft.refer("volume", source, scalar)
    kind: Literal["volume", "anonymous"] = "volume" if source else "anonymous"
    return Mount(kind, target, source or None, read_only=read_only, nocopy=nocopy)


def _check_flags(reader: Reader, flags: list[str], scalar: Scalar, what: str) -> bool:
    for flag in flags:
        if flag in _PROPAGATIONS:
            reader.error("unsupported-value", f"`{what}`: mount propagation is not supported", scalar)
            return False
        if flag in _REPLACED_FLAGS:
            reader.warn("replaced-key", f"`{what}`: `{flag}` has no effect: {_REPLACED_FLAGS[flag]}", scalar)
        elif flag not in _PLAIN_FLAGS and flag not in ("ro", "nocopy"):
            reader.error(
                "bad-mount", f"`{what}`: `{scalar.shown}` has an unknown option", scalar, "options: ro rw nocopy"
            )
            return False
    return True


def _check_target(reader: Reader, target: str, at: Place, what: str) -> bool:
    if target.startswith("/") and _clean(target) != "/":
        return True
    problem = "must not be `/` itself" if target.startswith("/") else "must begin with `/`"
    reader.error("bad-mount", f"`{what}`: the path in the container {problem}", at)
    return False


def _clean(target: str) -> str:
    """Return a container path without trailing and doubled slashes."""
    return "/" + os.path.normpath(target).lstrip("/")


def check_bind(reader: Reader, draft: Draft, source: str, at: Scalar) -> Path:
    """Return a bind's absolute path, after refusing the engine's socket and what lies outside the topology."""
    path = reader.resolve(source, at)
    if path.name in _SOCKET_NAMES or _engine_socket(at) == path or _name(reader.real_path(path)) in _SOCKET_NAMES:
        message = f"`{draft.name}` mounts the engine's socket: that is full power over this machine"
        reader.refuse("unsafe-engine-socket", message, at)
    elif reader.is_outside(path):
        message = f"`{draft.name}` mounts `{at.shown}`, which lies outside the topology's folder"
        reader.refuse("unsafe-bind-mount", message, at)
    return path


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _engine_socket(at: Scalar) -> Path | None:
    host = at.document.variables.get("DOCKER_HOST", "")
    return Path(host.removeprefix("unix://")) if host.startswith("unix://") else None


def _read_long(reader: Reader, draft: Draft, node: Mapping, what: str) -> Mount | None:
    fields: dict[str, Any] = {}
    nodes: dict[str, Node] = {}
    for key, (at, value) in reader.keys(node, what, _LONG_KEYS):
        nodes[key] = value
        if key in ("type", "source", "target", "consistency"):
            fields[key] = reader.name(value, f"{what}.{key}")
            if key == "consistency" and fields[key] in _REPLACED_FLAGS:
                reader.warn("replaced-key", f"`{what}.{key}` has no effect: {_REPLACED_FLAGS[fields[key]]}", at)
        elif key == "read_only":
            fields[key] = reader.boolean(value, f"{what}.{key}")
    missing = [key for key in ("type", "target") if is_null(node.get(key))]
    if missing:
        reader.error("missing-key", f"an entry of `{what}` has no `{missing[0]}`", node)
        return None
    kind, target = fields.get("type"), fields.get("target")
    if kind is None or target is None or not _check_target(reader, target, nodes["target"], what):
        return None
    options = _read_options(reader, nodes, kind, what)
    return _make_mount(reader, draft, node, what, {**fields, **options})


def _make_mount(reader: Reader, draft: Draft, node: Mapping, what: str, fields: dict[str, Any]) -> Mount | None:
    kind, target, source = fields["type"], _clean(fields["target"]), node.get("source")
    read_only = bool(fields.get("read_only"))
    if kind == "tmpfs":
        return Mount("tmpfs", target, read_only=read_only, tmpfs_size=fields.get("size"), tmpfs_mode=fields.get("mode"))
    if kind == "volume":
        nocopy = bool(fields.get("nocopy"))
        if not isinstance(source, Scalar) or source.is_null or not source.text:
            return Mount("anonymous", target, read_only=read_only, nocopy=nocopy)
        draft.refer("volume", source.text, source)
        return Mount("volume", target, source.text, read_only=read_only, nocopy=nocopy)
    if kind == "bind":
        if not isinstance(source, Scalar) or source.is_null:
            reader.error("missing-key", f"a bind in `{what}` has no `source`", node)
            return None
        path = check_bind(reader, draft, source.text, source)
        create = fields.get("create_host_path") is not False
        return Mount("bind", target, str(path), read_only=read_only, create_host_path=create)
    at = node.get("type") or node
    reader.error("unsupported-value", f"`{what}`: the type must be volume, bind or tmpfs", at)
    return None


def _read_options(reader: Reader, nodes: dict[str, Node], kind: str, what: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for section, known in _OPTIONS.items():
        if section not in nodes:
            continue
        if section != kind:
            message = f"`{what}`: `{section}` does not belong to a mount of type {shown(nodes['type'])}"
            reader.error("conflicting-keys", message, nodes[section])
            continue
        for key, (at, value) in reader.keys(nodes[section], f"{what}.{section}", known):
            if key in ("create_host_path", "nocopy"):
                options[key] = reader.boolean(value, f"{what}.{section}.{key}")
            elif key == "size":
                options[key] = reader.size(value, f"{what}.{section}.{key}")
            elif key == "mode":
                options[key] = _read_mode(reader, value, f"{what}.{section}.{key}")
            elif key == "selinux":
                message = f"`{what}.{section}.{key}` has no effect: {_REPLACED_FLAGS['z']}"
                reader.warn("replaced-key", message, at)
            elif not asks_for_nothing(value):
                reader.error("unsupported-key", f"`{what}.{section}.{key}` is not supported", at)
    return options


_OPTIONS = {
    "bind": ("propagation", "create_host_path", "selinux", "recursive"),
    "volume": ("nocopy", "subpath", "labels"),
    "tmpfs": ("size", "mode"),
    "image": ("subpath",),
}


def _read_mode(reader: Reader, node: Node, what: str) -> int | None:
    plain = isinstance(node, Scalar) and node.plain and node.raw is None
    return reader.convert(node, what, lambda text: values.to_mode(text, plain=plain))


def read_tmpfs(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `tmpfs`: ``/run`` or ``/run:size=64m,mode=755``, one or a list."""
    what = draft.what("tmpfs")
    items = entry.value.items if isinstance(entry.value, Sequence) else [entry.value]
    for item in items:
        reader.report.charge(MOUNTS, 1, item)
        scalar = reader.scalar(item, what, "text or a list of texts")
        if scalar is None:
            continue
        target, _, options = scalar.text.partition(":")
        if not _check_target(reader, target, scalar, what):
            continue
        fields = _read_tmpfs_options(reader, options, scalar, what)
        draft.mounts[_clean(target)] = Mount("tmpfs", _clean(target), **fields)


def _read_tmpfs_options(reader: Reader, options: str, scalar: Scalar, what: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        try:
            if name == "size":
                fields["tmpfs_size"] = values.to_size(value)
            elif name == "mode":
                fields["tmpfs_mode"] = values.to_mode(value, plain=False)
            elif option == "ro":
                fields["read_only"] = True
            elif option not in ("rw", "noexec", "nosuid", "nodev"):
                message = f"`{what}`: an option of `{scalar.shown}` is not supported"
                reader.error("unsupported-value", message, scalar, "options: size mode ro rw noexec nosuid nodev")
        except ValueError as error:
            reader.error("bad-mount", f"`{what}`: the {name} of `{scalar.shown}` {error}", scalar)
    return fields


_GRANT_KEYS = ("source", "target", "uid", "gid", "mode")


def read_grants(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read a service's `secrets` or `configs`: names, or mappings with `source` and `target`."""
    kind: Literal["config", "secret"] = "secret" if entry.key.text == "secrets" else "config"
    what = draft.what(entry.key.text)
    sequence = reader.sequence(entry.value, what)
    found = {grant.target: grant for grant in draft.fields.get("grants", ())}
    for item in sequence.items if sequence else ():
        reader.report.charge(MOUNTS, 1, item)
        grant = _read_grant(reader, draft, item, kind, what)
        if grant:
            found[grant.target] = grant
    draft.fields["grants"] = tuple(sorted(found.values(), key=lambda grant: grant.kind))


def _read_grant(
    reader: Reader, draft: Draft, node: Node, kind: Literal["config", "secret"], what: str
) -> FileGrant | None:
    if not isinstance(node, Mapping):
        scalar = reader.scalar(node, what, "a list of names or mappings")
        if scalar is None:
            return None
        draft.refer(kind, scalar.text, scalar)
        return FileGrant(scalar.text, kind, _grant_target(kind, scalar.text))
    fields: dict[str, Any] = {}
    for key, (_, value) in reader.keys(node, what, _GRANT_KEYS):
        if key == "mode":
            fields[key] = _read_mode(reader, value, f"{what}.mode")
        elif key in ("uid", "gid"):
            fields[key] = reader.count(value, f"{what}.{key}")
        else:
            fields[key] = reader.name(value, f"{what}.{key}")
    source = node.get("source")
    if is_null(source) or source is None:
        reader.error("missing-key", f"an entry of `{what}` has no `source`", node)
        return None
    name = fields.pop("source", None)
    if name is None:
        return None
    draft.refer(kind, name, source)
    target = _grant_target(kind, fields.pop("target", None) or name)
    return FileGrant(name, kind, target, **{key: value for key, value in fields.items() if value is not None})


def _grant_target(kind: str, target: str) -> str:
    """Return the path of a granted file: secrets lie in ``/run/secrets``, configs at the root."""
    if target.startswith("/"):
        return _clean(target)
    return _clean(f"/run/secrets/{target}" if kind == "secret" else f"/{target}")
