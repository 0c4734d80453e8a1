"""Kubernetes manifests -> the images that they run: what production is made of, to be compared with what is tested.

Pods are found where they stand in the objects of Kubernetes, and in those of others that are built alike: an Argo
``Rollout``, a Knative ``Service``. What makes no pods is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from envspin.topology.formats import to_image
from envspin.topology.nodes import Document, Mapping, Place, Scalar, Sequence, describe_kind, is_null
from envspin.topology.report import Report
from envspin.topology.source import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envspin.problems import Mark
    from envspin.topology.nodes import Node
    from envspin.topology.source import Parsed

MAX_NAME = 253
"""Characters of a name in Kubernetes."""
_KUSTOMIZE_API = "kustomize.config.k8s.io/"
_KUSTOMIZE_FILES = frozenset(("kustomization.yaml", "kustomization.yml", "Kustomization"))
_LIST = "List"
_POD_TEMPLATES = (("spec", "template", "spec"), ("spec", "jobTemplate", "spec", "template", "spec"))
_PODS_OF_KINDS = {"Pod": ("spec",), "PodTemplate": ("template", "spec")}
_CONTAINERS = {"initContainers": True, "containers": False, "ephemeralContainers": False}
"""The lists of containers, and whether they belong to a pod's start."""
_HELM = re.compile(
    r"""\{\{-?[^{}\n]*(?:\.(?:Values|Release|Chart|Capabilities|Template|Files)\b|\b(?:include|template)\s+")"""
)
"""What only Helm's templates say: braces alone occur in rendered manifests too, in the texts of their ConfigMaps."""
_OBJECT_KEYS = re.compile(r"""(?m)^["']?(apiVersion|kind)["']?[ \t]*:""")


@dataclass(frozen=True, slots=True)
class Workload:
    """One container of a workload."""

    container: str
    """Its name; where it has none, as Knative allows, that of its workload."""
    image: str
    """As written."""
    owner: str
    """Kind, namespace where one is written, and name of the object: ``Deployment shop/api``."""
    init: bool = False
    """Whether it belongs to the pod's start (``initContainers``)."""
    mark: Mark | None = field(default=None, compare=False)
    """Where the image is written."""


def looks_like_kubernetes(text: str, name: str) -> bool:
    """Tell whether a file, which may be no valid YAML, is meant for Kubernetes: says ``apiVersion`` and ``kind``.

    ``name`` is the file's; that of a Kustomization tells by itself.
    """
    if _is_kustomization_file(name):
        return True
    report = Report(patient=True)
    parsed = parse_yaml(_make_document(text, name), report)
    if any(_is_object(root) for root in parsed.roots):
        return True
    return report.failed and len(set(_OBJECT_KEYS.findall(text))) > 1


def read_workloads(text: str, name: str) -> list[Workload]:
    """Return the containers of all workloads in a file of manifests (YAML or JSON), in the order written.

    A container that says no image is left out: Kubernetes allows it where another tool fills it in. ``name`` is what
    messages call the file. Raises ``TopologyError`` with every problem: no valid YAML, no object of Kubernetes, no
    image, a template of Helm's or an overlay of Kustomize's that has yet to be rendered.
    """
    document = _make_document(text, name)
    parsed = _parse(document)
    report = Report()
    found: list[Workload] = []
    objects = [root for root in parsed.roots if _is_object(root)]
    if not objects:
        _report_no_object(document, report)
    for each in objects:
        found += _read_object(each, "", report)
    report.raise_if_failed()
    return found


def _make_document(text: str, name: str) -> Document:
    """Return a file whose lines are not shown: environments and Secrets hold passwords under keys that do not tell."""
    return Document(name, text, Path(), confidential=True)


def _parse(document: Document) -> Parsed:
    report = Report(patient=True)
    parsed = parse_yaml(document, report)
    template = _HELM.search(document.text) if report.failed and not parsed.too_large else None
    if template:
        report = Report()
        line = document.text.count("\n", 0, template.start()) + 1
        column = template.start() - document.text.rfind("\n", 0, template.start())
        _report_helm(Place(document, line, column), report)
    report.raise_if_failed()
    return parsed


