"""Every command in one line: what ``envspin --help`` prints, and where each command's module is.

Nothing is imported here, so that the help costs no more than starting Python.
"""

SECTIONS = {
    "Run": {
        "up": "Start a topology and stream its logs; Ctrl-C removes it all.",
        "run": "Start a topology, run a command against it, remove it.",
        "down": "Remove environments.",
        "keep": "Let an environment that was left running stay longer, or shorter.",
        "gc": "Remove what ended runs have left behind.",
    },
    "Look and touch": {
        "ls": "List environments.",
        "ps": "List the services of an environment.",
        "logs": "Show the output of services.",
        "exec": "Run a command inside a service's container.",
        "port": "Print where a service's port is reached.",
        "env": "Print the variables that lead to an environment.",
    },
    "Understand a topology": {
        "config": "Print the merged topology as Compose; `config diff` compares two.",
        "plan": "Show what `up` would do, in order; touches nothing.",
        "graph": "Draw the dependency graph.",
        "schema": "Print the JSON Schema of topologies, for editors.",
    },
    "Pin": {
        "lock": "Write envspin.lock: the digests that tags stand for.",
        "drift": "Say what no longer is as it was locked.",
        "bundle": "Save all locked images in one file; `bundle load` reads it.",
    },
    "Set up": {
        "doctor": "Check this machine and say what mends it.",
        "engine": "Start or stop a private engine where none runs.",
        "completion": "Print the completion script for bash, zsh or fish.",
    },
}
"""Section -> command -> what it does."""

COMMANDS = {name: text for commands in SECTIONS.values() for name, text in commands.items()}

MODULES = {name: f"envspin.cli.commands.{'execute' if name == 'exec' else name}" for name in COMMANDS}
"""Where each command lives, as a click command called ``command``."""

_HEAD = """\
Usage: envspin [--version] [-h | --help] COMMAND [ARGS]...

  Ephemeral test environments from Compose files: pinned, isolated, ready in
  dependency order, gone afterwards.
"""

_TAIL = """
FILE is a folder with a Compose file, or the file itself; the current folder if
omitted. ENV is an environment's name, the beginning of it, or a topology's
folder; it may be omitted where only one environment exists.

Exit codes: 0 done, 2 bad usage or topology, 3 a service did not become ready,
4 an engine or registry failed or is not there, 5 drift, or a lock that does not
fit, 70 a fault of envspin, 124 timeout, 130 interrupted.

`envspin COMMAND --help` says more. Start with `envspin doctor`.
"""


def render_help() -> str:
    """Return the help of ``envspin`` itself."""
    width = max(map(len, COMMANDS))
    lines = [_HEAD]
    for section, commands in SECTIONS.items():
        lines.append(f"{section}:\n")
        lines.extend(f"  {name:<{width}}  {text}\n" for name, text in commands.items())
        lines.append("\n")
    return "".join([lines[0], "\n", *lines[1:-1]]) + _TAIL
