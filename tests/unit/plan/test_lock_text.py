"""The text of a lock: made to be read and compared by people, and refused wherever no envspin wrote it."""

from __future__ import annotations

import difflib
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envspin.errors import LockError
from envspin.plan.lock import Lock, LockedBuild, LockedImage, Manifest, name_stub
from envspin.plan.lock_text import HEADING, dump_lock, parse_lock
from envspin.topology.formats import to_image

from ..lock_builders import AMD, ARM, TIME, lock_image, make_lock_of, sha

NAME = "shop/envspin.lock"
SHOP = make_lock_of(
    lock_image("postgres:16", platforms=(AMD, ARM)),
    lock_image("python:3.12"),
    lock_image("own:1", local=True),
    builds={
        "api": LockedBuild(sha("api"), ("python:3.12",)),
        name_stub("db"): LockedBuild(sha("stub"), ("python:3.12",)),
    },
    db="postgres:16",
    own="own:1",
    api=None,
)
TEXT = dump_lock(SHOP)


def read(text: str) -> Lock:
    return parse_lock(text, NAME)


def find_changes(before: Lock, after: Lock) -> list[str]:
    lines = difflib.ndiff(dump_lock(before).splitlines(), dump_lock(after).splitlines())
    return [line for line in lines if line.startswith(("+", "-"))]


# What is written


def test_a_lock_begins_with_what_it_is_and_what_writes_it():
    assert TEXT.startswith(HEADING + "version: 1\n")
    assert all(line.startswith("# ") for line in HEADING.splitlines())
    assert "envspin lock" in HEADING


def test_a_lock_reads_as_text():
    lock = make_lock_of(lock_image("redis:7"), builds={"web": LockedBuild(sha("web"))}, cache="redis:7", web=None)
    assert dump_lock(lock).removeprefix(HEADING) == (
        "version: 1\n"
        "topology:\n"
        "  name: test\n"
        f"  hash: {sha('topology')}\n"
        "platforms:\n"
        "- linux/amd64\n"
        "services:\n"
        "  cache: redis:7\n"
        "images:\n"
        "  redis:7:\n"
        f"    digest: {sha('redis:7')}\n"
        f'    resolved: "{TIME}"\n'
        "    platforms:\n"
        "      linux/amd64:\n"
        f"        digest: {sha('redis:7 linux/amd64')}\n"
        f"        config: {sha('redis:7 linux/amd64 config')}\n"
        "        size: 1000\n"
        "builds:\n"
        "  web:\n"
        f"    content: {sha('web')}\n"
        "    bases: []\n"
    )


def test_the_order_in_which_things_were_found_is_not_to_be_seen():
    turned = replace(
        SHOP,
        services=dict(reversed(SHOP.services.items())),
        images={
            name: replace(image, platforms=dict(reversed(image.platforms.items())))
            for name, image in reversed(SHOP.images.items())
        },
        builds={
            name: replace(build, bases=tuple(reversed(build.bases))) for name, build in reversed(SHOP.builds.items())
        },
        platforms=(ARM, AMD),
    )
    assert dump_lock(turned) == dump_lock(replace(SHOP, platforms=(AMD, ARM)))


def test_another_digest_is_one_line_of_a_diff():
    images = {**SHOP.images, "postgres:16": replace(SHOP.images["postgres:16"], digest=sha("moved"))}
    assert find_changes(SHOP, replace(SHOP, images=images)) == [
        f"-     digest: {sha('postgres:16')}",
        f"+     digest: {sha('moved')}",
    ]


def test_another_build_is_one_line_of_a_diff():
    builds = {**SHOP.builds, "api": replace(SHOP.builds["api"], content=sha("changed"))}
    assert find_changes(SHOP, replace(SHOP, builds=builds)) == [
        f"-     content: {sha('api')}",
        f"+     content: {sha('changed')}",
    ]


def test_one_more_image_only_adds_its_own_lines():
    images = {**SHOP.images, "mysql:8": lock_image("mysql:8")}
    changes = find_changes(SHOP, replace(SHOP, images=images))
    assert changes[0] == "+   mysql:8:"
    assert len(changes) == 8
    assert all(line.startswith("+") for line in changes)


# Round trips


digests = st.binary(min_size=32, max_size=32).map(lambda content: f"sha256:{content.hex()}")
long_digests = st.binary(min_size=64, max_size=64).map(lambda content: f"sha512:{content.hex()}")
words = st.from_regex(r"[a-z0-9]{1,9}([._-][a-z0-9]{1,9}){0,2}", fullmatch=True)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
long_names = st.integers(min_value=1, max_value=180).map(lambda length: "a" * length)


