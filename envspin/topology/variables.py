"""A service's variables: `environment` over `env_file`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.topology.dotenv import parse_dotenv
from envspin.topology.files import display_name, is_file, read_text
from envspin.topology.limits import ENVIRONMENT
from envspin.topology.nodes import Document, Mapping, Scalar, Sequence, is_null

if TYPE_CHECKING:
    from pathlib import Path

    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Node
    from envspin.topology.reader import Reader


def read_environment(reader: Reader, draft: Draft) -> None:
    """Read `env_file` and `environment`; a name without a value takes it from the caller's environment."""
    values: dict[str, str] = {}
    files = draft.node.get("env_file")
    if files is not None and not is_null(files):
        for item in files.items if isinstance(files, Sequence) else [files]:
            more = _read_env_file(reader, draft, item, values)
            reader.report.charge(ENVIRONMENT, len(more), item)
            values |= more
    own = draft.node.get("environment")
    if own is not None and not is_null(own):
        for name, (value, at) in reader.pairs(own, draft.what("environment")).items():
            found = value if value is not None else at.document.variables.get(name)
            if found is not None:
                values[name] = found
            else:
                values.pop(name, None)
                draft.undeclared[name] = None
    if values:
        draft.fields["environment"] = values


def _read_env_file(reader: Reader, draft: Draft, node: Node, earlier: dict[str, str]) -> dict[str, str]:
    what = draft.what("env_file")
    required, raw = True, False
    at: Node | None = node
    if isinstance(node, Mapping):
        at = node.get("path")
        for key, entry in reader.keys(node, what, ("path", "required", "format")):
            if key == "required":
                required = reader.boolean(entry.value, f"{what}.required") is not False
            elif key == "format":
                raw = reader.text(entry.value, f"{what}.format") == "raw"
                if not raw:
                    reader.error("bad-value", f"`{what}.format` knows only `raw`", entry.value)
        if at is None:
            reader.error("missing-key", f"an entry of `{what}` has no `path`", node)
    path = reader.path(at, what) if isinstance(at, Scalar) else None
    if path is None or at is None:
        if at is not None and not isinstance(at, Scalar):
            reader.wrong_type(at, what, "text")
        return {}
    return _load(reader, at, path, earlier, required=required, raw=raw)


def _load(
    reader: Reader, at: Node, path: Path, earlier: dict[str, str], *, required: bool, raw: bool
) -> dict[str, str]:
    """Return the variables of a file; those of the files before it may be used in it."""
    if not is_file(path):
        if required:
            shown = at.shown if isinstance(at, Scalar) else str(path)
            message = f"the file of variables `{shown}` does not exist"
            reader.error("env-file-missing", message, at, "create it, or say `required: false`")
        return {}
    variables = at.document.variables
    key = (path, raw, id(variables), *([tuple(earlier.items())] if earlier else []))
    known = reader.env_files.get(key)
    if known is not None:
        return known
    text = read_text(path, at, reader.report)
    if text is None:
        return {}
    document = Document(display_name(path), text, path.parent, variables, confidential=True)
    found = parse_dotenv(document, {**earlier, **variables}.get, reader.report, raw=raw)
    reader.env_files[key] = found
    return found
