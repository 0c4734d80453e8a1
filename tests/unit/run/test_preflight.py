"""What is missing on this machine is told at once, before anything is made."""

from __future__ import annotations

import pytest

from envspin import Environment
from envspin.engine.fake import FakeEngine
from envspin.errors import TopologyError

COMPOSE = """\
services:
  api:
    build: ./nowhere
    secrets: [key, word]
    volumes:
      - {type: bind, source: ./no-bind, target: /a, bind: {create_host_path: false}}
      - ./made-if-missing:/b
  worker:
    build: {context: ., dockerfile: No.Dockerfile}
    configs: [conf]
  inline:
    build: {context: ., dockerfile_inline: FROM scratch}
  unused:
    build: ./nowhere
    profiles: [never]
secrets:
  key: {file: ./key.pem}
  word: {environment: SURELY_NOT_SET}
  spare: {file: ./spare.pem}
configs:
  conf: {file: ./conf}
"""


UNSET = "comes from the variable `SURELY_NOT_SET`, which is not set"


def test_everything_that_is_missing_is_told_at_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    engine = FakeEngine()
    with pytest.raises(TopologyError) as caught:
        Environment.up(".", engine=engine)
    said = [problem.render().splitlines()[0].replace(f"{tmp_path}/", "") for problem in caught.value.problems]
    assert said == [
        "compose.yaml:2:3: error[file-missing]: `build` of `api`: there is no folder `nowhere`",
        "compose.yaml:2:3: error[file-missing]: `volumes` of `api`: there is no file or folder `no-bind`",
        "compose.yaml:8:3: error[file-missing]: `build` of `worker`: there is no file `No.Dockerfile`",
        "compose.yaml:17:8: error[file-missing]: the secret `key`: there is no file `key.pem`",
        f"compose.yaml:18:9: error[interpolation-required]: the secret `word` {UNSET}",
        "compose.yaml:21:9: error[file-missing]: the config `conf`: there is no file `conf`",
    ]
    assert "create_network" not in {call.verb for call in engine.calls}
