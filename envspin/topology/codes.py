"""Every error and warning code of topology files: what causes it, and what cures it."""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """What a code means."""

    cause: str
    cure: str


CODES: dict[str, Code] = {
    "ambiguous-port": Code(
        "A probe names no port, and the service has several ports or none.", "Say which one: `{tcp: 8080}`."
    ),
    "bad-duration": Code("A duration has no unit, or is not a duration.", "Write `500ms`, `10s`, `1m30s` or `2h`."),
    "bad-matrix": Code(
        "An axis is not a list of images or values, or the strategy is unknown.",
        "Give each axis a list; strategies are full, pairwise and each.",
    ),
    "bad-mount": Code(
        "A volume or tmpfs entry does not parse.", "Write `SOURCE:TARGET[:ro]`, with an absolute target."
    ),
    "bad-name": Code("A name holds characters that it cannot hold.", "Use letters, digits, `.`, `_` and `-`."),
    "bad-port": Code(
        "A port entry does not parse, or a port is out of range.", "Write `80`, `8080:80`, `3000-3005` or `53/udp`."
    ),
    "bad-probe": Code(
        "An entry of `x-envspin.ready` is not a probe.",
        "Write one key, the kind, with its settings: `{http: {port: 80}}`.",
    ),
    "bad-size": Code("A size is not a number with an optional unit.", "Write `512k`, `64m`, `1.5g` or bytes."),
    "bad-source": Code(
        "A config or secret says no source of its content, or more than one.",
        "Give exactly one of `file`, `environment`, `content` and, for secrets, `x-envspin: {generate: N}`.",
    ),
    "bad-template": Code(
        "A template of `exports` does not parse.",
        "Fields are `{SERVICE.host}`, `{SERVICE.port}`, `{SERVICE.port.8000}`, `{SERVICE.url}` and `{secret.NAME}`.",
    ),
    "bad-value": Code("A value is not one that this key takes.", "The message says what is expected."),
    "conflicting-keys": Code("Two keys contradict each other.", "Keep one of them."),
    "dependency-cycle": Code(
        "Services depend on each other in a circle, so that none can start first.", "Remove one of the dependencies."
    ),
    "env-file-missing": Code(
        "A file of variables does not exist.", "Create it, or say `required: false` in its long form."
    ),
    "env-file-syntax": Code("A line of a file of variables does not parse.", "Write `NAME=value`; close each quote."),
    "extends-cycle": Code("Services extend each other in a circle.", "Remove one of the `extends`."),
    "extends-depth": Code("Services extend each other over too many levels.", "Extend fewer levels."),
    "file-empty": Code("The file holds nothing.", "A Compose file needs at least `services:`."),
    "file-missing": Code("A file or folder does not exist.", "Check the path; it starts at the file that names it."),
    "file-unreadable": Code("A file cannot be read, or is not UTF-8 text.", "Check its permissions and its encoding."),
    "inactive-dependency": Code(
        "An active service depends on one that no chosen profile activates, or that has no replicas.",
        "Choose the profile, give it replicas, or say `required: false` under `depends_on`.",
    ),
    "include-conflict": Code(
        "An included file defines a name that is already defined differently.", "Rename one, or override it with `-f`."
    ),
    "include-cycle": Code("Files include each other in a circle.", "Remove one of the includes."),
    "interpolation-required": Code(
        "A variable written `${NAME:?message}` is not set or empty.", "Set it in the environment or in `.env`."
    ),
    "interpolation-size": Code("A text grows too large when variables are put in.", "Use shorter values."),
    "interpolation-syntax": Code(
        "A variable is written wrongly.", "Write `${NAME}`, `${NAME:-default}`; a dollar sign itself is `$$`."
    ),
    "interpolation-unset": Code(
        "Warning: a variable is not set and counts as empty.", "Set it, or give a default: `${NAME:-default}`."
    ),
    "missing-key": Code("A key that is needed is not there.", "Add it."),
    "not-locked": Code(
        "Warning: there is a lock, and it does not hold this image: it runs as its tag says.",
        "Bring the lock up to date with `envspin lock`; `--locked` makes this an error.",
    ),
    "not-yet": Code(
        "Warning: a key of the language that this version reads and does nothing with.",
        "Leave it for later versions, or remove it.",
    ),
    "obsolete-key": Code("Warning: the key has no meaning any more.", "Leave it out."),
    "replaced-key": Code(
        "Warning: the key cannot matter in a test environment; the message says what happens instead.",
        "Nothing needs to be done.",
    ),
    "replaced-links": Code(
        "Warning: links became names on the network and an order of start.", "Use `depends_on` and `aliases`."
    ),
    "replaced-name": Code(
        "Warning: a fixed name is replaced by one that is the environment's own.", "Nothing needs to be done."
    ),
    "replaced-port": Code(
        "Warning: a fixed published port is replaced by a free one on loopback.",
        "Ask `envspin port`, or use `exports`, instead of a fixed number.",
    ),
    "reserved-label": Code("A label begins with `envspin.`, which marks envspin's own.", "Choose another label."),
    "self-dependency": Code("A service depends on itself.", "Remove that entry."),
    "too-large": Code(
        "The topology holds more than any needs: the message says of what, counted over all its files.",
        "Leave out what is not needed, or make several topologies of it; to split a file does not help.",
    ),
    "too-many-files": Code("More files are included or extended than make sense.", "Look for a circle of includes."),
    "undefined-config": Code("A service uses a config that does not exist.", "Define it under `configs`."),
    "undefined-network": Code("A service uses a network that does not exist.", "Define it under `networks`."),
    "undefined-profile": Code("Warning: a profile is chosen that no service has.", "Check the spelling."),
    "undefined-secret": Code("A service or template uses a secret that does not exist.", "Define it under `secrets`."),
    "undefined-service": Code("A name of a service does not exist.", "Check the spelling."),
    "undefined-volume": Code("A service uses a volume that does not exist.", "Define it under `volumes`."),
    "unknown-key": Code("Neither Compose nor envspin knows this key here.", "Check the spelling and the indentation."),
    "unsafe-bind-mount": Code(
        "A bind mount, or what a volume mounts, reaches outside the topology's folder.",
        "Move the file into the folder, or `--allow-unsafe`.",
    ),
    "unsafe-engine-socket": Code(
        "The engine's socket is mounted: whoever has it rules the machine.", "Remove it, or `--allow-unsafe`."
    ),
    "unsafe-external": Code(
        "A network or volume, or its data, exists outside the environment.",
        "Let the environment make its own, or `--allow-unsafe`.",
    ),
    "unsafe-host-ipc": Code("The host's IPC namespace is asked for.", "Remove it, or `--allow-unsafe`."),
    "unsafe-host-network": Code("The host's network is asked for.", "Remove it, or `--allow-unsafe`."),
    "unsafe-host-pid": Code("The host's process namespace is asked for.", "Remove it, or `--allow-unsafe`."),
    "unsafe-privileged": Code("A container asks for all privileges.", "Remove it, or `--allow-unsafe`."),
    "unsupported-key": Code(
        "Compose knows the key, but envspin does not honour it.", "The message says why, and what to use instead."
    ),
    "unsupported-value": Code(
        "Compose knows the value, but envspin does not honour it.", "The message says what is possible."
    ),
    "wrong-type": Code("A list, mapping or text stands where another shape is needed.", "Check the indentation."),
    "yaml-alias": Code("An alias has no anchor, or contains itself.", "Check the anchors."),
    "yaml-depth": Code("Values are nested deeper than any topology needs.", "Flatten the file."),
    "yaml-duplicate-key": Code("A key stands twice in one mapping.", "Remove one of the two."),
    "yaml-key": Code("A key is not text.", "Write keys as plain text."),
    "yaml-merge": Code("A merge key `<<` is given something other than mappings.", "Write `<<: *anchor`."),
    "yaml-size": Code(
        "One file is larger or longer than any topology needs.",
        "Move data and scripts out of it, into files that services mount.",
    ),
    "yaml-syntax": Code("The file is not valid YAML.", "Check the indentation and the quotes at that place."),
    "yaml-tag": Code(
        "A YAML tag has no meaning here.", "Only `!reset`, `!override` and YAML's own tags are understood."
    ),
}
