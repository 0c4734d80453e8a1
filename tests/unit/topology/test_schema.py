"""The JSON Schema: complete, valid, and never stricter than the readers."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from envspin.errors import TopologyError
from envspin.topology import extension, load_topology, values
from envspin.topology.build import NO_EFFECT_KEYS, UNSUPPORTED_KEYS
from envspin.topology.compose import TOP_LEVEL_KEYS
from envspin.topology.keys import (
    REPLACED_SERVICE_KEYS,
    SERVICE_EXTENSION_KEYS,
    UNSUPPORTED_SERVICE_KEYS,
    UNSUPPORTED_TOP_LEVEL_KEYS,
)
from envspin.topology.networking import UNSUPPORTED_ATTACHMENT_KEYS
from envspin.topology.probes import PROBES
from envspin.topology.reader import Reader
from envspin.topology.resources import IGNORED_DEPLOY_KEYS
from envspin.topology.schema import make_schema, parts
from envspin.topology.service import READERS
from envspin.topology.toplevel import NETWORK_NO_EFFECT, UNSUPPORTED_SOURCE_KEYS

from .editor_view import Mutator, read_documents, to_tree, write
from .samples import CORPUS, ENVIRON

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
EVERYTHING = HERE / "everything"
SHOP = ROOT / "topologies" / "shop"
SCENARIOS = sorted(path.parent for path in (ROOT / "tests" / "scenarios").glob("*/compose.yaml"))
SCHEMA = make_schema()
VALIDATOR = Draft7Validator(SCHEMA)
MUTANTS = 3000


def is_compose(path):
    return path.suffix == ".yaml" or ".override" in path.name


FILES = [path for folder in (CORPUS, EVERYTHING) for path in sorted(folder.rglob("*")) if is_compose(path)]
FILES += [folder / "compose.yaml" for folder in (SHOP, *SCENARIOS)]


def resolve(schema):
    """Return what references lead to, one dict for each alternative."""
    if "$ref" in schema:
        target = SCHEMA
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return resolve(target)
    found = [schema]
    for each in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        found += resolve(each)
    if isinstance(schema.get("items"), dict):
        found += resolve(schema["items"])
    return found


def find(*path):
    """Return the schemas of what stands at ``path`` of a file, through lists and alternatives."""
    level = resolve(SCHEMA)
    for name in path:
        level = [
            deeper
            for schema in level
            if isinstance(each := schema.get("properties", {}).get(name, schema.get("additionalProperties")), dict)
            for deeper in resolve(each)
        ]
    return level


def keys_of(schemas):
    return {name for schema in schemas for name in schema.get("properties", {}) if "additionalProperties" in schema}


def walk(schema, path="#"):
    """Yield every schema below with its place in the document."""
    if isinstance(schema, dict):
        yield path, schema
        for name, each in schema.items():
            if name not in ("examples", "default", "enum"):
                yield from walk(each, f"{path}/{name}")
    elif isinstance(schema, list):
        for number, each in enumerate(schema):
            yield from walk(each, f"{path}/{number}")


def complain(data):
    """Return what the schema says about a document, or None."""
    error = best_match(VALIDATOR.iter_errors(data))
    return error and f"at {'.'.join(map(str, error.absolute_path)) or 'the top'}: {error.message}"


def load(folder):
    return load_topology([folder], environ=ENVIRON, profiles=["*"], allow_unsafe=True)


def test_the_schema_is_valid():
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft7Validator.META_SCHEMA["$id"]
    assert "$id" not in SCHEMA


def test_every_reference_leads_somewhere():
    for path, schema in walk(SCHEMA):
        if isinstance(schema.get("$ref"), str):
            assert resolve(schema), path


def test_a_schema_is_new_at_each_call():
    make_schema()["definitions"]["service"]["properties"].clear()
    assert make_schema() == SCHEMA


def is_rule(path):
    return not {"if", "then", "not"}.isdisjoint(path.split("/")) or "/stub/anyOf/" in path


def test_every_key_says_what_it_is():
    for path, schema in walk(SCHEMA):
        if path.endswith("/properties") or is_rule(path):
            continue
        for name, each in schema.get("properties", {}).items():
            (described, *_) = resolve(each) if "$ref" in each else [each]
            assert len(described.get("description", "")) > len("A thing."), f"{path}/{name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_topology_is_valid(path):
    for data in read_documents(path.read_text()):
        assert complain(data) is None


def test_everything_loads():
    assert len(load(EVERYTHING).services) >= 6


def test_everything_has_every_key_that_is_honoured():
    services = read_documents((EVERYTHING / "compose.yaml").read_text())[0]["services"]
    assert set(READERS) <= {key for service in services.values() for key in service}
    probes = [probe for probe in services["db"]["x-envspin"]["ready"] if isinstance(probe, dict)]
    assert set(PROBES) <= {kind for probe in probes for kind in probe}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Copies of all topologies by one folder each, and the trees of their main files, large ones in parts."""
    base = tmp_path_factory.mktemp("mutants")
    shutil.copytree(CORPUS, base / "corpus")
    found = [(path.name, base / "corpus", to_tree(path.read_text())) for path in sorted(CORPUS.glob("*.yaml"))]
    for folder in (EVERYTHING, SHOP, *SCENARIOS):
        shutil.copytree(folder, base / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
        found.append((folder.name, base / folder.name, to_tree((folder / "compose.yaml").read_text())))
    whole = to_tree((EVERYTHING / "compose.yaml").read_text())
    small = {"base": {"image": "base"}, "db": {"image": "db", "ports": ["5432"]}}
    for name, service in whole["services"].items():
        part = {**whole, "services": {**small, name: service}}
        found += [(f"everything {name}", base / EVERYTHING.name, part)] * (len(service) // 3)
    return [each for each in found if each[2] is not None]


def vocabulary():
    names = {name for _, schema in walk(SCHEMA) for name in schema.get("properties", {})}
    return [*sorted(names), "x-own", "unknown", "", "a b", "2"]


def test_what_the_schema_rejects_is_rejected_by_the_readers(folders):
    mutator = Mutator(20, vocabulary())
    rejected: Counter[str] = Counter()
    for number in range(MUTANTS):
        name, folder, tree = mutator.random.choice(folders)
        text = write(mutator.mutate(tree)) + "\n"
        data = read_documents(text)
        if not data or VALIDATOR.is_valid(data[0]):
            continue
        rejected[name] += 1
        (folder / "compose.yaml").write_text(text)
        try:
            load(folder)
        except TopologyError:
            continue
        pytest.fail(f"{name}, mutant {number} loads, but the schema says {complain(data[0])}\n{text}")
    assert rejected.total() > MUTANTS * 0.4
    assert len(rejected) > len({name for name, _, _ in folders}) * 0.8


def test_the_keys_of_a_service_are_those_of_the_readers():
    known = {*READERS, *REPLACED_SERVICE_KEYS, *UNSUPPORTED_SERVICE_KEYS, "x-envspin"}
    assert keys_of(find("services", "a")) == known
    assert keys_of(find("services", "a", "x-envspin", "stub")) == known | set(SERVICE_EXTENSION_KEYS) - {"stub"}


def test_the_keys_of_the_top_level_are_those_of_the_readers():
    assert keys_of(resolve(SCHEMA)) == {*TOP_LEVEL_KEYS, *UNSUPPORTED_TOP_LEVEL_KEYS}


def test_the_kinds_of_probes_and_resets_are_those_of_the_readers():
    assert keys_of(find("services", "a", "x-envspin", "ready")) == set(PROBES)
    assert keys_of(find("services", "a", "x-envspin", "reset")) == set(extension._RESETS)
    assert keys_of(find("x-envspin", "matrix")) == set(extension.MATRIX_OPTIONS)


TREATED = {
    "replaced": {
        ("services", "a"): REPLACED_SERVICE_KEYS,
        ("services", "a", "build"): NO_EFFECT_KEYS,
        ("services", "a", "deploy"): IGNORED_DEPLOY_KEYS,
        ("networks", "n"): NETWORK_NO_EFFECT,
        (): ("version",),
    },
    "refused": {
        ("services", "a"): UNSUPPORTED_SERVICE_KEYS,
        ("services", "a", "build"): UNSUPPORTED_KEYS,
        ("services", "a", "networks", "n"): UNSUPPORTED_ATTACHMENT_KEYS,
        ("secrets", "s"): UNSUPPORTED_SOURCE_KEYS,
        (): UNSUPPORTED_TOP_LEVEL_KEYS,
    },
}


@pytest.mark.parametrize(("path", "names"), TREATED["replaced"].items(), ids=str)
def test_a_replaced_key_takes_anything_and_is_marked(path, names):
    for name in names:
        (schema,) = find(*path, name)
        assert schema["deprecated"]
        assert schema["description"] == schema["deprecationMessage"]
        assert "type" not in schema
        if isinstance(names, dict):
            assert names[name] in schema["description"]


@pytest.mark.parametrize(("path", "names"), TREATED["refused"].items(), ids=str)
def test_a_refused_key_takes_what_asks_for_nothing_and_says_why(path, names):
    for name in names:
        (schema,) = find(*path, name)
        validator = Draft7Validator(schema)
        assert all(map(validator.is_valid, (None, False, "", [], {}, "${ANY}")))
        assert not any(map(validator.is_valid, (True, 0, "text", [1], {"a": 1})))
        assert schema["description"].startswith("Not supported: ")
        if isinstance(names, dict):
            assert names[name] in schema["description"]


def test_every_mapping_has_the_keys_that_its_reader_takes(monkeypatch):
    """Listens to the readers at work on a file that has everything; none may take a key that the schema lacks."""
    asked: dict[str, set[str]] = {}
    read_keys = Reader.keys

    def listen(self, node, what, known):
        asked.setdefault(what, set()).update(known)
        return read_keys(self, node, what, known)

    monkeypatch.setattr(Reader, "keys", listen)
    load(EVERYTHING)
    seen = set()
    for what, known in asked.items():
        path = what.split(".")
        schemas = find(*(["services", "a", "extends"] if path == ["extends"] else path))
        assert keys_of(schemas) == known, what
        seen |= {id(schema) for schema in schemas}
    own = {
        id(schema) for schema in (*resolve(SCHEMA), *find("services", "a"), *find("services", "a", "x-envspin", "stub"))
    }
    unread = [path for path, schema in walk(SCHEMA) if "patternProperties" in schema and id(schema) not in seen | own]
    assert unread == [], "the file that has everything lacks these, or no reader takes them"


SAMPLES = {
    "duration": (parts.duration, values.to_duration, "0 00 10s 1m30s 500ms 1.5h .5s 10 s 1d -1s 1s2 5µs", [0, 1, True]),
    "size": (parts.size, values.to_size, "0 1 1.5 64m 64mb 64MiB 1.5g 1e3 -1 m 64x", [5, -1, 1.5, False]),
    "boolean": (parts.boolean, values.to_boolean, "true false yes no on off y n Y N True TRUE tRUE 1 0", [True, 0]),
    "number": (parts.number, values.to_number, "0 1 1.5 .5 1. 1e3 a 1,5 0x1", [0.5, -0.5]),
    "count": (
        lambda: parts.integer(0),
        lambda text: values.to_integer(text, 0),
        "0 5 -1 -0 +5 0x1f 0o17 1.5 a",
        [1, -1],
    ),
    "any whole number": (lambda: parts.integer(-1), values.to_integer, "0 -1 +1 0x1f 1e3 --1", [-1, 0]),
    "mode": (parts.mode, lambda text: values.to_mode(text, plain=False), "0440 755 0o400 8 0999 777777", []),
}


@pytest.mark.parametrize(("shape", "read", "texts", "data"), SAMPLES.values(), ids=SAMPLES)
def test_a_pattern_takes_the_texts_that_its_reader_takes(shape, read, texts, data):
    validator = Draft7Validator(shape())
    for value in [*texts.split(), *data]:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        assert validator.is_valid(value) == takes(read, text), value
    assert validator.is_valid("${ANY}")


def takes(read, text):
    try:
        read(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        (
            "ports",
            ["80", "8080:80", "1.1.1.1:80:80/udp", "3000-3005", "::86", "127.0.0.1::81"],
            [":80", "80/x", "a", "80:"],
        ),
        ("expose", ["80", "80-90/udp"], ["80:80", "a"]),
        (
            "volumes",
            ["/a", "vol:/a", "./a:/a:ro,z", "~/x:/y"],
            ["a", "/a:ro", "c:/x", "aa:/b:what", "a:b", "aa:/b:ro:x"],
        ),
        ("tmpfs", ["/a", "/a:size=1m,mode=755,ro"], ["a", "/a:what"]),
        ("extra_hosts", ["a:1.1.1.1", "a=::1"], ["a", "=a"]),
        ("labels", ["a", "a=b"], ["envspin.a=b", "=b", " =b"]),
        ("depends_on", ["b", "a.b-c_d"], ["", "a b"]),
    ],
)
def test_a_list_takes_the_texts_that_its_reader_takes(key, right, wrong):
    for text in right:
        assert complain({"services": {"a": {key: [text]}}}) is None
    for text in wrong:
        assert complain({"services": {"a": {key: [text]}}}) is not None, text


SERVICE = "services: {{a: {{image: i, {}}}, b: {{image: b}}}}\nvolumes: {{v: }}\n"
EXTENDED = "services: {{a: {{image: i, {}}}, b: {{extends: a, {}}}}}\n"
LAX = {
    "a name that is a list": ("name: [n]\nservices: {a: {image: i}}\n", "wrong-type"),
    "services that are a list, beside an include": ("include: [part.yaml]\nservices: [a]\n", "wrong-type"),
    "a mount of no type": (SERVICE.format("volumes: [{type: , target: /a}]"), "missing-key"),
    "a mount without a target": (SERVICE.format("volumes: [{type: tmpfs, target: }]"), "missing-key"),
    "a dependency without a condition": (SERVICE.format("depends_on: {b: {condition: }}"), "missing-key"),
    "a reset by no command": (SERVICE.format("x-envspin: {reset: exec}"), "wrong-type"),
    "a stub that extends": (SERVICE.format("x-envspin: {stub: {image: s, extends: b}}"), "unsupported-key"),
    "a stub's extension that is text": (
        SERVICE.format("x-envspin: {stub: {image: s, job: true, x-envspin: text}}"),
        "wrong-type",
    ),
    "a stub that says a thing twice": (
        SERVICE.format("x-envspin: {stub: {image: s, job: true, x-envspin: {job: false}}}"),
        "conflicting-keys",
    ),
    "one port over a list of ports": (EXTENDED.format("ports: ['1']", "ports: '2'"), "wrong-type"),
    "one link over a list of links": (EXTENDED.format("links: []", "links: c"), "wrong-type"),
    "one mount over a list of mounts": (EXTENDED.format("volumes: [/x]", "volumes: /y"), "wrong-type"),
    "a variable of no name": (EXTENDED.format("environment: [A=1]", "environment: [~]"), "wrong-type"),
    "a network of no name": (EXTENDED.format("networks: [default]", "networks: [~]"), "wrong-type"),
    "a secret of nothing": ("services: {a: {image: i}}\nsecrets: {s: {x-envspin: {}}}\n", "bad-source"),
    "a config of nothing": ("services: {a: {image: i}}\nconfigs: {c: {file: }}\n", "bad-source"),
}


@pytest.mark.parametrize(("text", "code"), LAX.values(), ids=LAX)
def test_a_reader_names_what_it_cannot_take(bench, text, code):
    bench.write("part.yaml", "services: {p: {image: p}}")
    assert code in bench.codes(text)


@pytest.mark.parametrize(
    ("text", "code"), [("services: [p]\n", "wrong-type"), ("service: {p: {image: p}}\n", "unknown-key")]
)
def test_an_included_file_is_not_dropped_in_silence(bench, text, code):
    bench.write("part.yaml", text)
    assert bench.codes("include: [part.yaml]\nservices: {a: {image: i}}\n") == [code]
