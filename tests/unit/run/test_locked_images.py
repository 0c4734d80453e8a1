"""What is locked is what runs: found under any of its names, else pulled by its digest, and looked at once more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from envspin import Environment
from envspin.engine.base import ImageInfo
from envspin.engine.fake import ExecReply, FakeEngine, FakeImage, Line, Script
from envspin.engine.fake.images import make_image_id
from envspin.errors import ImageError, LockError
from envspin.events import Listener, WarningRaised
from envspin.model import Topology
from envspin.plan.lock import Lock, LockedImage, Manifest
from envspin.plan.lock_text import dump_lock
from envspin.plan.pinning import make_lock
from envspin.plan.sources import ImageSource
from envspin.run import naming
from envspin.run.images import ImageRules, PullPolicy, ensure_image, ensure_locked, find_locked
from envspin.run.locks import find_lock, survey
from envspin.run.opening import load

from ..lock_builders import AMD, ARM, TIME, lock_image, sha

INDEX, MANIFEST = sha("index"), sha("manifest")
EXACT = f"postgres@{MANIFEST}"
CONFIG = make_image_id(EXACT)
"""What the in-memory engine calls an image that was pulled by its manifest's digest."""
DB = LockedImage("postgres:16", INDEX, TIME, {AMD: Manifest(MANIFEST, CONFIG, 1000)})
LOCAL = LockedImage("own:1", None, TIME, {AMD: Manifest(None, CONFIG, 1000)})
PROMPT = Script(lines=(Line("ready"),))


def ensure(
    engine: FakeEngine, locked: LockedImage = DB, *, policy: PullPolicy = "missing", platform: str = AMD
) -> ImageInfo:
    return ensure_locked(engine, locked, platform, make_rules(policy), key=locked.reference)


def make_rules(policy: PullPolicy = "missing") -> ImageRules:
    return ImageRules(
        topology="test",
        lock=Path("envspin.lock"),
        policy=policy,
        platform=AMD,
        on_progress=lambda *_: None,
        is_cancelled=lambda: False,
    )


def list_pulls(engine: FakeEngine) -> list[str]:
    return [call.subject for call in engine.calls if call.verb == "pull"]


# What the engine holds


@pytest.mark.parametrize("name", [CONFIG, MANIFEST, INDEX], ids=["config", "manifest", "index"])
def test_an_image_is_taken_whatever_the_engine_calls_it(name):
    engine = FakeEngine({name: FakeImage()})
    found = ensure(engine)
    assert (found.id, found.digest, found.name) == (name, MANIFEST, "postgres:16")
    assert list_pulls(engine) == []


@pytest.mark.parametrize("digest", [MANIFEST, INDEX], ids=["manifest", "index"])
def test_an_image_is_taken_by_the_digest_that_it_was_pulled_by(digest):
    name = f"postgres@{digest}"
    engine = FakeEngine({name: FakeImage(digest=digest)})
    locked = replace(DB, platforms={AMD: Manifest(MANIFEST, make_image_id(name), 1000)})
    assert ensure(engine, locked).id == make_image_id(name)
    assert list_pulls(engine) == []


def test_a_tag_is_never_looked_at():
    engine = FakeEngine({"postgres:16": FakeImage(digest=sha("moved")), EXACT: FakeImage(stored=False)})
    assert ensure(engine).id == CONFIG
    assert list_pulls(engine) == [EXACT]
    assert "postgres:16" not in {call.subject for call in engine.calls}


def test_an_image_that_has_a_tag_keeps_its_name():
    locked = replace(DB, platforms={AMD: Manifest(MANIFEST, make_image_id("postgres:16"), 1000)})
    engine = FakeEngine({"postgres:16": FakeImage(digest=MANIFEST)})
    assert ensure(engine, locked).name == "postgres:16"


