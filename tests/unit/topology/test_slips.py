"""Slips of the hand that are valid YAML: each is told what was probably meant."""

from __future__ import annotations

import pytest

BASE = "services: {web: {image: i}, db: {image: d}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services:\n  web:\n  image: i\n", "`image` is a key of a service, indented further than it"),
        ("services:\n  web:\n", "the keys of a service stand below its name, indented further than it"),
        ("services: {web: {image: i, ready: {tcp: 1}}}", "`ready` belongs under `x-envspin`"),
        ("services: {web: {image: i}}\nexports: {A: b}", "`exports` belongs under `x-envspin`"),
        ("services: {web: {image: i, environment: ['B:2']}}", "write NAME=VALUE"),
        ("services: {web: {image: i, environment: [C 3]}}", "write NAME=VALUE"),
        ("services: {web: {image: i, depends_on: [xyz]}, db: {image: i}}", "the services here are: web, db"),
    ],
)
def test_the_hint_names_what_was_meant(bench, text, said):
    assert said in "\n".join(bench.problems(text))


def test_a_service_of_an_overlay_is_probably_one_of_the_file_below(bench):
    (problem,) = bench.problems(BASE, "services: {wbe: {ports: [80]}}\n")
    assert "no other file has `wbe`: did you mean `web`?" in problem


def test_a_new_service_of_an_overlay_needs_an_image_like_any_other(bench):
    (problem,) = bench.problems(BASE, "services: {proxy-of-all: {ports: [80]}}\n")
    assert "give an `image`" in problem


@pytest.mark.parametrize("key", ["x-envspn", "x-envspins", "x-envpsin"])
def test_an_extension_that_is_almost_ours_is_warned_of(bench, key):
    topology = bench.load(f"services: {{web: {{image: i, {key}: {{job: true}}}}}}\n{key}: {{exports: {{}}}}\n")
    assert [warning.code for warning in topology.warnings] == ["unknown-key", "unknown-key"]
    assert {warning.hint for warning in topology.warnings} == {"did you mean `x-envspin`?"}


@pytest.mark.parametrize("key", ["x-env", "x-environment", "x-logging", "x-spin", "x-envspin-base"])
def test_other_extensions_are_anybodys(bench, key):
    assert not bench.load(f"services: {{web: {{image: i}}}}\n{key}: {{a: b}}\n").warnings


def test_a_profile_that_no_service_has_is_warned_of(bench):
    text = "services: {web: {image: i}, tools: {image: i, profiles: [debug]}}"
    (warning,) = bench.load(text, profiles=["debgu", "*"]).warnings
    assert (warning.code, warning.hint) == ("undefined-profile", "did you mean `debug`?")
