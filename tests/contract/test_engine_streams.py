"""Events, logs and commands, as ``envspin.engine.base`` promises them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from envspin.engine.base import ContainerEvent
from envspin.errors import ConflictError, EnvspinTimeout

from .lab import Bounded, Lab, run_bounded


def test_watcher_sees_a_whole_life_in_order(lab: Lab) -> None:
    with lab.events() as events:
        container = lab.run("--exit", "4")
        lived = events.take_until("die")
        lab.remove("container", container)
        lived += events.take_until("destroy")
    assert [event.action for event in lived] == ["start", "die", "destroy"]
    assert {event.container_id for event in lived} == {container}
    assert [event.exit_code for event in lived] == [None, 4, None]
    assert all(event.labels.items() >= lab.labels.items() for event in lived)


def test_watcher_sees_its_own_labels_only(lab: Lab) -> None:
    red, blue = {**lab.labels, "colour": "red"}, {**lab.labels, "colour": "blue"}
    with lab.events(labels=red) as reds, lab.events(labels=blue) as blues, lab.events() as all_of_them:
        other = lab.finish("--exit", "0", labels=blue)
        mine = lab.finish("--exit", "0", labels=red)
        assert {event.container_id for event in reds.take_until("die")} == {mine}
        assert {event.container_id for event in blues.take_until("die")} == {other}
        seen = [event.container_id for event in (*all_of_them.take_until("die"), *all_of_them.take_until("die"))]
    assert seen == [other, other, mine, mine]


def test_watcher_wants_every_label(lab: Lab) -> None:
    with lab.events(labels={**lab.labels, "colour": "red"}) as events:
        lab.finish("--exit", "0")
        both = lab.finish("--exit", "0", labels={**lab.labels, "colour": "red", "size": "1"})
        assert {event.container_id for event in events.take_until("die")} == {both}


def test_watcher_sees_nothing_from_before(lab: Lab) -> None:
    lab.finish("--exit", "0")
    with lab.events() as events:
        later = lab.finish("--exit", "0")
        assert {event.container_id for event in events.take_until("die")} == {later}


def test_events_wait_for_a_slow_reader(lab: Lab) -> None:
    with lab.events() as events:
        containers = [lab.finish("--exit", "0") for _ in range(3)]
        seen = [event for _ in containers for event in events.take_until("die")]
    assert [event.container_id for event in seen if event.action == "die"] == containers


def test_closing_a_watch_ends_its_reader(lab: Lab) -> None:
    stream = lab.engine.watch(lab.labels)
    reading = threading.Event()

    def read() -> list[ContainerEvent]:
        iterator = iter(stream)
        first = next(iterator)
        reading.set()
        return [first, *iterator]

    def close() -> None:
        lab.run()
        assert reading.wait(30)
        stream.close()

    assert [event.action for event in run_bounded(read, close)] == ["start"]


def test_closed_watch_yields_nothing(lab: Lab) -> None:
    stream = lab.engine.watch(lab.labels)
    stream.close()
    stream.close()
    assert run_bounded(lambda: list(stream)) == []


def test_log_has_all_lines_after_the_end(lab: Lab) -> None:
    container = lab.finish("--line", "one", "two words", "", "déjà vu ✓", "--exit", "1")
    assert lab.read_lines(container) == ["one", "two words", "", "déjà vu ✓"]
    assert lab.read_lines(container, follow=True) == ["one", "two words", "", "déjà vu ✓"]


def test_log_of_a_silent_container_is_empty(lab: Lab) -> None:
    assert lab.read_lines(lab.finish("--exit", "0")) == []
    assert lab.read_lines(lab.create()) == []


def test_log_of_a_running_container_ends_where_it_is(lab: Lab) -> None:
    container = lab.run("--line", "one", "two")
    lab.wait_for_line(container, "two")
    assert lab.read_lines(container) == ["one", "two"]


def test_tail_limits_the_lines(lab: Lab) -> None:
    container = lab.finish("--line", "one", "two", "three", "--exit", "0")
    assert lab.read_lines(container, tail=2) == ["two", "three"]
    assert lab.read_lines(container, tail=0) == []
    assert lab.read_lines(container, tail=10) == ["one", "two", "three"]


def test_timestamps_come_before_each_line(lab: Lab) -> None:
    container = lab.finish("--line", "one", "two", "--exit", "0")
    stamped = [line.split(" ", 1) for line in lab.read_lines(container, timestamps=True)]
    assert [text for _, text in stamped] == ["one", "two"]
    times = [read_time(stamp) for stamp, _ in stamped]
    assert times == sorted(times)


def test_since_leaves_out_what_is_older(lab: Lab) -> None:
    container = lab.finish("--line", "old", "--line-at", "0.3:new", "--exit", "0", "--exit-after", "0.4")
    stamps = [read_time(line.split(" ", 1)[0]) for line in lab.read_lines(container, timestamps=True)]
    assert lab.read_lines(container, since=(stamps[0] + stamps[1]) / 2) == ["new"]
    assert lab.read_lines(container, since=stamps[0] - 60) == ["old", "new"]
    assert lab.read_lines(container, since=stamps[1] + 60) == []


def read_time(stamp: str) -> float:
    """Return the Unix time of an RFC 3339 stamp with nanoseconds."""
    whole, _, rest = stamp.partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() + float(f"0.{rest.rstrip('Z')}")


def test_follower_gets_later_lines_and_ends_with_the_container(lab: Lab) -> None:
    container = lab.run("--line", "one", "--line-at", "0.2:two", "0.4:three", "--exit", "0", "--exit-after", "0.5")
    assert lab.read_lines(container, follow=True) == ["one", "two", "three"]


def test_follower_with_a_tail_gets_later_lines(lab: Lab) -> None:
    container = lab.run("--line", "up")
    lab.wait_for_line(container, "up")
    stream = Bounded(lab.engine.logs(container, follow=True, tail=0))
    lab.engine.kill(container, "SIGHUP")
    assert next(stream) == "signal SIGHUP"
    stream.stream.close()


def test_follower_ends_when_the_container_is_removed(lab: Lab) -> None:
    container = lab.run("--line", "up")
    stream = lab.engine.logs(container, follow=True)
    reading = threading.Event()

    def read() -> list[str]:
        iterator = iter(stream)
        first = next(iterator)
        reading.set()
        return [first, *iterator]

    def remove() -> None:
        assert reading.wait(30)
        lab.remove("container", container)

    assert run_bounded(read, remove) == ["up"]


def test_closing_a_log_ends_its_reader(lab: Lab) -> None:
    container = lab.run("--line", "up")
    stream = lab.engine.logs(container, follow=True)
    reading = threading.Event()

    def read() -> list[str]:
        iterator = iter(stream)
        first = next(iterator)
        reading.set()
        return [first, *iterator]

    def close() -> None:
        assert reading.wait(30)
        stream.close()

    assert run_bounded(read, close) == ["up"]
    assert lab.engine.inspect(container).is_running


@pytest.mark.engine
def test_log_of_a_terminal_has_plain_lines(docker_lab: Lab) -> None:
    container = docker_lab.finish("--line", "one", "two", "--exit", "0", tty=True)
    assert docker_lab.read_lines(container) == ["one", "two"]


@pytest.mark.engine
def test_log_has_errors_long_lines_and_an_unfinished_one(docker_lab: Lab) -> None:
    script = "import sys; print('x' * 50000); sys.stdout.flush(); sys.stderr.write('unfinished')"
    container = docker_lab.finish(command=("-c", script), entrypoint=("python3",))
    assert docker_lab.read_lines(container) == ["x" * 50000, "unfinished"]


def test_command_gives_its_output_and_code(lab: Lab) -> None:
    container = lab.run()
    done = lab.engine.execute(container, ["echo", "two words", "  and more"])
    assert (done.exit_code, done.output) == (0, "two words   and more\n")
    assert lab.engine.execute(container, ["false"]).exit_code == 1
    assert lab.engine.execute(container, ["sh", "-c", "exit 3"]).exit_code == 3


def test_command_gives_errors_with_its_output(lab: Lab) -> None:
    done = lab.engine.execute(lab.run(), ["sh", "-c", "echo out; echo err >&2"])
    assert sorted(done.output.splitlines()) == ["err", "out"]


def test_command_that_is_not_there_has_code_127(lab: Lab) -> None:
    done = lab.engine.execute(lab.run(), ["no-such-command", "argument"])
    assert done.exit_code in {126, 127}
    assert "no-such-command" in done.output


def test_command_that_cannot_run_has_code_126(lab: Lab) -> None:
    assert lab.engine.execute(lab.run(), ["/etc/hostname"]).exit_code in {126, 127}


def test_command_sees_its_environment(lab: Lab) -> None:
    container = lab.run(environment={"COLOUR": "blue", "SIZE": "a b=c"})
    seen = lab.execute(container, "env", environment={"COLOUR": "red", "SHAPE": "round"}).splitlines()
    assert {"COLOUR=red", "SIZE=a b=c", "SHAPE=round"} <= set(seen)
    assert "COLOUR=blue" in lab.execute(container, "env").splitlines()


def test_command_sees_user_and_folder(lab: Lab) -> None:
    container = lab.run(user="daemon", working_dir="/tmp")
    assert lab.execute(container, "whoami") == "daemon"
    assert lab.execute(container, "pwd") == "/tmp"
    assert lab.execute(container, "whoami", user="root") == "root"
    assert lab.execute(container, "pwd", working_dir="/usr") == "/usr"


def test_command_that_takes_too_long_times_out(lab: Lab) -> None:
    container = lab.run()
    with pytest.raises(EnvspinTimeout, match="sleep 3600"):
        lab.engine.execute(container, ["sleep", "3600"], timeout=0.2)
    assert lab.engine.inspect(container).is_running
    assert lab.execute(container, "echo", "still here", timeout=30) == "still here"


def test_command_ends_with_its_container(lab: Lab) -> None:
    container = lab.run("--line", "up")
    lab.wait_for_line(container, "up")

    def sleep() -> int | str:
        try:
            return lab.engine.execute(container, ["sleep", "3600"]).exit_code
        except ConflictError:
            return "the container ended first"

    assert run_bounded(sleep, lambda: lab.engine.kill(container)) != 0


@pytest.mark.parametrize("state", ["created", "exited", "paused"])
def test_command_wants_a_running_container(lab: Lab, state: str) -> None:
    container = lab.finish("--exit", "0") if state == "exited" else lab.create()
    if state == "paused":
        lab.engine.start(container)
        lab.engine.pause(container)
    with pytest.raises(ConflictError):
        lab.engine.execute(container, ["true"])


def test_commands_run_side_by_side(lab: Lab) -> None:
    container = lab.run()
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda text=str(number): results.append(lab.execute(container, "echo", text)))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [str(number) for number in range(8)]
