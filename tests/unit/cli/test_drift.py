"""``drift``: what it compares the lock with, what it prints, and that its exit code is 5 where anything has drifted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from envspin.cli import context as cli_context
from envspin.cli.app import cli
from envspin.engine.fake import FakeImage
from envspin.errors import EngineUnreachableError, RegistryError
from envspin.run import locking

from ..lock_builders import AMD, ScriptedRegistries, sha
from .conftest import SHOP

LOCK = Path("shop/envspin.lock")
API, DB, MIGRATE = (f"{name}@{sha(name)}" for name in ("api:1", "postgres:16", "migrate:1"))

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  template:
    spec:
      containers:
        - {name: NAME, image: "IMAGE"}
"""


def deploy(name: str, image: str) -> str:
    return DEPLOYMENT.replace("NAME", name).replace("IMAGE", image)


PRODUCTION = "---\n".join(
    [deploy("db", "postgres:16"), deploy("api", "api:1"), deploy("migrate", f"migrate@{sha('migrate:1')}")]
)


@pytest.fixture(autouse=True)
def registries(monkeypatch) -> ScriptedRegistries:
    """Answer for all registries."""
    scripted = ScriptedRegistries()
    monkeypatch.setattr(locking, "RegistryClient", scripted)
    return scripted


@pytest.fixture
def locked(invoke, engine, shop, registries) -> str:
    """Lock the shop and return the text."""
    invoke("lock", "shop")
    return LOCK.read_text()


@pytest.fixture
def drift(invoke) -> Callable[..., list[tuple[str, str, str | None, str | None]]]:
    """Return what has drifted, and check the exit code by it."""

    def call(*words: str) -> list[tuple[str, str, str | None, str | None]]:
        result = CliRunner().invoke(cli, ["drift", "shop", "--json", *words], prog_name="envspin")
        assert result.exit_code in {0, 5}, result.output
        found = json.loads(result.stdout)
        assert result.exit_code == (5 if found else 0)
        assert all(list(each) == ["service", "kind", "locked", "found"] for each in found)
        return [tuple(each.values()) for each in found]

    return call


def change(old: str, new: str) -> None:
    path = Path("shop/compose.yaml")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def pipe(content: bytes) -> Result:
    words = ["drift", "shop", "--json", "--against", "-"]
    return CliRunner().invoke(cli, words, prog_name="envspin", input=content)


# Registries


def test_nothing_has_drifted(invoke, drift, locked, registries):
    assert invoke("drift", "shop").stdout == "no drift: shop is as it was locked\n"
    assert drift("--against", "registry") == []
    assert {"postgres:16", f"postgres@{sha('postgres:16')}"} <= set(registries.looked)


def test_a_tag_that_has_moved_is_drift(drift, locked, registries):
    registries.contents["postgres:16"] = "moved"
    assert drift() == [("db", "tag-moved", DB, f"postgres:16@{sha('moved')}")]


def test_a_tag_that_is_gone_is_drift(drift, locked, registries):
    registries.gone.add("api:1")
    assert drift() == [("api", "tag-gone", API, None)]


@pytest.mark.parametrize("digest", [sha("api:1"), sha(f"api:1 {AMD}")], ids=["index", "manifest"])
def test_a_digest_that_is_gone_is_drift(drift, locked, registries, digest):
    registries.gone.add(digest)
    assert drift() == [("api", "digest-gone", API, None)]


@pytest.fixture
def pinned(invoke, locked) -> str:
    """Lock the shop with a digest beside the tag of its database, and return what the Compose file calls that."""
    change("postgres:16", DB)
    invoke("lock", "shop")
    return DB


def test_a_digest_that_is_written_beside_a_tag_is_the_locked_one(drift, pinned, registries):
    assert drift() == []
    assert {"postgres:16", f"postgres@{sha('postgres:16')}"} <= set(registries.looked)


