"""Who we are to a registry: docker's configuration, its credential helpers, and DOCKER_AUTH_CONFIG."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker import auth as docker_auth
from docker import errors as docker_errors

from envspin.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "DOCKER_AUTH_CONFIG"
"""Holds the text of a configuration file, as CI systems pass it; it wins over the file."""

_HELPER = "docker-credential-"
_LONGEST_WORD = 200


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password, or the token that a login left instead."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def find_credentials(registry_host: str) -> Credentials | None:
    """Return the credentials for a registry, named as in references (``docker.io``); None where there are none.

    Raises RegistryError for a configuration that cannot be read, and for a helper that is missing or fails.
    """
    for configuration, origin in _read_configurations():
        found = _find_in(configuration, origin, registry_host)
        if found is not None:
            return found
    return None


def find_auth_config(registry_host: str) -> dict[str, str] | None:
    """Return the same in the words of the engine's API; None leaves it to who asks."""
    found = find_credentials(registry_host)
    if found is None:
        return None
    if found.identity_token:
        return {"identitytoken": found.identity_token, "serveraddress": registry_host}
    return {"username": found.username, "password": found.password, "serveraddress": registry_host}


def _read_configurations() -> Iterator[tuple[docker_auth.AuthConfig, str]]:
    text = os.environ.get(VARIABLE)
    if text:
        yield _parse(text, VARIABLE), VARIABLE
    path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError) as error:
        hint = "make it readable, or name another folder in DOCKER_CONFIG"
        raise RegistryError(f"docker's configuration {path} cannot be read", hint=hint) from error
    yield _parse(text, str(path)), str(path)


def _parse(text: str, origin: str) -> docker_auth.AuthConfig:
    try:
        return docker_auth.AuthConfig.load_config(None, _check_form(json.loads(text)))
    except (ValueError, TypeError, AttributeError, RecursionError, docker_errors.DockerException):
        # Without the cause: it may repeat what it could not read.
        message = f"{origin} is not a docker configuration in JSON"
        raise RegistryError(
            message, hint="`docker login` writes one; its `auths` hold user:password in base64"
        ) from None


def _check_form(document: object) -> dict[str, Any]:
    if isinstance(document, dict) and all(
        isinstance(document.get(key) or {}, dict) for key in ("auths", "credHelpers")
    ):
        return document
    raise TypeError("not the form of a docker configuration")


def _find_in(configuration: docker_auth.AuthConfig, origin: str, registry_host: str) -> Credentials | None:
    helper = configuration.get_credential_store(registry_host)
    if helper:
        _check_helper(str(helper), origin)
    try:
        entry = configuration.resolve_authconfig(registry_host)
    except (docker_errors.DockerException, OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(
            f"the credential helper {_HELPER}{helper} failed for {registry_host}",
            context=_quote(error),
            hint=f"try `echo {registry_host} | {_HELPER}{helper} get`, or take it out of {origin}",
        ) from None
    return _read_entry({str(key).lower(): value for key, value in (entry or {}).items()})


def _check_helper(name: str, origin: str) -> None:
    if shutil.which(_HELPER + name) is None:
        raise RegistryError(
            f"the credential helper {_HELPER}{name} is not installed, or not in PATH",
            context=(f"named by {origin}",),
            hint=f"install it, or take credsStore and credHelpers out of {origin}",
        )


def _quote(error: Exception) -> tuple[str, ...]:
    """Return what a helper said, unless it may be an answer with a secret in it."""
    said = " ".join(str(error).split())
    return () if "{" in said or not isinstance(error, docker_errors.DockerException) else (said[:_LONGEST_WORD],)


def _read_entry(entry: dict[str, Any]) -> Credentials | None:
    if entry.get("identitytoken"):
        return Credentials(identity_token=str(entry["identitytoken"]))
    if entry.get("username"):
        return Credentials(str(entry["username"]), str(entry.get("password") or ""))
    return None
