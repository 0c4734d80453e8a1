"""The docker SDK behind the engine seam; the one place that imports ``docker``.

``client`` finds the engine and makes calls, by the limits and repeats of the table in ``calls``; ``failures``
translates errors; ``creating``, ``states`` and ``removing`` change things once even where an answer is lost;
``config`` turns specs into API documents, ``reading`` turns them back, ``images`` pulls and builds, ``context`` and
``dockerfile`` say what goes into a build, ``archives`` saves and loads, ``streams`` follows logs, events and exec
output; ``adapter`` is the engine itself.
"""

from envspin.engine.docker.adapter import DockerEngine

__all__ = ["DockerEngine"]
