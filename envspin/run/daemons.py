"""Worker threads that nobody waits for at the end of the process.

Those of ``ThreadPoolExecutor`` are waited for, whatever they do: a process that has nothing left to do would stay for
as long as an engine takes to remove what somebody else left behind.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")
Parameters = ParamSpec("Parameters")


@dataclass(frozen=True, slots=True)
class _Task:
    future: Future[Any]
    call: Callable[[], Any]

    def do(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            value = self.call()
        except BaseException as error:  # noqa: BLE001 - whoever asks for the value gets it
            self.future.set_exception(error)
        else:
            self.future.set_result(value)


class DaemonExecutor(Executor):
    """Calls functions side by side; work is given to it by one thread."""

    def __init__(self, workers: int, *, name: str) -> None:
        self._most = workers
        self._name = name
        self._threads: list[threading.Thread] = []
        self._work: SimpleQueue[_Task | None] = SimpleQueue()

    def submit(
        self, function: Callable[Parameters, Value], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Value]:
        """Have the function called by the next thread that is free, or at once where the system gives no thread."""
        future: Future[Value] = Future()
        self._work.put(_Task(future, partial(function, *args, **kwargs)))
        if len(self._threads) < self._most:
            self._hire()
        return future

    def _hire(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there are too many, or this process is ending
            if not self._threads:
                self._work.put(None)
                self._serve()
        else:
            self._threads.append(thread)

    def _serve(self) -> None:
        while (task := self._work.get()) is not None:
            task.do()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in Executor
        """Take no more work; with ``wait`` return when all is done, with ``cancel_futures`` drop what has not begun."""
        while cancel_futures and not self._work.empty():
            with suppress(Empty):  # a thread was quicker
                if (task := self._work.get_nowait()) is not None:
                    task.future.cancel()
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads if wait else ():
            thread.join()
