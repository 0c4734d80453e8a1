"""What an environment hands to the commands and tests that use it: exports and ``ENVSPIN_*`` variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from envspin.errors import UsageError
from envspin.topology.templates import SecretField, Text, parse_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envspin.model import Endpoint
    from envspin.topology.templates import Part, ServiceField

HTTP_SCHEME = "http"


class Reachable(Protocol):
    """A service as far as exports need it."""

    @property
    def name(self) -> str:
        """The service's name in the topology."""
        ...

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """Where its ports are reached, keyed ``"5432/tcp"``, the main one first."""
        ...


def expand_exports(
    templates: Mapping[str, str], services: Mapping[str, Reachable], contents: Mapping[str, bytes]
) -> dict[str, str]:
    """Fill the templates in; those that name a service which was left out are left out too.

    Raises UsageError where a template asks for a port that its service does not have.
    """
    exports = {}
    for variable, template in templates.items():
        parts = parse_template(template)
        needed = {part.service for part in parts if not isinstance(part, Text | SecretField)}
        if needed <= services.keys():
            exports[variable] = "".join(_expand(part, variable, services, contents) for part in parts)
    return exports


def _expand(part: Part, variable: str, services: Mapping[str, Reachable], contents: Mapping[str, bytes]) -> str:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, SecretField):
        return contents[f"secret:{part.name}"].decode(errors="replace")
    return _expand_service(part, variable, services[part.service])


def _expand_service(part: ServiceField, variable: str, service: Reachable) -> str:
    endpoints = service.endpoints
    key = next(iter(endpoints), None) if part.port is None else f"{part.port}/tcp"
    endpoint = endpoints.get(key) if key is not None else None
    if endpoint is None:
        asked = f"port {part.port}" if part.port is not None else "any port"
        raise UsageError(
            f"export {variable}: service {service.name} does not publish {asked}",
            hint=f"list the port under services.{service.name}.ports",
        )
    if part.what == "host":
        return endpoint.host
    return str(endpoint.port) if part.what == "port" else f"{HTTP_SCHEME}://{endpoint}"


def make_variables(env: str, services: Iterable[Reachable], exports: Mapping[str, str]) -> dict[str, str]:
    """Return every export and, for each service, ``ENVSPIN_<SERVICE>_HOST``, ``_PORT`` and ``_PORT_<N>``."""
    variables = {"ENVSPIN_ENV": env}
    for service in services:
        prefix = "ENVSPIN_" + re.sub(r"[^A-Z0-9]", "_", service.name.upper())
        for number, (port, endpoint) in enumerate(service.endpoints.items()):
            if number == 0:
                variables[f"{prefix}_HOST"] = endpoint.host
                variables[f"{prefix}_PORT"] = str(endpoint.port)
            variables[f"{prefix}_PORT_{port.partition('/')[0]}"] = str(endpoint.port)
    return {**variables, **exports}
