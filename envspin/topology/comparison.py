"""Two topologies -> what differs between them: how configurations of two environments have drifted apart.

Values and names are masked here, before anybody can print them; that two secrets differ is told all the same. To know
a secret where it turns up again, the files of secrets are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from envspin.topology.facts import Fact, Kind, Value, collect_facts
from envspin.topology.masking import MASK, Masker, find_secrets, sounds_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envspin.model import FileSource, Service, Topology

Side: TypeAlias = Literal["left", "right"]
Status: TypeAlias = Literal["differs", "only-left", "only-right", "undeclared"]

_KINDS = get_args(Kind)
_KINDS_WITH_VALUES = ("variable", "build", "setting", "config", "export")
_POINTING_KEYS = ("depends_on", "networks", "volumes", "configs", "secrets")
_STUB = "x-envspin.stub."
_MAX_SECRET_BYTES = 64 * 1024
_KINDS_OF_KEYS = ("image", "build", "resource", "setting")
_NAME_OF_A_NAME = re.compile(r"(?i)(?:user|username|login|admin|owner|database|db|name|host)$")
"""Variables that name a user, a database or a host, and so stand openly even if a password is the same word."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same on both sides.

    ``service`` is None for what belongs to the whole topology. A value is None on a side that has none. A variable is
    undeclared on a side whose text uses it although nothing sets it there; the other side's value is given where it has
    one.
    """

    service: str | None
    kind: Kind
    name: str
    status: Status
    left: Value = None
    right: Value = None
    undeclared_in: Side | None = None


def compare_topologies(left: Topology, right: Topology) -> list[Difference]:
    """Return the differences by service (in the order written, the whole topology last), kind and name.

    The topologies' names are no difference, nor is the folder that a topology lies in. A service that only one side
    has is one difference, whatever it consists of; a variable that neither side declares is none.
    """
    facts: dict[Side, Mapping[Fact, Value]] = {"left": collect_facts(left), "right": collect_facts(right)}
    undeclared = list(_compare_undeclared({"left": left, "right": right}, facts))
    # A use of an undeclared X often stands under its own name, as in `X: ${X}`: its being empty is not said twice.
    covered = {fact for fact, each in undeclared if each.undeclared_in and not facts[each.undeclared_in].get(fact)}
    found = [each for fact, each in _compare_facts(facts["left"], facts["right"]) if fact not in covered]
    found.extend(each for _, each in undeclared)
    order = {name: rank for rank, name in enumerate(dict.fromkeys((*left.services, *right.services, None)))}
    found.sort(key=lambda each: (order[each.service], _KINDS.index(each.kind), each.name, each.status))
    masker = make_masker(left, right)
    return [_mask(each, masker) for each in found]


def find_undeclared(topology: Topology) -> list[tuple[str | None, str]]:
    """Return service (None for the whole topology) and name of every variable that is used and nowhere set.

    The names are as they may be shown: that in `- ${TOKEN}` would be a secret.
    """
    masker = make_masker(topology)
    return list(dict.fromkeys((service, masker.mask_name(name)) for service, name in _list_undeclared(topology)))


def make_masker(*topologies: Topology) -> Masker:
    """Return what hides the secrets of these topologies, in whichever of them they turn up."""
    contents: set[str] = set()
    values: set[str] = set()
    names: set[str] = set()
    defaults: set[str] = set()
    for topology in topologies:
        for source in topology.sources.values():
            if source.kind == "secret":
                contents.add(_read_content(source, topology))
        values.update(find_secrets(dict(topology.variables)))
        facts = collect_facts(topology)
        for fact, value in facts.items():
            values.update(find_secrets(value, _find_telling_name(fact)))
        names.update(fact.name.partition(".")[0] for fact in facts if fact.kind in _KINDS_OF_KEYS)
        names.update(_list_names(topology))
        defaults.update(*map(_list_defaults, topology.services.values()))
    return Masker(contents, values, names=names, defaults=defaults)


def _list_names(topology: Topology) -> Iterator[str]:
    """Yield the names that a topology shows to everybody, and those of its images without registry and tag."""
    yield from topology.services
    yield from topology.networks
    yield from topology.volumes
    yield from (source.name for source in topology.sources.values())
    for service in topology.services.values():
        for each in (service, service.stub):
            if each is not None and each.image is not None:
                yield each.image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _list_defaults(service: Service) -> Iterator[str]:
    """Yield the names of users, databases and hosts that a service says openly."""
    variables = [service.environment]
    if service.build is not None:
        variables.append(service.build.args)
    if service.stub is not None:
        yield from _list_defaults(service.stub)
    for name, value in (each for mapping in variables for each in mapping.items()):
        if _NAME_OF_A_NAME.search(name) and not sounds_secret(name):
            yield value


def _list_undeclared(topology: Topology) -> list[tuple[str | None, str]]:
    found: list[tuple[str | None, str]] = []
    for service in topology.services.values():
        found.extend((service.name, name) for name in service.undeclared)
    sources = [source.environment for source in topology.sources.values() if source.environment is not None]
    missing = [name for name in sources if name not in topology.variables]
    found.extend((None, name) for name in dict.fromkeys((*topology.undeclared, *missing)))
    return found


def _compare_facts(left: Mapping[Fact, Value], right: Mapping[Fact, Value]) -> Iterator[tuple[Fact, Difference]]:
    for fact in {**left, **right}:
        in_left, in_right = fact in left, fact in right
        if in_left and in_right and left[fact] == right[fact]:
            continue
        if fact.service is not None and fact.kind != "service":
            service = Fact(fact.service, "service", fact.service)
            if service not in left or service not in right:
                continue
        status: Status = "differs" if in_left and in_right else "only-left" if in_left else "only-right"
        yield fact, Difference(*fact, status, left.get(fact), right.get(fact))


def _compare_undeclared(
    sides: Mapping[Side, Topology], facts: Mapping[Side, Mapping[Fact, Value]]
) -> Iterator[tuple[Fact, Difference]]:
    """Yield the variables that one side uses without a value, and the other does not."""
    missing = {side: dict.fromkeys(_list_undeclared(topology)) for side, topology in sides.items()}
    pairs: tuple[tuple[Side, Side], ...] = (("left", "right"), ("right", "left"))
    for side, other in pairs:
        for service, name in missing[side]:
            if (service, name) in missing[other]:
                continue
            fact = Fact(service, "variable", name)
            value = facts[other].get(fact, sides[other].variables.get(name))
            left, right = (None, value) if side == "left" else (value, None)
            yield fact, Difference(*fact, "undeclared", left, right, undeclared_in=side)


def _mask(difference: Difference, masker: Masker) -> Difference:
    name = _find_telling_name(difference)
    left, right = masker.mask(difference.left, name), masker.mask(difference.right, name)
    if difference.kind in ("config", "secret"):
        left, right = (
            _hide_content(shown) if difference.kind == "secret" or _comes_from_secret(value) else shown
            for shown, value in ((left, difference.left), (right, difference.right))
        )
    return replace(difference, name=masker.mask_name(difference.name), left=left, right=right)


def _comes_from_secret(source: Value) -> bool:
    """Tell whether a config is filled from a variable with a telling name."""
    return bool(source) and sounds_secret(source.get("environment", ""))


def _find_telling_name(difference: Difference | Fact) -> str:
    """Return the name that tells whether the values are secret; nothing where it only points to something else."""
    if difference.kind not in _KINDS_WITH_VALUES:
        return ""
    path = difference.name.removeprefix(_STUB)
    return "" if path.partition(".")[0] in _POINTING_KEYS else path.rpartition(".")[2]


def _hide_content(source: Value) -> Value:
    return {**source, "content": MASK} if source and source.get("content") else source


def _read_content(source: FileSource, topology: Topology) -> str:
    """Return what a secret holds, as far as that is known: one that cannot be read cannot turn up elsewhere either."""
    if source.environment is not None:
        return topology.variables.get(source.environment, "")
    if source.file is None:
        return source.content or ""
    if not source.file.is_file():
        return ""
    try:
        with source.file.open("rb") as file:
            return file.read(_MAX_SECRET_BYTES).decode(errors="replace")
    except OSError:
        return ""
