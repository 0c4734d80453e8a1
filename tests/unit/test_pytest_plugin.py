"""The plugin as a user's test suite meets it, on the in-memory engine."""

from __future__ import annotations

import pytest

# Imported out here, because pytester forgets modules after each run, and PyYAML's compiled half cannot be loaded twice.
import envspin.engine.fake
import envspin.testing
import envspin.topology  # noqa: F401
from envspin.run import environment

CONFTEST = """
import pytest
from envspin.engine.fake import Exit, FakeEngine, FakeImage, Line, Script
from envspin.run import environment, naming

ENGINE = FakeEngine(
    default_image=FakeImage(Script(lines=(Line("ready"),))),
    scripts={"broken": Script(lines=(Line("no luck"),), exits=Exit(9, after=0.01))},
)

ENGINE.close = lambda: None  # every environment of this session connects to it

def pytest_configure(config):
    environment.connect = lambda: ENGINE

def pytest_unconfigure(config):
    left = [each.name for each in ENGINE.list_resources({naming.ENV: None})]
    made = [call.subject for call in ENGINE.calls if call.verb == "create_container"]
    print("\\nmade:", len(made), "left:", sorted(left))
"""

COMPOSE = """
services:
  db:
    image: db:1
    ports: ["5432"]
    x-envspin: {ready: {log: ready}, stub: {image: stub:1, x-envspin: {ready: {log: ready}}}}
  api:
    image: api:1
    depends_on: [db]
    x-envspin: {ready: {log: ready}}
x-envspin:
  exports: {DATABASE_URL: "db://{db.host}:{db.port}"}
"""


@pytest.fixture
def suite(pytester, monkeypatch, tmp_path):
    """A project with one topology, whose environments live in memory."""
    monkeypatch.setenv("ENVSPIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(environment, "connect", environment.connect)  # the inner conftest replaces it
    pytester.makeconftest(CONFTEST)
    folder = pytester.mkdir("shop")
    (folder / "compose.yaml").write_text(COMPOSE)
    pytester.makeini("[pytest]\nenvspin_topology = shop\n")
    return pytester


def run(suite, *options):
    return suite.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly", "-s", *options)


def test_a_session_shares_one_environment_and_leaves_nothing(suite):
    suite.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def url(envspin_env):
            return envspin_env.exports["DATABASE_URL"]

        def test_one(url, envspin_env):
            assert url == f"db://127.0.0.1:{envspin_env['db'].port}"
            test_one.name = envspin_env.name

        def test_two(envspin_env):
            assert envspin_env.name == test_one.name
        """
    )
    result = run(suite)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["made: 2 left: *[]*"])


@pytest.mark.parametrize(("scope", "containers"), [("session", 2), ("module", 4), ("class", 6), ("function", 8)])
def test_scopes_from_the_mark(suite, scope, containers):
    body = f"""
        import pytest
        pytestmark = pytest.mark.envspin("shop", scope="{scope}")

        class TestA:
            def test_one(self, envspin_env): assert envspin_env["db"].state == "ready"
            def test_two(self, envspin_env): assert envspin_env["api"].state == "ready"
        """
    suite.makepyfile(
        test_first=body + "\n        def test_three(envspin_env): assert envspin_env['db'].state == 'ready'\n",
        test_second="""
        import pytest

        @pytest.mark.envspin("shop", scope="SCOPE")
        def test_four(envspin_env): assert envspin_env["db"].state == "ready"
        """.replace("SCOPE", scope),
    )
    result = run(suite)
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines([f"made: {containers} left: *[]*"])


def test_the_scope_from_the_ini_file(suite):
    suite.makeini("[pytest]\nenvspin_topology = shop\nenvspin_scope = function\n")
    suite.makepyfile("def test_one(envspin_env): pass\ndef test_two(envspin_env): pass\n")
    result = run(suite)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["made: 4 left: *[]*"])


def test_marks_do_not_show_in_test_names_and_keep_the_order(suite):
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.envspin("shop")
        def test_b(envspin_env): pass

        def test_a(envspin_env): pass
        """
    )
    result = run(suite, "-v")
    result.stdout.re_match_lines([r".*::test_b PASSED", r".*::test_a PASSED"])


