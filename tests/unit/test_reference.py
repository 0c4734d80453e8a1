"""Names of images and platforms mean what the docker command line and registries mean by them."""

from __future__ import annotations

import pytest

from envspin.reference import Reference, list_fitting_platforms, normalize_platform

DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("postgres", ("docker.io", "library/postgres", "latest", None)),
        ("postgres:16.4", ("docker.io", "library/postgres", "16.4", None)),
        ("library/postgres:16", ("docker.io", "library/postgres", "16", None)),
        ("bitnami/redis", ("docker.io", "bitnami/redis", "latest", None)),
        ("docker.io/postgres:16", ("docker.io", "library/postgres", "16", None)),
        ("index.docker.io/library/postgres:16", ("docker.io", "library/postgres", "16", None)),
        ("registry-1.docker.io/bitnami/redis:7", ("docker.io", "bitnami/redis", "7", None)),
        ("ghcr.io/acme/api:1.2", ("ghcr.io", "acme/api", "1.2", None)),
        ("localhost/api", ("localhost", "api", "latest", None)),
        ("localhost:5000/api", ("localhost:5000", "api", "latest", None)),
        ("registry:5000/team/deep/api:2", ("registry:5000", "team/deep/api", "2", None)),
        ("[::1]:5000/api:2", ("[::1]:5000", "api", "2", None)),
        ("Registry/api:2", ("Registry", "api", "2", None)),
        (f"postgres@{DIGEST}", ("docker.io", "library/postgres", None, DIGEST)),
        (f"postgres:16@{DIGEST}", ("docker.io", "library/postgres", "16", DIGEST)),
        (f"localhost:5000/api@{DIGEST}", ("localhost:5000", "api", None, DIGEST)),
    ],
)
def test_a_reference_is_completed_as_docker_does(text, parts):
    found = Reference.parse(text)
    assert (found.registry, found.repository, found.tag, found.digest) == parts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("docker.io/library/postgres", "postgres:latest"),
        ("bitnami/redis:7", "bitnami/redis:7"),
        ("localhost:5000/library/api:1", "localhost:5000/library/api:1"),
        (f"postgres@{DIGEST}", f"postgres@{DIGEST}"),
        (f"ghcr.io/acme/api:1@{DIGEST}", f"ghcr.io/acme/api:1@{DIGEST}"),
    ],
)
def test_a_reference_is_written_as_people_write_it_and_reads_back_as_the_same(text, shown):
    reference = Reference.parse(text)
    assert str(reference) == shown
    assert Reference.parse(shown) == reference


def test_the_reference_of_a_content_has_no_tag_that_could_move():
    assert str(Reference.parse("localhost:5000/api:2").at(DIGEST)) == f"localhost:5000/api@{DIGEST}"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("Linux/AMD64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("amd64", "linux/amd64"),
        ("linux", "linux/amd64"),
        ("windows", "windows/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("arm64/v8", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armv6l", "linux/arm/v6"),
        ("linux/arm/v5", "linux/arm/v5"),
        ("linux/i686", "linux/386"),
        ("linux/riscv64", "linux/riscv64"),
    ],
)
def test_a_platform_is_called_as_registries_call_it(text, normal):
    assert normalize_platform(text) == normal
    assert normalize_platform(normal) == normal


@pytest.mark.parametrize(
    ("platform", "fitting"),
    [
        ("linux/amd64", ["linux/amd64"]),
        ("linux/arm64/v8", ["linux/arm64"]),
        ("linux/arm", ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v6", ["linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v5", ["linux/arm/v5"]),
    ],
)
def test_only_a_newer_arm_runs_what_older_ones_run(platform, fitting):
    assert list_fitting_platforms(platform) == fitting
