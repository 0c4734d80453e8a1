"""However a run ends, nothing remains: signals at any moment, failures, and owners that were killed."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envspin.run import naming

HERE = Path(__file__).parent
# What a suite that was broken off left running must not be in the way of the next one.
TAG = secrets.token_hex(3)
SEED = int(os.environ.get("ENVSPIN_TEST_SEED", "20261123"))
pytestmark = pytest.mark.engine


class Started(subprocess.Popen):
    """A process that does not outlive its ``with``, so that one that hangs fails its own test alone."""

    def __exit__(self, *exception):
        self.kill()
        super().__exit__(*exception)


def start(verb: str, *arguments: str, name: str, **options) -> Started:
    command = [sys.executable, "-m", "envspin", verb, "--name", name, "--progress", "json", *arguments]
    return Started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE, **options)


def find(engine, name: str) -> list[str]:
    return [each.name for each in engine.list_resources({naming.ENV: name})]


def wait_for_event(process: subprocess.Popen, kind: str) -> dict:
    """Read the progress until an event of this kind comes."""
    for line in process.stderr:
        if line.startswith("{") and json.loads(line).get("event") == kind:
            return json.loads(line)
    pytest.fail(f"no event {kind}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_when_ready_tears_down(real_engine, number):
    name = f"ends-ready-{int(number)}-{TAG}"
    with start("up", "diamond", name=name) as process:
        wait_for_event(process, "run-ready")
        assert find(real_engine, name)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert find(real_engine, name) == []


@pytest.mark.parametrize("trial", range(6))
def test_a_signal_at_any_moment_of_the_start_tears_down(real_engine, trial):
    chance = random.Random(f"{SEED}/{trial}")
    number = chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    name = f"ends-early-{trial}-{TAG}"
    with start("up", "diamond", name=name) as process:
        time.sleep(chance.uniform(0.2, 2.5))
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode in {130, -number}, f"seed {SEED}/{trial}"
    assert find(real_engine, name) == [], f"seed {SEED}/{trial}"


def test_a_second_interruption_does_not_break_the_clean_up_off(real_engine):
    with start("up", "diamond", name=f"ends-twice-{TAG}") as process:
        wait_for_event(process, "run-ready")
        process.send_signal(signal.SIGINT)
        wait_for_event(process, "teardown-started")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert find(real_engine, f"ends-twice-{TAG}") == []


def test_what_a_killed_owner_left_goes_at_the_next_start(real_engine):
    killed, following = f"ends-killed-{TAG}", f"ends-next-{TAG}"
    with start("up", "diamond", name=killed) as process:
        wait_for_event(process, "run-ready")
        process.kill()
        process.communicate(timeout=60)
    assert find(real_engine, killed)
    with start("run", "guarded", "--only", "plain", "--", "true", name=following) as process:
        process.communicate(timeout=90)
    assert process.returncode == 0
    assert find(real_engine, killed) == []
    assert find(real_engine, following) == []


def test_run_passes_the_commands_code_and_its_endpoints(real_engine):
    script = "import os, sys; print(os.environ['TOP_URL'], os.environ['ENVSPIN_ENV']); sys.exit(7)"
    with start("run", "diamond", "--", sys.executable, "-c", script, name=f"ends-run-{TAG}") as process:
        output, _ = process.communicate(timeout=90)
    assert process.returncode == 7
    assert output.split()[0].startswith("http://127.0.0.1:")
    assert output.split()[1] == f"ends-run-{TAG}"
    assert find(real_engine, f"ends-run-{TAG}") == []


def test_left_running_it_survives_its_maker_and_down_removes_it(real_engine):
    name = f"ends-detached-{TAG}"
    with start("up", "diamond", "-d", "--ttl", "5m", "--json", name=name) as process:
        output, _ = process.communicate(timeout=90)
    assert process.returncode == 0
    document = json.loads(output)
    assert document["services"]["fill"]["state"] == "completed"
    with start("run", "guarded", "--only", "plain", "--", "true", name=f"ends-other-{TAG}") as other:
        other.communicate(timeout=90)  # its sweep must leave the detached one alone
    listed = json.loads(envspin("ls", "--json").stdout)
    assert [each["env"] for each in listed if each["env"] == name]
    states = {each["service"]: each["state"] for each in json.loads(envspin("ps", name, "--json").stdout)}
    assert states["top"] == "ready"
    assert envspin("port", name, "top").stdout.strip().startswith("127.0.0.1:")
    assert "TOP_URL=" in envspin("env", name).stdout
    assert envspin("exec", name, "top", "--", "sh", "-c", "exit 5").returncode == 5
    assert "top" in envspin("logs", name, "top").stdout
    assert envspin("down", name).returncode == 0
    assert find(real_engine, name) == []


def envspin(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "envspin", *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=HERE
    )


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("services: {a: {imgae: x}}", 2, "did you mean 'image'?"),
        ("services: {a: {image: x, depends_on: [b]}}", 2, "b"),
        ("services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}", 2, "a"),
        ("services: {a: {image: x, ports: ['eighty']}}", 2, "eighty"),
        ("services: {a: [", 2, "compose.yaml:"),
        ("", 2, "empty"),
        (None, 2, "no Compose file"),
    ],
)
def test_bad_input_is_told_before_anything_is_made(tmp_path, content, code, said):
    if content is not None:
        (tmp_path / "compose.yaml").write_text(content)
    result = envspin("up", str(tmp_path))
    assert result.returncode == code
    assert said.replace("'", "") in result.stderr.replace("'", "").replace("`", "")
    assert "Traceback" not in result.stderr


def test_an_engine_that_is_not_there_is_told_with_a_hint(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    result = envspin("up", "diamond")
    assert result.returncode == 4
    assert "envspin doctor" in result.stderr
    assert "Traceback" not in result.stderr
