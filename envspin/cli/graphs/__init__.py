"""The dependency graph of a plan, drawn as mermaid, DOT, JSON or SVG."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from envspin.cli.graphs.svg import render_svg
from envspin.cli.graphs.text import describe_view, render_dot, render_mermaid
from envspin.cli.graphs.view import make_view

if TYPE_CHECKING:
    from envspin.plan.planning import Plan


def render_graph(plan: Plan, style: str) -> str:
    """Return the graph of the plan's services in one of ``FORMATS``."""
    view = make_view(plan)
    if style == "json":
        return json.dumps(describe_view(view), indent=2, ensure_ascii=False)
    if style == "dot":
        return render_dot(view)
    return render_svg(view) if style == "svg" else render_mermaid(view)
