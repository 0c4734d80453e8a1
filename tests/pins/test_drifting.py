"""`drift`: what it is held against is told apart, service by service, with exit code 0 or 5."""

from __future__ import annotations

import json
import shutil

import pytest

from envspin import Environment
from envspin.errors import LockError
from envspin.plan.selection import Selection
from envspin.run.drifting import require_locked
from envspin.run.locks import make_locked_plan
from envspin.run.opening import load

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nothing_left")]


@pytest.fixture
def locked(project):
    """A locked project of two services, ``web`` of a registry and ``tool`` that is built on the same image."""
    (project.folder / "tool").mkdir()
    (project.folder / "tool" / "Dockerfile").write_text(f"FROM {project.reference('1')}\nCOPY note /\n")
    (project.folder / "tool" / "note").write_text("one\n")
    project.write(f"  web:\n    image: {project.reference('1')}\n  tool:\n    build: ./tool\n")
    project.images = project.lock()
    return project


def test_without_a_lock_there_is_nothing_to_compare(project):
    told = project.call("drift", code=5).stderr
    assert "there is no envspin.lock" in told


def test_nothing_has_drifted(locked):
    assert locked.drift(code=0) == set()
    assert locked.call("drift").stdout == "no drift: pins is as it was locked\n"


def test_one_tag_moves_an_image_and_a_base(locked):
    digest = locked.push("says version 2", "1")
    assert locked.drift() == {("web", "tag-moved"), ("tool", "base-moved")}
    assert all(each.keys() == {"service", "kind", "locked", "found"} for each in locked.document)
    (web,) = [each for each in locked.document if each["service"] == "web"]
    assert web["locked"] == f"{locked.reference('1')}@{locked.index}"
    assert web["found"] == f"{locked.reference('1')}@{digest}"
    table = locked.call("drift", code=5).stdout
    assert "the tag now leads to another image" in table


def test_a_tag_moves_away_from_the_digest_that_is_written_beside_it(project):
    written = f"{project.reference('1')}@{project.index}"
    project.write(f"  web:\n    image: {written}\n")
    project.lock()
    assert project.drift(code=0) == set()
    digest = project.push("says version 2", "1")
    assert project.drift() == {("web", "tag-moved")}
    assert project.document[0]["locked"] == written
    assert project.document[0]["found"] == f"{project.reference('1')}@{digest}"


def test_a_changed_build_is_told_whatever_it_is_held_against(locked):
    (locked.folder / "tool" / "note").write_text("two\n")
    (locked.folder / "other.lock").write_bytes((locked.folder / "envspin.lock").read_bytes())
    assert locked.drift() == {("tool", "context-changed")}
    assert locked.drift("--against", "other.lock") == {("tool", "context-changed")}
    (locked.folder / "tool" / "Dockerfile").unlink()
    assert locked.drift() == {("tool", "context-gone")}


def test_a_lock_that_does_not_fit_the_topology_is_drift(locked):
    locked.push("says version 2", "2")
    locked.write(f"  web:\n    image: {locked.reference('2')}\n  tool:\n    build: ./tool\n")
    assert locked.drift() == {("web", "lock-stale")}


def test_an_environment_is_compared_by_what_its_containers_have(locked):
    locked.push("says version 2", "1")
    locked.push("says version 2", "2")
    locked.call("up", "-d", "--name", "pins-one", "--progress", "quiet")
    locked.call("up", "-d", "--name", "pins-two", "--progress", "quiet", "--set", f"web={locked.reference('2')}")
    locked.call("up", "-d", "--name", "pins-some", "--progress", "quiet", "--only", "tool")
    try:
        assert locked.drift("--against", "pins-one", code=0) == set()
        assert locked.drift("--against", "pins-two") == {("web", "image-differs")}
        assert locked.reference("2") in locked.document[0]["found"]
        assert locked.drift("--against", "pins-some") == {("web", "not-running")}
    finally:
        locked.call("down", "pins-one", "pins-two", "pins-some")


def test_an_environment_that_ran_the_moved_tag_without_the_lock_differs(locked):
    lock = (locked.folder / "envspin.lock").read_bytes()
    (locked.folder / "envspin.lock").unlink()
    locked.push("says version 2", "1")
    locked.call("up", "-d", "--name", "pins-three", "--progress", "quiet", "--only", "web")
    (locked.folder / "envspin.lock").write_bytes(lock)
    try:
        assert ("web", "image-differs") in locked.drift("--against", "pins-three")
    finally:
        locked.call("down", "pins-three")


