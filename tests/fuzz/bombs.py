"""Files that are small to write and large to read: each known kind of YAML and Compose bomb, of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cases import MAIN, Case, encode, log_uniform

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cases import Chance

_HEAD = "services:\n  a:\n    image: i\n"
_SERVICES = "services: {a: {image: i}}\n"


def _lines(template: str, count: int) -> str:
    return "".join(template.format(n=n, before=n - 1) for n in range(1, count + 1))


def _laughs(rng: Chance) -> str:
    levels, width = log_uniform(rng, 2, 60), log_uniform(rng, 2, 30)
    links = "".join(f"x-{n}: &l{n} [{', '.join([f'*l{n - 1}'] * width)}]\n" for n in range(1, levels))
    return f"x-0: &l0 [lol, lol]\n{links}{_SERVICES}"


def _laughs_of_mappings(rng: Chance) -> str:
    levels = log_uniform(rng, 2, 60)
    pairs = "".join(f"x-{n}: &l{n} {{a: *l{n - 1}, b: *l{n - 1}, c: *l{n - 1}}}\n" for n in range(1, levels))
    return f"x-0: &l0 {{image: i}}\n{pairs}services: {{a: *l{levels - 1}}}\n"


def _quadratic(rng: Chance) -> str:
    count = log_uniform(rng, 10, 3_000)
    return f"x-a: &a [{', '.join(['x'] * count)}]\nx-b: [{', '.join(['*a'] * count)}]\n{_SERVICES}"


def _quadratic_text(rng: Chance) -> str:
    size = log_uniform(rng, 10, 1_000_000)
    return f"x-a: &a {'x' * size}\nservices:\n" + _lines(
        "  s{n}: {{image: i, command: *a}}\n", log_uniform(rng, 1, 5_000)
    )


def _merges(rng: Chance) -> str:
    levels, width = log_uniform(rng, 2, 2_000), log_uniform(rng, 1, 40)
    chain = "".join(f"x-{n}: &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * width)}]\n  K{n}: v\n" for n in range(1, levels))
    return f"x-0: &m0 {{K: v}}\n{chain}{_HEAD}    environment: *m{levels - 1}\n"


def _merges_of_one(rng: Chance) -> str:
    keys, users = log_uniform(rng, 10, 20_000), log_uniform(rng, 10, 20_000)
    base = "x-base: &b\n" + _lines("  K{n}: v\n", keys)
    return f"{base}services:\n" + _lines("  s{n}: {{image: i, environment: {{<<: *b}}}}\n", users)


def _merge_doubled(rng: Chance) -> str:
    return "x-a: &a {image: i}\nservices:\n  a:\n" + "    <<: *a\n" * log_uniform(rng, 2, 20_000)


def _deep_flow(rng: Chance) -> str:
    depth, sign = log_uniform(rng, 10, 1_000_000), rng.choice(["[", "{a: ", "[{a: ", "? [", "{? "])
    return _SERVICES + "x-a: " + sign * depth + ("]" * depth if rng.random() < 0.5 else "")


def _deep_block(rng: Chance) -> str:
    depth = log_uniform(rng, 10, 2_000)
    if rng.random() < 0.3:
        return _SERVICES + "x-a:\n " + "- " * depth * 50 + "x\n"
    return _SERVICES + "".join(" " * n + rng.choice(["x-a", "x"]) + ":\n" for n in range(depth))


def _huge_scalar(rng: Chance) -> str:
    size = log_uniform(rng, 100, 9_000_000)
    key = rng.choice(["image", "command", "mem_limit", "ports", "cpus", "stop_grace_period", "user", "pids_limit"])
    text = rng.choice(["x", "9", "a ", "1s", "-", "'a' ", "\\\\", "é", "$$", "1-", ":"]) * (size // 2)
    return _SERVICES[:-2] + f', b: {{image: i, {key}: "{text}"}}}}\n'


def _huge_block_scalar(rng: Chance) -> str:
    return _HEAD + "    command: " + rng.choice("|>") + "\n" + _lines("      line {n}\n", log_uniform(rng, 10, 200_000))


def _cycle(rng: Chance) -> str:
    ring = log_uniform(rng, 1, 100)
    kinds = ["x-a: &a [*a]", "x-a: &a {b: *a}", "x-a: &a {<<: *a}", "x-a: &a [&b [*a, *b]]", "&a services: *a", "&a *a"]
    return rng.choice(kinds) + "\n" + "x-c: " + "&c [" * ring + "*c" + "]" * ring + "\n" + _SERVICES


def _documents(rng: Chance) -> str:
    count = log_uniform(rng, 2, 60_000)
    return rng.choice(["---\n", "--- {}\n", "---\n" + _SERVICES, "--- &a x\n...\n"]) * count


def _many_keys(rng: Chance) -> str:
    count = log_uniform(rng, 10, 150_000)
    if rng.random() < 0.5:
        return _HEAD + "    environment:\n" + _lines("      K{n}: v\n", count)
    return _SERVICES + _lines(rng.choice(["x-{n}: \n", "key{n}: x\n"]), count)


def _many_services(rng: Chance) -> str:
    line = rng.choice(
        [
            "  s{n}: {{image: i}}\n",
            "  s{n}: {{image: i, networks: [n{n}], volumes: ['v{n}:/x'], secrets: [s{n}]}}\n",
            "  s{n}: {{image: i, depends_on: [s{before}, s1, s2]}}\n",
            "  s{n}: {{image: i, links: ['s1:l{n}']}}\n",
            "  s{n}: {{image: i, imgae: x, prots: [], x-envspin: {{raedy: x}}}}\n",
            "  s{n}: {{}}\n",
        ]
    )
    return "services:\n  s0: {image: i}\n" + _lines(line, log_uniform(rng, 10, 20_000))


def _long_line(rng: Chance) -> str:
    size = log_uniform(rng, 100, 4_000_000)
    return rng.choice([f"#{'x' * size}\n{_SERVICES}", f"services: {{a: {{image: i}}}}{' ' * size}x", f"{'x ' * size}"])


def _long_key(rng: Chance) -> str:
    size = log_uniform(rng, 10, 2_000_000)
    return _HEAD + rng.choice(
        [f"    ? {'k' * size}\n    : v\n", f"    {'k' * size}: v\n", f"    environment: [{'K' * size}]\n"]
    )


def _anchors(rng: Chance) -> str:
    return _SERVICES + "x-a:\n" + _lines("  - &a{n} x\n", log_uniform(rng, 10, 150_000))


def _redefined_anchor(rng: Chance) -> str:
    return _SERVICES + "x-a:\n  - &a [x]\n" + "  - &a [*a, *a]\n" * log_uniform(rng, 2, 1_000)


def _tags(rng: Chance) -> str:
    tag = rng.choice(
        ["!x", "!!python/object:os.system", "!reset", "!override", "!!binary", "!<tag:x>", "!" + "t" * 500]
    )
    return _SERVICES + "x-a:\n" + f"  - {tag} x\n" * log_uniform(rng, 10, 60_000)


def _tag_directives(rng: Chance) -> str:
    return _lines("%TAG !t{n}! tag:x,{n}:\n", log_uniform(rng, 2, 10_000)) + "---\n" + _SERVICES


def _interpolation(rng: Chance) -> str:
    count = log_uniform(rng, 10, 200_000)
    text = rng.choice(
        [
            "${BIG}" * count,
            "${A:-" * count + "}" * count,
            "${U:-" * min(count, 30) + "x" + "}" * min(count, 30),
            "${A" * count,
            "$" * count,
            "${UNSET:-${BIG}${BIG}}" * count,
            "${U:-{" * count,
            "}" * count,
        ]
    )
    return f"{_HEAD}    command: '{text}'\n" if rng.random() < 0.7 else _flood_of_values(rng)


def _flood_of_values(rng: Chance) -> str:
    value = rng.choice(["${BIG}", "${UNSET}", "${UNSET:?x}", "${", "$U{n}", "${A!}"])
    return (
        _SERVICES
        + "x-a:\n"
        + "".join(f"  - {value.replace('{n}', str(n))}\n" for n in range(log_uniform(rng, 10, 100_000)))
    )


def _ports(rng: Chance) -> str:
    entry = rng.choice(["1-1000", "1-1000:1-1000/udp", "0-65535", "1-65535", "'80'", "{target: 1-1000}", "x"])
    key = rng.choice(["ports", "expose"])
    return f"{_HEAD}    {key}:\n" + f"      - {entry}\n" * log_uniform(rng, 10, 60_000)


def _mounts(rng: Chance) -> str:
    entry = rng.choice(
        ["/v{n}", "v{n}:/v", "./x{n}:/x", "../../x{n}:/y{n}", "{{type: bind, source: /x{n}, target: /x{n}}}"]
    )
    return f"{_HEAD}    volumes:\n" + _lines(f"      - {entry}\n", log_uniform(rng, 10, 40_000))


def _circle(rng: Chance) -> str:
    count = log_uniform(rng, 1, 8_000)
    extra = rng.choice(["", ", s0", f", s{count // 2}"])
    return f"services:\n  s0: {{image: i, depends_on: [s{count}]}}\n" + _lines(
        f"  s{{n}}: {{{{image: i, depends_on: [s{{before}}{extra}]}}}}\n", count
    )


def _extends(rng: Chance) -> str:
    count = log_uniform(rng, 1, 8_000)
    first = rng.choice(
        ["{image: i}", f"{{extends: s{count}}}", "{extends: s0}", "{extends: {service: s0, file: compose.yaml}}"]
    )
    template = rng.choice(
        ["{{extends: s{before}}}", "{{extends: s0}}", "{{extends: {{service: s{before}, file: compose.yaml}}}}"]
    )
    return f"services:\n  s0: {first}\n" + _lines(f"  s{{n}}: {template}\n", count)


def _exports(rng: Chance) -> str:
    size = log_uniform(rng, 10, 500_000)
    text = rng.choice(["{a.host}", "{{", "{", "{a.port", "{secret.x}", "{x.host}"]) * size
    return f"{_SERVICES}x-envspin: {{exports: {{A: '{text}'}}}}\n"


def _pattern(rng: Chance) -> str:
    size = log_uniform(rng, 5, 100_000)
    text = rng.choice(
        ["(a+)+$$", "(" * size, "a{1000}" * (size // 100 + 1), "(a{1000}){1000}{1000}", "[" + "a-z" * size, "|a" * size]
    )
    return f"{_HEAD}    x-envspin: {{ready: {{log: '{text}'}}}}\n"


def _paths(rng: Chance) -> str:
    path = rng.choice(["./", "/", "../", "~/"]) + rng.choice(["a/", "../", "./", "x"]) * log_uniform(rng, 10, 100_000)
    key = rng.choice(
        [
            "env_file: ['{}']",
            "volumes: ['{}:/x']",
            "volumes: ['./x:{}']",
            "build: '{}'",
            "extends: {file: '{}', service: a}",
        ]
    )
    if rng.random() < 0.2:
        return f"include: ['{path}']\n{_SERVICES}"
    return f"{_HEAD}    {key.replace('{}', path)}\n"


_TEXTS: list[Callable[[Chance], str]] = [
    _laughs, _laughs_of_mappings, _quadratic, _quadratic_text, _merges, _merges_of_one, _merge_doubled, _deep_flow,
    _deep_block, _huge_scalar, _huge_block_scalar, _cycle, _documents, _many_keys, _many_services, _long_line,
    _long_key,
    _anchors, _redefined_anchor, _tags, _tag_directives, _interpolation, _ports, _mounts, _circle, _extends, _exports,
    _pattern,
    _paths,
]  # fmt: skip


def _fan_of_includes(rng: Chance) -> dict[str, str]:
    count = log_uniform(rng, 1, 300)
    target = rng.choice(["f{n}.yaml", "f0.yaml", "compose.yaml"])
    files = {MAIN: "include:\n" + _lines(f"  - {target}\n", count) + _SERVICES}
    return files | {f"f{n}.yaml": f"services: {{s{n}: {{image: i}}}}\n" for n in range(min(count, 30) + 1)}


def _tower_of_includes(rng: Chance) -> dict[str, str]:
    """Each file includes the next one several times: without a limit the work doubles at each level."""
    height, width = rng.randint(2, 25), rng.randint(1, 4)
    files = {f"f{n}.yaml": f"include: [{', '.join([f'f{n + 1}.yaml'] * width)}]\n" for n in range(height)}
    last = rng.choice([_SERVICES, "include: [f0.yaml]\n", "include: [compose.yaml]\n"])
    return files | {MAIN: "include: [f0.yaml]\n" + _SERVICES, f"f{height}.yaml": last}


def _tower_of_extends(rng: Chance) -> dict[str, str]:
    height = rng.randint(1, 80)
    files = {
        f"f{n}.yaml": f"services: {{a: {{extends: {{file: f{n + 1}.yaml, service: a}}}}}}\n" for n in range(height)
    }
    last = rng.choice([_SERVICES, "services: {a: {extends: {file: f0.yaml, service: a}}}\n"])
    return files | {MAIN: "services: {a: {extends: {file: f0.yaml, service: a}}}\n", f"f{height}.yaml": last}


def _heavy_environment_file(rng: Chance) -> dict[str, str]:
    size = log_uniform(rng, 10, 200_000)
    text = rng.choice(
        ["K{n}=v\n", "x\n", "A=${A}${A}\n", "K{n}=$K{before}$K{before}\n", "'", 'A="\\\n', "A='", "# \n", "A=a #"]
    )
    files = {name: _lines(text.replace("${A}", "${{A}}"), size) for name in (".env", "vars_file") if rng.random() < 0.7}
    return files | {MAIN: f"{_HEAD}    env_file: vars_file\n  b: {{image: i, env_file: [vars_file, vars_file]}}\n"}


_SETS = [_fan_of_includes, _tower_of_includes, _tower_of_extends, _heavy_environment_file]
BOMBS = [*_TEXTS, *_SETS]


def bomb(rng: Chance) -> Case:
    """Return a bomb of a random kind and size."""
    made = rng.choice(BOMBS)(rng)
    files = made if isinstance(made, dict) else {MAIN: made}
    return Case({name: encode(text) for name, text in files.items()}, allow_unsafe=rng.random() < 0.7)
