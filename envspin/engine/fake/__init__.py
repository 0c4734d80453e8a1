"""An in-memory engine: the same promises as a real one, no containers, and behaviour that tests write as data.

It is part of the product, as httpx ships its ``MockTransport``: code that takes an engine is tested with it in
microseconds, including crashes, slow ports, failing pulls and lost replies::

    script = Script(lines=(Line("ready", at=0.5),), exits=Exit(code=1, after=2))
    engine = FakeEngine({"worker:1": FakeImage(script, stored=False)})

``script`` says what can be written, ``world`` holds what exists and lets it happen, ``images`` is store and registry,
``archives`` what it saves and loads, ``commands``, ``files``, ``ports`` and ``streams`` are what a container has,
``adapter`` is the engine itself.
"""

from envspin.engine.fake.adapter import FakeEngine
from envspin.engine.fake.calls import Call
from envspin.engine.fake.script import (
    Behaviour,
    ExecAnswer,
    ExecCall,
    ExecReply,
    Exit,
    FakeImage,
    Line,
    Listener,
    Script,
    in_turn,
    ready_after,
)

__all__ = [
    "Behaviour",
    "Call",
    "ExecAnswer",
    "ExecCall",
    "ExecReply",
    "Exit",
    "FakeEngine",
    "FakeImage",
    "Line",
    "Listener",
    "Script",
    "in_turn",
    "ready_after",
]
