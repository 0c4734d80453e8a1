"""What only the in-memory engine can do: scripts, a clock of its own, faults, and the record of its calls."""

from __future__ import annotations

import threading

import pytest

from envspin.engine.base import AttachmentSpec, ContainerSpec, NetworkSpec, VolumeSpec
from envspin.engine.fake import (
    Call,
    ExecAnswer,
    ExecCall,
    ExecReply,
    Exit,
    FakeEngine,
    FakeImage,
    Line,
    Script,
    in_turn,
    ready_after,
)
from envspin.errors import EngineError, ExhaustedError, ImageError, Interrupted, ObjectNotFoundError

NOON = 1_700_000_000.0
LABELS = {"envspin.service": "db"}


class Stage:
    """One engine whose clock stands still, and one container of it."""

    def __init__(self, script: Script, **spec_fields: object) -> None:
        self.engine = FakeEngine({"db:1": FakeImage(script)}, speed=0, now=NOON)
        self.spec = ContainerSpec("db", "db:1", LABELS, **spec_fields)  # type: ignore[arg-type]
        self.id = self.engine.create_container(self.spec)

    @property
    def status(self) -> str:
        """Return the container's status now."""
        return self.engine.inspect(self.id).status

    def read_lines(self) -> list[str]:
        """Return the log now."""
        return list(self.engine.logs(self.id))


def test_time_stands_still_until_it_is_moved() -> None:
    stage = Stage(Script(lines=(Line("one"), Line("two", at=5)), exits=Exit(3, after=9)))
    stage.engine.start(stage.id)
    assert stage.read_lines() == ["one"]
    stage.engine.advance(4.999)
    assert stage.read_lines() == ["one"]
    stage.engine.advance(0.001)
    assert stage.read_lines() == ["one", "two"]
    assert stage.status == "running"
    stage.engine.advance(4)
    assert stage.status == "exited"


def test_things_happen_in_the_order_of_their_times_across_containers() -> None:
    scripts = {name: Script(exits=Exit(number, after=10 - number)) for number, name in enumerate("abc")}
    engine = FakeEngine(["x"], scripts=scripts, speed=0)
    events = engine.watch({})
    for name in "abc":
        engine.start(engine.create_container(ContainerSpec(name, "x", {"envspin.service": name})))
    engine.advance(60)
    iterator = iter(events)
    seen = [next(iterator) for _ in range(6)]
    assert [(event.action, event.exit_code) for event in seen] == [
        *[("start", None)] * 3,
        ("die", 2),
        ("die", 1),
        ("die", 0),
    ]


def test_log_times_are_those_of_the_script() -> None:
    stage = Stage(Script(lines=(Line("late", at=90.5),)))
    stage.engine.start(stage.id)
    stage.engine.advance(3600)
    assert list(stage.engine.logs(stage.id, timestamps=True)) == ["2023-11-14T22:14:50.500000000Z late"]


def test_speed_makes_scripts_run_faster() -> None:
    engine = FakeEngine({"x": FakeImage(Script(exits=Exit(after=3600)))}, speed=1_000_000)
    container = engine.create_container(ContainerSpec("c", "x", {}))
    engine.start(container)
    assert list(engine.logs(container, follow=True)) == []
    assert engine.inspect(container).exit_code == 0


def test_pause_stops_the_script() -> None:
    stage = Stage(Script(lines=(Line("one", at=5),), exits=Exit(0, after=10)))
    stage.engine.start(stage.id)
    stage.engine.advance(4)
    stage.engine.pause(stage.id)
    stage.engine.advance(100)
    assert stage.read_lines() == []
    stage.engine.unpause(stage.id)
    stage.engine.advance(1)
    assert stage.read_lines() == ["one"]
    assert stage.status == "running"
    stage.engine.advance(5)
    assert stage.status == "exited"


def test_what_was_planned_lapses_with_the_process() -> None:
    stage = Stage(Script(lines=(Line("late", at=5),), exits=Exit(9, after=6)))
    stage.engine.start(stage.id)
    stage.engine.kill(stage.id)
    stage.engine.start(stage.id)
    stage.engine.advance(5.5)
    assert stage.read_lines() == ["late"]
    assert stage.status == "running"


def test_scripts_follow_in_turn() -> None:
    engine = FakeEngine({"x": FakeImage(in_turn(Script(exits=Exit(1)), Script(lines=(Line("well"),))))})
    container = engine.create_container(ContainerSpec("c", "x", {}))
    engine.start(container)
    assert engine.inspect(container).exit_code == 1
    for lines in (["well"], ["well", "well"]):
        engine.start(container)
        assert list(engine.logs(container)) == lines
        engine.kill(container)
    with pytest.raises(ValueError, match="at least one"):
        in_turn()


