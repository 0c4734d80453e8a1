"""What the options of a volume mount: the engine's local driver passes them on to the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envspin.topology.nodes import Node, Scalar
    from envspin.topology.reader import Reader

_BINDS = frozenset(("bind", "rbind", "move"))
"""Flags that make a folder of the host appear elsewhere."""
_SHARES = frozenset((
    "9p", "afs", "ceph", "cifs", "davfs", "glusterfs", "lustre", "nfs", "nfs4", "smb2", "smb3", "smbfs", "sshfs",
    "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
))  # fmt: skip
_ALLOWED = "only memory (`type: tmpfs`) and folders of the topology (`o: bind`) are let through"


def read_volume_options(reader: Reader, node: Node, what: str) -> dict[str, str]:
    """Read the `driver_opts` of a volume of the driver ``local``.

    Memory and folders of the topology are let through, the latter with their absolute path; all else that can be
    mounted is refused unless the topology is trusted: shares, disks, and file systems that lie over other folders.
    """
    pairs = reader.pairs(node, f"{what}.driver_opts")
    options = {name: value or "" for name, (value, _) in pairs.items()}
    spelled = {name.lower(): name for name in options}  # Podman takes capital letters too
    kind, flags, device = (options.get(spelled.get(name, name), "") for name in ("type", "o", "device"))
    # The kernel binds if told so by any flag, whatever the type is; it knows lower case only.
    if kind in _BINDS or not _BINDS.isdisjoint(flags.split(",")):
        if device:
            at = pairs[spelled["device"]][1]
            options[spelled["device"]] = _check_folder(reader, device, at, what)
    elif kind in _SHARES:
        at = pairs[spelled["type"]][1]
        message = f"`{what}` is a share of type `{_show(at, kind)}`: other environments could share it"
        reader.refuse("unsafe-external", message, at)
    elif kind and kind != "tmpfs":
        at = pairs[spelled["type"]][1]
        message = f"`{what}` mounts a file system of type `{_show(at, kind)}`: {_ALLOWED}"
        reader.refuse("unsafe-bind-mount", message, at)
    elif device and not kind:
        message = f"`{what}` mounts a device without a type: {_ALLOWED}"
        reader.refuse("unsafe-bind-mount", message, pairs[spelled["device"]][1])
    return options


def _show(node: Scalar, value: str) -> str:
    return value if node.raw is None else node.shown


def _check_folder(reader: Reader, device: str, at: Scalar, what: str) -> str:
    """Return the absolute path of a folder that is mounted."""
    path = reader.resolve(device, at)
    if reader.is_outside(path):
        message = f"`{what}` mounts a device or folder that lies outside the topology's folder"
        reader.refuse("unsafe-bind-mount", message, at)
    return str(path)
