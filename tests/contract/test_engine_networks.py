"""Networks, published ports, volumes and mounts, as ``envspin.engine.base`` promises them."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import socket
from pathlib import Path

import psutil
import pytest

from envspin.engine.base import AttachmentSpec, MountSpec, Resource
from envspin.engine.fake import FakeEngine
from envspin.errors import ConflictError, EngineError
from envspin.model import Port

from .lab import Lab, pack


def test_created_network_is_listed_with_its_id(lab: Lab) -> None:
    name = lab.network()
    resource = lab.find("network", name)
    assert resource.id != name
    assert resource.labels.items() >= lab.labels.items()


def test_network_name_is_taken_once(lab: Lab) -> None:
    name = lab.network()
    with pytest.raises(ConflictError):
        lab.network(name=name)
    assert len(lab.list_resources("network")) == 1


def test_overlapping_subnet_is_a_conflict(lab: Lab) -> None:
    outer = ipaddress.ip_network(lab.find_subnet(prefix=24))
    inner = next(iter(outer.subnets(new_prefix=28)))
    lab.network(subnet=str(inner))
    for taken in (inner, outer):
        with pytest.raises(ConflictError):
            lab.network(subnet=str(taken))
    assert len(lab.list_resources("network")) == 1


def test_subnets_are_listed(lab: Lab) -> None:
    subnet = lab.find_subnet()
    assert subnet not in lab.engine.list_subnets()
    name = lab.network(subnet=subnet)
    assert subnet in lab.engine.list_subnets()
    lab.remove("network", name)
    assert subnet not in lab.engine.list_subnets()


def test_engine_chooses_a_subnet_of_its_own(lab: Lab) -> None:
    before = lab.engine.list_subnets()
    name = lab.network(subnet=None)
    container = lab.run(networks=(name,))
    address = ipaddress.ip_address(lab.engine.inspect(container).addresses[name])
    assert not any(address in ipaddress.ip_network(subnet) for subnet in before)


def test_container_has_an_address_on_each_network(lab: Lab) -> None:
    subnets = {lab.network(subnet=subnet): subnet for subnet in (lab.find_subnet(), lab.find_subnet())}
    info = lab.engine.inspect(lab.run(networks=tuple(subnets)))
    assert info.addresses.keys() == subnets.keys()
    for name, subnet in subnets.items():
        assert ipaddress.ip_address(info.addresses[name]) in ipaddress.ip_network(subnet)


def test_addresses_are_given_while_running_only(lab: Lab) -> None:
    container = lab.create(networks=(lab.network(),))
    assert lab.engine.inspect(container).addresses == {}
    lab.engine.start(container)
    assert lab.engine.inspect(container).addresses
    lab.engine.stop(container, grace_seconds=0)
    assert lab.engine.inspect(container).addresses == {}


def test_container_without_networks_has_no_address(lab: Lab) -> None:
    info = lab.engine.inspect(lab.run(published=(Port(8000),)))
    assert info.addresses == {}
    assert info.published == {}


def test_containers_of_a_network_have_different_addresses(lab: Lab) -> None:
    network = lab.network()
    addresses = [lab.engine.inspect(lab.run(networks=(network,))).addresses[network] for _ in range(3)]
    assert len(set(addresses)) == 3


def test_published_port_answers_on_loopback_only(lab: Lab) -> None:
    container = lab.run("--listen", "8000", networks=(lab.network(),), published=(Port(8000), Port(8001)))
    lab.wait_for_line(container, "listening on 8000")
    published = lab.engine.inspect(container).published
    assert set(published) == {"8000/tcp", "8001/tcp"}
    assert len(set(published.values())) == 2
    with socket.create_connection(("127.0.0.1", published["8000/tcp"]), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.0 200")
    listening = [tuple(item.laddr) for item in psutil.net_connections("inet") if item.status == psutil.CONN_LISTEN]
    assert {address[0] for address in listening if address[1] in published.values()} == {"127.0.0.1"}


def test_udp_port_is_published(lab: Lab) -> None:
    container = lab.run(networks=(lab.network(),), published=(Port(5353, "udp"),))
    assert set(lab.engine.inspect(container).published) == {"5353/udp"}


def test_ports_are_published_while_running_only(lab: Lab) -> None:
    container = lab.create(networks=(lab.network(),), published=(Port(8000),))
    assert lab.engine.inspect(container).published == {}
    lab.engine.start(container)
    assert lab.engine.inspect(container).published.keys() == {"8000/tcp"}
    lab.engine.stop(container)
    assert lab.engine.inspect(container).published == {}


def test_nothing_is_published_unasked(lab: Lab) -> None:
    container = lab.run("--listen", "8000", networks=(lab.network(),))
    assert lab.engine.inspect(container).published == {}


def test_internal_network_publishes_nothing(lab: Lab) -> None:
    network = lab.network(internal=True)
    info = lab.engine.inspect(lab.run(networks=(network,), published=(Port(8000),)))
    assert info.published == {}
    assert info.addresses.keys() == {network}


def test_network_in_use_is_removed(lab: Lab) -> None:
    network = lab.network()
    container = lab.run(networks=(network,))
    lab.remove("network", network)
    assert lab.list_resources("network") == []
    info = lab.engine.inspect(container)
    assert info.is_running
    assert network not in info.addresses


def test_network_of_a_stopped_container_is_removed(lab: Lab) -> None:
    network = lab.network()
    container = lab.finish("--exit", "0", networks=(network,))
    lab.remove("network", network)
    assert [item.id for item in lab.list_resources()] == [container]


def test_network_is_removed_by_id_not_by_name(lab: Lab) -> None:
    name = lab.network()
    stale = lab.find("network", name)
    lab.engine.remove(stale)
    lab.network(name=name)
    lab.engine.remove(stale)
    assert [item.name for item in lab.list_resources("network")] == [name]


@pytest.mark.engine
def test_aliases_resolve_inside_their_network_only(docker_lab: Lab) -> None:
    lab = docker_lab
    near, far = lab.network(), lab.network()
    attachments = (AttachmentSpec(near, ("db", "database")), AttachmentSpec(far, ("remote",)))
    server = lab.run("--listen", "8000", attachments=attachments)
    client, stranger = lab.run(networks=(near,)), lab.run(networks=(far,))
    addresses = lab.engine.inspect(server).addresses

    def resolve(container: str, name: str) -> str:
        result = lab.engine.execute(container, ["getent", "hosts", name])
        return result.output.split()[0] if result.exit_code == 0 else ""

    assert resolve(client, "db") == resolve(client, "database") == addresses[near]
    assert resolve(stranger, "remote") == addresses[far]
    assert resolve(client, "remote") == resolve(stranger, "db") == ""


def test_volume_keeps_files_between_containers(lab: Lab) -> None:
    mount = MountSpec("volume", "/data", source=lab.volume())
    first = lab.create(mounts=(mount,))
    lab.engine.copy_into(first, pack({"/data/note": b"kept\n"}))
    lab.remove("container", first)
    second = lab.run(mounts=(dataclasses.replace(mount, target="/elsewhere"),))
    assert lab.execute(second, "cat", "/elsewhere/note") == "kept"
    assert len(lab.list_resources("volume")) == 1


def test_files_outside_volumes_go_with_their_container(lab: Lab) -> None:
    first = lab.create()
    lab.engine.copy_into(first, pack({"/data/note": b"lost\n"}))
    lab.remove("container", first)
    assert lab.engine.execute(lab.run(), ["cat", "/data/note"]).exit_code == 1


def test_creating_a_volume_again_keeps_it(lab: Lab) -> None:
    name = lab.volume()
    first = lab.create(mounts=(MountSpec("volume", "/data", source=name),))
    lab.engine.copy_into(first, pack({"/data/note": b"kept\n"}))
    assert lab.volume(name=name) == name
    lab.engine.start(first)
    assert lab.execute(first, "cat", "/data/note") == "kept"
    assert len(lab.list_resources("volume")) == 1


def test_volume_in_use_stays(lab: Lab) -> None:
    name = lab.volume()
    container = lab.create(mounts=(MountSpec("volume", "/data", source=name),))
    with pytest.raises(ConflictError):
        lab.remove("volume", name)
    assert lab.list_resources("volume")
    lab.remove("container", container)
    lab.remove("volume", name)
    assert lab.list_resources("volume") == []


def test_volume_in_use_by_somebody_else_is_told_with_their_name(lab: Lab) -> None:
    name = lab.volume()
    stranger = lab.describe(mounts=(MountSpec("volume", "/data", source=name),), labels={"somebody": "else"})
    container = lab.engine.create_container(stranger)
    try:
        with pytest.raises(EngineError, match=stranger.name) as caught:
            lab.remove("volume", name)
        assert not isinstance(caught.value, ConflictError)
    finally:
        lab.engine.remove(Resource("container", container, stranger.name, {"somebody": "else"}))
    lab.remove("volume", name)
    assert lab.list_resources("volume") == []


def test_volume_of_this_name_with_other_labels_is_somebody_elses(lab: Lab) -> None:
    name = lab.volume()
    lab.engine.remove(Resource("volume", name, name, {**lab.labels, "envspin.contract.kind": "other"}))
    assert [item.id for item in lab.list_resources("volume")] == [name]


def test_volume_without_labels_is_removed(lab: Lab) -> None:
    name = lab.volume(labels={})
    resource = next(item for item in lab.engine.list_resources({}) if item.id == name)
    lab.engine.remove(resource)
    assert all(item.id != name for item in lab.engine.list_resources({}))


def test_a_volume_that_is_gone_is_made_anew_with_the_labels_of_its_mount(lab: Lab) -> None:
    name = lab.make_name()
    container = lab.create(mounts=(MountSpec("volume", "/data", source=name, labels=lab.labels),))
    (made,) = lab.list_resources("volume")
    assert (made.id, made.labels) == (name, lab.labels)
    lab.remove("container", container)
    lab.remove("volume", name)
    assert lab.list_resources("volume") == []


def test_labels_of_a_mount_change_no_volume_that_exists(lab: Lab) -> None:
    name = lab.volume()
    lab.create(mounts=(MountSpec("volume", "/data", source=name, labels={**lab.labels, "new": "yes"}),))
    assert [each.labels for each in lab.list_resources("volume")] == [lab.labels]


def find_anonymous(lab: Lab, container: str, target: str) -> list[str]:
    """Return the engine's names of the volumes mounted at ``target`` of a running container."""
    if isinstance(lab.engine, FakeEngine):
        return lab.engine.list_anonymous_volumes(container)
    mounts = lab.execute(container, "cat", "/proc/self/mountinfo")
    return re.findall(rf"/volumes/([\w-]+)/_data {target} ", mounts)