def _is_object(node: Node) -> bool:
    return isinstance(node, Mapping) and {"apiVersion", "kind"} <= node.entries.keys()


def _is_kustomization_file(name: str) -> bool:
    return PurePosixPath(name.replace("\\", "/")).name in _KUSTOMIZE_FILES


def _report_no_object(document: Document, report: Report) -> None:
    start = Place(document, 1, 1)
    if _is_kustomization_file(document.name):
        _report_kustomize(start, report)
    else:
        message = "no document of this file has `apiVersion` and `kind`, as every object of Kubernetes has"
        report.error("missing-key", message, start)


def _report_helm(at: Place, report: Report) -> None:
    hint = "write what `helm template` prints to a file, and name that file"
    report.error("yaml-syntax", "this is a Helm template: render it first", at, hint)


def _report_kustomize(at: Place, report: Report) -> None:
    hint = "write what `kubectl kustomize` prints to a file, and name that file"
    report.error("bad-value", "this is a Kustomization, which runs nothing itself: render it first", at, hint)


def _read_object(node: Node, item_kind: str, report: Report) -> Iterator[Workload]:
    """Yield what an object runs; ``item_kind`` is that of objects which say none themselves, as in a typed list."""
    if not isinstance(node, Mapping):
        return
    kind = _take_text(node.get("kind")) or item_kind
    if _take_text(node.get("apiVersion")).startswith(_KUSTOMIZE_API):
        _report_kustomize(Place(node.document, node.line, node.column), report)
        return
    items = node.get("items")
    if kind.endswith(_LIST) and isinstance(items, Sequence):
        for item in items.items:
            yield from _read_object(item, kind.removesuffix(_LIST), report)
        return
    paths = (_PODS_OF_KINDS[kind],) if kind in _PODS_OF_KINDS else _POD_TEMPLATES
    for path in paths:
        pod = _follow(node, path)
        if isinstance(pod, Mapping):
            yield from _read_pod(pod, kind, _follow(node, ("metadata",)), report)


def _follow(node: Node | None, path: tuple[str, ...]) -> Node | None:
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _read_pod(pod: Mapping, kind: str, metadata: Node | None, report: Report) -> Iterator[Workload]:
    name, generated, namespace = (
        _take_text(_follow(metadata, (key,))) for key in ("name", "generateName", "namespace")
    )
    name = name or generated
    full_name = f"{namespace}/{name}" if namespace and name else name
    owner = f"{kind} {full_name}".rstrip()
    for key, init in _CONTAINERS.items():
        containers = pod.get(key)
        if containers is None or is_null(containers):
            continue
        if not isinstance(containers, Sequence):
            _report_type(containers, f"`{key}` of {owner} must be a list", report)
            continue
        for container in containers.items:
            if not isinstance(container, Mapping):
                _report_type(container, f"an entry of `{key}` of {owner} must be a mapping", report)
            elif (image := _take_image(container, owner, report)) is not None:
                own_name = _take_text(container.get("name")) or name
                yield Workload(own_name, image.text, owner, init, image.mark)


def _take_image(container: Mapping, owner: str, report: Report) -> Scalar | None:
    """Return the image of a container, or None where there is none or it was reported."""
    image = container.get("image")
    if image is None or is_null(image):
        return None
    if not isinstance(image, Scalar):
        _report_type(image, f"an image of {owner} must be text", report)
        return None
    if not image.text:
        return None
    here = Place(image.document, image.line, image.column)
    if "{{" in image.text:
        _report_helm(here, report)
        return None
    try:
        to_image(image.text)
    except ValueError as error:
        hint = "put the values of variables in first" if "$" in image.text else None
        report.error("bad-value", f"`{_make_printable(image.shown)}` of {owner} {error}", here, hint)
        return None
    return image


def _report_type(node: Node, expected: str, report: Report) -> None:
    here = Place(node.document, node.line, node.column)
    report.error("wrong-type", f"{expected}, not {describe_kind(node)}", here)


def _take_text(node: Node | None) -> str:
    """Return a name as it may be printed; empty where there is none."""
    if not isinstance(node, Scalar) or node.is_null:
        return ""
    return _make_printable(node.text[:MAX_NAME])


def _make_printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
