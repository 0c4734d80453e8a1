"""Checks for, pulls or imports the base image of the example and test images; used by ``scripts/setup``."""

from __future__ import annotations

import sys

import docker

from envspin.engine.docker import DockerEngine
from envspin.engine.docker.client import find_address
from envspin.errors import EnvspinError


def import_tree(reference: str, archive: str) -> None:
    """Make an image of a root file system's tar archive."""
    address, tls = find_address()
    client = docker.APIClient(base_url=address, tls=tls or False, timeout=600)
    repository, _, tag = reference.partition(":")
    client.import_image_from_file(archive, repository=repository, tag=tag, changes=['CMD ["bash"]'])


def main(arguments: list[str]) -> int:
    """Run ``check IMAGE``, ``pull IMAGE`` or ``import IMAGE ARCHIVE``; the exit code tells whether it worked."""
    action, reference, *rest = arguments
    engine = DockerEngine.connect()
    if action == "check":
        return 0 if engine.find_image(reference) else 1
    try:
        if action == "pull":
            engine.pull(reference)
        else:
            import_tree(reference, rest[0])
    except EnvspinError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