def test_a_tag_that_has_moved_from_the_digest_written_beside_it_is_drift(drift, pinned, registries):
    registries.contents["postgres:16"] = "moved"
    assert drift() == [("db", "tag-moved", pinned, f"postgres:16@{sha('moved')}")]


def test_a_digest_beside_a_tag_that_is_gone_is_no_gone_tag(drift, pinned, registries):
    registries.gone.add(sha("postgres:16"))
    assert drift() == [("db", "digest-gone", pinned, None)]


def test_a_registry_that_does_not_answer_is_no_drift(invoke, locked, registries):
    registries.errors["api:1"] = RegistryError("api:1 cannot be asked for", hint="try again")
    result = invoke("drift", "shop", code=4)
    assert result.stdout == ""
    assert "api:1 cannot be asked for" in result.stderr


def test_drift_is_a_table_with_what_each_kind_means(invoke, locked, registries):
    registries.contents["postgres:16"] = "moved"
    registries.gone.add("api:1")
    short = [sha(name)[7:19] for name in ("api:1", "postgres:16", "moved")]
    assert invoke("drift", "shop", code=5).stdout.splitlines() == [
        "SERVICE  KIND       LOCKED                    FOUND",
        f"api      tag-gone   api:1@{short[0]}        -",
        f"db       tag-moved  postgres:16@{short[1]}  postgres:16@{short[2]}",
        "",
        "tag-gone   the registry no longer has the tag",
        "tag-moved  the tag now leads to another image",
    ]


def test_registries_can_be_asked_without_an_engine(invoke, locked, monkeypatch, registries):
    monkeypatch.setattr(cli_context, "connect_engine", refuse_engine)
    invoke("drift", "shop")
    assert registries.looked


def refuse_engine():
    raise EngineUnreachableError("no engine")


# The topology itself


@pytest.fixture
def building(shop) -> None:
    """Let the shop build its api."""
    (shop / "api").mkdir()
    (shop / "api" / "Dockerfile").write_text("FROM python:3.12\n")
    change("image: api:1", "build: api")


def test_a_build_whose_files_have_changed_is_drift(building, invoke, drift, locked, shop):
    (shop / "api" / "main.py").write_text("print()")
    ((service, kind, before, after),) = drift()
    assert (service, kind) == ("api", "context-changed")
    assert before != after
    table = invoke("drift", "shop", code=5).stdout.splitlines()[1]
    assert re.fullmatch(r"api +context-changed +build sha256:[0-9a-f]{12} +build sha256:[0-9a-f]{12}", table)


def test_a_build_with_another_base_is_told_as_a_build_that_has_changed(building, drift, locked, shop):
    (shop / "api" / "Dockerfile").write_text("FROM python:3.13\n")
    assert [found[:2] for found in drift()] == [("api", "context-changed")]


def test_a_build_whose_files_are_gone_is_drift(building, drift, locked, shop):
    (shop / "api" / "Dockerfile").unlink()
    assert [(service, kind, after) for service, kind, _, after in drift()] == [("api", "context-gone", None)]


def test_a_base_that_has_moved_is_drift(building, drift, locked, registries):
    registries.contents["python:3.12"] = "moved"
    assert drift() == [("api", "base-moved", f"python:3.12@{sha('python:3.12')}", f"python:3.12@{sha('moved')}")]


def test_a_lock_that_does_not_fit_the_topology_is_drift(drift, locked):
    change("api:1", "api:2")
    assert drift() == [("api", "lock-stale", API, "api:2")]


def test_a_change_that_moves_no_pin_is_no_drift(drift, locked):
    change('ports: ["5432"]', 'ports: ["5433"]')
    assert drift() == []


def test_a_stub_that_the_lock_does_not_know_is_drift(drift, locked):
    change("image: api:1", "image: api:1\n    labels: {a: b}")
    assert drift() == []
    change("    x-envspin: {job: true}", "    x-envspin: {job: true, stub: {image: 'stub:1'}}")
    ((service, kind, _, _),) = drift()
    assert (service, kind) == ("(topology)", "lock-stale")


