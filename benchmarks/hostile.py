"""Files that nobody writes in good faith, of each known kind: every one must be refused, soon and in little memory.

A kind is a function that returns the files of one folder, ``compose.yaml`` among them. Some are as large as a file may
be; those that would be valid end in a key that does not exist, so that all of them has to be read.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from envspin.topology.limits import (
    COMMANDS,
    ENVIRONMENT,
    EXPANDED,
    MOUNTS,
    PATHS,
    VALUES,
    VARIABLES,
)
from envspin.topology.limits import (
    SERVICES as MOST_SERVICES,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Files = dict[str, str | bytes]

MIB = 1024 * 1024
LARGEST = 8 * MIB
ITEMS = VALUES.most - 2_000
"""About as many values as are read at all."""
PAIRS = ITEMS // 2
SERVICES = ITEMS // 4
WRONG = "\nwrong-key: 1\n"
PLAIN = "services: {a: {image: i}}\n"
SEED = 20261123


def repeat(template: str, count: int) -> str:
    """Return ``count`` copies, each with its number."""
    return "".join(template.format(n=number) for number in range(count))


def fill(unit: str, size: int = LARGEST - 1024) -> str:
    """Return as many copies as fit into ``size`` bytes."""
    return unit * (size // len(unit.encode()))


def of_services(lines: Iterable[str], more: str = "") -> Files:
    return {"compose.yaml": "services:\n" + "".join(f"  {line}\n" for line in lines) + more}


def of_service(body: str, more: str = WRONG) -> Files:
    return {"compose.yaml": f"services:\n  a:\n    image: i\n{body}{more}"}


def plain(text: str) -> Files:
    return {"compose.yaml": text}


def laugh() -> Files:
    levels = ["x0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12)]
    return plain("\n".join(levels) + "\n" + PLAIN)


def expand_quadratically() -> Files:
    return plain(f"x-a: &a [{'x, ' * 50_000}]\nx-b: [{'*a, ' * 50_000}]\n" + PLAIN)


def alias_texts() -> Files:
    return plain(f"x-a: &a {fill('y', 4 * MIB)}\nservices: {{a: {{image: *a, command: [{'*a, ' * 90_000}]}}}}{WRONG}")


def merge_quadratically() -> Files:
    return plain(f"x-a: &a {{{repeat('k{n}: v, ', 30_000)}}}\nx-b: {{<<: [{'*a, ' * 90_000}]}}\n" + PLAIN)


def merge_upwards() -> Files:
    levels = ["x-0: &x0 {" + repeat("k{n}: v, ", 100) + "}"]
    levels += [f"x-{n}: &x{n} {{<<: [*x{n - 1}, *x{n - 1}], own{n}: v}}" for n in range(1, 40)]
    return plain("\n".join(levels) + "\n" + PLAIN)


def merge_services() -> Files:
    return of_services(
        ["a: &a", "  image: i", "  environment: {" + repeat("V{n}: x, ", 1_000) + "}"]
        + [f"s{n}: {{<<: *a}}" for n in range(20_000)]
    )


def extend_large() -> Files:
    """One large service, and thousands that extend it."""
    base = ["a:", "  image: i", "  environment: {" + repeat("V{n}: x, ", 20_000) + "}"]
    return of_services([*base, *(f"s{n}: {{extends: a}}" for n in range(15_000))])


def extend_and_add() -> Files:
    """The same, where each of them has to be merged."""
    base = ["a:", "  image: i", "  environment: {" + repeat("V{n}: x, ", 20_000) + "}"]
    return of_services([*base, *(f"s{n}: {{extends: a, environment: {{A: b}}}}" for n in range(12_000))])


def extend_in_chains() -> Files:
    return of_services(["s0: {image: i}", *(f"s{n}: {{extends: s{n - 1}}}" for n in range(1, 20_000))])


def extend_in_circles() -> Files:
    return of_services([f"s{n}: {{extends: s{(n + 1) % 40}}}" for n in range(20_000)])


def extend_a_fan_of_files() -> Files:
    body = PLAIN + "x-a: [" + "x, " * 20_000 + "]\n"
    files: Files = {f"f{n}.yaml": body for n in range(190)}
    return files | of_services([f"s{n}: {{extends: {{file: f{n}.yaml, service: a}}}}" for n in range(190)], WRONG)


def include_a_fan() -> Files:
    files: Files = {f"f{n}.yaml": f"services: {{s{n}: {{image: i}}}}\n" for n in range(300)}
    return files | plain(f"include: [{repeat('f{n}.yaml, ', 300)}]\n" + PLAIN)


def include_large_files() -> Files:
    files: Files = {
        f"f{n}.yaml": "x-a: " + fill("y", 7 * MIB) + f"\nservices: {{s{n}: {{image: i}}}}\n" for n in range(9)
    }
    return files | plain(f"include: [{repeat('f{n}.yaml, ', 9)}]\n" + PLAIN + WRONG)


def include_doubling() -> Files:
    files: Files = {f"f{n}.yaml": f"include: [f{n + 1}.yaml, ./f{n + 1}.yaml]\n" + PLAIN for n in range(30)}
    return files | {"f30.yaml": PLAIN} | plain("include: [f0.yaml]\n" + PLAIN)


def include_in_circles() -> Files:
    names = [f"f{n}.yaml" for n in range(20)]
    everything = f"include: [{', '.join(names)}]\n" + PLAIN
    return dict.fromkeys(names, everything) | plain(everything)


def share_variables() -> Files:
    """One file of variables, and thousands of services that take them all."""
    variables = repeat("V{n}=x\n", 100_000)
    return {"many.env": variables} | of_services([f"s{n}: {{image: i, env_file: many.env}}" for n in range(10_000)])


def multiply_variables() -> Files:
    lines = ["A0=" + "x" * 1000, *(f"A{n}=" + f"${{A{n - 1}}}" * 10 for n in range(1, 30))]
    return {".env": "\n".join(lines)} | plain("x-a: ${A29}\n" + PLAIN)


def multiply_texts() -> Files:
    return {".env": "BIG=" + "x" * 500_000} | plain("x-a:\n" + repeat("  - ${{BIG}}\n", 50_000) + PLAIN)


def tangle(rng: random.Random, count: int) -> list[str]:
    names = [f"s{rng.randrange(count)}" for _ in range(count * 3)]
    return [
        f"s{n}: {{image: i, depends_on: [s{n}x, {', '.join(dict.fromkeys(names[n * 3 : n * 3 + 3]))}]}}"
        for n in range(count)
    ]


def depend_in_circles() -> Files:
    everybody = ", ".join(f"s{n}" for n in range(300))
    return of_services(f"s{n}: {{image: i, depends_on: [{everybody}]}}" for n in range(300))


def depend_in_a_long_circle() -> Files:
    return of_services(f"s{n}: {{image: i, depends_on: [s{(n + 1) % 15_000}]}}" for n in range(15_000))


def depend_densely() -> Files:
    """Nearly as many dependencies as a file can hold, without a circle."""
    return of_services((f"s{n}: {{image: i, depends_on: [{repeat('s{n}, ', n)}]}}" for n in range(430)), WRONG)


def share_service(body: str, values: int) -> Files:
    """One service of so many values and aliases of it, which expand to nearly as much as they may."""
    count = min(EXPANDED.most // (values + 6), MOST_SERVICES.most) - 100
    return of_services(["b: {image: i}", f"s: &s {{image: i, {body}}}", *(f"s{n}: *s" for n in range(count))], WRONG)


def share_command(command: str) -> Files:
    """As many services with a long command line as may have one."""
    return of_services((f"s{n}: {{image: i, command: {command}}}" for n in range(COMMANDS.most // 32_100)), WRONG)


def share_mounts() -> Files:
    """Binds that are shared by as many services as may have them."""
    binds = "x-v: &v [" + repeat("./f{n}/g:/data{n}/x:ro, ", 6) + "]\n"
    services = repeat("  s{n}: {{image: i, volumes: *v}}\n", min(PATHS, MOUNTS).most // 6 - 1)
    return plain(binds + "services:\n" + services + WRONG)


def chain_variables() -> Files:
    """A large file of variables, and thousands of small ones after it, all of one service."""
    count = ENVIRONMENT.most // 30_000 - 1
    files: Files = {f"f{n}.env": "W=x\n" for n in range(count)}
    listed = repeat("      - f{n}.env\n", count)
    return files | {"many.env": repeat("V{n}=x\n", 30_000)} | of_service(f"    env_file:\n      - many.env\n{listed}")


def change_shared_variables() -> Files:
    """A file of variables and services that each add one, so that nothing can be shared."""
    services = (f"s{n}: {{image: i, env_file: many.env, environment: {{A: b}}}}" for n in range(3_000))
    return {"many.env": repeat("VARIABLE_{n}=x\n", ENVIRONMENT.most // 3_000 - 2)} | of_services(services, WRONG)


def write_random_text() -> Files:
    alphabet = "abc:-{}[]&*!|>'\"%@`#,? \n\t$<"
    return plain("".join(random.Random(SEED).choices(alphabet, k=LARGEST - 1)))


def write_random_yaml() -> Files:
    rng = random.Random(SEED)
    words = ["a: ", "- ", "b", "[", "]", "{", "}", "\n", "\n  ", "&x ", "*x", "'", '"', "#", "$", "x, ", ": "]
    return plain("".join(rng.choices(words, k=LARGEST // 4)))


KINDS: dict[str, Callable[[], Files]] = {
    "billion laughs": laugh,
    "quadratic aliases": expand_quadratically,
    "aliases of a long text": alias_texts,
    "merge keys, quadratic": merge_quadratically,
    "merge keys, doubling": merge_upwards,
    "merge keys, services": merge_services,
    "flow nesting": lambda: plain(fill("[")),
    "flow mappings, nested": lambda: plain(fill("{a: ")),
    "block nesting": lambda: plain(fill("- ")),
    "block mappings, nested": lambda: plain("".join(" " * n + "a:\n" for n in range(3_900))),
    "complex keys": lambda: plain(fill("? ")),
    "plain text, 8 MiB": lambda: plain(PLAIN + "x-a: " + fill("y") + WRONG),
    "quoted text, 8 MiB": lambda: plain(PLAIN + 'x-a: "' + fill("\\u00e9") + '"' + WRONG),
    "block text, 8 MiB": lambda: plain(PLAIN + "x-a: |\n" + fill("  line\n") + WRONG),
    "folded text, 8 MiB": lambda: plain(PLAIN + "x-a: >\n" + fill("  é\n") + WRONG),
    "text outside the BMP": lambda: plain(PLAIN + "x-a: " + fill("𝄞") + WRONG),
    "a key of 8 MiB": lambda: plain(PLAIN + "? " + fill("k") + "\n: v\n"),
    "larger than 8 MiB": lambda: plain(PLAIN + "# " + "y" * LARGEST),
    "many keys": lambda: plain(PLAIN + repeat("x-{n}: v\n", PAIRS) + WRONG),
    "many keys, unknown": lambda: plain(PLAIN + repeat("k{n}: v\n", PAIRS)),
    "many keys, twice": lambda: plain(PLAIN + "x-a: 1\n" * PAIRS),
    "many empty values": lambda: plain(PLAIN + "x-a: [" + "," * 5 + fill("a,") + "]" + WRONG),
    "many services": lambda: of_services([f"s{n}: {{image: i}}" for n in range(SERVICES)], WRONG),
    "many variables": lambda: of_service("    environment:\n" + repeat("      - V{n}=x\n", ITEMS)),
    "many documents": lambda: plain(fill("---\n")),
    "many directives": lambda: plain(fill("%A b\n")),
    "many anchors": lambda: plain(repeat("- &a{n} x\n", ITEMS)),
    "many tags": lambda: plain(repeat("- !t{n} x\n", ITEMS)),
    "only comments": lambda: plain(fill("# c\n") + WRONG),
    "only line breaks": lambda: plain(fill("\n") + WRONG),
    "short lines": lambda: plain("x-a: |\n" + fill(" ab\n") + WRONG),
    "only tabs": lambda: plain(fill("\t")),
    "one line": lambda: plain("{services: {a: {image: i}}, x-a: [" + "word, " * ITEMS + "], wrong-key: 1}"),
    "wrong lines of 240 characters": lambda: of_services(
        [f"s{n}: {{image: i, {'secre' * 44}: {n}}}" for n in range(20_000)]
    ),
    "a bracket is missing": lambda: plain("services: {" + "a: {image: i}, " * SERVICES),
    "variables nested": lambda: plain(PLAIN + "x-a: " + fill("${A:-")),
    "variables not closed": lambda: plain(PLAIN + "x-a:\n" + repeat("  - ${{A:-{{{{\n", ITEMS)),
    "variables upon variables": lambda: plain(PLAIN + "x-a: " + fill("$A") + WRONG),
    "variables with defaults": lambda: plain(PLAIN + "x-a: " + fill("${A:-${B:-c}}") + WRONG),
    "braces in a default": lambda: plain(PLAIN + 'x-a: "${A:-' + "${A:-" * 15 + fill("{}") + "}" * 16 + '"' + WRONG),
    "braces in a default, just allowed": lambda: plain(
        PLAIN + 'x-a: "' + "${A:-" * 15 + "{}" * (VARIABLES.most // 2 - 100) + "}" * 15 + '"' + WRONG
    ),
    "variables upon variables, just allowed": lambda: plain(PLAIN + "x-a: " + "$A" * (VARIABLES.most - 100) + WRONG),
    "defaults, just allowed": lambda: plain(
        PLAIN + "x-a:\n" + repeat("  - ${{A:-{n}}}\n", VARIABLES.most // 3 - 100) + WRONG
    ),
    "variables, required": lambda: plain(PLAIN + "x-a:\n" + repeat("  - ${{A{n}:?no}}\n", ITEMS)),
    "variables, unset": lambda: plain(PLAIN + "x-a:\n" + repeat("  - ${{A{n}}}\n", ITEMS) + WRONG),
    "variables multiplied": multiply_variables,
    "texts multiplied": multiply_texts,
    "a file of faulty variables": lambda: {".env": fill("= x\n")} | plain(PLAIN),
    "a file of open quotes": lambda: {".env": fill("A='\n")} | plain(PLAIN),
    "a file of many variables": lambda: {".env": repeat("V{n}=x\n", 700_000)} | plain(PLAIN + WRONG),
    "a file of variables, shared": share_variables,
    "a file of variables, shared and changed": change_shared_variables,
    "files of variables, upon each other": chain_variables,
    "ranges of ports": lambda: of_service("    ports:\n" + "      - 1-1000/udp\n" * ITEMS),
    "ranges of ports, long form": lambda: of_service("    ports:\n" + "      - {target: 1-1000}\n" * (ITEMS // 3)),
    "ranges of ports, exposed": lambda: of_service("    expose:\n" + repeat("      - 1-1000\n", ITEMS)),
    "ports out of range": lambda: of_service("    ports:\n" + repeat("      - {n}:99999\n", ITEMS)),
    "extends, one large service": extend_large,
    "extends, each merged": extend_and_add,
    "extends, in chains": extend_in_chains,
    "extends, in circles": extend_in_circles,
    "extends, a fan of files": extend_a_fan_of_files,
    "include, a fan": include_a_fan,
    "include, large files": include_large_files,
    "include, doubling": include_doubling,
    "include, in circles": include_in_circles,
    "unknown keys of a service": lambda: of_service(repeat("    imagf{n}: x\n", PAIRS)),
    "undefined services": lambda: of_services(tangle(random.Random(SEED), 15_000)),
    "undefined services, few known": lambda: of_services(
        [
            f"service-number-{n:03}: {{image: i, depends_on: [{repeat('service-nomber-{n:04}, ', 60)}]}}"
            for n in range(199)
        ]
    ),
    "undefined networks": lambda: of_services(
        [f"s{n}: {{image: i, networks: [network-{n}]}}" for n in range(15_000)],
        "networks:\n" + repeat("  network_{n}:\n", 15_000),
    ),
    "undefined volumes": lambda: of_service("    volumes:\n" + repeat("      - data{n}:/data{n}\n", ITEMS)),
    "binds outside": lambda: of_service("    volumes:\n" + repeat("      - ../../{n}:/data{n}\n", ITEMS)),
    "mounts": lambda: of_service("    volumes:\n" + repeat("      - ./f{n}/g:/data{n}/x:ro\n", PATHS.most - 100)),
    "mounts of volumes": lambda: of_service(
        "    volumes:\n" + repeat("      - data:/data{n}/x:ro\n", MOUNTS.most - 100), "\nvolumes: {data: }" + WRONG
    ),
    "files of variables": lambda: of_service(
        "    env_file:\n" + repeat("      - {{path: f{n}, required: false}}\n", PATHS.most - 100)
    ),
    "hosts": lambda: of_service("    extra_hosts:\n" + repeat("      - h{n}:1.2.3.4\n", ITEMS)),
    "labels": lambda: of_service("    labels:\n" + repeat("      l{n}: x\n", PAIRS)),
    "limits": lambda: of_service("    ulimits:\n" + repeat("      l{n}: {n}\n", PAIRS)),
    "secrets": lambda: of_service("    secrets:\n" + repeat("      - {{source: s, target: t{n}}}\n", ITEMS // 6)),
    "networks": lambda: of_service(
        "    networks:\n" + repeat("      n{n}:\n", PAIRS // 2), "networks:\n" + repeat("  n{n}:\n", PAIRS // 2) + WRONG
    ),
    "shared services": lambda: share_service("environment: {" + repeat("V{n}: x, ", 40) + "}, depends_on: [b]", 84),
    "shared lists of variables": lambda: share_service("environment: [" + repeat("V{n}=x, ", 80) + "]", 82),
    "shared hosts": lambda: share_service("extra_hosts: [" + repeat("'h{n}:1.2.3.{n}', ", 80) + "]", 82),
    "shared addresses": lambda: share_service("dns: [" + repeat("1.2.3.{n}, ", 80) + "]", 82),
    "shared ports": lambda: share_service("ports: [" + repeat("{{target: 1{n}, protocol: udp}}, ", 16) + "]", 82),
    "shared tmpfs": lambda: share_service("tmpfs: [" + repeat("'/d{n}:size=1m,mode=755', ", 80) + "]", 82),
    "shared secrets, undefined": lambda: share_service(
        "secrets: [" + repeat("{{source: s, target: t{n}}}, ", 16) + "]", 82
    ),
    "shared mounts": share_mounts,
    "dense dependencies": depend_densely,
    "dependencies in circles": depend_in_circles,
    "dependencies in a long circle": depend_in_a_long_circle,
    "links": lambda: of_services(
        ["b: {image: i}", "a:", "  image: i", "  links:"] + [f"  - b:x{n}" for n in range(ITEMS)], WRONG
    ),
    "commands": lambda: share_command("'" + "a " * 16_000 + "'"),
    "commands of quotes": lambda: share_command("'" + '"a" ' * 8_000 + "'"),
    "commands of escapes": lambda: share_command("'" + "\\a " * 10_600 + "'"),
    "commands that do not end": lambda: share_command("a" * 32_000 + "\\"),
    "durations": lambda: of_service("    stop_grace_period: " + fill("1m") + "x\n"),
    "a template of braces": lambda: plain(PLAIN + "x-envspin: {exports: {A: '" + fill("{{") + "'}}" + WRONG),
    "a template of unknown names": lambda: plain(PLAIN + "x-envspin: {exports: {A: '" + fill("{b.host}") + "'}}"),
    "patterns": lambda: of_service("    x-envspin: {ready: {log: '" + fill("(a*)*", 60_000) + "'}}\n"),
    "random bytes": lambda: {"compose.yaml": random.Random(SEED).randbytes(LARGEST - 1)},
    "random text": write_random_text,
    "random YAML": write_random_yaml,
    "zero bytes": lambda: {"compose.yaml": bytes(LARGEST - 1)},
}