@st.composite
def references(draw):
    host = draw(st.sampled_from(("", "", "localhost:5000/", "ghcr.io/", "Registry/", "[::1]:5000/")))
    path = "/".join(
        ["team" if host else "acme", *draw(st.lists(words, max_size=2)), draw(st.one_of(words, long_names))]
    )
    tag = draw(st.sampled_from(("", ":1", ":latest", ":1.10", f":{draw(tags)}")))
    digest = draw(st.one_of(st.just(""), digests.map(lambda text: f"@{text}")))
    return to_image(f"{host}{path}{tag}{digest}")


@st.composite
def locked_images(draw, reference):
    is_local = draw(st.booleans())
    names = draw(st.sets(st.sampled_from((AMD, ARM, "linux/arm/v7", "windows/amd64", "linux/386")), min_size=1))
    digest = st.none() if is_local else st.one_of(digests, long_digests)
    platforms = {
        name: Manifest(draw(digest), draw(digests), draw(st.integers(min_value=0, max_value=2**48))) for name in names
    }
    moment = draw(st.datetimes()).strftime("%H:%M:%SZ")
    return LockedImage(reference, draw(digest), f"2025-11-23T{moment}", platforms)


@st.composite
def locks(draw):
    images = {each: draw(locked_images(each)) for each in draw(st.sets(references(), min_size=1, max_size=4))}
    names = draw(st.sets(st.from_regex(r"[a-zA-Z0-9._-]{1,12}", fullmatch=True), max_size=6))
    services = {name: draw(st.one_of(st.none(), st.sampled_from(sorted(images)))) for name in names}
    stubs = draw(st.sets(st.sampled_from(sorted(names)))) if names else set()
    built = [name for name, image in services.items() if image is None] + [name_stub(name) for name in stubs]
    bases = st.sets(st.sampled_from(sorted(images))).map(lambda found: tuple(sorted(found)))
    return Lock(
        topology=draw(words),
        hash=draw(digests),
        services=services,
        images=images,
        builds={name: LockedBuild(draw(digests), draw(bases)) for name in built},
        platforms=tuple(sorted(draw(st.sets(st.sampled_from((AMD, ARM)))))),
    )


@given(locks())
def test_what_is_written_is_read_back(lock):
    assert read(dump_lock(lock)) == lock


@given(locks())
def test_what_was_read_is_written_as_it_was(lock):
    assert dump_lock(read(dump_lock(lock))) == dump_lock(lock)


def test_a_lock_of_nothing_is_read_back():
    lock = Lock("empty", sha("nothing"))
    assert read(dump_lock(lock)) == lock


def test_ends_of_lines_as_windows_has_them_change_nothing():
    assert read(TEXT.replace("\n", "\r\n")) == SHOP


# What was edited by hand