def test_an_image_with_the_digest_and_another_content_is_not_the_locked_one():
    engine = FakeEngine({EXACT: FakeImage()})
    assert find_locked(engine, replace(DB, platforms={AMD: Manifest(MANIFEST, sha("config"), 1)}), AMD) is None


@pytest.mark.parametrize(("platform", "found"), [("linux/amd64", True), ("", True), ("linux/arm64", False)])
def test_an_index_that_the_engine_holds_counts_for_the_platform_of_its_image(platform, found):
    engine = FakeEngine({INDEX: FakeImage(platform=platform)})
    assert (find_locked(engine, DB, AMD) is not None) is found


def test_an_engine_that_does_not_say_the_variant_is_believed():
    locked = replace(DB, platforms={"linux/arm/v6": DB.platforms[AMD]})
    assert find_locked(FakeEngine({CONFIG: FakeImage(platform="linux/arm")}), locked, "linux/arm/v7") is not None
    assert find_locked(FakeEngine({CONFIG: FakeImage(platform="linux/arm64")}), locked, "linux/arm/v7") is None


# What it does not hold


def test_an_image_that_is_missing_is_pulled_by_the_digest_of_its_platform():
    engine = FakeEngine({EXACT: FakeImage(stored=False)})
    found = ensure(engine)
    assert (found.id, found.digest, found.name) == (CONFIG, MANIFEST, "postgres:16")
    assert list_pulls(engine) == [EXACT]


def test_a_reference_with_a_registry_is_pulled_from_there():
    exact = f"localhost:5000/team/db@{MANIFEST}"
    locked = LockedImage(
        f"localhost:5000/team/db:16@{INDEX}", INDEX, TIME, {AMD: Manifest(MANIFEST, make_image_id(exact), 1)}
    )
    engine = FakeEngine({exact: FakeImage(stored=False)})
    assert ensure(engine, locked).id == make_image_id(exact)
    assert list_pulls(engine) == [exact]


def test_another_image_than_the_locked_one_is_refused():
    engine = FakeEngine({EXACT: FakeImage(stored=False)})
    locked = replace(DB, platforms={AMD: Manifest(MANIFEST, sha("other"), 1000)})
    with pytest.raises(LockError, match="another image than the lock names for postgres:16") as caught:
        ensure(engine, locked)
    assert caught.value.context[0] == f"the engine's id: {CONFIG}"
    assert set(caught.value.context[1:]) == {f"locked: {each}" for each in (INDEX, MANIFEST, sha("other"))}
    assert "envspin lock --upgrade" in caught.value.hint


def test_always_pulls_the_locked_one_again():
    engine = FakeEngine({EXACT: FakeImage()})
    assert ensure(engine, policy="always").id == CONFIG
    assert list_pulls(engine) == [EXACT]


def test_never_takes_what_is_held():
    engine = FakeEngine({CONFIG: FakeImage()})
    assert ensure(engine, policy="never").id == CONFIG
    assert list_pulls(engine) == []


def test_never_pulls_nothing():
    engine = FakeEngine({EXACT: FakeImage(stored=False), "postgres:16": FakeImage()})
    with pytest.raises(ImageError, match=f"image postgres:16, locked as {EXACT}, is not in the engine's store"):
        ensure(engine, policy="never")
    assert list_pulls(engine) == []


def test_an_image_that_its_registry_has_lost_is_told_as_the_engine_tells_it():
    with pytest.raises(ImageError, match=MANIFEST):
        ensure(FakeEngine({"postgres:16": FakeImage(digest=sha("moved"))}))


@pytest.mark.parametrize("policy", ["missing", "always", "never"])
def test_an_image_that_is_not_locked_for_the_platform_is_refused(policy):
    engine = FakeEngine({CONFIG: FakeImage(), EXACT: FakeImage(stored=False)})
    with pytest.raises(LockError, match="postgres:16 is not locked for linux/s390x") as caught:
        ensure(engine, policy=policy, platform="linux/s390x")
    assert caught.value.hint == "`envspin lock --platform linux/s390x`"
    assert list_pulls(engine) == []


