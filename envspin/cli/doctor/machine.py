"""Checks of the machine itself; none of them asks the engine."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from importlib.metadata import entry_points
from pathlib import Path

from envspin.cli.doctor.finding import Finding
from envspin.run.garbage import list_watcher_logs

OLDEST_PYTHON = (3, 11)
GIB = 1024**3
LITTLE_SPACE = 5 * GIB
TOO_LITTLE_SPACE = 1 * GIB
LOGS_NAMED = 3
DEFAULT_DATA_ROOT = Path("/var/lib/docker")

INSTALL = {
    "debian": "sudo apt-get install --no-install-recommends docker.io",
    "ubuntu": "sudo apt-get install --no-install-recommends docker.io",
    "fedora": "sudo dnf install moby-engine",
    "rhel": "sudo dnf install podman-docker && systemctl --user enable --now podman.socket",
    "arch": "sudo pacman -S docker",
    "alpine": "sudo apk add docker",
    "suse": "sudo zypper install docker",
}
"""Distribution (``ID`` or ``ID_LIKE`` of os-release(5)) -> command that installs an engine."""


def check_python() -> Finding:
    """See whether Python is new enough."""
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("python", "fail", f"Python {version} is too old", "install Python 3.11 or later")
    return Finding("python", "ok", f"Python {version}")


def check_pytest_plugin() -> Finding:
    """See whether pytest will find the plugin: it is registered when envspin is installed, not by a path alone."""
    if any(each.name == "envspin" for each in entry_points(group="pytest11")):
        return Finding("pytest", "ok", "the pytest plugin is registered")
    message = "the pytest plugin is not registered for this Python"
    return Finding("pytest", "warn", message, f"{sys.executable} -m pip install envspin")


def check_docker_command() -> Finding:
    """See whether the docker command is there; nothing needs it."""
    found = shutil.which("docker")
    return Finding("docker command", "ok", found or "not installed; envspin does not need it")


def check_watchers() -> Finding:
    """See whether a watcher, which removes what a killed process has left, could not do it all."""
    logs = list_watcher_logs()
    if not logs:
        return Finding("watchers", "ok", "no clean-up has failed")
    named = ", ".join(str(path) for path in logs[:LOGS_NAMED])
    others = f" and {len(logs) - LOGS_NAMED} more" if len(logs) > LOGS_NAMED else ""
    fix = f"read {logs[0]}, run `envspin gc`, then remove the log"
    return Finding("watchers", "warn", f"a clean-up has failed: {named}{others}", fix)


def check_disk(data_root: Path | None) -> Finding:
    """See whether the engine has room for images and volumes."""
    if data_root is None:
        return Finding("disk", "ok", "the engine's data folder is not visible from here")
    free = shutil.disk_usage(data_root).free
    message = f"{free / GIB:.1f} GiB free at {data_root}"
    if free < TOO_LITTLE_SPACE:
        return Finding("disk", "fail", message, "docker system df, then docker image rm IMAGE")
    if free < LITTLE_SPACE:
        return Finding("disk", "warn", message, "docker system df")
    return Finding("disk", "ok", message)


def find_data_root(settings: Path = Path("/etc/docker/daemon.json")) -> Path | None:
    """Return where a local engine keeps its data: as its settings say, else the usual folder; None if not visible."""
    try:
        root = Path(str(json.loads(settings.read_text(encoding="utf-8"))["data-root"]))
    except (OSError, ValueError, KeyError, TypeError):
        root = DEFAULT_DATA_ROOT
    try:
        return root if root.is_dir() else None
    except OSError:
        return None


def suggest_install(os_release: Path = Path("/etc/os-release")) -> str:
    """Return the command that installs an engine on this system."""
    if sys.platform == "darwin":
        return "brew install colima docker && colima start"
    for distribution in _read_distributions(os_release):
        if distribution in INSTALL:
            return INSTALL[distribution]
    return "install Docker Engine as its manual says for this system"


def _read_distributions(os_release: Path) -> list[str]:
    try:
        lines = os_release.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return " ".join(fields.get(key, "").strip("\"'") for key in ("ID", "ID_LIKE")).split()