def test_behaviour_may_depend_on_the_specification() -> None:
    engine = FakeEngine({"x": FakeImage(lambda spec, start: Script(lines=(Line(f"{spec.name} {start}"),)))})
    container = engine.create_container(ContainerSpec("c", "x", {}))
    engine.start(container)
    assert list(engine.logs(container)) == ["c 1"]


def test_script_of_a_service_comes_before_the_images() -> None:
    engine = FakeEngine(
        {"x": FakeImage(Script(exits=Exit(1)))}, scripts={"db": Script(exits=Exit(2))}, default_image=FakeImage()
    )
    own = engine.create_container(ContainerSpec("own", "x", LABELS))
    other = engine.create_container(ContainerSpec("other", "x", {"envspin.service": "web"}))
    for container in (own, other):
        engine.start(container)
    assert [engine.inspect(container).exit_code for container in (own, other)] == [2, 1]


def test_commands_answer_by_line_by_first_word_and_by_call() -> None:
    def check(call: ExecCall) -> ExecReply:
        return ExecReply(0, f"{call.environment['PGUSER']} {call.files('/etc/x')!r} {call.running_for:g}")

    execs: dict[str, ExecAnswer] = {"psql -c 'select 1'": ExecReply(0, "1"), "psql": ExecReply(2, "no"), "check": check}
    stage = Stage(Script(execs=execs), environment={"PGUSER": "me"})
    stage.engine.start(stage.id)
    stage.engine.advance(2)
    assert stage.engine.execute(stage.id, ["psql", "-c", "select 1"]).output == "1"
    assert stage.engine.execute(stage.id, ["psql", "-c", "select 2"]).exit_code == 2
    assert stage.engine.execute(stage.id, ["check"]).output == "me None 2"


def test_check_can_become_ready() -> None:
    stage = Stage(Script(execs={"pg_isready": ready_after(3, output="accepting")}))
    stage.engine.start(stage.id)
    assert stage.engine.execute(stage.id, ["pg_isready"]).exit_code == 1
    stage.engine.advance(3)
    assert stage.engine.execute(stage.id, ["pg_isready"]) == stage.engine.execute(stage.id, ["pg_isready", "-q"])
    assert stage.engine.execute(stage.id, ["pg_isready"]).output == "accepting"


def test_failures_of_create_start_and_pull_are_told() -> None:
    engine = FakeEngine(
        {
            "a": FakeImage(Script(create_error="no space left on device")),
            "b": FakeImage(Script(start_error="port is already allocated")),
            "c": FakeImage(stored=False, pull_error="toomanyrequests"),
        }
    )
    with pytest.raises(EngineError, match="no space left"):
        engine.create_container(ContainerSpec("a", "a", {}))
    container = engine.create_container(ContainerSpec("b", "b", {}))
    with pytest.raises(EngineError, match="already allocated"):
        engine.start(container)
    assert engine.inspect(container).error == "port is already allocated"
    with pytest.raises(ImageError, match="toomanyrequests"):
        engine.pull("c")
    assert engine.find_image("c") is None


def test_pull_takes_its_time_and_can_be_cancelled() -> None:
    engine = FakeEngine({"x": FakeImage(stored=False, pull_seconds=50)}, speed=1000)
    fractions: list[float | None] = []
    engine.pull("x", on_progress=lambda _status, fraction: fractions.append(fraction))
    assert fractions == sorted(fractions, key=lambda fraction: fraction or 0.0)
    assert fractions[-1] == 1.0
    still = FakeEngine({"x": FakeImage(stored=False, pull_seconds=50)}, speed=0)
    asked: list[int] = []
    with pytest.raises(Interrupted):
        still.pull("x", is_cancelled=lambda: asked.append(1) or len(asked) == 3)  # type: ignore[func-returns-value]


def test_slow_create_and_start_release_the_engine() -> None:
    engine = FakeEngine({"slow": FakeImage(Script(create_seconds=5, start_seconds=5)), "x": FakeImage()}, speed=0)
    made: list[str] = []

    def work() -> None:
        made.append(engine.create_container(ContainerSpec("slow", "slow", {})))
        engine.start(made[0])

    thread = threading.Thread(target=work)
    thread.start()
    quick = engine.create_container(ContainerSpec("quick", "x", {}))
    engine.start(quick)
    while thread.is_alive():
        engine.advance(1)
    assert [engine.inspect(container).status for container in (*made, quick)] == ["running", "running"]


