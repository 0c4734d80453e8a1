"""Templates of exports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.topology.templates import SecretField, ServiceField, TemplateError, Text, parse_template


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("plain", [Text("plain")]),
        ("{db.host}", [ServiceField("db", "host")]),
        ("a{db.port}b", [Text("a"), ServiceField("db", "port", offset=1), Text("b")]),
        ("{db.port.8000}", [ServiceField("db", "port", 8000)]),
        ("{db.url}/x", [ServiceField("db", "url"), Text("/x")]),
        ("{secret.pw}", [SecretField("pw")]),
        ("{a.b-c.host}", [ServiceField("a.b-c", "host")]),
        ("{a.port.port}", [ServiceField("a.port", "port")]),
        ("{{x}} {{{db.host}}}", [Text("{x} {"), ServiceField("db", "host", offset=8), Text("}")]),
    ],
)
def test_parts(text, parts):
    assert parse_template(text) == parts


@pytest.mark.parametrize(
    ("text", "offset"),
    [("a{", 1), ("}", 0), ("x{db}", 1), ("{db.hostname}", 0), ("{db.port.0}", 0), ("{db.port.99999}", 0), ("{}", 0)],
)
def test_faults_have_a_place(text, offset):
    with pytest.raises(TemplateError) as caught:
        parse_template(text)
    assert caught.value.offset == offset


@given(st.text())
def test_doubled_braces_are_braces(text):
    parts = parse_template(text.replace("{", "{{").replace("}", "}}"))
    assert "".join(part.text for part in parts) == text
