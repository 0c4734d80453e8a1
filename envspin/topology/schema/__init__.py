"""The JSON Schema of topologies, for editors: Compose's structure, what envspin makes of each key, and `x-envspin`.

It is draft 7, which the language servers for YAML know best. It rejects only what ``load_topology`` rejects, one file
by itself and with ``allow_unsafe``; so it demands nothing that an overlay or an extended service may lack. Beyond the
standard it has the keywords with which editors explain: ``deprecationMessage``, ``errorMessage``,
``patternErrorMessage`` and ``doNotSuggest``.
"""

from __future__ import annotations

from envspin.topology.schema.document import make_schema

__all__ = ["make_schema"]
