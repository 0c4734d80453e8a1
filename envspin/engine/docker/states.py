"""Starting, stopping, pausing: never done twice because of a lost answer.

A container tells by its state whether a call got through, so it is looked at for a while before the call is made again.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_exponential

from envspin.engine.docker.calls import SETTLE_SECONDS
from envspin.engine.docker.failures import raise_for_status
from envspin.errors import EngineError, UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from envspin.engine.docker.calls import Verb
    from envspin.engine.docker.client import ClientPool

DEFAULT_GRACE_SECONDS = 10
"""How long an engine waits after the stop signal where nobody says."""

SAME_MOMENT_SECONDS = 1.0
"""How far the engine's clock may lag behind ours."""

State = dict[str, Any]


def start(pool: ClientPool, container_id: str) -> None:
    """Start a container."""
    sent = time.time()
    _change(
        pool,
        "start",
        container_id,
        "starting a container",
        lambda client: client.start(container_id),
        lambda state: _was_started(state, sent),
    )


def _was_started(state: State, sent: float) -> bool:
    """Tell whether a container was started since ``sent``; raise UnansweredError where that cannot be known."""
    if state["Status"] in {"running", "paused", "restarting"}:
        return True
    started_at = _read_time(str(state.get("StartedAt") or ""))
    if state["Status"] == "created" and started_at is None:
        return False
    if started_at is not None and started_at > sent - SAME_MOMENT_SECONDS:
        return True
    raise UnansweredError("the engine's answer to a start was lost, and whether it happened cannot be seen")


def _read_time(text: str) -> float | None:
    """Read a Go time; None for Go's zero, which stands for never."""
    return None if not text or text.startswith("0001-") else datetime.fromisoformat(text).timestamp()


def stop(pool: ClientPool, container_id: str, grace_seconds: float | None) -> None:
    """Stop a container, killing it after the grace period; its own where ``grace_seconds`` is None."""
    params = {} if grace_seconds is None else {"t": str(round(grace_seconds))}
    grace = _read_grace(pool, container_id) if grace_seconds is None else grace_seconds

    def send(client: docker.APIClient) -> None:
        # The SDK's own call needs a timeout in seconds and so cannot leave it to the container's StopTimeout.
        url = f"{client.base_url}/v{client.api_version}/containers/{container_id}/stop"
        raise_for_status(client.post(url, params=params, timeout=client.timeout))

    _change(pool, "stop", container_id, "stopping a container", send, _has_ended, extra_seconds=grace)


def _read_grace(pool: ClientPool, container_id: str) -> float:
    document = pool.call("inspect", "stopping a container", lambda client: client.inspect_container(container_id))
    own = (document.get("Config") or {}).get("StopTimeout")
    return float(DEFAULT_GRACE_SECONDS if own is None else own)


def _has_ended(state: State) -> bool:
    return not state["Running"]


def pause(pool: ClientPool, container_id: str) -> None:
    """Freeze all processes of a container."""
    doing = "pausing a container"
    _change(pool, "pause", container_id, doing, lambda client: client.pause(container_id), _is_paused)


def unpause(pool: ClientPool, container_id: str) -> None:
    """Let frozen processes go on."""
    doing = "unpausing a container"
    _change(
        pool,
        "unpause",
        container_id,
        doing,
        lambda client: client.unpause(container_id),
        lambda state: not _is_paused(state),
    )


def _is_paused(state: State) -> bool:
    return bool(state["Paused"])


def _change(
    pool: ClientPool,
    verb: Verb,
    container_id: str,
    doing: str,
    send: Callable[[docker.APIClient], object],
    is_done: Callable[[State], bool],
    *,
    extra_seconds: float = 0.0,
) -> None:
    """Make a call; where its answer is lost, look whether it took effect, and only else make it once more."""

    def look() -> bool:
        document = pool.call("inspect", doing, lambda client: client.inspect_container(container_id))
        return is_done(document["State"])

    try:
        pool.call(verb, doing, send, extra_seconds=extra_seconds)
    except UnansweredError:
        pass
    else:
        return
    if _becomes_true(look):
        return
    try:
        pool.call(verb, doing, send, extra_seconds=extra_seconds)
    except EngineError:
        if not look():  # the first may have come through after all, and made the second a conflict
            raise


def _becomes_true(look: Callable[[], bool]) -> bool:
    wait_for_it = Retrying(
        retry=retry_if_result(lambda done: not done),
        stop=stop_after_delay(SETTLE_SECONDS),
        wait=wait_exponential(multiplier=0.02, max=0.2),
        retry_error_callback=lambda _: False,
    )
    return bool(wait_for_it(look))