# Images that only this engine has


@pytest.mark.parametrize("policy", ["missing", "always", "never"])
def test_a_local_image_is_taken_by_its_id(policy):
    engine = FakeEngine({CONFIG: FakeImage()})
    found = ensure(engine, LOCAL, policy=policy)
    assert (found.id, found.digest) == (CONFIG, None)
    assert list_pulls(engine) == []


@pytest.mark.parametrize("policy", ["missing", "always", "never"])
def test_a_local_image_that_was_built_again_is_refused(policy):
    engine = FakeEngine({"own:1": FakeImage()})
    with pytest.raises(LockError, match=f"own:1 was locked as this engine's own image {CONFIG}, which is not there"):
        ensure(engine, LOCAL, policy=policy)
    assert list_pulls(engine) == []


# Sources


def make_source(locked: LockedImage | None = None, **fields) -> ImageSource:
    return ImageSource("postgres:16", "postgres:16", None, fields.pop("platform", None), ("db",), locked, **fields)


def test_an_image_that_is_not_locked_is_found_by_its_tag():
    engine = FakeEngine({"postgres:16": FakeImage(digest=sha("moved"))})
    assert ensure_image(engine, make_source(), make_rules()).digest == sha("moved")


def test_a_service_with_a_platform_of_its_own_gets_the_image_of_that():
    arm = f"postgres@{sha('arm')}"
    platforms = {AMD: DB.platforms[AMD], ARM: Manifest(sha("arm"), make_image_id(arm), 1)}
    engine = FakeEngine({EXACT: FakeImage(), arm: FakeImage(platform=ARM, stored=False)})
    source = make_source(replace(DB, platforms=platforms), platform="linux/aarch64")
    assert ensure_image(engine, source, make_rules()).digest == sha("arm")
    assert list_pulls(engine) == [arm]


# Environments

COMPOSE = """\
name: shop
services:
  db:
    image: postgres:16
    x-envspin: {ready: {log: ready}}
"""
BUILD = """\
name: shop
services:
  api:
    build: api
    x-envspin: {ready: {exec: [check]}}
"""


