"""A watcher that only listens, and an in-memory engine whose environments want one."""

from __future__ import annotations

import threading
from dataclasses import replace

from envspin.engine.base import EngineInfo
from envspin.engine.fake import FakeEngine, FakeImage, Line, Script
from envspin.errors import EngineError
from envspin.run.watcher.marks import Marks
from envspin.run.watcher.waiting import Book

ENGINE = "unix:///engine.sock"
PROMPT = Script(lines=(Line("ready"),))
MAKING = {"create_network", "create_volume", "create_container"}


class ListeningWatcher:
    """Keeps what it is told; ``fails`` makes its process one that cannot be started."""

    def __init__(self, *, fails: bool = False) -> None:
        self.words: list[tuple[str, ...]] = []
        self.book = Book()
        self.fails = fails
        self.marks = Marks()
        self._lock = threading.Lock()

    def tell(self, *words: str) -> None:
        with self._lock:
            self.words.append(words)
            self.book.note("\t".join(words))

    def forget(self, word: str, run: str) -> bool:
        with self._lock:
            self.words.append((word, run))
            left = self.book.note(f"{word}\t{run}") is not None and run in self.book.runs
            self.book.forget(run)
            return left

    def require_started(self) -> None:
        self.words.append(("required",))
        if self.fails:
            raise EngineError("the watcher cannot be started")


class LastingEngine(FakeEngine):
    """An engine whose environments outlive their owner, as a real one's do, and that notes what is pending."""

    def __init__(self, watcher: ListeningWatcher | None = None, **options) -> None:
        super().__init__(default_image=FakeImage(PROMPT), **options)
        self.watcher = watcher
        self.unannounced: list[str] = []

    def info(self) -> EngineInfo:
        return replace(super().info(), is_persistent=True, address=ENGINE)

    def note_call(self, verb, subject):
        if verb in MAKING and self.watcher is not None:
            names = {name for names in self.watcher.book.pending.values() for name in names}
            if subject.name not in names:
                self.unannounced.append(subject.name)
        return super().note_call(verb, subject)
