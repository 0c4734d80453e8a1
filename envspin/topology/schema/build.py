"""`build`."""

from __future__ import annotations

from envspin.topology.build import NO_EFFECT_KEYS, UNSUPPORTED_KEYS
from envspin.topology.schema.parts import (
    Schema,
    boolean,
    either,
    exclude,
    filled,
    has,
    key,
    mapping,
    matching,
    optional,
    pairs,
    refused,
    replaced,
    size,
    text,
    texts,
)

_REMOTE = r"[a-z][a-z0-9+.-]*://|git@|github\.com/|.*\.git(?:#.*)?$"
_HINT = "the context must be a folder: check a remote one out beside the topology"


def make_build() -> Schema:
    """Return the schema of `build`: a folder, or a mapping."""
    properties = {
        "context": key("Folder that is sent to the engine; the file's own if omitted.", _context(), default="."),
        "dockerfile": key("Dockerfile within the context.", filled(), default="Dockerfile"),
        "dockerfile_inline": key("Text of the Dockerfile, instead of a file.", text()),
        "args": key("Build arguments; one without a value takes it from your environment.", pairs()),
        "target": key("Stage of the Dockerfile to build.", filled()),
        "labels": key("Labels of the image.", pairs()),
        "network": key("Network of the build's RUN steps.", filled(), examples=["none", "host"]),
        "extra_hosts": key("Further host names during the build, as NAME=ADDRESS.", pairs()),
        "platforms": key("Platform to build for.", texts(), examples=[["linux/amd64"]]),
        "no_cache": key("Build every step anew.", boolean(), default=False),
        "pull": key("Look for newer base images.", boolean(), default=False),
        "shm_size": key("Size of /dev/shm during the build.", size(), examples=["64m"]),
    }
    without = {name: replaced(f"`build.{name}` has no effect on a test image.") for name in NO_EFFECT_KEYS}
    never = {name: refused("images are built with the engine's classic builder") for name in UNSUPPORTED_KEYS}
    inline = {"type": "string", "pattern": "^[^$]+$"}
    rule = exclude(has("dockerfile_inline", inline), ["dockerfile"], "`dockerfile_inline` takes the place of this file")
    return {**optional(either(_context(), mapping({**properties, **without, **never}))), **rule}


def _context() -> Schema:
    """Return a folder: a text that is no address of a repository."""
    folder = matching(f"(?!{_REMOTE})[\\s\\S]+", _HINT)
    return {**folder, "type": filled()["type"]}