class Recorder(Listener):
    def __init__(self) -> None:
        self.warnings = []

    def handle(self, event) -> None:
        if isinstance(event, WarningRaised):
            self.warnings.append(event.problem)


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Path:
    """A topology of one service in the folder ``shop`` of the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("shop")
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE)
    return folder


def lock(folder: Path, *answers: LockedImage) -> Topology:
    """Write the lock of a topology with these answers."""
    topology = load(folder)
    made = make_lock(survey(topology), None, (AMD,), {each.reference: each for each in answers})
    find_lock(topology).write_text(dump_lock(made))
    return topology


def make_engine(**images: FakeImage) -> FakeEngine:
    """Hold the locked image, and what its tag leads to by now."""
    moved = FakeImage(PROMPT, digest=sha("moved"))
    return FakeEngine({EXACT: FakeImage(PROMPT, digest=MANIFEST), "postgres:16": moved, **images})


def left_over(engine: FakeEngine) -> list[str]:
    return [each.name for each in engine.list_resources({naming.ENV: None})]


def test_a_locked_image_runs_although_its_tag_has_moved(shop):
    lock(shop, DB)
    engine = make_engine()
    with Environment.up(shop, engine=engine) as environment:
        described = environment.describe()["services"]["db"]
        assert (described["pin"], described["digest"], described["image"]) == ("locked", MANIFEST, "postgres:16")
        container = engine.inspect(environment["db"].container_id)
        assert container.image_id == CONFIG
        assert container.labels[naming.PIN] == "locked"
        assert container.labels[naming.DIGEST] == MANIFEST
        assert container.labels[naming.IMAGE] == "postgres:16"
    assert list_pulls(engine) == []


def test_another_process_sees_what_was_locked(shop):
    lock(shop, DB)
    engine = make_engine()
    with Environment.up(shop, name="mine", engine=engine):
        handle = Environment.open("mine", engine=engine)["db"]
        assert (handle.pin, handle.digest, handle.image_id) == ("locked", MANIFEST, CONFIG)


def test_without_a_lock_the_tag_runs_and_says_so(shop):
    with Environment.up(shop, engine=make_engine()) as environment:
        described = environment.describe()["services"]["db"]
        assert (described["pin"], described["digest"]) == ("unlocked", sha("moved"))


def test_an_environment_that_must_be_locked_and_has_no_lock_does_not_begin(shop):
    engine = make_engine()
    with pytest.raises(LockError, match=r"there is no shop/envspin\.lock"):
        Environment.up(shop, engine=engine, locked=True)
    assert engine.calls == []


def test_an_environment_that_must_be_locked_and_has_a_stale_lock_does_not_begin(shop):
    lock(shop, DB)
    (shop / "compose.yaml").write_text(COMPOSE.replace("postgres:16", "postgres:17"))
    engine = make_engine()
    with pytest.raises(LockError, match="does not fit the topology any more"):
        Environment.up(shop, engine=engine, locked=True)
    assert engine.calls == []


def test_an_environment_that_must_be_locked_and_is_begins(shop):
    lock(shop, DB)
    with Environment.up(shop, engine=make_engine(), locked=True) as environment:
        assert environment["db"].pin == "locked"


def test_an_image_that_was_set_runs_and_says_so(shop):
    lock(shop, DB)
    recorder, engine = Recorder(), make_engine(**{"postgres:15": FakeImage(PROMPT, digest=sha("15"))})
    with Environment.up(shop, engine=engine, set={"db": "postgres:15"}, listener=recorder) as environment:
        described = environment.describe()["services"]["db"]
        assert (described["pin"], described["digest"], described["image"]) == ("set", sha("15"), "postgres:15")
    assert recorder.warnings == []


def test_an_image_that_the_lock_should_hold_is_warned_of_and_runs(shop):
    lock(shop, DB)
    (shop / "compose.yaml").write_text(COMPOSE.replace("postgres:16", "postgres:17"))
    recorder, engine = Recorder(), make_engine(**{"postgres:17": FakeImage(PROMPT)})
    with Environment.up(shop, engine=engine, listener=recorder) as environment:
        assert environment["db"].pin == "unlocked"
    assert [each.code for each in recorder.warnings] == ["not-locked"]


def test_a_lock_for_another_platform_ends_the_start_before_anything_is_made(shop):
    lock(shop, lock_image("postgres:16", platforms=(ARM,)))
    engine = make_engine()
    with pytest.raises(LockError, match="holds no image for linux/amd64"):
        Environment.up(shop, engine=engine)
    assert {call.verb for call in engine.calls} <= {"info", "close"}


class SwappingEngine(FakeEngine):
    """An engine whose containers have another image than was asked for."""

    def inspect(self, container_id):
        return replace(super().inspect(container_id), image_id=sha("swapped"))


def test_a_container_that_has_another_image_ends_the_start_and_all_is_removed(shop):
    lock(shop, DB)
    engine = SwappingEngine({EXACT: FakeImage(PROMPT, digest=MANIFEST)})
    with pytest.raises(LockError, match="the container of db has another image than the locked one") as caught:
        Environment.up(shop, engine=engine)
    assert caught.value.context[:2] == (
        f"locked: postgres:16, which this engine calls {CONFIG}",
        f"it has: {sha('swapped')}",
    )
    assert "start" not in {call.verb for call in engine.calls}
    assert left_over(engine) == []


def test_a_container_without_a_lock_is_not_looked_at_for_its_image(shop):
    with Environment.up(shop, engine=SwappingEngine({"postgres:16": FakeImage(PROMPT)})) as environment:
        assert environment["db"].state == "ready"


def test_an_engine_that_gets_another_image_ends_the_start_and_all_is_removed(shop):
    lock(shop, replace(DB, platforms={AMD: Manifest(MANIFEST, sha("other"), 1000)}))
    engine = FakeEngine({EXACT: FakeImage(PROMPT, digest=MANIFEST, stored=False)})
    with pytest.raises(LockError, match="another image than the lock names"):
        Environment.up(shop, engine=engine)
    assert "create_container" not in {call.verb for call in engine.calls}
    assert left_over(engine) == []


# Builds

BUILT = Script(execs={"check": ExecReply(0)})


def lock_python(content: str) -> tuple[str, LockedImage]:
    """Return how an engine pulls a base image exactly, and its lock."""
    exact = f"python@{sha(content)}"
    manifest = Manifest(sha(content), make_image_id(exact), 1000)
    return exact, LockedImage("python:3.12", sha(f"{content} index"), TIME, {AMD: manifest})


BASE, PYTHON = lock_python("py")
NEWER_BASE, NEWER_PYTHON = lock_python("newer py")


@pytest.fixture
def building(shop) -> Path:
    """A topology of one service that is built."""
    (shop / "api").mkdir()
    (shop / "api" / "Dockerfile").write_text("FROM python:3.12\n")
    (shop / "compose.yaml").write_text(BUILD)
    return shop


class BuildingEngine(FakeEngine):
    """An engine that remembers what it was asked to build."""

    def __init__(self, *, stored: bool = True) -> None:
        names = BASE, NEWER_BASE
        super().__init__(
            {
                "python:3.12": FakeImage(digest=sha("moved")),
                **{name: FakeImage(digest=name.partition("@")[2], stored=stored) for name in names},
            },
            scripts={"api": BUILT},
        )
        self.requests = []

    def build(self, request, **others) -> ImageInfo:
        self.requests.append(request)
        return super().build(request, **others)


@pytest.mark.parametrize("stored", [True, False])
def test_a_build_begins_with_its_locked_base(building, stored):
    topology = lock(building, PYTHON)
    engine = BuildingEngine(stored=stored)
    with Environment.up(building, engine=engine) as environment:
        assert environment["api"].pin == "built"
        assert environment["api"].content == survey(topology).builds["api"].content
    assert [each.bases for each in engine.requests] == [{"python:3.12": make_image_id(BASE)}]
    assert list_pulls(engine) == ([] if stored else [BASE])


def test_a_build_without_a_lock_begins_with_what_its_tag_leads_to(building):
    engine = BuildingEngine()
    with Environment.up(building, engine=engine):
        assert [each.bases for each in engine.requests] == [{}]


def test_only_another_lock_of_the_base_builds_again(building):
    engine = BuildingEngine()
    for answer in (PYTHON, PYTHON, NEWER_PYTHON):
        lock(building, answer)
        with Environment.up(building, engine=engine):
            pass
    assert [each.bases for each in engine.requests] == [
        {"python:3.12": make_image_id(BASE)},
        {"python:3.12": make_image_id(NEWER_BASE)},
    ]
    assert len({each.tag for each in engine.requests}) == 2


def test_a_build_whose_base_is_not_held_and_must_not_be_pulled_is_told(building):
    lock(building, PYTHON)
    engine = BuildingEngine(stored=False)
    with pytest.raises(ImageError, match=f"image python:3.12, locked as {BASE}, is not in the engine's store"):
        Environment.up(building, engine=engine, pull="never")
    assert (list_pulls(engine), engine.requests) == ([], [])
    assert left_over(engine) == []


def test_a_lock_whose_entries_were_taken_out_does_not_fit(shop):
    topology = load(shop)
    find_lock(topology).write_text(dump_lock(Lock("shop", sha("hash"))))
    with pytest.raises(LockError, match="does not fit"):
        Environment.up(shop, engine=make_engine(), locked=True)
