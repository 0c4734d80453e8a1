"""What references stand for: asked of the registries, without pulling."""

from envspin.registry.client import RegistryClient, Resolved

__all__ = ["RegistryClient", "Resolved"]
