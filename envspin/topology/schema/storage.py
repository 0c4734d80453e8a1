"""`volumes`, `tmpfs`, `configs` and `secrets` of a service."""

from __future__ import annotations

from envspin.topology.schema.parts import (
    MODE,
    SIZE,
    Schema,
    array,
    boolean,
    choice,
    either,
    exclude,
    filled,
    has,
    integer,
    key,
    mapping,
    matching,
    mode,
    name,
    reference,
    refused,
    replaced,
    size,
)

_OPTION = "(?:ro|rw|nocopy|z|Z|cached|delegated|consistent|default)"
_MOUNT = rf"/[^:]*|(?![A-Za-z]:[\\/])[^:]+:/[^:]*(?::{_OPTION}(?:,{_OPTION})*)?"
_MOUNT_HINT = "write SOURCE:TARGET[:ro], with a target that begins with `/`"
_TMPFS_OPTION = f"(?:size={SIZE}|mode={MODE}|ro|rw|noexec|nosuid|nodev)?"
_TMPFS = f"/[^:]*(?::{_TMPFS_OPTION}(?:,{_TMPFS_OPTION})*)?"
_KINDS = ("volume", "bind", "tmpfs")
_ALIEN = "these settings do not belong to a mount of type"
_NO_OPTION = "mounts have no such option here"


def storage_keys() -> dict[str, Schema]:
    """Return the keys of a service that say what it finds in its file system."""
    in_memory = matching(_TMPFS, "write /path, or /path:size=64m,mode=755")
    granted = array(reference("grant"))
    return {
        "volumes": key(
            "Named volumes, folders and files of the topology, memory. What lies outside the topology's folder, and "
            "the engine's socket, are refused without --allow-unsafe.",
            array(reference("mount")),
            examples=[["data:/var/lib/data", "./init:/docker-entrypoint-initdb.d:ro"]],
        ),
        "tmpfs": key("Paths that are kept in memory.", either(in_memory, array(in_memory)), examples=["/run:size=64m"]),
        "secrets": key("Top-level secrets that the service finds as files in /run/secrets.", granted),
        "configs": key("Top-level configs that the service finds as files.", granted),
    }


def make_mount() -> Schema:
    """Return the schema of one entry of a service's `volumes`."""
    properties = {
        "type": key("What is mounted.", choice(_KINDS), null=False),
        "source": key("Name of a top-level volume, or path of a bind.", filled()),
        "target": key(
            "Path in the container.", matching(r"/[\s\S]*", "the path in the container begins with `/`"), null=False
        ),
        "read_only": key("The container cannot write there.", boolean(), default=False),
        "consistency": key("Has no effect: mounts are always consistent.", filled()),
        "bind": key("Settings of a bind.", _bind_options()),
        "volume": key("Settings of a volume.", _volume_options()),
        "tmpfs": key("Settings of a mount in memory.", _tmpfs_options()),
        "image": refused("a mount is a volume, a bind or a tmpfs"),
    }
    sourced = {"if": has("type", {"const": "bind"}), "then": has("source")}
    rules = [
        exclude(has("type", {"const": kind}), [each for each in _KINDS if each != kind], f"{_ALIEN} {kind}")
        for kind in _KINDS
    ]
    long = mapping(properties, ["type", "target"])
    return {**either(matching(_MOUNT, _MOUNT_HINT), long), "allOf": [*rules, sourced]}


def _bind_options() -> Schema:
    return mapping(
        {
            "create_host_path": key("Make the folder if it does not exist.", boolean(), default=True),
            "selinux": replaced("`bind.selinux` has no effect: files keep their SELinux labels."),
            "propagation": refused(_NO_OPTION),
            "recursive": refused(_NO_OPTION),
        }
    )


def _volume_options() -> Schema:
    return mapping(
        {
            "nocopy": key("Leave the volume empty: copy nothing from the image.", boolean(), default=False),
            "subpath": refused(_NO_OPTION),
            "labels": refused(_NO_OPTION),
        }
    )


def _tmpfs_options() -> Schema:
    return mapping(
        {
            "size": key("Most that it may hold.", size(), examples=["64m"]),
            "mode": key("Permissions of the folder.", mode(), examples=["0755"]),
        }
    )


def make_grant() -> Schema:
    """Return the schema of one entry of a service's `secrets` or `configs`."""
    properties = {
        "source": key("Name of the top-level secret or config.", name(), null=False),
        "target": key("Path or name of the file in the container.", filled()),
        "uid": key("Who owns the file.", integer(0), default=0),
        "gid": key("Which group owns the file.", integer(0), default=0),
        "mode": key("Permissions of the file.", mode(), examples=["0440"]),
    }
    return either(name(), mapping(properties, ["source"]))
