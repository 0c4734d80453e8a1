"""For each key of a service and of the top level: a maker of values, first the right ones, then those nearly right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envspin.topology.probes import PROBES

from .cases import CANARY
from .vocabulary import (
    BAD_DURATIONS,
    BAD_MOUNTS,
    BAD_PORTS,
    BAD_SIZES,
    BAD_VARIABLES,
    DURATIONS,
    EXPOSED,
    MOUNTS,
    NESTED_KEYS,
    NUMBERS,
    PORTS,
    SIZES,
    TEXTS,
    VALUES,
    VARIABLES,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .cases import Chance

    Make = Callable[[Chance], Any]

SERVICES = ["a", "b", "c", "db"]


def anything(rng: Chance, depth: int = 0) -> Any:
    """Return plain data of any shape."""
    kind = rng.randrange(8 if depth < 3 else 4)
    if kind < 3:
        return rng.choice(VALUES)
    if kind == 3:
        return rng.choice([None, True, False, 0, -1, 10**30, 1.5, float("inf")])
    items = [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return items if kind < 6 else {rng.choice(NESTED_KEYS): item for item in items}


def value_of(rng: Chance, key: str, others: list[str]) -> object:
    """Return a value for a key of a service: of its own kind, or of any if that is dared."""
    if rng.random() < rng.daring / 4:
        return anything(rng)
    if key in ("depends_on", "links", "extends"):
        return _reference(rng, key, others)
    return _VALUES.get(key, _one(["x", "y z", "é", "${SECRET}", "$$A"], TEXTS + BAD_VARIABLES))(rng)


def _one(good: Sequence[Any], bad: Sequence[Any] = ()) -> Make:
    return lambda rng: rng.pick(good, bad)


def _some(good: Sequence[Any], bad: Sequence[Any] = (), long: Make | None = None) -> Make:
    def make(rng: Chance) -> list[Any]:
        count = rng.randrange(4)
        return [long(rng) if long and rng.random() < 0.4 else rng.pick(good, bad) for _ in range(count)]

    return make


def _part(needed: dict[str, Make], table: dict[str, Make]) -> Make:
    """Return a maker of mappings with the needed keys and some of the others, seldom with one that is not there."""

    def make(rng: Chance) -> dict[str, Any]:
        chosen = rng.sample(list(table), rng.randint(0, len(table)))
        found = {key: value(rng) for key, value in needed.items() if rng.random() >= rng.daring / 4}
        found |= {key: table[key](rng) for key in chosen}
        if rng.random() < rng.daring / 4:
            found[rng.choice(NESTED_KEYS)] = anything(rng)
        return found

    return make


def _pairs(rng: Chance) -> object:
    pairs = {rng.pick(["A", "B", "x.y"], ["envspin.x", "", " "]): rng.choice([None, 1, True, *VARIABLES, *TEXTS])}
    pairs["C"] = rng.pick(PLAINLY, [[], {}, *BAD_VARIABLES])
    if rng.random() < 0.5:
        pairs[rng.choice(["DB_PASSWORD", "API_TOKEN", "my_secret"])] = f"{CANARY}-{rng.choice(['x', ': #', '}'])}"
        pairs["URL"] = f"postgres://app:{CANARY}@db:5432/app"
    if rng.random() < 0.5:
        return pairs
    return [key if value is None else f"{key}={value}" for key, value in pairs.items()]


PLAINLY = [None, True, 1.5, "x", "NO", "22:22", "a=b"]


def _reference(rng: Chance, key: str, others: list[str]) -> object:
    """Return a value that names other services."""
    names = [rng.pick(others or ["db"], [*SERVICES, "${A}", "nobody", ""]) for _ in range(rng.randrange(3))]
    if key == "links":
        return [name + rng.pick(["", f":x{at}"], [":", ":b", ":a:b", ":${SECRET}"]) for at, name in enumerate(names)]
    if key == "extends":
        name = rng.pick(others or ["db"], [*SERVICES, "nobody"])
        return rng.pick([name, {"service": name}], [{"service": name, "file": "nope.yaml"}, {"file": "compose.yaml"}])
    if rng.random() < 0.5:
        return list(dict.fromkeys(names))
    conditions = ["service_started", "service_healthy", "service_completed_successfully"]
    table = {"condition": _one(conditions, ["x", "${SECRET}"]), "required": _TRUTH, "restart": _one([True])}
    return {name: rng.choice([None, _part({}, table)(rng)]) for name in names}


def make_topology_extension(rng: Chance, names: list[str]) -> dict[str, Any]:
    """Return a top-level `x-envspin`."""
    name = names[0]
    good = [f"{{{name}.host}}", f"x{{{name}.url}}y", "{secret.key}", "{{}}", "plain"]
    bad = ["{db.host}:{db.port}", "{a.port.80}", "{x.host}", "{", "}}", "{a.b}", "${SECRET}", "{{"]
    axis = _one([["a", "b"], ["${A}"]], [[], "x", ["${SECRET}"]])
    strategy = _one(["full", "each"], ["x", "${SECRET}"])
    table: dict[str, Make] = {
        "exports": lambda rng: {rng.pick(["A", "B"], ["1x", "é"]): rng.pick(good, bad) for _ in range(2)},
        "timeout": _one(DURATIONS, BAD_DURATIONS),
        "hermetic": _TRUTH,
        "matrix": _part({}, {"db": axis, "axes": _one([{"a": ["x"]}], [[]]), "strategy": strategy}),
    }
    return dict(_part({}, table)(rng))


_PROBE_KEYS: dict[str, Make] = {
    "port": _one([80, "${PORT}"], [0, "x", "${SECRET}"]),
    "path": _one(["/"], ["x", "${SECRET}"]),
    "status": _one([200, "2xx", [200, 204]], ["x", 999]),
    "pattern": _one(["ready", "a.*b"], ["(", "a{99999}", "(?P<${SECRET}", "[[a]"]),
    "times": _one([1, 2], [0, "x"]),
    "user": _one(["u"], TEXTS),
    "password": _one([CANARY, "${SECRET}"]),
    "database": _one(["d"], TEXTS),
    "tls": _one([True]),
}
_FITTING = {"http": ("port", "path", "status"), "log": ("pattern", "times"), "postgres": ("port", "user", "database")}
_FITTING |= {
    "redis": ("port", "password"),
    "mysql": ("port", "user"),
    "amqp": ("port",),
    "grpc": ("port",),
    "tcp": ("port",),
}


def _probe(rng: Chance) -> object:
    kind = rng.choice(list(PROBES))
    table = {key: _PROBE_KEYS[key] for key in _FITTING.get(kind, ())}
    setting = {key: make(rng) for key, make in table.items()}
    if kind == "exec":
        setting = rng.pick(["a b", ["a"]], [[], "'"])
    whole: list[Any] = [kind, {kind: setting, "tcp": 1}, {kind: "${SECRET}"}, {kind: _part({}, _PROBE_KEYS)(rng)}, {}]
    return rng.pick([{kind: setting}], whole)


def make_service_extension(rng: Chance) -> dict[str, Any]:
    """Return the `x-envspin` of a service."""
    resets: list[Any] = ["recreate", "restart", {"exec": ["x"]}, {"postgres": {"databases": ["x"]}}, {"redis": {}}]
    table: dict[str, Make] = {
        "ready": lambda rng: rng.choice([_probe(rng), [_probe(rng), _probe(rng)]]),
        "timeout": _one(DURATIONS, BAD_DURATIONS),
        "job": _TRUTH,
        "stub": _part({"image": _one(["stub"])}, {"ports": _VALUES["ports"], "command": _COMMAND, "tty": _TRUTH}),
        "reset": _one(resets, ["${SECRET}", {}, {"x": 1}]),
        "snapshot": _TRUTH,
    }
    return {key: table[key](rng) for key in rng.sample(list(table), rng.randint(1, 3))}


_TRUTH = _one([True, False, "yes", "off"], ["maybe", "${A}", "${SECRET}"])
_COMMAND = _one(
    ["run it", "a 'b c'", "", [], ["a", "b"], "${SECRET}", "$$x", None, ["\u2028", "\x85", "a\nb"]],
    ["'", ["x", 1], ["x", []], "${DB_PASSWORD}", f"--password={CANARY}"],
)
_SIZE, _DURATION = _one(SIZES, BAD_SIZES), _one(DURATIONS, BAD_DURATIONS)
_LIMITS = _part({}, {"cpus": _one(["0.5", 2], ["-1", "x", 0]), "memory": _SIZE, "pids": _one([10, -1], ["x"])})
_EXTERNAL = _one([False], [True, "x"])
make_volume = _part(
    {}, {"driver": _one(["local"], ["x"]), "labels": _pairs, "name": _one(["n"], TEXTS), "external": _EXTERNAL}
)
make_network = _part(
    {}, {"internal": _TRUTH, "labels": _pairs, "external": _EXTERNAL, "driver": _one(["bridge"], ["x"])}
)


def make_source(rng: Chance) -> dict[str, Any]:
    """Return a config or secret: mostly from one source."""
    good = [{"file": "./f"}, {"environment": "SECRET"}, {"content": "c${A}\nd"}, {"content": "$$", "name": "n"}]
    bad = [{}, {"file": "/etc/x"}, {"environment": "NOPE"}, {"file": "f", "content": CANARY}, {"external": True}]
    bad += [{"content": CANARY, "contents": 1}, {"content": f"{CANARY}${{"}]
    return dict(rng.pick(good, bad))


_LONG_PORT = _part(
    {"target": _one([80, "90", "${PORT}"], PORTS + BAD_PORTS)},
    {
        "published": _one([80, "80-85", "${PORT}"], BAD_PORTS),
        "protocol": _one(["tcp", "udp"], ["x"]),
        "mode": _one(["host"]),
    },
)


def _long_mount(rng: Chance) -> dict[str, Any]:
    kind = rng.pick(["bind", "volume", "tmpfs"], ["npipe", "${SECRET}", "cluster"])
    sources = {"bind": ["./x", "./y"], "volume": ["data", "more"], "tmpfs": [None]}.get(kind, ["x"])
    found = {
        "type": kind,
        "source": rng.pick(sources, ["/x", "../y", "nope", None]),
        "target": rng.pick(["/x", "/${A}"], ["x"]),
    }
    options: dict[str, Make] = {
        "bind": _part({}, {"create_host_path": _TRUTH, "propagation": _one(["private"], ["shared"])}),
        "volume": _part({}, {"nocopy": _TRUTH}),
        "tmpfs": _part({}, {"size": _SIZE, "mode": _one([448, "0700"], ["x"])}),
    }
    option = rng.pick([kind], list(options))
    if option in options and rng.random() < 0.5:
        found[option] = options[option](rng)
    if rng.random() < 0.3:
        found["read_only"] = _TRUTH(rng)
    return found


def _grants(name: str, other: str) -> Make:
    grant = _part(
        {"source": _one([name, other], ["x"])},
        {"target": _one(["/x", "y"], [""]), "mode": _one([256, "0440"], ["9"]), "uid": _one(["1"], ["x"])},
    )
    return _some([name, other], ["nope", "${SECRET}"], grant)


def _networks(rng: Chance) -> object:
    names = [rng.pick(["front", "back", "default"], ["nope", "${SECRET}", ""]) for _ in range(rng.randint(1, 3))]
    settings = _part({}, {"aliases": _some(["x", "y"], ["${SECRET}", []]), "priority": _one([1, -5], ["x"])})
    return names if rng.random() < 0.5 else {name: rng.choice([None, settings(rng)]) for name in names}


_HEALTHCHECK = _part(
    {"test": _one(["x", ["CMD", "x"], ["CMD-SHELL", "x"], ["NONE"]], [[], ["x"], ["CMD"], f"PASSWORD={CANARY} x"])},
    {"interval": _DURATION, "timeout": _DURATION, "retries": _one([3, 0], [-1, *NUMBERS]), "start_period": _DURATION},
)
_BUILD = _part(
    {"context": _one(["./x", "."], ["https://x/y", "${SECRET}"])},
    {"dockerfile": _one(["D"]), "args": _pairs, "target": _one(["t"])},
)
_ENV_FILE = _part(
    {"path": _one(["vars_file"], ["nope"])}, {"required": _TRUTH, "format": _one(["raw"], ["x", "${SECRET}"])}
)
_ULIMITS = [{"nofile": 1}, {"nofile": {"soft": 1, "hard": 2}}, {"core": -1}]
_HOSTS = [["h:1.1.1.1"], {"h": "::1"}, ["h=[::1]"], ["h=1.1.1.1", "h=2.2.2.2"], ["x=host-gateway"]]

_VALUES: dict[str, Make] = {
    "build": lambda rng: _BUILD(rng) if rng.random() < 0.7 else rng.pick(["./x"], ["https://x"]),
    "environment": _pairs,
    "labels": _pairs,
    "sysctls": _one([{"a.b": 1}, ["a.b=1"]], [{"a": None}, ["x"]]),
    "env_file": lambda rng: rng.choice([rng.pick(["vars_file", ["vars_file"]], ["nope"]), [_ENV_FILE(rng)]]),
    "ports": _some(PORTS, BAD_PORTS, _LONG_PORT),
    "expose": _some(EXPOSED, BAD_PORTS),
    "healthcheck": _HEALTHCHECK,
    "volumes": _some(MOUNTS, BAD_MOUNTS, _long_mount),
    "tmpfs": _one(["/t", ["/t:size=1m", "/u"], "/t:mode=700"], ["/t:x", "x", "/t:${SECRET}"]),
    "networks": _networks,
    "network_mode": _one(["none"], ["host", "service:a", "bridge", "${SECRET}"]),
    "secrets": _grants("token", "key"),
    "configs": _grants("conf", "k"),
    "profiles": _some(["p", "q", "${A}"], ["", []]),
    "stop_grace_period": _DURATION,
    "extra_hosts": _one(_HOSTS, [["h"], {"h": ["1.1.1.1", "2.2.2.2"]}, ["${SECRET}"], {"": "1"}]),
    "ulimits": _one(_ULIMITS, [{"nofile": {"soft": 3, "hard": 2}}, {"x": "y"}]),
    "cpus": _one([0.5, "1"], NUMBERS),
    "pids_limit": _one([10, -1], NUMBERS),
    "deploy": _part(
        {},
        {
            "resources": _part({}, {"limits": _LIMITS, "reservations": _LIMITS}),
            "replicas": _one([1, 2], [0, -1, "x", 10**12]),
            "mode": _one(["replicated"], ["global"]),
            "restart_policy": _one([{}]),
        },
    ),
    "scale": _one([1, 2], [0, -1, "x", 10**12]),
    "pid": _one(["host"], ["service:a", "x"]),
    "ipc": _one(["private", "shareable"], ["host", "x"]),
    "dns": _one(["1.1.1.1", ["1.1.1.1"]], [[], "x"]),
    **dict.fromkeys(("command", "entrypoint"), _COMMAND),
    **dict.fromkeys(("init", "tty", "stdin_open", "read_only", "privileged"), _TRUTH),
    **dict.fromkeys(("shm_size", "mem_limit", "mem_reservation"), _SIZE),
    **dict.fromkeys(
        ("cap_add", "cap_drop", "security_opt", "dns_opt", "dns_search", "group_add"), _some(["ALL", "x", "y"])
    ),
}