def test_the_mark_selects_stubs_and_pins(suite):
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.envspin("shop", only=["db"], stub=["db"])
        def test_stub(envspin_env):
            assert list(envspin_env.services) == ["db"]
            assert envspin_env["db"].image == "stub:1"

        @pytest.mark.envspin("shop", set={"db": "db:2"})
        def test_pin(envspin_env):
            assert envspin_env["db"].image == "db:2"
        """
    )
    run(suite).assert_outcomes(passed=2)


def test_options_win_over_marks(suite):
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.envspin("shop", set={"db": "db:2"})
        def test_pin(envspin_env):
            assert envspin_env["db"].image == "db:3"
            assert list(envspin_env.services) == ["db"]
        """
    )
    run(suite, "--envspin-set", "db=db:3", "--envspin-only", "db").assert_outcomes(passed=1)


def test_a_failing_test_shows_what_each_service_wrote_during_it(suite):
    suite.makepyfile("def test_one(envspin_env):\n    envspin_env['db'].restart()\n    assert False\n")
    result = run(suite)
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r"-+ log of db in shop-[0-9a-f]{8} -+", "ready"])


def test_an_environment_that_does_not_come_up_is_explained_without_a_traceback(suite):
    (suite.path / "shop" / "compose.yaml").write_text(
        "services: {broken: {image: b, x-envspin: {ready: {log: never}}}}"
    )
    suite.makepyfile("def test_one(envspin_env): pass\ndef test_two(envspin_env): pass\n")
    result = run(suite)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*service 'broken' exited with code 9*", "*| no luck*", "made: 1 left: *[]*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('"shop", onyl=["db"]', "*unknown keyword 'onyl'*"),
        ('"shop", only="db"', "*only is a list of names, not the text 'db'*"),
        ('"shop", only=["bd"]', "*has no service 'bd'*"),
        ('"nowhere"', "*nowhere*"),
        ('"shop", scope="galaxy"', "*galaxy*"),
    ],
)
def test_a_mark_that_makes_no_sense_says_so(suite, mark, message):
    suite.makepyfile(f"import pytest\n@pytest.mark.envspin({mark})\ndef test_one(envspin_env): pass\n")
    result = run(suite)
    assert result.ret != 0
    output = result.outlines + result.errlines
    assert any(message.strip("*") in line for line in output)


def test_a_missing_engine_fails_with_a_hint_or_skips_on_request(suite):
    suite.makeconftest(
        """
        from envspin.errors import EngineUnreachableError
        from envspin.run import environment

        def connect():
            raise EngineUnreachableError("no container engine answers", hint="run `envspin doctor`")

        environment.connect = connect
        """
    )
    suite.makepyfile("def test_one(envspin_env): pass\ndef test_two(): pass\n")
    result = run(suite)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*no container engine answers*", "*envspin doctor*"])
    run(suite, "--envspin-missing=skip").assert_outcomes(skipped=1, passed=1)


def test_a_failed_environment_can_be_kept_and_used_again(suite):
    suite.makepyfile("def test_one(envspin_env):\n    assert envspin_env['db'].image == 'db:2'\n")
    result = run(suite, "--envspin-keep=failed")
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r"shop-[0-9a-f]{8}: `envspin ps shop-.*"])
    result.stdout.re_match_lines([r"made: 2 left: \['envspin-shop-.*"])


def test_collecting_starts_nothing(suite):
    suite.makepyfile("import pytest\n@pytest.mark.envspin('shop')\ndef test_one(envspin_env): pass\n")
    result = run(suite, "--collect-only")
    result.stdout.fnmatch_lines(["made: 0 left: *[]*"])


def test_an_interruption_leaves_nothing(suite):
    suite.makepyfile("def test_one(envspin_env):\n    raise KeyboardInterrupt\n")
    result = suite.runpytest_subprocess("-s")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["made: 2 left: *[]*"])


def test_fixture_and_mark_are_documented(suite):
    assert "envspin_env" in run(suite, "--fixtures").stdout.str()
    assert "@pytest.mark.envspin(topology" in run(suite, "--markers").stdout.str()


ONE_TEST = "def test_one(envspin_env):\n    assert envspin_env['api'].state == 'ready'\n"


def test_locked_without_a_lock_fails_before_anything_is_made(suite):
    suite.makepyfile(ONE_TEST)
    for words in (("--envspin-locked",), ("-o", "envspin_locked=true")):
        result = suite.runpytest_inprocess(*words)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*there is no shop/envspin.lock*", "*hint: `envspin lock shop`*"])
        result.stdout.fnmatch_lines(["made: 0 left: []"])


def test_the_report_names_images_that_were_set(suite):
    suite.makepyfile(ONE_TEST)
    result = suite.runpytest_inprocess("--envspin-set", "api=api:2")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*images set for this run*", "shop: api ran api:2"])
    assert "images set" not in suite.runpytest_inprocess().stdout.str()
