"""Valid files whose tree is changed: other kinds of values, huge numbers, moved parts, anchors, merge keys, tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from .cases import CANARY, MAIN, Case, encode, log_uniform, read_corpus
from .vocabulary import NESTED_KEYS, NUMBERS, SERVICE_KEYS, TEXTS, TOP_KEYS, VALUES

if TYPE_CHECKING:
    from .cases import Chance

_TEXTS = list(read_corpus().values())
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STR, _SEQ, _MAP = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_TAGS = [
    "!reset",
    "!override",
    "!unknown",
    "!",
    "tag:yaml.org,2002:binary",
    "tag:yaml.org,2002:python/object:os.system",
]
_TAGS += [f"tag:yaml.org,2002:{kind}" for kind in ("int", "null", "map", "seq", "set", "timestamp", "float", "bool")]


def changed_structure(rng: Chance) -> Case:
    """Return a valid file after one to five changes of its tree, mostly one; a third hold a secret in plain sight."""
    root = next(iter(yaml.compose_all(rng.choice(_TEXTS), Loader=_LOADER)))
    for _ in range(rng.choice([1, 1, 1, 2, 3, 5])):
        rng.choice(_CHANGES)(rng, root)
    if rng.random() < 0.3:
        plant_secret(rng, root)
    flow = rng.choice([None, None, True, False])
    for node in _walk(root):
        if not isinstance(node, yaml.ScalarNode) and flow is not None:
            node.flow_style = flow
    text = yaml.serialize(root, Dumper=_DUMPER, allow_unicode=rng.random() < 0.5, width=2**20)
    return Case({MAIN: encode(text)}, shared=True, allow_unsafe=rng.random() < 0.7)


def plant_secret(rng: Chance, root: yaml.Node) -> None:
    """Give a mapping a key that sounds like a secret, with the canary as its value."""
    name = rng.choice(["DB_PASSWORD", "api_token", "SECRET_KEY", "password", "private_key", "Passphrase"])
    value = rng.choice([CANARY, f"{CANARY}: x # y", f"a'{CANARY}\"", f"{CANARY}}}", f"*{CANARY}", f"- {CANARY}"])
    _any(rng, root, yaml.MappingNode).value.append((_text(name), _text(value)))


def _text(text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(_STR, text)


def _walk(root: yaml.Node) -> list[yaml.Node]:
    """Return every node once, the root first."""
    found: dict[int, yaml.Node] = {}
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in found:
            continue
        found[id(node)] = node
        if isinstance(node, yaml.MappingNode):
            pending += [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value
    return list(found.values())


def _any(rng: Chance, root: yaml.Node, kind: type[yaml.Node]) -> yaml.Node:
    found = [node for node in _walk(root) if isinstance(node, kind) and node.value]
    return rng.choice(found) if found else kind(_MAP, [])


def _random_value(rng: Chance, depth: int = 0) -> yaml.Node:
    kind = rng.random()
    if kind < 0.5 or depth > 3:
        return _text(rng.choice(VALUES))
    if kind < 0.6:
        return yaml.ScalarNode("tag:yaml.org,2002:int", rng.choice(NUMBERS))
    if kind < 0.7:
        return yaml.ScalarNode("tag:yaml.org,2002:null", "")
    items = [_random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind < 0.85:
        return yaml.SequenceNode(_SEQ, items)
    return yaml.MappingNode(_MAP, [(_text(rng.choice(NESTED_KEYS)), item) for item in items])


def _replace_value(rng: Chance, root: yaml.Node) -> None:
    pairs = _any(rng, root, yaml.MappingNode).value
    if pairs:
        at = rng.randrange(len(pairs))
        pairs[at] = (pairs[at][0], _random_value(rng))


def _wrap_value(rng: Chance, root: yaml.Node) -> None:
    pairs = _any(rng, root, yaml.MappingNode).value
    if pairs:
        at = rng.randrange(len(pairs))
        key, value = pairs[at]
        for _ in range(log_uniform(rng, 1, 120)):
            lists = rng.random() < 0.5
            value = yaml.SequenceNode(_SEQ, [value]) if lists else yaml.MappingNode(_MAP, [(_text("x"), value)])
        pairs[at] = (key, value)


def _add_key(rng: Chance, root: yaml.Node) -> None:
    node = _any(rng, root, yaml.MappingNode)
    name = rng.choice(rng.choice([SERVICE_KEYS, TOP_KEYS, NESTED_KEYS, TEXTS]))
    node.value.insert(rng.randint(0, len(node.value)), (_text(name), _random_value(rng)))


def _rename_key(rng: Chance, root: yaml.Node) -> None:
    pairs = _any(rng, root, yaml.MappingNode).value
    if pairs:
        at = rng.randrange(len(pairs))
        old = pairs[at][0].value
        letters = list(old) if isinstance(old, str) else ["x"]
        letters.insert(rng.randint(0, len(letters)), rng.choice("x-_ é\n\t"))
        name = rng.choice(["".join(letters), rng.choice(SERVICE_KEYS), rng.choice(NESTED_KEYS), "", "null", "1"])
        pairs[at] = (_text(name), pairs[at][1])


def _repeat_key(rng: Chance, root: yaml.Node) -> None:
    pairs = _any(rng, root, yaml.MappingNode).value
    if pairs:
        key, value = rng.choice(pairs)
        pairs.append((_text(key.value) if isinstance(key.value, str) else key, value))


def _remove(rng: Chance, root: yaml.Node) -> None:
    values = _any(rng, root, rng.choice([yaml.MappingNode, yaml.SequenceNode])).value
    if values:
        values.pop(rng.randrange(len(values)))


def _move(rng: Chance, root: yaml.Node) -> None:
    source = _any(rng, root, yaml.MappingNode).value
    target = _any(rng, root, yaml.MappingNode).value
    if source:
        target.append(source.pop(rng.randrange(len(source))))


def _share(rng: Chance, root: yaml.Node) -> None:
    """Let one node stand in a second place: an anchor and an alias, sometimes to a node around it."""
    nodes = _walk(root)
    pairs = _any(rng, root, yaml.MappingNode).value
    if pairs:
        at = rng.randrange(len(pairs))
        key = yaml.ScalarNode("tag:yaml.org,2002:merge", "<<") if rng.random() < 0.4 else pairs[at][0]
        value = rng.choice(nodes)
        if rng.random() < 0.2:
            value = yaml.SequenceNode(_SEQ, [value, rng.choice(nodes)])
        pairs[at] = (key, value)


def _tag(rng: Chance, root: yaml.Node) -> None:
    rng.choice(_walk(root)).tag = rng.choice(_TAGS)


def _change_text(rng: Chance, root: yaml.Node) -> None:
    node = _any(rng, root, yaml.ScalarNode)
    if isinstance(node.value, str):
        node.value = rng.choice([rng.choice(VALUES), node.value + rng.choice(VALUES), node.value * 40, node.value[:-1]])
        node.style = rng.choice([None, "'", '"', "|", ">"])


def _change_key_to_collection(rng: Chance, root: yaml.Node) -> None:
    pairs = _any(rng, root, yaml.MappingNode).value
    if pairs:
        at = rng.randrange(len(pairs))
        pairs[at] = (_random_value(rng), pairs[at][1])


_CHANGES = [_replace_value, _replace_value, _wrap_value, _add_key, _add_key, _rename_key, _repeat_key, _remove, _move]
_CHANGES += [_share, _tag, _change_text, _change_text, _change_key_to_collection]
