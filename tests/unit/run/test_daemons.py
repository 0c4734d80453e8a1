"""Work done side by side by threads that nobody has to wait for."""

from __future__ import annotations

import threading
from concurrent.futures import wait

import pytest

from envspin.run.daemons import DaemonExecutor


def test_so_many_work_at_once_and_all_is_done():
    everybody = threading.Barrier(3)
    with DaemonExecutor(3, name="test") as pool:
        futures = [pool.submit(everybody.wait, 30) for _ in range(6)]
    assert sorted(future.result() for future in futures) == [0, 0, 1, 1, 2, 2]


def test_the_threads_are_daemons_and_end_with_the_work():
    with DaemonExecutor(2, name="test") as pool:
        thread = pool.submit(threading.current_thread).result()
        assert thread.daemon
    assert not thread.is_alive()


def test_a_failure_comes_to_who_asks_and_keeps_nothing_else_from_being_done():
    with DaemonExecutor(1, name="test") as pool:
        failed, done = pool.submit(int, "x"), pool.submit(int, "1")
    with pytest.raises(ValueError, match="x"):
        failed.result()
    assert done.result() == 1


def test_what_has_not_begun_can_be_called_off():
    pool, begun, release = DaemonExecutor(1, name="test"), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return release.wait(30)

    first, second = pool.submit(work), pool.submit(int)
    begun.wait(30)
    pool.shutdown(wait=False, cancel_futures=True)
    assert (second.cancelled(), first.done()) == (True, False)
    release.set()
    assert first.result()


def test_where_the_system_gives_no_thread_the_work_is_done_all_the_same(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    pool = DaemonExecutor(2, name="test")
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", refuse)
        assert wait([pool.submit(int, "1"), pool.submit(int, "2")], timeout=0).not_done == set()
    assert pool.submit(threading.current_thread).result() is not threading.current_thread()
    pool.shutdown()
