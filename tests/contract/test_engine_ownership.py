"""Whose an object is: nothing of somebody else's is used or removed, as ``envspin.engine.base`` promises it."""

from __future__ import annotations

import dataclasses

import pytest

from envspin.engine.base import Engine, Kind
from envspin.engine.fake import FakeEngine
from envspin.errors import ConflictError

from .lab import Lab

KINDS: tuple[Kind, ...] = ("container", "network", "volume")


def make(lab: Lab, kind: Kind) -> str:
    return {"container": lab.create, "network": lab.network, "volume": lab.volume}[kind]()


def test_only_a_real_engine_keeps_what_it_holds(engine: Engine) -> None:
    assert engine.info().is_persistent is not isinstance(engine, FakeEngine)


@pytest.mark.parametrize("labels", [{}, {"envspin.contract.kind": "other"}, {"one": "more"}])
def test_a_volume_of_that_name_with_other_labels_is_not_taken(lab: Lab, labels: dict[str, str]) -> None:
    name = lab.volume()
    wanted = {**lab.labels, **labels} if labels else {}
    with pytest.raises(ConflictError, match=name):
        lab.volume(name=name, labels=wanted)
    assert lab.find("volume", name).labels == lab.labels


def test_a_volume_with_more_labels_than_ours_is_not_taken(lab: Lab) -> None:
    name = lab.volume(labels={**lab.labels, "somebody": "else"})
    with pytest.raises(ConflictError):
        lab.volume(name=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", [{"envspin.contract.kind": "other"}, {"one": "more"}])
def test_what_no_longer_has_the_labels_that_it_was_listed_with_stays(
    lab: Lab, kind: Kind, other: dict[str, str]
) -> None:
    listed = lab.find(kind, make(lab, kind))
    lab.engine.remove(dataclasses.replace(listed, labels={**listed.labels, **other}))
    assert [item.id for item in lab.list_resources(kind)] == [listed.id]


@pytest.mark.parametrize("kind", KINDS)
def test_a_running_container_and_its_network_and_volume_stay_when_their_labels_differ(lab: Lab, kind: Kind) -> None:
    network = lab.network()
    container = lab.run(networks=(network,))
    lab.volume()
    for item in lab.list_resources(kind):
        lab.engine.remove(dataclasses.replace(item, labels={"envspin.contract": "nobody"}))
    assert {item.kind for item in lab.list_resources()} == set(KINDS)
    info = lab.engine.inspect(container)
    assert info.is_running
    assert network in info.addresses


@pytest.mark.parametrize("kind", ["container", "network"])
def test_one_name_is_taken_once_even_with_the_same_labels(lab: Lab, kind: Kind) -> None:
    name = lab.make_name()
    create = lab.create if kind == "container" else lab.network
    create(name=name)
    before = lab.list_resources()
    with pytest.raises(ConflictError):
        create(name=name)
    assert lab.list_resources() == before


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_of_another_kind_removes_nothing(lab: Lab, kind: Kind) -> None:
    listed = [lab.find(each, make(lab, each)) for each in KINDS]
    for item in listed:
        if item.kind != kind:
            lab.engine.remove(dataclasses.replace(item, kind=kind))
    assert {item.id for item in lab.list_resources()} == {item.id for item in listed}
