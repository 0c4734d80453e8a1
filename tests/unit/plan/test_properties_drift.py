"""Any lock: it does not differ from itself, and one change is found where it was made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from envspin.plan.drift import (
    OTHERS,
    Running,
    compare_builds,
    compare_environment,
    compare_locks,
    compare_references,
    compare_registry,
    compare_topology,
    list_pins,
    match_workloads,
)
from envspin.plan.lock import LockedBuild, LockedImage

from .locks import AMD, build, image, lock, sha, workload

NAMES = st.sampled_from("abcdefgh")
IMAGES = st.builds(
    lambda path, tag, name: image(f"{path}:{tag}", name),
    st.sampled_from(["postgres", "shop/api", "registry.example/shop/api", "localhost:5000/x"]),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["red", "green"]),
)


@st.composite
def locks(draw):
    """Draw locks in which each reference has one content, with at least one service."""
    known = {each.reference: each for each in draw(st.lists(IMAGES, min_size=1))}
    references = st.sampled_from(sorted(known))
    builds = st.builds(build, st.sampled_from(["x", "y"]), references)
    services = draw(st.dictionaries(NAMES, references.map(known.get) | builds, min_size=1))
    return lock(services, *known.values())


def run_exactly(locked):
    return {
        service: Running("built", AMD, (), pin.content)
        if isinstance(pin, LockedBuild)
        else Running(pin.reference, AMD, tuple(sorted(pin.list_ids(AMD)))[:1])
        for service, pin in list_pins(locked).items()
    }


def list_workloads(locked):
    return [workload(name, pin.pin()) for name, pin in list_pins(locked).items() if isinstance(pin, LockedImage)]


@given(locks())
def test_a_lock_does_not_differ_from_itself(locked):
    assert compare_registry(locked, {reference: each.digest for reference, each in locked.images.items()}) == []
    assert compare_builds(locked, {service: each.content for service, each in locked.builds.items()}) == []
    assert compare_topology(locked, locked.services) == []
    assert compare_environment(locked, run_exactly(locked)) == []
    assert compare_references(locked, locked.services) == []
    assert compare_locks(locked, locked) == []
    assert {(each.service, each.kind) for each in match_workloads(locked, list_workloads(locked))} == {
        (service, "only-here") for service in locked.builds
    }


@given(locks(), st.data())
def test_one_change_is_found_in_its_service_alone(locked, data):
    service = data.draw(st.sampled_from(sorted(locked.services)))
    pin, changed = list_pins(locked)[service], {service}
    other_pin = build("changed") if isinstance(pin, LockedBuild) else image("changed:1")
    other = lock({**list_pins(locked), service: other_pin}, *locked.images.values())
    found = [
        compare_environment(locked, {**run_exactly(locked), service: Running("x:1", AMD, (sha("x"),))}),
        compare_references(locked, {**locked.services, service: "changed:1"}),
        compare_locks(locked, other),
        compare_topology(locked, {**locked.services, service: "changed:1"}),
        compare_builds(locked, {service: sha("changed")} if isinstance(pin, LockedBuild) else {}),
    ]
    for each in found[: len(found) if isinstance(pin, LockedBuild) else -1]:
        assert {finding.service for finding in each} == changed


@given(locks(), st.data())
def test_a_container_of_a_services_name_is_that_service_or_a_finding(locked, data):
    images = {name: pin for name, pin in list_pins(locked).items() if isinstance(pin, LockedImage)}
    service = data.draw(st.sampled_from(sorted(locked.services)))
    runs = data.draw(IMAGES)
    others = [each for each in list_workloads(locked) if each.container != service]
    found = match_workloads(locked, [*others, workload(service, runs.pin())])
    same = service in images and runs.digest == images[service].digest
    assert ([each for each in found if each.service == service] == []) is same


@given(locks(), st.data())
def test_a_foreign_registry_without_a_digest_is_always_a_finding(locked, data):
    name = data.draw(NAMES | st.just("main"))
    written = data.draw(st.sampled_from(sorted(locked.images)))
    path = written.removeprefix("registry.example/").removeprefix("localhost:5000/")
    found = match_workloads(locked, [workload(name, f"attacker.example/{path}")])
    assert any(each.found is not None for each in found)


@given(locks(), st.data())
def test_one_service_less_is_found_and_nothing_else(locked, data):
    service = data.draw(st.sampled_from(sorted(locked.services)))
    fewer = {name: reference for name, reference in locked.services.items() if name != service}
    running = {name: runs for name, runs in run_exactly(locked).items() if name != service}
    assert [(each.service, each.kind) for each in compare_references(locked, fewer)] == [(service, "only-here")]
    assert [(each.service, each.kind) for each in compare_environment(locked, running)] == [(service, "not-running")]
    assert [(each.service, each.kind) for each in compare_topology(locked, fewer)] == [(service, "lock-stale")]


@given(locks(), st.data())
def test_a_moved_tag_is_found_in_exactly_the_services_that_use_it(locked, data):
    reference = data.draw(st.sampled_from(sorted(locked.images)))
    users = {service for service, used in locked.services.items() if used == reference}
    users |= {service for service, each in locked.builds.items() if reference in each.bases}
    found = compare_registry(locked, {reference: sha("moved")})
    assert {each.service for each in found} == (users or {OTHERS})