def test_anonymous_volumes_go_with_their_container(lab: Lab, derived_image: str) -> None:
    container = lab.run(image=derived_image)
    (name,) = find_anonymous(lab, container, "/state")
    assert name in {item.id for item in lab.engine.list_resources({})}
    lab.remove("container", container)
    assert name not in {item.id for item in lab.engine.list_resources({})}


def test_named_volume_takes_the_place_of_an_anonymous_one(lab: Lab, derived_image: str) -> None:
    name = lab.volume()
    container = lab.run(image=derived_image, mounts=(MountSpec("volume", "/state", source=name),))
    assert find_anonymous(lab, container, "/state") == ([] if isinstance(lab.engine, FakeEngine) else [name])
    lab.remove("container", container)
    assert [item.id for item in lab.list_resources("volume")] == [name]


def test_bind_mount_shows_the_hosts_files(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "note").write_text("from the host\n")
    container = lab.run(mounts=(MountSpec("bind", "/host", source=str(tmp_path), read_only=True),))
    assert lab.execute(container, "cat", "/host/sub/note") == "from the host"
    assert lab.engine.execute(container, ["cat", "/host/nothing"]).exit_code == 1


def test_tmpfs_is_empty_at_each_start(lab: Lab) -> None:
    container = lab.run(mounts=(MountSpec("tmpfs", "/scratch"),))
    assert lab.engine.execute(container, ["cat", "/scratch/note"]).exit_code == 1


def test_copy_into_a_read_only_container_is_refused(lab: Lab) -> None:
    container = lab.create(read_only=True)
    with pytest.raises(EngineError, match="read-only"):
        lab.engine.copy_into(container, pack({"/etc/app.ini": b"x"}))


def test_copy_into_a_volume_of_a_read_only_container(lab: Lab) -> None:
    container = lab.create(read_only=True, mounts=(MountSpec("volume", "/grants", source=lab.volume()),))
    lab.engine.copy_into(container, pack({"/app/token": b"secret\n"}), path="/grants")
    lab.engine.start(container)
    assert lab.execute(container, "cat", "/grants/app/token") == "secret"
