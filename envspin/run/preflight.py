"""What can be told before anything is made: files and variables that the plan needs and that are not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from envspin.errors import TopologyError
from envspin.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from envspin.model import FileSource, Service


def check_inputs(services: Mapping[str, Service], sources: Iterable[FileSource], environ: Mapping[str, str]) -> None:
    """Raise ``TopologyError`` with every build folder, Dockerfile, file and variable that is missing.

    They are no part of loading: a topology can be printed, planned and compared where its secrets are not.
    """
    problems = [problem for service in services.values() for problem in _check_build(service)]
    problems += [problem for service in services.values() for problem in _check_mounts(service)]
    problems += [problem for source in sources for problem in _check_source(source, environ)]
    _raise_for(problems)


def check_builds(services: Iterable[Service]) -> None:
    """Raise ``TopologyError`` with every build folder and Dockerfile of these services that is missing."""
    _raise_for([problem for service in services for problem in _check_build(service)])


def _raise_for(problems: list[Problem]) -> None:
    if problems:
        raise TopologyError(sorted(dict.fromkeys(problems), key=_find_place))


def _find_place(problem: Problem) -> tuple[str, int, int]:
    mark = problem.mark
    return (mark.file, mark.line, mark.column) if mark else ("", 0, 0)


def _check_build(service: Service) -> Iterator[Problem]:
    build = service.build
    if build is None:
        return
    where = f"`build` of `{service.name}`"
    if not build.context.is_dir():
        message = f"{where}: there is no folder `{build.context}`"
        yield Problem("file-missing", message, service.mark, hint="a context is a folder with a Dockerfile")
    elif build.dockerfile_inline is None and not (build.context / build.dockerfile).is_file():
        message = f"{where}: there is no file `{build.context / build.dockerfile}`"
        yield Problem("file-missing", message, service.mark, hint="`build.dockerfile` starts at the context")


def _check_mounts(service: Service) -> Iterator[Problem]:
    for mount in service.mounts:
        if mount.kind == "bind" and not mount.create_host_path and not os.path.lexists(str(mount.source)):
            message = f"`volumes` of `{service.name}`: there is no file or folder `{mount.source}`"
            hint = "without `create_host_path: false` an empty folder would be made"
            yield Problem("file-missing", message, service.mark, hint=hint)


def _check_source(source: FileSource, environ: Mapping[str, str]) -> Iterator[Problem]:
    where = f"the {source.kind} `{source.name}`"
    if source.file is not None and not source.file.is_file():
        yield Problem("file-missing", f"{where}: there is no file `{source.file}`", source.mark)
    elif source.environment is not None and source.environment not in environ:
        message = f"{where} comes from the variable `{source.environment}`, which is not set"
        hint = f"set it, or give the {source.kind} a file"
        yield Problem("interpolation-required", message, source.mark, hint=hint)