def test_what_has_ended_does_not_run(locked):
    locked.call("up", "-d", "--name", "pins-ended", "--progress", "quiet", "--only", "web")
    try:
        assert locked.drift("--against", "pins-ended") == {("tool", "not-running")}
        Environment.open("pins-ended", engine=locked.engine)["web"].stop(grace_seconds=1)
        assert locked.drift("--against", "pins-ended") == {("tool", "not-running"), ("web", "not-running")}
    finally:
        locked.call("down", "pins-ended")


def test_a_running_environment_can_be_required_to_be_what_is_locked(project):
    image = f"    image: {project.reference('1')}\n"
    project.write(f"  web:\n{image}  debug:\n{image}    profiles: [debug]\n  spare:\n{image}    scale: 0\n")
    project.lock()
    project.call("up", "-d", "--name", "pins-required", "--progress", "quiet")
    try:
        environment = Environment.open("pins-required", engine=project.engine)
        require_locked(environment, make_locked_plan(load(".")))
        assert project.drift("--against", "pins-required", code=0) == set()
        project.push("says version 2", "1")
        project.lock("--upgrade")
        with pytest.raises(LockError, match="pins-required does not run what is locked") as caught:
            require_locked(environment, make_locked_plan(load(".")))
        assert caught.value.context[0].startswith("web: image-differs")
        require_locked(environment, make_locked_plan(load("."), Selection(pins={"web": "other:1"})))
    finally:
        project.call("down", "pins-required")


def test_a_name_that_is_nothing_is_told(locked):
    assert "there is no environment 'production'" in locked.call("drift", "--against", "production", code=2).stderr


def test_another_compose_file_is_compared_by_reference_and_by_digest(locked):
    other = locked.folder.parent / "production"
    shutil.copytree(locked.folder / "tool", other / "tool")

    def write(image):
        services = {"web": {"image": image}, "tool": {"build": "./tool"}}
        (other / "compose.yaml").write_text(json.dumps({"services": services}))

    write(locked.reference("1"))
    assert locked.drift("--against", str(other), code=0) == set()
    write(f"elsewhere.example/web:1@{locked.images['1'].platforms['linux/amd64'].digest}")
    assert locked.drift("--against", str(other), code=0) == set(), "the same content in another place"
    write(locked.reference("2"))
    (other / "tool" / "note").write_text("two\n")
    assert locked.drift("--against", str(other)) == {("web", "image-differs"), ("tool", "content-differs")}
    (other / "compose.yaml").write_text(json.dumps({"services": {"tool": {"image": "tool:3"}, "db": {"image": "d"}}}))
    assert locked.drift("--against", str(other / "compose.yaml")) == {
        ("web", "only-here"), ("tool", "built-here"), ("db", "only-there"),
    }  # fmt: skip


def test_another_lock_is_compared_by_digest(locked):
    before = locked.folder / "before.lock"
    before.write_bytes((locked.folder / "envspin.lock").read_bytes())
    assert locked.drift("--against", str(before), code=0) == set()
    locked.push("says version 2", "1")
    locked.lock("--upgrade")
    assert locked.drift("--against", str(before)) == {("web", "image-differs"), ("tool", "base-differs")}


def test_kubernetes_manifests_are_compared_by_container_and_repository(locked):
    folder = locked.folder / "k8s"
    folder.mkdir()

    def write(name, image):
        pod = {"containers": [{"name": name, "image": image}]}
        document = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": "production"},
            "spec": {"template": {"spec": pod}},
        }
        (folder / "web.yaml").write_text(json.dumps(document))

    write("web", locked.reference("1"))
    assert locked.drift("--against", str(folder)) == {("tool", "only-here")}
    write("frontend", locked.reference("2"))
    assert locked.drift("--against", str(folder)) == {("web", "image-differs"), ("tool", "only-here")}
    assert any("(Deployment production/shop)" in (each["found"] or "") for each in locked.document)
    text = (folder / "web.yaml").read_text()
    result = locked.call("drift", "--against", "-", "--json", code=5, stdin=text)
    assert json.loads(result.stdout) == locked.document
    path = locked.reference("1").partition("/")[2]
    write("web", f"attacker.example/{path}")
    assert locked.drift("--against", str(folder)) == {("web", "registry-differs"), ("tool", "only-here")}
    write("web", f"mirror.example/{path}@{locked.images['1'].platforms['linux/amd64'].digest}")
    assert locked.drift("--against", str(folder)) == {("tool", "only-here")}
    write("tool", locked.reference("1"))
    assert locked.drift("--against", str(folder)) == {("tool", "built-here"), ("web", "only-here")}


def test_a_registry_that_does_not_answer_is_no_drift(make_project, own_registry):
    project = make_project(own_registry)
    project.push("says version 1", "1")
    project.write()
    project.lock()
    own_registry.stop()
    told = project.call("drift", code=4).stderr
    assert own_registry.address in told