def test_another_platform_of_a_service_is_told_of_the_topology(drift, locked):
    change("image: api:1", "image: api:1\n    platform: linux/arm64")
    assert [found[:2] for found in drift()] == [("(topology)", "lock-stale")]


@pytest.mark.parametrize("against", ["registry", "compose.yaml", "envspin.lock"])
def test_the_topology_itself_is_looked_at_whatever_it_is_compared_with(drift, locked, against):
    Path("envspin.lock").write_text(locked)
    Path("compose.yaml").write_text(SHOP)
    change("api:1", "api:2")
    assert ("api", "lock-stale", API, "api:2") in drift("--against", against)


# Compose files and locks


@pytest.mark.parametrize("against", ["other", "other/compose.yaml"])
def test_another_compose_file(drift, locked, against):
    Path("other").mkdir()
    Path("other/compose.yaml").write_text(SHOP)
    assert drift("--against", against) == []
    Path("other/compose.yaml").write_text(SHOP.replace("postgres:16", "postgres:15"))
    assert drift("--against", against) == [("db", "image-differs", DB, "postgres:15")]


def test_another_compose_file_may_be_one_that_would_not_be_run(drift, locked):
    Path("production.yaml").write_text(SHOP.replace("    image: api:1", "    image: api:1\n    privileged: true"))
    assert drift("--against", "production.yaml") == []


def test_another_lock(drift, locked):
    Path("other.lock").write_text(locked)
    assert drift("--against", "other.lock") == []
    rebuilt = locked.replace(sha("postgres:16"), sha("other"))
    Path("other.lock").write_text(rebuilt)
    assert drift("--against", "other.lock") == []
    Path("other.lock").write_text(rebuilt.replace(sha(f"postgres:16 {AMD}"), sha("manifest")))
    assert drift("--against", "other.lock") == [("db", "image-differs", DB, f"postgres:16@{sha('other')}")]


def test_another_lock_that_was_edited_is_told_with_its_place(invoke, locked):
    Path("other.lock").write_text("version: 1\nimages: none\n")
    result = invoke("drift", "shop", "--against", "other.lock", code=5)
    assert "other.lock:2:9: error[wrong-type]" in result.stderr


# Kubernetes


def test_manifests_of_kubernetes(drift, locked):
    Path("production.yaml").write_text(PRODUCTION)
    assert drift("--against", "production.yaml") == []
    Path("production.yaml").write_text(PRODUCTION.replace("api:1", "api:2"))
    assert drift("--against", "production.yaml") == [("api", "image-differs", API, "api:2 (Deployment api)")]


def test_a_folder_of_manifests_of_kubernetes(drift, locked):
    folder = Path("k8s")
    (folder / "base").mkdir(parents=True)
    (folder / "db.yaml").write_text(deploy("db", "postgres:16"))
    (folder / "base" / "api.yml").write_text(deploy("api", "api:1"))
    (folder / "values.yaml").write_text("replicas: 3\n")
    (folder / "notes.txt").write_text(deploy("db", "postgres:1"))
    assert drift("--against", "k8s") == [("migrate", "only-here", MIGRATE, None)]
    (folder / "base" / "job.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "m"}, "spec": {"containers": [
            {"name": "migrate", "image": "migrate:1"}
        ]}})
    )  # fmt: skip
    assert drift("--against", "k8s") == []


def test_manifests_of_another_registry_are_drift_unless_a_digest_proves_them(drift, locked):
    Path("production.yaml").write_text(PRODUCTION.replace("postgres:16", "attacker.example/postgres:16"))
    assert drift("--against", "production.yaml") == [
        ("db", "registry-differs", DB, "attacker.example/postgres:16 (Deployment db)")
    ]
    Path("production.yaml").write_text(PRODUCTION.replace("postgres:16", f"mirror.example/{DB}"))
    assert drift("--against", "production.yaml") == []


