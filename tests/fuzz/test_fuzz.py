"""Thousands of generated files: each loads or is refused with problems that can be shown.

``ENVSPIN_FUZZ_SEED`` and ``ENVSPIN_FUZZ_COUNT`` choose others; `make fuzz` runs many more. The number of a case stands
in the failure: ``python -m tests.fuzz --seed SEED --case NUMBER`` writes its files.
"""

from __future__ import annotations

import os

import pytest

from envspin.topology.codes import CODES

from .cases import CANARY, MAIN, Case
from .check import Outcome, check_problems, examine
from .generators import SHARES, generator_of, make_case
from .run import HANG_SECONDS, Tally, judge, minimise

SEED = int(os.environ.get("ENVSPIN_FUZZ_SEED", "20240607"))
COUNT = int(os.environ.get("ENVSPIN_FUZZ_COUNT", "5000"))
PARTS = 10


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("part", range(PARTS))
def test_generated_files_load_or_are_refused_in_order(part, folder):
    tally = Tally()
    for index in range(part * COUNT // PARTS, (part + 1) * COUNT // PARTS):
        tally.add(index, examine(make_case(SEED, index), folder, hang_seconds=HANG_SECONDS))
    assert {kind: (finding.index, finding.detail) for kind, finding in tally.findings.items()} == {}
    assert sum(tally.cases.values()) > sum(tally.loaded.values()) > 0
    assert len(tally.codes) > len(CODES) / 2


def test_a_case_is_the_same_each_time():
    for index in range(200):
        assert make_case(7, index) == make_case(7, index)
    assert make_case(7, 20) != make_case(8, 20)


def test_every_generator_has_its_share():
    turns = [generator_of(index) for index in range(sum(SHARES.values()))]
    assert {generator: turns.count(generator) for generator in SHARES} == SHARES


def text_case(text):
    return Case({MAIN: text.encode()})


def test_a_good_file_loads_without_findings(folder):
    outcome = examine(text_case("services: {a: {image: i, restart: always}}"), folder, hang_seconds=HANG_SECONDS)
    assert outcome.loaded
    assert (outcome.codes, outcome.findings) == ({"replaced-key"}, {})
    assert list(folder.iterdir()) == []


def break_loader(monkeypatch, action):
    monkeypatch.setattr("tests.fuzz.check.load_topology", action)


def test_what_is_not_refused_in_order_is_found(folder, monkeypatch):
    def fail(*_paths, **_options):
        raise KeyError("no problem was reported")

    break_loader(monkeypatch, fail)
    outcome = examine(text_case("x"), folder, hang_seconds=HANG_SECONDS)
    assert list(outcome.findings) == ["load: KeyError"]
    assert "no problem was reported" in outcome.findings["load: KeyError"]


def test_what_does_not_end_is_found(folder, monkeypatch):
    def hang(*_paths, **_options):
        while True:
            pass

    break_loader(monkeypatch, hang)
    assert list(examine(text_case("x"), folder, hang_seconds=0.05).findings) == ["load: hang"]


def test_a_secret_a_wrong_place_and_an_unknown_code_are_found():
    from envspin.problems import Mark, Problem  # noqa: PLC0415 - of this test alone

    case = text_case("one\ntwo\n")
    told = [
        Problem("bad-value", f"it is {CANARY.upper()}", Mark(MAIN, 1, 1)),
        Problem("bad-value", "x", Mark(MAIN, 2, 5)),
        Problem("bad-value", "x", Mark("other.yaml", 1, 1)),
        Problem("bad-value", "x"),
        Problem("bad-idea", "x", Mark(MAIN, 2, 4)),
    ]
    assert [kind for problem in told for kind, _ in check_problems(case, [problem])] == [
        "secret shown by bad-value",
        "a place outside the file for bad-value",
        "a place outside the file for bad-value",
        "no place for bad-value",
        "unknown code bad-idea",
    ]


def test_a_finding_is_made_small(folder, monkeypatch):
    def pretend(case, _folder):
        return Outcome(findings={"odd": "x"} if b"needed" in case.files[MAIN] else {})

    monkeypatch.setattr("tests.fuzz.run.judge", pretend)
    case = text_case("".join(f"line {n}\n" for n in range(50)) + "needed\n" + "more\n" * 20)
    assert minimise(case, "odd", folder).files[MAIN] == b"needed\n"


def test_a_refusal_that_takes_long_twice_is_found(folder, monkeypatch):
    monkeypatch.setattr("tests.fuzz.run.examine", lambda *_given, **_options: Outcome(seconds=1.5))
    assert list(judge(text_case("x"), folder).findings) == ["load: slow"]
