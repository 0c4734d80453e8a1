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
            values = _read_env_file(reader, draft, item, values)
            reader.report.charge(ENVIRONMENT, len(values), item)
    own = draft.node.get("environment")
    if own is not None and not is_null(own):
        values = dict(values)
        for name, (value, at) in reader.pairs(own, draft.what("environment")).items():
            found = value if value is not None else at.document.variables.get(name)
            if found is not None:
                values[name] = found
            elif any(mark in name for mark in ": \t"):
                message = f"an entry of `{draft.what('environment')}` is no variable"
                reader.error("bad-value", message, at, "write NAME=VALUE, or NAME alone for the caller's value")
            else:
                values.pop(name, None)
                draft.undeclared[name] = None
    if values:
        draft.fields["environment"] = values


def _read_env_file(reader: Reader, draft: Draft, node: Node, earlier: dict[str, str]) -> dict[str, str]:
    """Return ``earlier`` with the variables of one file over them; services with the same files share the result."""
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
        return earlier
    return _load(reader, at, path, earlier, required=required, raw=raw)


def _load(
    reader: Reader, at: Node, path: Path, earlier: dict[str, str], *, required: bool, raw: bool
) -> dict[str, str]:
    """Return ``earlier`` and over them the variables of a file, in which they may be used."""
    if not is_file(path):
        if required:
            shown = at.shown if isinstance(at, Scalar) else str(path)
            message = f"the file of variables `{shown}` does not exist"
            reader.error("env-file-missing", message, at, "create it, or say `required: false`")
        return earlier
    variables = at.document.variables
    key = (path, raw, id(variables), id(earlier) if earlier else None)
    known = reader.env_files.get(key)
    if known is not None:
        return known
    text = read_text(path, at, reader.report)
    if text is None:
        return earlier
    document = Document(display_name(path), text, path.parent, variables, confidential=True)
    found = parse_dotenv(document, lambda name: variables.get(name, earlier.get(name)), reader.report, raw=raw)
    reader.env_files[key] = {**earlier, **found}
    return reader.env_files[key]