def test_removal_during_a_slow_start_wins() -> None:
    engine = FakeEngine({"slow": FakeImage(Script(start_seconds=5))}, speed=0)
    container = engine.create_container(ContainerSpec("slow", "slow", {}))
    errors: list[Exception] = []

    def work() -> None:
        try:
            engine.start(container)
        except ObjectNotFoundError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    engine.remove(next(item for item in engine.list_resources({}) if item.id == container))
    while thread.is_alive():
        engine.advance(1)
    assert len(errors) == 1


@pytest.mark.parametrize("executed", [False, True])
def test_injected_fault_comes_once_before_or_after_the_effect(executed: bool) -> None:  # noqa: FBT001
    engine = FakeEngine()
    engine.inject("create_volume", EngineError("the reply was lost"), executed=executed)
    with pytest.raises(EngineError, match="lost"):
        engine.create_volume(VolumeSpec("v", {}))
    volumes = [item.name for item in engine.list_resources({}) if item.kind == "volume"]
    assert volumes == (["v"] if executed else [])
    assert engine.create_volume(VolumeSpec("v", {})) == "v"


def test_calls_and_specs_are_on_record() -> None:
    engine = FakeEngine(["x"])
    spec = ContainerSpec("c", "x", {})
    container = engine.create_container(spec)
    engine.start(container)
    with pytest.raises(ObjectNotFoundError):
        engine.kill("nobody")
    assert engine.calls == [Call("create_container", "c"), Call("start", container), Call("kill", "nobody")]
    assert engine.specs == {container: spec}


def test_images_are_found_by_any_of_their_names() -> None:
    digest = "sha256:" + "ab" * 32
    engine = FakeEngine({"redis:7": FakeImage(digest=digest), "quay.io:443/team/app": FakeImage()})
    found = engine.find_image("redis:7")
    assert found is not None
    for name in ("docker.io/library/redis:7", "library/redis:7", f"redis@{digest}", found.id):
        assert engine.find_image(name) == found
    assert engine.find_image("quay.io:443/team/app:latest") is not None
    for name in ("redis", "redis:6", f"other@{digest}", "redis@sha256:" + "00" * 32):
        assert engine.find_image(name) is None


def test_default_image_stands_in_for_any() -> None:
    remote = FakeEngine(default_image=FakeImage(stored=False))
    assert remote.find_image("anything:1") is None
    digest = "sha256:" + "cd" * 32
    assert remote.pull(f"anything@{digest}").digest == digest
    assert remote.find_image(f"anything@{digest}") is not None
    assert FakeEngine(default_image=FakeImage()).find_image("anything:1") is not None


def test_platform_must_fit() -> None:
    engine = FakeEngine({"x": FakeImage(stored=False, platform="linux/arm64/v8")})
    with pytest.raises(ImageError, match="linux/amd64"):
        engine.pull("x", platform="linux/amd64")
    assert engine.pull("x", platform="linux/arm64").platform == "linux/arm64/v8"


def test_default_subnets_run_out() -> None:
    engine = FakeEngine()
    for number in range(30):
        engine.create_network(NetworkSpec(f"n{number}", {}))
    with pytest.raises(ExhaustedError, match="in use"):
        engine.create_network(NetworkSpec("one-more", {}))
    engine.create_network(NetworkSpec("small", {}, subnet="10.1.2.0/28"))


def test_addresses_of_a_network_run_out() -> None:
    engine = FakeEngine(["x"])
    engine.create_network(NetworkSpec("n", {}, subnet="10.1.2.0/30"))
    first, second = (
        engine.create_container(ContainerSpec(name, "x", {}, attachments=(AttachmentSpec("n"),))) for name in "ab"
    )
    engine.start(first)
    with pytest.raises(EngineError, match="no free address"):
        engine.start(second)
    engine.kill(first)
    engine.start(second)
    assert engine.inspect(second).addresses == {"n": "10.1.2.2"}


def test_ids_are_the_same_in_each_run() -> None:
    first, second = (FakeEngine(["x"]).create_container(ContainerSpec("c", "x", {})) for _ in range(2))
    assert first == second
    assert len(first) == 64


def test_many_threads_keep_their_containers_apart() -> None:
    engine = FakeEngine(["x"], default_image=FakeImage(Script(lines=(Line("up"),), exits=Exit(0, after=0.01))))
    codes: list[int | None] = []

    def live(number: int) -> None:
        labels = {"number": str(number)}
        events = engine.watch(labels)
        container = engine.create_container(ContainerSpec(f"c{number}", "y", labels))
        engine.start(container)
        end = next(event for event in events if event.action == "die")
        codes.append(end.exit_code if end.container_id == container else None)
        events.close()
        engine.remove(next(item for item in engine.list_resources(dict(labels)) if item.kind == "container"))

    threads = [threading.Thread(target=live, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert codes == [0] * 32
    assert [item.name for item in engine.list_resources({})] == ["bridge"]
