"""The images of the contract suite: built on a real engine, played by scripts on the in-memory one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from envspin.engine.base import BuildRequest, ContainerSpec, Engine
from envspin.engine.docker.context import hash_build
from envspin.engine.fake import ExecReply, Exit, FakeEngine, FakeImage, Line, Listener, Script
from envspin.model import Healthcheck, Port

TESTBOX = "envspin-testbox:1"
TESTBOX_CONTEXT = Path(__file__).parents[1] / "images" / "testbox"
DERIVED = "envspin-contract-derived:1"
DERIVED_DOCKERFILE = """\
FROM envspin-testbox:1
ARG COLOUR=red
ENV COLOUR=$COLOUR
LABEL written="in Dockerfile"
EXPOSE 9000 53/udp
VOLUME /state
HEALTHCHECK --interval=7s --timeout=2s --retries=4 --start-period=1500ms CMD true
"""
DERIVED_REQUEST = BuildRequest(
    DERIVED,
    TESTBOX_CONTEXT,
    dockerfile_inline=DERIVED_DOCKERFILE,
    args={"COLOUR": "blue"},
    labels={"asked": "in request"},
)
BROKEN = "envspin-contract-broken:1"
HASH_LABEL = "envspin.testbox.hash"


def build_testbox(engine: Engine) -> None:
    """Build the testbox unless the engine holds it as its files say now."""
    request = BuildRequest(TESTBOX, TESTBOX_CONTEXT)
    wanted = hash_build(request, engine.find_image).whole
    held = engine.find_image(TESTBOX)
    if held is None or held.labels.get(HASH_LABEL) != wanted:
        engine.build(replace(request, labels={HASH_LABEL: wanted}))


def read_options(command: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the testbox's options with their values."""
    options: dict[str, list[str]] = {}
    name = ""
    for argument in command:
        if argument.startswith("--"):
            name = argument
            options.setdefault(name, [])
        else:
            options[name].append(argument)
    return options


def play_testbox(spec: ContainerSpec, _start: int) -> Script:
    """Do in the in-memory engine what ``serve.py`` does in a container with the same arguments."""
    if spec.entrypoint == ("/does-not-exist",):
        return Script(start_error="exec: /does-not-exist: no such file or directory")
    options = read_options(spec.command or ())
    opens_at = float(options.get("--listen-after", ["0"])[0])
    ports = [int(port) for port in options.get("--listen", [])]
    timed = [item.split(":", 1) for item in options.get("--line-at", [])]
    lines = [
        *(Line(text) for text in options.get("--line", [])),
        *(Line(text, float(at)) for at, text in timed),
        *(Line(f"listening on {port}", opens_at) for port in ports),
    ]
    stays = "--ignore-sigterm" in options
    return Script(
        lines=tuple(lines),
        exits=find_end(options),
        listens={port: Listener(opens_at, reply=lambda _: b"HTTP/1.0 200 Testbox\r\n\r\nok") for port in ports},
        signals={"SIGTERM": None if stays else 0, "SIGINT": 0, "SIGUSR1": None},
        signal_lines={
            "SIGTERM": "signal SIGTERM" if stays else "bye",
            "SIGHUP": "signal SIGHUP",
            "SIGUSR1": "signal SIGUSR1",
        },
        execs={
            "sh -c 'exit 3'": ExecReply(3),
            "sh -c 'echo out; echo err >&2'": ExecReply(0, "out\nerr\n"),
            "/etc/hostname": ExecReply(126, "permission denied\n"),
        },
    )


def find_end(options: dict[str, list[str]]) -> Exit | None:
    """Return how the testbox ends by itself."""
    if "--eat-memory" in options:
        return Exit(137, oom=True)
    if "--exit" in options:
        return Exit(int(options["--exit"][0]), float(options.get("--exit-after", ["0"])[0]))
    return None


def make_fake_engine() -> FakeEngine:
    """Return an in-memory engine that holds, or can build, the images of this suite."""
    testbox = FakeImage(play_testbox, ports=(Port(8000),))
    derived = FakeImage(
        play_testbox,
        stored=False,
        ports=(Port(53, "udp"), Port(8000), Port(9000)),
        volumes=("/state",),
        environment={"COLOUR": "blue"},
        labels={"written": "in Dockerfile"},
        healthcheck=Healthcheck(("CMD-SHELL", "true"), interval=7.0, timeout=2.0, retries=4, start_period=1.5),
    )
    broken = FakeImage(stored=False, pull_error="`echo last words; exit 7` returned a non-zero code: 7")
    return FakeEngine({TESTBOX: testbox, DERIVED: derived, BROKEN: broken})
