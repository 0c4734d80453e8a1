"""A key that is refused may stand with a value that asks for nothing."""

from __future__ import annotations

import pytest

from envspin.topology import build, networking, toplevel
from envspin.topology.keys import UNSUPPORTED_SERVICE_KEYS, UNSUPPORTED_TOP_LEVEL_KEYS

SERVICE = "services: {{a: {{image: i, {}}}}}\nnetworks: {{n: }}\n"
PLACES = {
    **{key: SERVICE.format(f"{key}: VALUE") for key in UNSUPPORTED_SERVICE_KEYS},
    **{f"build.{key}": SERVICE.format(f"build: {{context: ., {key}: VALUE}}") for key in build.UNSUPPORTED_KEYS},
    **{
        f"networks.n.{key}": SERVICE.format(f"networks: {{n: {{{key}: VALUE}}}}")
        for key in networking.UNSUPPORTED_ATTACHMENT_KEYS
    },
    **{
        f"deploy.resources.limits.{key}": SERVICE.format(f"deploy: {{resources: {{limits: {{{key}: VALUE}}}}}}")
        for key in ("devices", "generic_resources")
    },
    **{
        f"volumes.{section}.{key}": SERVICE.format(
            f"volumes: [{{type: {section}, source: ./v, target: /v, {section}: {{{key}: VALUE}}}}]"
        )
        for section, key in (("bind", "propagation"), ("bind", "recursive"))
    },
    **{
        f"secrets.{key}": f"services: {{a: {{image: i}}}}\nsecrets: {{s: {{content: c, {key}: VALUE}}}}\n"
        for key in toplevel.UNSUPPORTED_SOURCE_KEYS
    },
    **{key: f"services: {{a: {{image: i}}}}\n{key}: VALUE\n" for key in UNSUPPORTED_TOP_LEVEL_KEYS},
}


@pytest.mark.parametrize("text", PLACES.values(), ids=PLACES)
def test_a_refused_key_is_refused_only_if_it_asks_for_something(bench, text):
    plain = bench.load(text.replace("VALUE", "~"))
    for nothing in ("[]", "{}", "false", "''", '"${NOWHERE:-}"'):
        assert bench.load(text.replace("VALUE", nothing)) == plain
    for something in ("[x]", "{x: y}", "true", "x"):
        assert bench.codes(text.replace("VALUE", something)) == ["unsupported-key"]
