"""The images of all workloads, built before anything is measured."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from benchmarks.recipe import read_recipe
from benchmarks.workloads import HERE, SERVER_IMAGE, SHOP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.workloads import Workload


def build_images(workloads: Iterable[Workload]) -> None:
    """Build what the workloads use under the tags that all peers use; unchanged ones come from the engine's cache.

    Raises RuntimeError with the end of the build's output.
    """
    contexts = {str(each["image"]): str(each["context"]) for each in read_recipe(SHOP).values() if each["context"]}
    contexts[SERVER_IMAGE] = str(HERE / "server")
    wanted = {str(service["image"]) for workload in workloads for service in workload.recipe.values()}
    for image in sorted(wanted & set(contexts)):
        done = subprocess.run(
            ["docker", "build", "--tag", image, contexts[image]], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{image} cannot be built:\n{(done.stdout + done.stderr)[-2000:]}")