def test_manifests_on_standard_input(drift, locked):
    result = pipe(PRODUCTION.replace("postgres:16", "postgres:15").encode())
    assert result.exit_code == 5
    assert json.loads(result.stdout) == [
        {"service": "db", "kind": "image-differs", "locked": DB, "found": "postgres:15 (Deployment db)"}
    ]
    assert pipe(PRODUCTION.encode()).exit_code == 0
    assert pipe(b"\xef\xbb\xbf" + PRODUCTION.encode()).exit_code == 0


@pytest.mark.parametrize("text", [b"", b"a: b\n", b"a: [\n"])
def test_standard_input_that_is_no_manifest_is_a_bad_call(locked, text):
    result = pipe(text)
    assert result.exit_code == 2
    assert "standard input" in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe", "standard input is not UTF-8 text"), (b"# more\n" * 1_300_000, "larger than 8 MiB")],
)
def test_standard_input_that_cannot_be_read_is_a_bad_call(locked, content, said):
    result = pipe(content)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_that_is_too_large_is_not_read_in_part(invoke, locked):
    Path("production.yaml").write_text(PRODUCTION + "# more\n" * 1_300_000)
    assert "larger than 8 MiB" in invoke("drift", "shop", "--against", "production.yaml", code=2).stderr


def test_a_file_that_is_no_text_is_a_bad_call(invoke, locked):
    Path("production.yaml").write_bytes(b"\xff\xfe")
    assert "production.yaml is not UTF-8 text" in invoke("drift", "shop", "--against", "production.yaml", code=2).stderr


def test_a_folder_of_neither_is_a_bad_call(invoke, locked):
    Path("empty").mkdir()
    result = invoke("drift", "shop", "--against", "empty", code=2)
    assert "the folder empty holds neither a Compose file nor Kubernetes manifests" in result.stderr


# Environments


def test_an_environment_that_runs_what_is_locked(invoke, drift, engine, locked, registries):
    engine._images._default = FakeImage(engine._images._default.behaviour)
    invoke("lock", "shop", "--local", "--upgrade")
    invoke("up", "shop", "-d", "--name", "mine", "--locked", "--progress", "quiet")
    assert drift("--against", "mine") == []
    invoke("down", "mine")


def test_an_environment_that_runs_something_else(invoke, drift, engine, shop, up):
    up("mine")
    invoke("lock", "shop")
    assert [found[:2] for found in drift("--against", "mine")] == [
        ("api", "image-differs"),
        ("db", "image-differs"),
        ("migrate", "image-differs"),
    ]


@pytest.mark.parametrize("name", ["nothing", "x" * 40])
def test_a_name_of_nothing_is_a_bad_call(invoke, locked, name):
    assert f"there is no environment '{name}'" in invoke("drift", "shop", "--against", name, code=2).stderr


@pytest.mark.parametrize("name", ["nothing", "x" * 300, "no\0name"])
def test_a_name_of_nothing_without_an_engine_is_a_bad_call(invoke, locked, monkeypatch, name):
    monkeypatch.setattr(cli_context, "connect_engine", refuse_engine)
    result = invoke("drift", "shop", "--against", name, code=2)
    assert "is no file, and no engine answers" in result.stderr


# Without a lock


@pytest.mark.parametrize("against", ["registry", "compose.yaml", "mine"])
def test_without_a_lock_there_is_nothing_to_compare(invoke, engine, shop, against, registries):
    Path("compose.yaml").write_text(SHOP)
    result = invoke("drift", "shop", "--against", against, code=5)
    assert result.stdout == ""
    assert "there is no shop/envspin.lock" in result.stderr
    assert "hint: `envspin lock shop` writes it; commit it" in result.stderr
    assert registries.looked == []
