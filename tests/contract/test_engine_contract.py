"""The life of a container, as ``envspin.engine.base`` promises it: create, start, signals, end, removal, listing."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable

import pytest

from envspin.engine.base import Engine, NetworkSpec, Resource, VolumeSpec
from envspin.engine.docker import DockerEngine
from envspin.errors import (
    ConflictError,
    EngineError,
    EngineUnreachableError,
    EnvspinError,
    ImageError,
    ObjectNotFoundError,
)
from envspin.model import Resources

from .images import TESTBOX
from .lab import Lab, pack

GONE = "0123456789abcdef" * 4


def test_info_says_who_answers(engine: Engine) -> None:
    info = engine.info()
    assert info.version
    assert tuple(int(part) for part in info.api_version.split(".")) >= (1, 41)
    assert info.operating_system
    assert info.architecture
    assert "://" in info.address
    assert info.is_local


@pytest.mark.parametrize("verb", ["info", "list_subnets"])
def test_calls_after_close_fail(connect: Callable[[], Engine], verb: str) -> None:
    another = connect()
    assert getattr(another, verb)()
    another.close()
    with pytest.raises(EngineError):
        getattr(another, verb)()


def test_a_ping_is_answered_until_the_close(connect: Callable[[], Engine]) -> None:
    another = connect()
    another.ping(5.0)
    another.close()
    with pytest.raises(EngineUnreachableError):
        another.ping(5.0)


@pytest.mark.parametrize("address", ["unix:///nowhere/engine.sock", "tcp://127.0.0.1:1"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_connecting_to_nobody_is_unreachable(address: str) -> None:
    with pytest.raises(EngineUnreachableError):
        DockerEngine.connect(address).info()
    gc.collect()  # the SDK leaves the socket that could not connect to the collector: warn here, not in a later test


def test_creates_say_when_they_leave(lab: Lab) -> None:
    told: list[str] = []
    lab.engine.create_volume(VolumeSpec(lab.make_name(), lab.labels), on_send=lambda: told.append("volume"))
    spec = NetworkSpec(lab.make_name(), lab.labels, subnet=lab.find_subnet())
    lab.engine.create_network(spec, on_send=lambda: told.append("network"))
    lab.engine.create_container(lab.describe(), on_send=lambda: told.append("container"))
    assert told == ["volume", "network", "container"]


def test_what_was_created_is_remembered_although_it_has_gone(lab: Lab) -> None:
    began = time.time()
    names = {kind: lab.make_name() for kind in ("volume", "network", "container")}
    lab.volume(name=names["volume"])
    lab.network(name=names["network"])
    lab.create(name=names["container"])
    for resource in lab.list_resources():
        lab.engine.remove(resource)
    assert lab.list_resources() == []
    created = lab.engine.recall_created(began)
    assert created >= set(names.values())
    assert lab.make_name() not in created
    assert not lab.engine.recall_created(time.time()) & set(names.values())


def test_created_container_does_not_run(lab: Lab) -> None:
    spec = lab.describe("--line", "hello")
    info = lab.engine.inspect(lab.engine.create_container(spec))
    assert (info.name, info.image, info.status) == (spec.name, TESTBOX, "created")
    assert not info.is_running
    assert info.exit_code is None
    assert info.labels.items() >= lab.labels.items()
    image = lab.engine.find_image(TESTBOX)
    assert image is not None
    assert info.image_id == image.id


def test_unknown_image_cannot_be_created(lab: Lab) -> None:
    with pytest.raises(ImageError):
        lab.create(image="envspin-contract-unknown:1")
    assert lab.list_resources() == []


def test_container_name_is_taken_once(lab: Lab) -> None:
    name = lab.make_name()
    lab.create(name=name)
    with pytest.raises(ConflictError):
        lab.create(name=name)


def test_name_is_free_again_after_removal(lab: Lab) -> None:
    name = lab.make_name()
    first = lab.create(name=name)
    lab.remove("container", first)
    assert lab.create(name=name) != first


@pytest.mark.parametrize("known", [0, 1])
def test_unknown_network_fails_at_create_or_start(lab: Lab, known: int) -> None:
    networks = (*(lab.network() for _ in range(known)), lab.make_name())
    with pytest.raises(EngineError):
        lab.run(networks=networks)
    assert not any(lab.engine.inspect(item.id).is_running for item in lab.list_resources("container"))


def test_started_container_runs(lab: Lab) -> None:
    info = lab.engine.inspect(lab.run())
    assert info.status == "running"
    assert info.is_running
    assert info.exit_code is None


def test_starting_twice_does_nothing(lab: Lab) -> None:
    container = lab.run("--line", "hello")
    lab.wait_for_line(container, "hello")
    lab.engine.start(container)
    assert lab.engine.inspect(container).is_running
    assert lab.read_lines(container) == ["hello"]


def test_stopped_container_starts_again(lab: Lab) -> None:
    container = lab.finish("--line", "hello", "--exit", "0")
    with lab.events(container) as events:
        lab.engine.start(container)
        assert [event.action for event in events.take_until("die")] == ["start", "die"]
    assert lab.read_lines(container) == ["hello", "hello"]


def test_running_again_forgets_the_exit_code(lab: Lab) -> None:
    container = lab.run("--line", "up")
    lab.wait_for_line(container, "up")
    lab.engine.stop(container, grace_seconds=20)
    assert lab.engine.inspect(container).exit_code == 0
    lab.engine.start(container)
    assert lab.engine.inspect(container).exit_code is None


def test_failed_start_says_why(lab: Lab) -> None:
    container = lab.create(entrypoint=("/does-not-exist",))
    with pytest.raises(EngineError, match="does-not-exist") as caught:
        lab.engine.start(container)
    assert not isinstance(caught.value, ObjectNotFoundError)
    info = lab.engine.inspect(container)
    assert not info.is_running
    assert "does-not-exist" in info.error


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit_code_comes_with_the_end(lab: Lab, code: int) -> None:
    container = lab.create("--exit", str(code))
    with lab.events(container) as events:
        lab.engine.start(container)
        end = events.take_until("die")[-1]
    assert end.exit_code == code
    info = lab.engine.inspect(container)
    assert (info.status, info.exit_code, info.oom_killed) == ("exited", code, False)
    assert not info.is_running


def test_out_of_memory_is_told(lab: Lab) -> None:
    container = lab.create("--eat-memory", resources=Resources(memory=48 << 20))
    with lab.events(container) as events:
        lab.engine.start(container)
        actions = [event.action for event in events.take_until("die")]
    assert actions[0] == "start"
    assert "oom" in actions
    info = lab.engine.inspect(container)
    assert (info.exit_code, info.oom_killed) == (137, True)


def test_stop_lets_the_process_say_goodbye(lab: Lab) -> None:
    container = lab.run("--line", "up")
    lab.wait_for_line(container, "up")
    lab.engine.stop(container, grace_seconds=20)
    assert lab.engine.inspect(container).exit_code == 0
    assert lab.read_lines(container) == ["up", "bye"]


def test_stop_kills_after_the_grace_period(lab: Lab) -> None:
    container = lab.run("--ignore-sigterm", "--line", "up")
    lab.wait_for_line(container, "up")
    lab.engine.stop(container, grace_seconds=1)
    assert lab.engine.inspect(container).exit_code == 137
    assert lab.read_lines(container) == ["up", "signal SIGTERM"]


def test_stop_uses_the_containers_own_grace_period(lab: Lab) -> None:
    container = lab.run("--ignore-sigterm", "--line", "up", stop_grace_period=1.0)
    lab.wait_for_line(container, "up")
    lab.engine.stop(container)
    assert lab.engine.inspect(container).exit_code == 137


def test_stop_without_grace_kills_at_once(lab: Lab) -> None:
    container = lab.run("--ignore-sigterm", "--line", "up", stop_grace_period=600.0)
    lab.wait_for_line(container, "up")
    lab.engine.stop(container, grace_seconds=0)
    assert lab.engine.inspect(container).exit_code == 137


def test_stop_sends_the_containers_own_signal(lab: Lab) -> None:
    container = lab.run("--line", "up", stop_signal="SIGUSR1")
    lab.wait_for_line(container, "up")
    lab.engine.stop(container, grace_seconds=1)
    assert "signal SIGUSR1" in lab.read_lines(container)


@pytest.mark.parametrize("state", ["created", "exited"])
def test_stopping_what_does_not_run_is_fine(lab: Lab, state: str) -> None:
    container = lab.create() if state == "created" else lab.finish("--exit", "3")
    lab.engine.stop(container)
    assert lab.engine.inspect(container).status == state


def test_kill_ends_the_process(lab: Lab) -> None:
    container = lab.run()
    with lab.events(container) as events:
        lab.engine.kill(container)
        assert events.take_until("die")[-1].exit_code == 137
    assert lab.engine.inspect(container).exit_code == 137


def test_kill_sends_any_signal(lab: Lab) -> None:
    container = lab.run("--line", "up")
    lab.wait_for_line(container, "up")
    lab.engine.kill(container, "SIGHUP")
    assert lab.wait_for_line(container, "signal") == "signal SIGHUP"
    assert lab.engine.inspect(container).is_running


@pytest.mark.parametrize("state", ["created", "exited"])
def test_killing_what_does_not_run_is_a_conflict(lab: Lab, state: str) -> None:
    container = lab.create() if state == "created" else lab.finish("--exit", "0")
    with pytest.raises(ConflictError):
        lab.engine.kill(container)


def test_unknown_signal_is_refused(lab: Lab) -> None:
    container = lab.run()
    with pytest.raises(EngineError):
        lab.engine.kill(container, "SIGNOTHING")
    assert lab.engine.inspect(container).is_running


def test_pause_freezes_and_unpause_goes_on(lab: Lab) -> None:
    container = lab.run()
    with lab.events(container) as events:
        lab.engine.pause(container)
        info = lab.engine.inspect(container)
        assert (info.status, info.is_running) == ("paused", True)
        lab.engine.unpause(container)
        assert [event.action for event in events.take_until("unpause")] == ["pause", "unpause"]
    assert lab.engine.inspect(container).status == "running"


def test_pausing_what_does_not_run_is_a_conflict(lab: Lab) -> None:
    with pytest.raises(ConflictError):
        lab.engine.pause(lab.create())


def test_unpausing_what_is_not_paused_is_an_error(lab: Lab) -> None:
    with pytest.raises(EngineError):
        lab.engine.unpause(lab.run())


def test_paused_container_can_be_stopped(lab: Lab) -> None:
    container = lab.run()
    lab.engine.pause(container)
    lab.engine.stop(container)
    assert lab.engine.inspect(container).status == "exited"


@pytest.mark.parametrize("verb", ["start", "stop", "kill", "pause", "unpause", "inspect"])
def test_verbs_on_a_gone_container(engine: Engine, verb: str) -> None:
    with pytest.raises(ObjectNotFoundError):
        getattr(engine, verb)(GONE)


def test_reading_and_writing_a_gone_container(engine: Engine) -> None:
    with pytest.raises(ObjectNotFoundError):
        engine.execute(GONE, ["true"])
    with pytest.raises(ObjectNotFoundError):
        list(engine.logs(GONE))
    with pytest.raises(ObjectNotFoundError):
        engine.copy_into(GONE, pack({"/file": b"x"}))


def test_removed_container_is_gone(lab: Lab) -> None:
    container = lab.finish("--exit", "0")
    lab.remove("container", container)
    with pytest.raises(ObjectNotFoundError):
        lab.engine.inspect(container)


@pytest.mark.parametrize("state", ["running", "paused"])
def test_removing_a_living_container(lab: Lab, state: str) -> None:
    container = lab.run()
    if state == "paused":
        lab.engine.pause(container)
    with lab.events(container) as events:
        lab.remove("container", container)
        actions = [event.action for event in events.take_until("destroy")]
    assert actions.index("kill") < actions.index("die") < actions.index("destroy")
    assert lab.list_resources() == []


@pytest.mark.parametrize("kind", ["container", "network", "volume"])
def test_removing_what_is_gone_is_fine(lab: Lab, kind: str) -> None:
    engine = lab.engine
    made = {"container": lab.create, "network": lab.network, "volume": lab.volume}[kind]()
    resource = next(item for item in lab.list_resources() if made in {item.id, item.name})
    engine.remove(resource)
    engine.remove(resource)
    assert lab.list_resources() == []


def test_removal_goes_by_id_not_by_name(lab: Lab) -> None:
    first = lab.create(name=lab.make_name())
    stale = lab.find("container", first)
    lab.engine.remove(stale)
    second = lab.create(name=stale.name)
    lab.engine.remove(stale)
    assert [item.id for item in lab.list_resources("container")] == [second]


def test_listing_shows_each_kind_with_labels(lab: Lab) -> None:
    container, network, volume = lab.finish("--exit", "0"), lab.network(), lab.volume()
    listed = {item.kind: item for item in lab.list_resources()}
    assert listed["container"].id == container
    assert listed["container"].status == "exited"
    assert listed["network"].name == network
    assert (listed["volume"].id, listed["volume"].name) == (volume, volume)
    assert all(item.labels.items() >= lab.labels.items() for item in listed.values())
    assert lab.engine.inspect(container).name == listed["container"].name


def test_listing_follows_the_state(lab: Lab) -> None:
    container = lab.create()
    assert lab.find("container", container).status == "created"
    lab.engine.start(container)
    assert lab.find("container", container).status == "running"


def test_listing_wants_every_label(lab: Lab) -> None:
    one = lab.create(labels={**lab.labels, "colour": "red", "size": "1"})
    two = lab.create(labels={**lab.labels, "colour": "red"})
    lab.create(labels={**lab.labels, "colour": "blue", "size": "1"})

    def list_ids(**labels: str | None) -> set[str]:
        return {item.id for item in lab.list_resources(labels={"envspin.contract": lab.mark, **labels})}

    assert list_ids(colour="red") == {one, two}
    assert list_ids(colour="red", size="1") == {one}
    assert list_ids(colour="red", size=None) == {one}
    assert list_ids(colour=None) == list_ids()
    assert list_ids(colour="re") == list_ids(colour="") == list_ids(shape=None) == set()


def test_listing_without_labels_lists_all(lab: Lab) -> None:
    container, network, volume = lab.create(), lab.network(), lab.volume()
    everything = lab.engine.list_resources({})
    assert {container, volume} <= {item.id for item in everything}
    assert network in {item.name for item in everything}


def test_copied_files_are_there_when_it_starts(lab: Lab) -> None:
    container = lab.create()
    lab.engine.copy_into(container, pack({"/etc/app/settings.ini": b"colour = blue\n", "/top": b"here\n"}))
    lab.engine.start(container)
    assert lab.execute(container, "cat", "/etc/app/settings.ini", "/top") == "colour = blue\nhere"


def test_files_are_copied_into_a_running_container(lab: Lab) -> None:
    container = lab.run()
    lab.engine.copy_into(container, pack({"/tmp/late": b"late\n"}))
    lab.engine.copy_into(container, pack({"/tmp/late": b"later\n"}))
    assert lab.execute(container, "cat", "/tmp/late") == "later"


def test_files_are_copied_below_a_folder(lab: Lab) -> None:
    container = lab.create()
    lab.engine.copy_into(container, pack({"app/settings.ini": b"below\n"}), path="/etc")
    lab.engine.start(container)
    assert lab.execute(container, "cat", "/etc/app/settings.ini") == "below"


@pytest.mark.engine
def test_copying_below_a_folder_that_is_not_there(docker_lab: Lab) -> None:
    with pytest.raises(EngineError):
        docker_lab.engine.copy_into(docker_lab.create(), pack({"file": b"x"}), path="/no/such/folder")


def test_copying_what_is_no_archive_is_an_error(lab: Lab) -> None:
    with pytest.raises(EngineError):
        lab.engine.copy_into(lab.create(), b"this is not a tar archive" * 100)


def test_errors_are_our_own(lab: Lab) -> None:
    container = lab.create()
    resource = dataclasses.replace(lab.find("container", container), id="no such id")
    lab.engine.remove(resource)
    with pytest.raises(EnvspinError):
        lab.engine.inspect("no such id")
    lab.engine.remove(Resource("network", GONE, "gone", {}))
    assert [item.id for item in lab.list_resources("container")] == [container]
