"""The graph as a picture that needs nothing else: no script, no font, no style sheet.

Boxes bring their own light ground, and everything beside them is of a middle grey, so that it reads on light and on
dark pages alike.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from envspin.cli.graphs.layout import lay_out
from envspin.cli.graphs.text import label_edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envspin.cli.graphs.layout import Key, Layout
    from envspin.cli.graphs.view import Edge, GraphView, Node

MARGIN = 24
HEAD = 40
FOOT = 34
BOX_HEIGHT = 64
BOX_GAP = 84
WAYPOINT_GAP = 30
COLUMN_GAP = 96
CHARACTER = 6.4
"""Estimated width of a character of the small print, in pixels: fonts differ, so it errs to the wide side."""
NAME_FACTOR = 1.25
"""How much wider the bold print of names is."""

LEAST_CHARACTERS, MOST_CHARACTERS = 14, 34
PADDING = 14

STYLE = """\
text { font-family: ui-sans-serif, -apple-system, "Segoe UI", "DejaVu Sans", Arial, sans-serif; font-size: 11px }
.title { font-size: 16px; font-weight: 600; fill: #7d8590 }
.note { fill: #7d8590 }
.box { fill: #f6f8fa; stroke: #afb8c1 }
.bar { fill: #57799e } .job .bar { fill: #b7791f }
.name { font-size: 13px; font-weight: 600; fill: #1f2328 }
.image { fill: #424a53 } .ready { fill: #656d76 }
.edge { fill: none; stroke: #8c96a0; stroke-width: 1.5 }
.completed { stroke: #b7791f } .started { stroke-dasharray: 5 4 } .optional { stroke-dasharray: 2 4 }
"""

MARKS = {"ready": "#8c96a0", "started": "#8c96a0", "completed": "#b7791f"}

LEGEND = (
    ("ready", "when ready"),
    ("completed", "when completed"),
    ("started", "when started"),
    ("ready optional", "can do without"),
)


def render_svg(view: GraphView) -> str:
    """Return the picture as SVG text."""
    return _Drawing(view).render()


class _Drawing:
    """One picture: the layout's numbers turned into pixels."""

    def __init__(self, view: GraphView) -> None:
        self._view = view
        layout = lay_out(view.layers, view.edges, box_gap=BOX_GAP, waypoint_gap=WAYPOINT_GAP)
        self._layout: Layout = layout
        longest = max(_measure(node) for node in view.nodes.values())
        self._characters = max(LEAST_CHARACTERS, min(MOST_CHARACTERS, longest))
        self._box_width = self._characters * CHARACTER + 2 * PADDING
        self._lift = MARGIN + HEAD + BOX_HEIGHT / 2 - min(layout.heights.values())
        self._column_of = {key: number for number, column in enumerate(layout.columns) for key in column}
        self.width = max(2 * MARGIN + len(layout.columns) * (self._box_width + COLUMN_GAP) - COLUMN_GAP, 560)
        lowest = max(layout.heights.values()) + self._lift + BOX_HEIGHT / 2
        self.height = lowest + FOOT + MARGIN

    def render(self) -> str:
        size = f'width="{self.width:.0f}" height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}"'
        count = len(self._view.nodes)
        title = f"{self._view.title}: {count} service{'' if count == 1 else 's'} in the order of their start"
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={quoteattr(title)}>',
                f"<style>\n{STYLE}</style>",
                "<defs>",
                *self._draw_marks(),
                "</defs>",
                f'<text class="title" x="{MARGIN}" y="{MARGIN + 14}">{escape(title)}</text>',
                *(line for edge in self._view.edges for line in self._draw_edge(edge)),
                *(self._draw_box(node) for node in self._view.nodes.values()),
                *self._draw_legend(),
                "</svg>",
            ]
        )

    def _draw_marks(self) -> Iterator[str]:
        for name, colour in MARKS.items():
            yield (
                f'<marker id="tip-{name}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
                f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.5 8 4 0 7.5Z" fill="{colour}"/></marker>'
            )

    def _left(self, key: Key) -> float:
        return MARGIN + self._column_of[key] * (self._box_width + COLUMN_GAP)

    def _middle(self, key: Key) -> float:
        return self._layout.heights[key] + self._lift

    def _draw_box(self, node: Node) -> str:
        key = (node.name, 0)
        left, top = self._left(key), self._middle(key) - BOX_HEIGHT / 2
        tooltip = escape(f"{node.name}\n{node.image}\nready: {node.ready}")
        rows = zip(("name", "image", "ready"), (node.name, node.image, node.ready), (20, 37, 53), strict=True)
        texts = "".join(
            f'<text class="{kind}" x="{PADDING}" y="{y}">{escape(self._shorten(text, kind))}</text>'
            for kind, text, y in rows
        )
        return (
            f'<g class={quoteattr("job" if node.is_job else "service")} transform="translate({left:.1f} {top:.1f})">'
            f"<title>{tooltip}</title>"
            f'<rect class="box" width="{self._box_width:.1f}" height="{BOX_HEIGHT}" rx="6"/>'
            f'<rect class="bar" x="0" y="8" width="4" height="{BOX_HEIGHT - 16}" rx="2"/>{texts}</g>'
        )

    def _shorten(self, text: str, kind: str) -> str:
        room = int(self._characters / NAME_FACTOR) if kind == "name" else self._characters
        if len(text) <= room:
            return text
        # Of an image the end tells more: the tag, and the last part of its name.
        return "…" + text[1 - room :] if kind == "image" else text[: room - 1] + "…"

    def _draw_edge(self, edge: Edge) -> Iterator[str]:
        path = self._layout.paths[edge]
        x, y = self._left(path[0]) + self._box_width, self._middle(path[0])
        steps = [f"M{x:.1f} {y:.1f}"]
        for key in path[1:]:
            to_x, to_y = self._left(key), self._middle(key)
            bend = (to_x - x) / 2
            steps.append(f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
            x, y = to_x, to_y
            if key is not path[-1]:  # straight on beneath this column's boxes
                x += self._box_width
                steps.append(f"H{x:.1f}")
        tooltip = escape(f"{edge.after} waits for {edge.first}: {label_edge(edge)}")
        kind = f"edge {edge.until}{'' if edge.required else ' optional'}"
        yield (
            f'<path class="{kind}" d="{" ".join(steps)}" marker-end="url(#tip-{edge.until})">'
            f"<title>{tooltip}</title></path>"
        )

    def _draw_legend(self) -> Iterator[str]:
        y = self.height - MARGIN
        used = {f"{edge.until}{'' if edge.required else ' optional'}" for edge in self._view.edges}
        shown = [(kind, words) for kind, words in LEGEND if kind in used or (" " in kind and _has_optional(used))]
        x = float(MARGIN)
        for kind, words in shown:
            until = kind.split()[0]
            yield f'<path class="edge {kind}" d="M{x:.0f} {y - 4:.0f}h34" marker-end="url(#tip-{until})"/>'
            yield f'<text class="note" x="{x + 40:.0f}" y="{y:.0f}">{words}</text>'
            x += 40 + len(words) * CHARACTER + 24


def _measure(node: Node) -> int:
    """Return the characters of small print that the box's widest line takes."""
    return max(ceil(len(node.name) * NAME_FACTOR), len(node.image), len(node.ready))


def _has_optional(kinds: set[str]) -> bool:
    return any(" " in kind for kind in kinds)
