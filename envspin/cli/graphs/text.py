"""The graph as text for other programs. Arrows lead from a service to those that wait for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envspin.cli.graphs.view import Edge, GraphView

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MERMAID_WORDS = {
    "class",
    "classdef",
    "click",
    "default",
    "end",
    "flowchart",
    "graph",
    "linkstyle",
    "style",
    "subgraph",
}


def describe_view(view: GraphView) -> dict[str, object]:
    """Return the graph as data."""
    services = [
        {"name": node.name, "image": node.image, "ready": node.ready, "job": node.is_job}
        for node in view.nodes.values()
    ]
    dependencies = [
        {"service": edge.after, "depends_on": edge.first, "until": edge.until, "required": edge.required}
        for edge in view.edges
    ]
    return {
        "topology": view.title,
        "services": services,
        "dependencies": dependencies,
        "layers": [list(layer) for layer in view.layers],
    }


def render_mermaid(view: GraphView) -> str:
    """Return a mermaid flowchart; dashed arrows wait for the start alone or can do without."""
    ids = _make_ids(view.nodes)
    lines = ["flowchart LR"]
    for node in view.nodes.values():
        label = "<br/>".join(_escape_mermaid(text) for text in (node.name, node.image, node.ready))
        opening, closing = ("([", "])") if node.is_job else ("[", "]")
        lines.append(f'  {ids[node.name]}{opening}"{label}"{closing}')
    for edge in view.edges:
        arrow = "-.->" if _is_weak(edge) else "-->"
        lines.append(f"  {ids[edge.first]} {arrow}|{label_edge(edge)}| {ids[edge.after]}")
    return "\n".join(lines)


def render_dot(view: GraphView) -> str:
    """Return a Graphviz digraph."""
    lines = [f"digraph {_quote_dot(view.title)} {{", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for node in view.nodes.values():
        label = "\\n".join(_quote_dot(text)[1:-1] for text in (node.name, node.image, node.ready))
        style = ", style=rounded" if node.is_job else ""
        lines.append(f'  {_quote_dot(node.name)} [label="{label}"{style}];')
    for edge in view.edges:
        style = ", style=dashed" if _is_weak(edge) else ""
        ends = f"{_quote_dot(edge.first)} -> {_quote_dot(edge.after)}"
        lines.append(f"  {ends} [label={_quote_dot(label_edge(edge))}{style}];")
    return "\n".join([*lines, "}"])


def label_edge(edge: Edge) -> str:
    """Say what the waiting service waits for."""
    return edge.until if edge.required else f"{edge.until}, optional"


def _is_weak(edge: Edge) -> bool:
    return edge.until == "started" or not edge.required


def _make_ids(names: Iterable[str]) -> dict[str, str]:
    """Return a mermaid identifier for each name: itself where it may stand as one."""
    usable = {name for name in names if _WORD.fullmatch(name) and name.lower() not in _MERMAID_WORDS}
    return {name: name if name in usable else f"service-{number}" for number, name in enumerate(names)}


def _escape_mermaid(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("#", "&#35;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace('"', "&quot;").replace("`", "&#96;")


def _quote_dot(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
