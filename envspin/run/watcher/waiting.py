"""The watcher while its owner lives: a program of its own that imports next to nothing, so that it starts in 15 ms.

It is run by its path, in an interpreter without site-packages. Its owner is its parent when it starts; it leaves that
family and session at once, holds the owner by a pidfd (by the start time where there is none), says ``+`` and then
reads what the owner writes: which runs are open, and which creates are under way. When the owner has ended with a run
still open, this process becomes ``envspin.run.watcher.removal``.

Words are lines of tab-separated fields, written before what they speak of is done; what a killed owner has written
can still be read::

    open      RUN ENV ADDRESS   objects of this run may exist from now on, on this engine
    creating  RUN NAME PLACE TIME
                                a create is under way, not before that Unix time; if it has a place (or else an empty
                                one), the byte there is set when it leaves
    settled   RUN NAME          its answer has come
    closed    RUN               nothing of the run is left, or a lease holds it
    abandoned RUN               its owner could not remove it: do it now
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

ACKNOWLEDGEMENT = b"+"
ALONE = ("-S", "-P", "-s")
"""Options of an interpreter that imports from its standard library alone; unlike ``-I`` they heed PYTHONHOME."""

POLL_SECONDS = 0.5
"""How often the owner is looked for where the system has no pidfd."""

CHUNK = 65536
JOURNAL = 0
"""The descriptor of the socket to the owner."""
MARKS = 1
"""The descriptor of the bytes that say which creates have left."""
ERRORS = 2


def has_left(place: str) -> bool:
    """Tell whether a create was asked for; where that is not known, it may have been."""
    try:
        return not place or os.pread(MARKS, 1, int(place)) != b"\0"
    except (OSError, ValueError):
        return True


class Book:
    """What an owner has told: open runs as ``run -> (env, address)``, and of each the creates without an answer.

    Those are the names of what is created, each with the place of its mark and the time of its word.
    """

    def __init__(self) -> None:
        self.runs: dict[str, tuple[str, str]] = {}
        self.pending: dict[str, dict[str, tuple[str, str]]] = {}

    def note(self, line: str) -> str | None:
        """Take a word; return the run that is to be removed now, if it asks for that."""
        word, run, *rest = line.split("\t")
        if word == "open":
            self.runs[run] = (rest[0], rest[1])
        elif word == "creating":
            self.pending.setdefault(run, {})[rest[0]] = (rest[1], rest[2])
        elif word == "settled":
            self.pending.get(run, {}).pop(rest[0], None)
        elif word == "abandoned" or self.pending.get(run):
            return run  # also where a create has no answer yet: what it makes would come after the clean-up
        else:
            self.forget(run)
        return None

    def forget(self, run: str) -> None:
        """Give a run up: it is in order, or somebody else's to remove."""
        self.runs.pop(run, None)
        self.pending.pop(run, None)

    def list_words(self, run: str) -> list[str]:
        """Return the words that tell another process of a run."""
        env, address = self.runs[run]
        creates = ["\t".join(("creating", run, name, *rest)) for name, rest in self.pending.get(run, {}).items()]
        return [f"open\t{run}\t{env}\t{address}", *creates]

    def forget_unsent(self) -> None:
        """Give up the creates that were announced, but never left."""
        for names in self.pending.values():
            for name in [name for name, (place, _) in names.items() if not has_left(place)]:
                del names[name]


def read_start(pid: int) -> str | None:
    """Return when a process started, as /proc says; None where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - no pathlib here
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


class Owner:
    """The process that is watched."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._start = read_start(pid)
        try:
            self.descriptor: int | None = os.pidfd_open(pid)
        except (OSError, AttributeError):  # an old kernel, or another system
            self.descriptor = None

    @property
    def is_known(self) -> bool:
        """Whether its end can be seen for certain; else the end of its journal counts for it."""
        return self.descriptor is not None or self._start is not None

    def has_ended(self) -> bool:
        """Look whether it lives; a process id that was given to another process does not count."""
        if self.descriptor is not None:
            return bool(select.select([self.descriptor], [], [], 0)[0])
        if self._start is not None:
            return read_start(self._pid) != self._start
        try:
            os.kill(self._pid, 0)
        except OSError:
            return True
        return False


def leave_family() -> None:
    """Become nobody's child in a session of one's own; end where the owner has gone already.

    A child would be waited for by owners that wait for all of theirs, and killed with their process group.
    """
    if os.fork():
        os._exit(0)
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.write(JOURNAL, ACKNOWLEDGEMENT)
    silence(ERRORS)


def silence(descriptor: int) -> None:
    """Let go of what a descriptor leads to."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def listen(owner: Owner, book: Book, label: str) -> None:
    """Follow the owner's words until it has ended and all that it wrote was read."""
    poller = select.poll()
    poller.register(JOURNAL, select.POLLIN)
    if owner.descriptor is not None:
        poller.register(owner.descriptor, select.POLLIN)
    rest, is_open = b"", True
    waiting = None if owner.descriptor is not None else POLL_SECONDS * 1000
    while is_open or book.runs:
        has_ended = owner.has_ended()  # asked before the journal: what was written before the end is then there
        if JOURNAL in dict(poller.poll(0 if has_ended else waiting)):
            chunk = read_journal()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                run = book.note(line.decode(errors="replace"))
                if run is not None:
                    remove_beside(label, book, run)
            if not chunk:
                poller.unregister(JOURNAL)
                is_open = False
                if not owner.is_known:
                    return
        elif has_ended:
            return


def read_journal() -> bytes:
    """Read what is there; nothing once the owner has closed its end."""
    try:
        return os.read(JOURNAL, CHUNK)
    except ConnectionError:
        return b""


def remove_beside(label: str, book: Book, run: str) -> None:
    """Let another process remove a run while this one goes on watching; where none is to be had, keep it."""
    if run in book.runs:
        try:
            if os.fork() == 0:
                _begin_removal(label, book, run)
        except OSError:
            return
        _, status = os.wait()
        if status:
            return
    book.forget(run)


def _begin_removal(label: str, book: Book, run: str) -> None:
    """Go on in a child of this process, which ends at once; tell by its exit code whether there is one."""
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    book.forget_unsent()
    become_removal(label, book.list_words(run))
    os._exit(0)


def become_removal(label: str, words: list[str]) -> None:
    """Go on as the program that removes; an interpreter with all packages this time."""
    silence(JOURNAL)  # the owner must notice if nobody reads its words any more
    silence(MARKS)
    entry = os.path.join(os.path.dirname(__file__), "entry.py")  # noqa: PTH118, PTH120 - no pathlib here
    log = f"{os.environ['ENVSPIN_WATCHER_LOGS']}/{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    try:
        os.execv(sys.executable, [sys.executable, *ALONE, entry, log, label, *words])  # noqa: S606 - no shell is the point
    except OSError as error:
        os.makedirs(os.path.dirname(log), 0o700, exist_ok=True)  # noqa: PTH103, PTH120
        with open(log, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(f"nothing was removed, for {sys.executable} cannot be run any more: {error}\n")


def main(arguments: list[str]) -> None:
    """Watch the parent process: its label, then its id."""
    label, pid = arguments[0], int(arguments[1])
    owner = Owner(pid)
    if os.getppid() != pid:  # it ended before it could be held: nothing was made yet
        return
    leave_family()
    book = Book()
    listen(owner, book, label)
    book.forget_unsent()
    if book.runs:
        become_removal(label, [word for run in book.runs for word in book.list_words(run)])


if __name__ == "__main__":
    main(sys.argv[1:])
