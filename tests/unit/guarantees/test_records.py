"""What the suites of guarantees count, judge and write down."""

from __future__ import annotations

import pytest

from envspin.run import naming
from tests.guarantees.bystanders import EACH, full_labels, list_near_misses
from tests.guarantees.document import MutationResult, Result, Results, sort_out
from tests.guarantees.faults import Call
from tests.guarantees.g6_exactly_once import VERBS, choose_calls, find_doubles
from tests.guarantees.mutations import MUTATIONS, PROJECT, Edit
from tests.guarantees.suites import load_suites
from tests.guarantees.tally import Tally

PACKAGE = PROJECT / "envspin"


def make_result(guarantee: str, **fields) -> Result:
    values = {
        "title": "holds", "tried": 1200, "failures": [], "notes": {"slowest": "1 s"}, "seed": 7, "date": "2026-01-02",
        "seconds": 90.0, "machine": {"engine": "1.2"},
    }  # fmt: skip
    return Result(guarantee=guarantee, **{**values, **fields})


class TestTally:
    def test_every_failure_says_how_to_try_again(self):
        tally = Tally("G0", "holds", seed=5)

        def work(trial):
            trial.check(trial.index != 2, "two is wrong")
            if trial.index == 3:
                raise ValueError("three breaks")

        tally.run(range(5), work, workers=2)
        tally.check(condition=False, message="all is wrong")
        assert tally.tried == 5
        two, three, whole = sorted(tally.failures)
        assert two == "[G0: seed 5, index 2] two is wrong"
        assert three.startswith("[G0: seed 5, index 3] ValueError at work")
        assert whole == "[G0: seed 5] all is wrong"

    def test_a_try_has_the_same_randomness_each_time(self):
        drawn = []
        for _ in range(2):
            tally = Tally("G0", "holds", seed=5)
            tally.run([3], lambda trial: drawn.append(trial.random.random()))
        tally.run([4], lambda trial: drawn.append(trial.random.random()))
        assert drawn[0] == drawn[1] != drawn[2]

    def test_no_new_try_begins_when_time_is_up(self):
        tally = Tally("G0", "holds", seed=5)
        tally.run(range(5), lambda trial: None, seconds=0.0)
        assert tally.tried == 0


class TestPage:
    def test_a_run_of_one_suite_keeps_the_rows_of_the_others(self, tmp_path):
        data, page = tmp_path / "data.json", tmp_path / "page.md"
        first = Results.read(data)
        first.suites["G6"] = make_result("G6", failures=["[G6: seed 7, index 1] a | b"])
        first.write(data, page)
        second = Results.read(data)
        second.suites["G1"] = make_result("G1", machine={"engine": "2.0"})
        second.write(data, page)
        rows = [line for line in page.read_text().splitlines() if line.startswith("| G")]
        assert rows == [
            "| G1 | holds | 1,200 | 0 | 7 | 2026-01-02 | 1.5 | 1 |",
            "| G6 | holds | 1,200 | 1 | 7 | 2026-01-02 | 1.5 | 2 |",
        ]
        assert "- [G6: seed 7, index 1] a \\| b" in page.read_text()
        assert "1. engine 2.0" in page.read_text()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "page.md"]

    def test_bystanders_of_all_suites_stand_in_a_row_of_their_own(self):
        notes = {"G1": {"bystanders lost": "0 of 60"}, "G12": {"bystanders lost": "2 of 60"}, "G3": {}}
        page = Results({name: make_result(name, notes=each) for name, each in notes.items()}).render()
        rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| G")]
        assert rows == ["G1", "G3", "G4", "G12"]
        assert "beside the 2 suites of this page | 120 | 2 |" in page

    def test_a_breakage_that_nobody_noticed_is_told_loudly(self):
        results = Results(mutations={"m": MutationResult("m", "adoption removed", "G6", "", "2026-01-02")})
        assert "| adoption removed | G6 | **nothing** | 2026-01-02 |" in results.render()

    def test_paths_of_the_machine_do_not_get_onto_the_page(self):
        assert sort_out(["left: /home/me/x/file"], ["/home/me"]) == ["left: .../x/file"]