def put(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1, old
    return TEXT.replace(old, new, 1)


def place(line: str) -> int:
    """Return the number of the first line that is ``line``."""
    return next(number for number, each in enumerate(TEXT.splitlines(), 1) if each.strip() == line)


IMAGE = place("postgres:16:")
DIGEST = sha("postgres:16")
EDITS = {
    "a digest that is too short": (put(DIGEST, DIGEST[:-1]), IMAGE + 1, 13, "is not a digest"),
    "a digest in capitals": (put(DIGEST, DIGEST.upper()), IMAGE + 1, 13, "is not a digest"),
    "a digest of another kind": (put(DIGEST, "md5:" + "0" * 32), IMAGE + 1, 13, "is not a digest"),
    "a digest that is a list": (put(DIGEST, "[]"), IMAGE + 1, 13, "must be text"),
    "a content that is no digest": (put(sha("api"), "today"), place("api:") + 1, 14, "is not a digest"),
    "a time that is none": (put(TIME, "yesterday"), place("own:1:") + 1, 15, "is not a moment"),
    "a size in words": (put("size: 1000", "size: 1 kB"), place("size: 1000"), 15, "is not a number of bytes"),
    "a size below zero": (put("size: 1000", "size: -1"), place("size: 1000"), 15, "is not a number of bytes"),
    "a size in other digits": (put("size: 1000", "size: ²"), place("size: 1000"), 15, "is not a number of bytes"),
    "no hash": (put(f"  hash: {sha('topology')}\n", ""), place("version: 1"), 1, "`topology` needs `hash`"),
    "no topology": (
        put(f"topology:\n  name: test\n  hash: {sha('topology')}\n", ""),
        place("version: 1"),
        1,
        "`topology` needs `name`",
    ),
    "no time": (put(f'    resolved: "{TIME}"\n', ""), place("own:1:"), 3, "`images.own:1` needs `resolved`"),
    "no digest of a manifest": (
        put(f"        digest: {sha('postgres:16 linux/amd64')}\n", ""),
        IMAGE + 4,
        7,
        "`images.postgres:16.platforms.linux/amd64` needs `digest`",
    ),
    "no config": (
        put(f"        config: {sha('own:1 linux/amd64 config')}\n", ""),
        place("own:1:") + 3,
        7,
        "needs `config`",
    ),
    "no size": (put("        size: 1000\n", ""), place("own:1:") + 3, 7, "needs `size`"),
    "no content": (put(f"    content: {sha('api')}\n", ""), place("api:"), 3, "`builds.api` needs `content`"),
    "an image for no platform": (
        put(TEXT[TEXT.index("    platforms:\n      linux") : TEXT.index("  postgres:16:")], ""),
        place("own:1:"),
        3,
        "`images.own:1` has no `platforms`",
    ),
    "an unknown part": (put("services:", "servces:"), place("services:"), 1, "unknown key `servces` at the top level"),
    "an unknown key of an image": (put("    digest:", "    digset:"), IMAGE + 1, 5, "unknown key `digset`"),
    "an unknown key of a manifest": (
        put("        size", "        bytes"),
        place("size: 1000"),
        9,
        "unknown key `bytes`",
    ),
    "an unknown key of a build": (put("    content", "    contents"), place("api:") + 1, 5, "unknown key `contents`"),
    "an unknown key of the topology": (put("  hash", "  hsah"), place("topology:") + 2, 3, "unknown key `hsah`"),
    "services as a list": (
        put("  db: postgres:16\n  own: own:1\n", "  - postgres:16\n"),
        place("services:") + 1,
        3,
        "`services` must be a mapping",
    ),
    "images as text": (
        TEXT[: TEXT.index("images:")] + "images: none\n",
        place("images:"),
        9,
        "`images` must be a mapping",
    ),
    "platforms as text": (put("platforms:\n- linux/amd64", "platforms: all"), 7, 12, "`platforms` must be a list"),
    "a key twice": (
        put("    bases", f"    content: {sha('b')}\n    bases"),
        place("api:") + 2,
        5,
        "`content` was already given",
    ),
    "an image twice": (TEXT.replace("python:3.12:", "postgres:16:"), place("python:3.12:"), 3, "was already given"),
    "a tab": (put("  own: own:1", "\town: own:1"), place("own: own:1"), 1, "tab"),
    "a service that runs what is not locked": (
        put("  db: postgres:16", "  db: postgres:17"),
        place("db: postgres:16"),
        7,
        "`services.db` names `postgres:17`, which is not among `images`",
    ),
    "a service that runs what no image is": (
        put("  db: postgres:16", "  db: Postgres"),
        place("db: postgres:16"),
        7,
        "`Postgres` is not an image",
    ),
    "a service that runs nothing": (put("  db: postgres:16", "  db:"), place("db: postgres:16"), 6, "must be text"),
    "a base that is not locked": (
        put("    - python:3.12", "    - python:3.13"),
        place("api:"),
        3,
        "`builds.api.bases` names `python:3.13`, which is not among `images`",
    ),
    "an image that is none": (put("  own:1:\n", "  Own:1:\n"), place("own:1:"), 3, "`Own:1` is not an image"),
    "a platform in other words": (
        put("      linux/arm64:", "      linux/aarch64:"),
        place("linux/arm64:"),
        7,
        "`linux/aarch64` is not a platform as registries call it",
    ),
    "a platform that is none": (put("      linux/arm64:", "      ARM:"), place("linux/arm64:"), 7, "`ARM` is not"),
    "a word for a version": (put("version: 1", "version: one"), place("version: 1"), 10, "`version: 1`"),
    "version 0": (put("version: 1", "version: 0"), place("version: 1"), 10, "`version: 1`"),
    "a version in other digits": (put("version: 1", "version: ²"), place("version: 1"), 10, "`version: 1`"),
    "a version of too many digits": (put("version: 1", f"version: {'9' * 5000}"), 3, 10, "`version: 1`"),
    "a version that is a list": (put("version: 1", "version: [1]"), place("version: 1"), 10, "`version: 1`"),
    "no version": (put("version: 1\n", ""), place("version: 1"), 1, "`version: 1`"),
    "two documents": (f"{TEXT}---\nversion: 1\n", TEXT.count("\n") + 2, 1, "here begins another"),
    "a list": ("- 1\n", 1, 1, "must be a mapping"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_is_refused_at_its_place(what):
    text, line, column, said = EDITS[what]
    with pytest.raises(LockError) as caught:
        read(text)
    error = caught.value
    assert error.exit_code == 5
    assert error.message == f"{NAME} is no lock that envspin wrote"
    assert "envspin lock" in error.hint
    at = f"{NAME}:{line}:{column}: error[" if line else f"{NAME}:"
    assert any(each.startswith(at) and said in each for each in error.context), "\n".join(error.context)


def test_a_merge_conflict_is_recognised():
    with pytest.raises(LockError, match=f"{NAME}:{place('services:')}: here is a merge conflict") as caught:
        read(put("services:\n", "<<<<<<< HEAD\nservices:\n"))
    assert "take either side" in str(caught.value.hint)


def test_an_unknown_key_is_told_the_nearest():
    with pytest.raises(LockError) as caught:
        read(put("    digest:", "    digset:"))
    assert any("did you mean `digest`?" in line for line in caught.value.context)


def test_everything_that_is_wrong_is_told_at_once():
    text = put(DIGEST, "none").replace("size: 1000", "size: big")
    with pytest.raises(LockError) as caught:
        read(text)
    assert sum("error[bad-value]" in line for line in caught.value.context) == 5


def test_the_line_is_shown():
    with pytest.raises(LockError) as caught:
        read(put("size: 1000", "size: big"))
    assert [line.strip() for line in caught.value.context[1:3]] == ["size: big", "^"]


@pytest.mark.parametrize("text", ["", "\n", "# a comment\n", "---\n", "...\n"])
def test_a_file_of_nothing_is_no_lock(text):
    with pytest.raises(LockError) as caught:
        read(text)
    assert caught.value.message.startswith(NAME)
    assert "envspin lock" in caught.value.hint


def test_a_lock_of_a_later_envspin_is_told_as_that_whatever_else_it_holds():
    with pytest.raises(LockError, match=r"was written by a later envspin \(version 2") as caught:
        read(put("version: 1", "version: 2").replace("services:", "workloads:"))
    assert caught.value.message.startswith(NAME)
    assert caught.value.hint.startswith("upgrade envspin")


def test_each_beginning_of_a_lock_is_a_lock_or_refused():
    outcomes = [try_to_read(TEXT[:length]) for length in range(len(TEXT))]
    locks_read = [lock for lock in outcomes if lock is not None]
    assert 0 < len(locks_read) < len(outcomes)
    assert all(lock.topology == SHOP.topology for lock in locks_read)
    assert all(lock.images.keys() <= SHOP.images.keys() for lock in locks_read)


def try_to_read(text: str) -> Lock | None:
    """Return the lock; None for a text that is refused."""
    try:
        return read(text)
    except LockError:
        return None


@pytest.mark.parametrize("seed", range(6))
def test_no_edit_does_worse_than_being_refused(seed):
    """400 edits each; the seed is the case's number."""
    chance = random.Random(seed)
    outcomes = [try_to_read(mutate(TEXT, chance)) for _ in range(400)]
    assert outcomes.count(None) > 200


def mutate(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    for _ in range(chance.randint(1, 3)):
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(7):
            case 0:
                lines[at], lines[other] = lines[other], lines[at]
            case 1:
                lines[at] = ""
            case 2:
                lines.insert(at, lines[other])
            case 3:
                lines[at] = "  " + lines[at]
            case 4:
                lines[at] = lines[at].lstrip()
            case 5:
                cut = chance.randrange(len(lines[at]) + 1)
                lines[at] = (
                    lines[at][:cut] + chance.choice("\t\0:-[]{}&*!|>'\"%@`#\x85\ufeff²é\r,?~<") + lines[at][cut:]
                )
            case _:
                cut = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + lines[at][cut + 1 :]
    return "".join(lines)


@settings(max_examples=200)
@given(st.text())
def test_any_other_text_is_refused(text):
    with pytest.raises(LockError):
        read(text)


# What is meant to do harm

BOMBS = {
    "deep": "version: 1\nimages: " + "{a: " * 10_000,
    "wide": "version: 1\nimages:\n" + "".join(f"  a{number}: {{}}\n" for number in range(150_000)),
    "aliases": "version: 1\na: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(f"{after}: &{after} [{', '.join([f'*{name}'] * 8)}]\n" for name, after in pairwise("abcdefghi")),
    "huge": "version: 1\n" + "# filler\n" * 1_000_000,
    "long": "version: 1\nplatforms: " + "a" * (8 * 1024 * 1024),
    "unknown": "version: 1\n" + "".join(f"k{number}: 1\n" for number in range(5_000)),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_refused(what):
    with pytest.raises(LockError) as caught:
        read(BOMBS[what])
    assert f"{NAME}:" in caught.value.context[0]
    assert len(str(caught.value)) < 200_000
