"""The images of Kubernetes manifests; samples lie in the folder `kubernetes`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.errors import TopologyError
from envspin.topology.kubernetes import Workload, looks_like_kubernetes, read_workloads
from envspin.topology.report import MAX_PROBLEMS

SAMPLES = Path(__file__).with_name("kubernetes")
COMPOSE = "services:\n  web: {image: nginx}\n"


def sample(name):
    return (SAMPLES / name).read_text(encoding="utf-8")


def read(text, name="prod.yaml"):
    return [(each.container, each.image, each.owner) for each in read_workloads(text, name)]


def problems(text, name="prod.yaml"):
    """Return the rendered problems of a file that must not be read."""
    with pytest.raises(TopologyError) as caught:
        read_workloads(text, name)
    return [problem.render() for problem in caught.value.problems]


def deployment(containers, key="containers", metadata="{name: a}"):
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {metadata}\n"
        f"spec:\n  template:\n    spec:\n      {key}: {containers}\n"
    )


def test_every_kind_of_workload_is_read_in_the_order_written():
    digest = "sha256:" + 64 * "a"
    assert read(sample("every-kind.yaml")) == [
        ("migrate", "registry.example/shop/api:2.4.1", "Deployment shop/api"),
        ("api", "registry.example/shop/api:2.4.1", "Deployment shop/api"),
        ("proxy", f"envoyproxy/envoy:v1.31.2@{digest}", "Deployment shop/api"),
        ("postgres", "postgres:16.4", "StatefulSet shop/db"),
        ("agent", "fluent/fluent-bit:3.1", "DaemonSet logs"),
        ("web", "nginx", "ReplicaSet web"),
        ("old", "httpd:2.2", "ReplicationController old"),
        ("seed", "busybox:1.36", "Job seed-"),
        ("report", "registry.example:5000/report:7", "CronJob report"),
        ("shell", "alpine:3.20", "Pod debug"),
        ("tracer", "alpine:3.19", "Pod debug"),
        ("worker", "python:3.12", "PodTemplate worker"),
        ("checkout", "registry.example/shop/checkout:5", "Rollout checkout"),
        ("hello", "gcr.io/knative-samples/helloworld-go", "Service hello"),
    ]


def test_only_containers_of_a_pods_start_are_marked_as_such():
    found = read_workloads(sample("every-kind.yaml"), "x.yaml")
    assert [each.container for each in found if each.init] == ["migrate"]


def test_json_and_lists_in_lists_are_read_and_items_without_a_kind_have_that_of_their_list():
    assert read(sample("lists.json"), "lists.json") == [
        ("web", "nginx:1.27", "Deployment shop/web"),
        ("web", "nginx:1.26", "Pod web-1"),
    ]


def test_the_place_of_the_image_is_told_and_does_not_make_workloads_different():
    (found,) = read_workloads(deployment("[{name: a, image: i}]"), "folder/prod.yaml")
    assert str(found.mark) == "folder/prod.yaml:7:37"
    assert found == Workload("a", "i", "Deployment a")


def test_anchors_stand_for_what_they_name():
    text = deployment("[&c {name: a, image: i}, {<<: *c, name: b}]")
    assert read(text) == [("a", "i", "Deployment a"), ("b", "i", "Deployment a")]


@pytest.mark.parametrize(
    "containers",
    ["[{name: a}]", "[{name: a, image: }]", '[{name: a, image: ""}]', "[]", "", "~"],
)
def test_a_container_without_an_image_is_left_out(containers):
    assert read(deployment(containers)) == []


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: Service\nspec: {template: [1]}\n",
        "apiVersion: v1\nkind: Pod\nspec: text\n",
        "apiVersion: v1\nkind: Pod\n",
        "apiVersion: v1\nkind: ConfigMap\nspec: {containers: [{name: a, image: i}]}\n",
        "apiVersion: v1\nkind: List\nitems: [text, {kind: Pod}, ~]\n",
        "apiVersion: v1\nkind: ItemList\nitems: {a: b}\n",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec: {path: ./deploy}\n",
        "apiVersion: v1\nkind: Secret\ndata: {a: b}\n---\n---\n# nothing\n",
        "apiVersion: v1\nkind: Secret\n---\nservices: {web: {image: Not An Image}}\n",
    ],
)
def test_what_makes_no_pods_is_passed_over(text):
    assert read(text) == []


def test_a_workload_without_a_name_is_called_by_its_kind():
    assert read(deployment("[{name: a, image: i}]", metadata="")) == [("a", "i", "Deployment")]


def test_names_are_printable_whatever_is_written():
    text = deployment(r'[{name: "a\e[31m", image: i}]', metadata=r'{name: "b\nc", namespace: "d\a"}')
    assert read(text) == [("a?[31m", "i", "Deployment d?/b?c")]


HELM_HINT = "    hint: write what `helm template` prints to a file, and name that file"
KUSTOMIZE = "this is a Kustomization, which runs nothing itself: render it first"
NAME_RULE = "write NAME or NAME:TAG, the name in lower case, as in team/app:1.0"
VALUES_HINT = "    hint: put the values of variables in first"
NO_OBJECT = "no document of this file has `apiVersion` and `kind`, as every object of Kubernetes has"
KUSTOMIZE_HINT = "    hint: write what `kubectl kustomize` prints to a file, and name that file"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (sample("helm-template.yaml"), "4:9"),
        (deployment("[{name: a, image: '{{ .Values.image }}'}]"), "7:37"),
        (deployment("[{name: a, image: {{ .Values.image }}}]"), "7:37"),
        (deployment("[]") + "{{- if .Values.job }}\n---\n", "8:1"),
        ("{{- if .Capabilities.APIVersions.Has }}\n" + deployment("[]"), "1:1"),
        ('{{- template "x" . -}}\n', "1:1"),
        ("a: {{ $.Values.x }}\n", "1:4"),
        ("\n\n  {{ $.Values.x }}\n", "3:3"),
        ("a: *x\n" * (MAX_PROBLEMS + 100) + "b: {{ .Values.x }}\n", f"{MAX_PROBLEMS + 101}:4"),
    ],
)
def test_a_helm_template_is_to_be_rendered_first(text, place):
    expected = f"prod.yaml:{place}: error[yaml-syntax]: this is a Helm template: render it first\n{HELM_HINT}"
    assert problems(text) == [expected]


def test_braces_in_the_texts_of_a_rendered_chart_are_no_template():
    text = deployment("[{name: a, image: i}]") + "---\napiVersion: v1\nkind: ConfigMap\ndata:\n  a: '{{ .Values.x }}'\n"
    assert read(text) == [("a", "i", "Deployment a")]


def test_a_fault_of_another_kind_beside_such_braces_is_told_as_what_it_is():
    text = "apiVersion: v1\nkind: ConfigMap\ndata: {a: '{{ $labels.x }}'}\nb: c: d\n"
    (found,) = problems(text)
    assert "mapping values are not allowed" in found


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n", "prod.yaml"),
        ("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n", "prod.yaml"),
        (sample("kustomization.yaml"), "overlays/prod/kustomization.yaml"),
        ("resources: []\n", "Kustomization"),
    ],
)
def test_a_kustomize_overlay_is_to_be_rendered_first(text, name):
    assert problems(text, name) == [f"{name}:1:1: error[bad-value]: {KUSTOMIZE}\n{KUSTOMIZE_HINT}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            deployment("[{name: a, image: Nginx:1}]"),
            f"7:37: error[bad-value]: `Nginx:1` of Deployment a is not an image: {NAME_RULE}",
        ),
        (
            deployment("[{name: a, image: 'app:${T}'}]"),
            f"7:37: error[bad-value]: `app:${{T}}` of Deployment a is not an image: its tag is not one\n{VALUES_HINT}",
        ),
        (
            deployment(r'[{name: a, image: "app\e[2J"}]'),
            f"7:37: error[bad-value]: `app?[2J` of Deployment a is not an image: {NAME_RULE}",
        ),
        (
            deployment("[{name: a, image: [i]}]"),
            "7:37: error[wrong-type]: an image of Deployment a must be text, not a list",
        ),
        (
            deployment("{a: {image: i}}"),
            "7:19: error[wrong-type]: `containers` of Deployment a must be a list, not a mapping",
        ),
        (
            deployment("text", key="initContainers"),
            "7:23: error[wrong-type]: `initContainers` of Deployment a must be a list, not text",
        ),
        (
            deployment("[i]"),
            "7:20: error[wrong-type]: an entry of `containers` of Deployment a must be a mapping, not text",
        ),
        ("a: 1\n", f"1:1: error[missing-key]: {NO_OBJECT}"),
        ("", f"1:1: error[missing-key]: {NO_OBJECT}"),
        ("# nothing\n---\n", f"1:1: error[missing-key]: {NO_OBJECT}"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text, expected):
    assert problems(text) == [f"prod.yaml:{expected}"]


def test_every_problem_of_a_file_is_told_at_once():
    text = deployment("[{image: A}, {image: B}]") + "---\n" + deployment("c")
    assert [each.partition(" ")[0] for each in problems(text)] == [
        "prod.yaml:7:28:",
        "prod.yaml:7:40:",
        "prod.yaml:15:19:",
    ]


def test_no_more_problems_are_told_than_anybody_reads():
    assert len(problems(deployment("[" + "{image: A}, " * (MAX_PROBLEMS + 100) + "]"))) == MAX_PROBLEMS


@pytest.mark.parametrize(
    "text",
    [
        deployment("[{name: a, image: A, env: [{name: X, value: hunter2}]}]"),
        "apiVersion: v1\nkind: Secret\nstringData:\n  other: hunter2\n  other: hunter2\n",
        "apiVersion: v1\nkind: Secret\nstringData:\n  other: hunter2: more\n",
        'apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - env:\n        - name: X\n          value: "hunter2\n',
        "apiVersion: v1\nkind: Pod\nspec: {containers: [{env: [{name: X, value: *hunter2}]}]}\n",
        "apiVersion: v1\nkind: Secret\nstringData: {other: !hunter2 a}\n",
    ],
)
def test_no_message_shows_a_value_that_may_be_a_secret(text):
    assert "hunter2" not in "\n".join(problems(text))


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{new}: &{new} [{','.join(9 * ['*' + old])}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "apiVersion: v1\nkind: List\nitems: " + "[" * 5000,
        "apiVersion: v1\nkind: List\nitems:\n" + "- a\n" * 200_001,
        "apiVersion: v1\nkind: List\nitems: [" + "{{" * 100_000,
    ],
    ids=["aliases", "depth", "lines", "braces"],
)
def test_a_hostile_file_is_refused_with_one_problem(text):
    assert len(problems(text)) == 1


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (sample("every-kind.yaml"), "x.yaml", True),
        (sample("lists.json"), "x.json", True),
        (sample("helm-template.yaml"), "x.yaml", True),
        (sample("kustomization.yaml"), "kustomization.yaml", True),
        (sample("kustomization.yaml"), r"deploy\kustomization.yml", True),
        (sample("kustomization.yaml"), "x.yaml", False),
        ("---\n# nothing\n---\nkind: Pod\napiVersion: v1\n", "x.yaml", True),
        ('{"kind": "Pod", "apiVersion": "v1"}', "x", True),
        ("kind: Pod\napiVersion: v1\na: [\n", "x.yaml", True),
        ("kind: Pod\nkind: Pod\na: [\n", "x.yaml", False),
        ("kind: Pod\napiVersion: v1\n" + "a: *x\n" * (MAX_PROBLEMS + 100), "x.yaml", True),
        (COMPOSE, "compose.yaml", False),
        (COMPOSE + "configs:\n  c:\n    content: |\n      apiVersion: v1\n      kind: Pod\n", "compose.yaml", False),
        (COMPOSE + "a: [\n", "compose.yaml", False),
        ("", "x.yaml", False),
        ("text", "x.yaml", False),
        ("[{apiVersion: v1, kind: Pod}]", "x.yaml", False),
    ],
)
def test_files_for_kubernetes_are_told_from_others(text, name, expected):
    assert looks_like_kubernetes(text, name) is expected


@given(st.text(st.sampled_from('{}[]:-"\n i.Values|kndapVersoPlt*&!'), max_size=120))
def test_any_text_is_read_or_refused(text):
    for whole in (text, f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - {text}"):
        looks_like_kubernetes(whole, "x.yaml")
        with suppress(TopologyError):
            assert all(each.image and each.owner for each in read_workloads(whole, "x.yaml"))