class TestNearMisses:
    def test_there_are_enough_with_different_names(self):
        names = [name for name, _ in list_near_misses("g-1", EACH)]
        assert len(names) == len(set(names)) == EACH

    def test_none_of_them_is_ours(self):
        """Ours is what has all labels and the name that they say."""
        keys = set(full_labels("x"))
        for name, labels in list_near_misses("g-1", EACH):
            complete = keys <= set(labels)
            assert not (complete and name.startswith(f"envspin-{labels[naming.ENV]}-")), name


def make_call(number: int, method: str, template: str, **fields) -> Call:
    return Call(number, method, template, template, fields.pop("occurrence", 1), 1, float(number), **fields)


class TestDoubles:
    def make(self, number: int, identity: str, name: str = "n", status: int = 201) -> Call:
        labels = {naming.ENV: "e", naming.SERVICE: "db"}
        made = ("container", name, identity)
        return make_call(number, "POST", "/containers/create", status=status, made=made, labels=labels, name=name)

    def test_one_after_the_other_is_fine(self):
        removal = make_call(2, "DELETE", "/containers/{id}", status=204, name="a")
        assert find_doubles([self.make(1, "a"), removal, self.make(3, "b")]) == []

    def test_two_of_one_name_are_not(self):
        assert find_doubles([self.make(1, "a"), self.make(2, "b")])[0].startswith("two containers at once for n")

    def test_two_of_one_service_are_not(self):
        assert find_doubles([self.make(1, "a"), self.make(2, "b", "other")]) == [
            "two containers at once for e's db: ['a', 'b']"
        ]

    def test_the_same_one_again_is_fine(self):
        assert find_doubles([self.make(1, "a"), self.make(2, "a")]) == []

    def test_two_volumes_of_a_service_are_fine(self):
        labels = {naming.ENV: "e", naming.SERVICE: "db"}
        calls = [
            make_call(n, "POST", "/volumes/create", status=201, made=("volume", str(n), str(n)), labels=labels)
            for n in (1, 2)
        ]
        assert find_doubles(calls) == []


def test_the_first_and_last_call_of_each_kind_are_tried():
    calls = [make_call(n, "POST", "/volumes/create", occurrence=n) for n in (1, 2, 3)]
    calls.append(make_call(4, "POST", "/build"))
    by_verb = {verb.name: choose_calls(verb, calls) for verb in VERBS}
    assert by_verb["run"] == {("POST", "/volumes/create", 1), ("POST", "/volumes/create", 3), ("POST", "/build", 1)}
    assert by_verb["up"] == {("POST", "/volumes/create", 3)}
    assert by_verb["build"] == {("POST", "/build", 1)}


class TestSuites:
    def test_each_module_registers_what_it_is_called_after(self):
        assert set(load_suites(["G6"])) == {"G6"}

    def test_an_unknown_guarantee_is_told(self):
        with pytest.raises(ValueError, match="no suite G99"):
            load_suites(["G99"])


class TestMutations:
    def test_names_are_unique(self):
        assert len({each.name for each in MUTATIONS}) == len(MUTATIONS)

    @pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
    def test_each_breaks_exactly_one_place_of_the_present_code(self, mutation, tmp_path):
        for edit in mutation.edits:
            target = tmp_path / edit.file
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text((PACKAGE / edit.file).read_text(encoding="utf-8"), encoding="utf-8")
            before = target.read_text(encoding="utf-8")
            edit.apply(tmp_path)
            after = target.read_text(encoding="utf-8")
            assert after != before
            compile(after, str(target), "exec")

    def test_one_that_no_longer_fits_is_told(self, tmp_path):
        (tmp_path / "a.py").write_text("x = 1\n")
        with pytest.raises(ValueError, match="0 times 'y = 2'"):
            Edit("a.py", "y = 2", "").apply(tmp_path)

    def test_each_is_of_a_suite_that_there_is(self):
        assert {each.guarantee for each in MUTATIONS} <= set(load_suites())
