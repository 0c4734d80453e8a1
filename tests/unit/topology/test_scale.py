"""`scale` and `deploy.replicas`: several containers behind one name."""

from __future__ import annotations

import pytest

TWO = "services: {{web: {{image: i, {0}}}, db: {{image: i}}{1}}}\n"


@pytest.mark.parametrize(
    ("text", "replicas"),
    [
        ("scale: 3", 3),
        ("scale: '2'", 2),
        ("deploy: {replicas: 3}", 3),
        ("deploy: {replicas: 2, mode: replicated}", 2),
        ("deploy: {mode: global}", 1),
        ("scale: 3, deploy: {replicas: 3}", 3),
        ("scale: null", 1),
        ("image: i", 1),
    ],
)
def test_how_many(bench, text, replicas):
    assert bench.load(f"services: {{web: {{{text}, build: .}}}}\n").services["web"].replicas == replicas


def test_no_replicas_take_a_service_out(bench):
    topology = bench.load(TWO.format("scale: 0", ""))
    assert topology.active == {"db"}


def test_who_needs_a_service_without_replicas_is_told(bench):
    (problem,) = bench.problems(TWO.format("scale: 0", ", api: {image: i, depends_on: [web]}"))
    assert "inactive-dependency" in problem
    assert "`api` depends on `web`, which has no replicas" in problem
    assert "give it at least one, or say `required: false`" in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scale: 2, deploy: {replicas: 3}", "`scale` and `deploy.replicas` of `web` contradict each other"),
        ("scale: 101", "must be at most 100"),
        ("scale: -1", "must be at least 0"),
        ("deploy: {replicas: many}", "must be a whole number"),
        ("deploy: {mode: global-job}", "knows `replicated` and `global`"),
    ],
)
def test_what_cannot_be_is_an_error(bench, text, said):
    assert said in "\n".join(bench.problems(TWO.format(text, "")))


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("scale: 3", "web-1"),
        ("scale: 3", "web-3"),
        ("scale: 3", "web_2"),  # ENVSPIN_WEB_2_HOST would be both
        ("x-envspin: {stub: {image: s, scale: 3}}", "web-2"),
    ],
)
def test_a_replica_takes_no_other_services_name(bench, text, other):
    (problem,) = bench.problems(TWO.format(text, f", {other}: {{image: i}}"))
    likeness = "gives the same variables as `web-2`," if other == "web_2" else "is"
    assert f"`{other}` {likeness} the name of a replica of `web`" in problem


def test_a_name_beyond_the_replicas_is_free(bench):
    assert set(bench.load(TWO.format("scale: 3", ", web-4: {image: i}")).services) == {"web", "db", "web-4"}
