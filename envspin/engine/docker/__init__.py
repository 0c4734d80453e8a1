"""The docker SDK behind the engine seam; the one place that imports ``docker``.

``client`` finds the engine and translates its errors, ``config`` turns specs into API documents, ``images`` pulls and
builds, ``context`` and ``dockerfile`` say what goes into a build, ``archives`` saves and loads, ``streams`` follows
logs, events and exec output, ``adapter`` is the engine itself.
"""

from envspin.engine.docker.adapter import DockerEngine

__all__ = ["DockerEngine"]
