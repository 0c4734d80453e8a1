"""Whole files built from the tables of keys: most values are right, some nearly, as the case's daring says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from .cases import CANARY, Case, of_text
from .grammar_values import (
    SERVICES,
    anything,
    make_network,
    make_service_extension,
    make_source,
    make_topology_extension,
    make_volume,
    value_of,
)
from .vocabulary import BAD_VARIABLES, HONOURED_KEYS, OTHER_KEYS, TEXTS, TOP_KEYS, VALUES, VARIABLES

if TYPE_CHECKING:
    from .cases import Chance

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_VARIABLES_TEXT = f"FROM_FILE=1\nFILE_TOKEN={CANARY}-file\nQUOTED='x'\n"


def grammar_file(rng: Chance) -> Case:
    """Return one file made after the language's grammar."""
    return of_text(write(rng, whole_file(rng)), rng, env=f"DOT_TOKEN={CANARY}-dot\nB=b\n", vars_file=_VARIABLES_TEXT)


def write(rng: Chance, data: object) -> str:
    """Return data as YAML in one of its styles."""
    style = rng.randrange(4)
    if style == 0:
        return json.dumps(data, ensure_ascii=rng.random() < 0.5)
    if style == 1:
        return json.dumps(data, indent=1)
    flow = None if style == 2 else False
    return str(yaml.dump(data, Dumper=_DUMPER, sort_keys=False, width=2**20, default_flow_style=flow))


def whole_file(rng: Chance) -> dict[str, Any]:
    """Return the data of a file: services, and what they may name."""
    names = rng.sample(SERVICES, rng.randint(1, 4))
    data: dict[str, Any] = {"services": {name: service(rng, names[:at]) for at, name in enumerate(names)}}
    data["networks"] = {"front": make_network(rng), "back": None}
    data["volumes"] = {"data": make_volume(rng), "more": None}
    data["secrets"] = {"token": make_source(rng), "key": {"content": f"{CANARY}-inline"}}
    data["configs"] = {"conf": make_source(rng), "k": {"content": "c"}}
    for section in ("networks", "volumes", "secrets", "configs"):
        if rng.random() < rng.daring / 2:
            data[section] = rng.choice([None, [], {}, "x", {rng.choice(TEXTS): rng.choice(VALUES)}])
    if rng.random() < 0.4:
        data["x-envspin"] = make_topology_extension(rng, names)
    if rng.random() < rng.daring:
        data[rng.choice(TOP_KEYS)] = anything(rng)
    if rng.random() < 0.2:
        data["name"] = rng.choice(["shop", "Shop!", "${A}"] + (TEXTS + VARIABLES if rng.daring else []))
    return data


def service(rng: Chance, others: list[str]) -> dict[str, Any]:
    """Return the data of a service with up to eight keys, which may name these others."""
    found: dict[str, Any] = {}
    if rng.random() >= rng.daring / 10:
        found["image"] = rng.pick(["i", "img:1", "${A}/x:${TAG}", "${SECRET}"], VALUES)
    for key in rng.sample(HONOURED_KEYS, rng.randrange(8)):
        found[key] = value_of(rng, key, others)
    if rng.random() < rng.daring:
        found[rng.choice(OTHER_KEYS)] = anything(rng)
    if rng.random() < 0.3:
        found["x-envspin"] = make_service_extension(rng)
    if found.get("network_mode") and rng.random() >= rng.daring:
        found.pop("networks", None)
        found.pop("links", None)
    found["x-note"] = rng.pick(VARIABLES, BAD_VARIABLES)
    return found
