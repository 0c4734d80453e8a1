"""``config``, ``plan`` and ``graph``: they read files and touch nothing."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from envspin.cli import context as cli_context
from envspin.topology import load_topology

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def no_engine(monkeypatch) -> None:
    def refuse():
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(cli_context, "connect_engine", refuse)


def test_config_prints_compose_that_means_the_same(invoke, shop):
    Path("again").mkdir()
    Path("again/compose.yaml").write_text(invoke("config", "shop").stdout)
    first = load_topology([shop / "compose.yaml"], environ={})
    second = load_topology([Path("again/compose.yaml")], environ={})
    assert second.services == first.services
    assert second.exports == first.exports


def test_config_puts_pins_in(invoke, shop):
    document = json.loads(invoke("config", "shop", "--json", "--set", "db=postgres:15").stdout)
    assert document["services"]["db"]["image"] == "postgres:15"
    assert document["services"]["api"]["image"] == "api:1"


def test_config_refuses_a_pin_that_is_no_image(invoke, shop):
    result = invoke("config", "shop", "--set", "db=Postgres:15", code=2)
    assert "'Postgres:15' is not an image" in result.stderr


def test_a_pin_takes_the_place_of_a_build(invoke):
    Path("compose.yaml").write_text("services: {api: {build: .}}")
    service = json.loads(invoke("config", "--json", "--set", "api=api:2").stdout)["services"]["api"]
    assert service["image"] == "api:2"
    assert "build" not in service


def test_config_quiet_only_validates_and_warns(invoke):
    Path("compose.yaml").write_text("services: {db: {image: db, container_name: fixed}}")
    result = invoke("config", "-q")
    assert result.stdout == ""
    assert "compose.yaml:1:" in result.stderr
    assert "warning[" in result.stderr


def test_variables_come_from_the_named_file(invoke):
    Path("compose.yaml").write_text("services: {db: {image: 'db:${TAG}'}}")
    Path("tags.env").write_text("TAG=7")
    assert "db:7" in invoke("config", "--env-file", "tags.env").stdout


def test_plan_says_what_would_be_done_and_how_long_it_takes(invoke, shop):
    lines = invoke("plan", "shop").stdout.splitlines()
    assert lines[0] == "plan for shop: 3 services, 1 network, 0 volumes"
    assert any("start" in line and "after db is ready, migrate has completed" in line for line in lines)
    assert lines[-1].startswith("critical path: db (1.35 s) -> migrate (1.35 s) -> api (1.35 s), about 4.05 s")


def test_plan_as_json(invoke, shop):
    document = json.loads(invoke("plan", "shop", "--json", "--only", "migrate", "--set", "db=postgres:15").stdout)
    assert document["order"] == [["db"], ["migrate"]]
    assert document["critical_path"] == ["db", "migrate"]
    assert document["pins"] == {"db": "postgres:15"}
    assert document["left_out"] == {"api": "not needed by migrate"}
    start = next(each for each in document["operations"] if each["id"] == "start:migrate")
    assert start["kind"] == "start"
    assert start["subject"] == "migrate"
    assert set(start["needs"]) == {"create:migrate", "ready:db"}


def test_graph_as_mermaid(invoke, shop):
    lines = [line.strip() for line in invoke("graph", "shop").stdout.splitlines()]
    assert lines[0] == "flowchart LR"
    assert 'migrate(["migrate<br/>migrate:1<br/>job, exits with 0"])' in lines
    assert "db -->|ready| api" in lines
    assert "migrate -->|completed| api" in lines


def test_graph_as_dot_quotes_what_it_must(invoke):
    Path("compose.yaml").write_text(
        "name: odd\nservices:\n"
        """  a-b: {image: a, x-envspin: {ready: {log: 'say "x" \\d'}}}\n"""
        "  end: {image: b, depends_on: {a-b: {condition: service_started, required: false}}}\n"
    )
    text = invoke("graph", "--format", "dot").stdout
    assert 'log /say \\"x\\" \\\\d/' in text
    assert '"a-b" -> "end" [label="started, optional", style=dashed];' in text
    mermaid = invoke("graph").stdout
    assert "service-0 -.->|started, optional| service-1" in mermaid  # neither is a word that mermaid takes as a name
    assert "say &quot;x&quot;" in mermaid


def test_graph_as_json(invoke, shop):
    document = json.loads(invoke("graph", "shop", "--format", "json").stdout)
    assert document["layers"] == [["db"], ["migrate"], ["api"]]
    assert {"service": "api", "depends_on": "db", "until": "ready", "required": True} in document["dependencies"]
    assert {"name": "db", "image": "postgres:16", "ready": "log /up/", "job": False} in document["services"]


def test_graph_as_svg_is_well_formed_and_complete(invoke, shop):
    Path("shop/compose.yaml").write_text(
        'name: shop\nservices:\n  db: {image: db, x-envspin: {ready: {log: "<&\\">"}}}\n'
        "  api: {image: 'registry.example.com/very/long/name/of/an/image/api:1.2.3', depends_on: [db]}\n"
    )
    invoke("graph", "shop", "-o", "shop.svg")
    root = ET.parse("shop.svg").getroot()
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert 'log /<&">/' in texts
    assert any(text.startswith("…") and text.endswith("image/api:1.2.3") for text in texts)
    edges = [element for element in root.iter(f"{SVG}path") if element.get("class", "").startswith("edge")]
    assert [edge.find(f"{SVG}title").text for edge in edges if edge.find(f"{SVG}title") is not None] == [
        "api waits for db: ready"
    ]
    text = Path("shop.svg").read_text()
    assert "<script" not in text
    assert text.count("http") == 1  # the namespace: nothing is loaded from anywhere


@pytest.mark.parametrize(
    ("name", "begins"), [("a.dot", "digraph"), ("a.json", "{"), ("a.mmd", "flowchart"), ("a", "flow")]
)
def test_the_format_follows_the_files_name(invoke, shop, name, begins):
    invoke("graph", "shop", "-o", name)
    assert Path(name).read_text().startswith(begins)


def test_a_graph_that_cannot_be_written_is_a_usage_error(invoke, shop):
    assert "cannot be written" in invoke("graph", "shop", "-o", "nowhere/a.svg", code=2).stderr
