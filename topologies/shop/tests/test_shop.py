"""Follow orders through the running shop, from the outside and in each server that they pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

    from envspin import Environment

pytestmark = pytest.mark.envspin(str(Path(__file__).parent.parent))

WAIT_SECONDS = 15
"""How long an order may take; it takes some hundredths of a second."""


class Answer(NamedTuple):
    status: int
    headers: Message
    text: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the document holds
        return json.loads(self.text)


def request(url: str, body: bytes | None = None) -> Answer:
    """GET, or POST where there is a body; an error status is an answer like any other."""
    try:
        response = urlopen(Request(url, data=body), timeout=10)
    except HTTPError as error:
        response = error
    with response:
        return Answer(response.status, response.headers, response.read().decode())


def poll(operation: Callable[[], Any], done: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - what operation returns
    """Repeat the operation until its result will do; return that result."""
    retrying = Retrying(
        retry=retry_if_result(lambda result: not done(result)),
        stop=stop_after_delay(WAIT_SECONDS),
        wait=wait_fixed(0.05),
        retry_error_callback=lambda state: pytest.fail(f"after {WAIT_SECONDS} s still {state.outcome.result()!r}"),
    )
    return retrying(operation)


def place_order(env: Environment, item: str, quantity: int) -> int:
    body = json.dumps({"item": item, "quantity": quantity}).encode()
    answer = request(f"{env.exports['SHOP_URL']}/api/orders", body)
    assert answer.status == 202, answer
    assert answer.json()["status"] == "pending"
    return answer.json()["id"]


def read_order(env: Environment, order_id: int) -> Answer:
    return request(f"{env.exports['SHOP_URL']}/api/orders/{order_id}")


def wait_until_processed(env: Environment, order_id: int) -> Answer:
    """Return the first answer that shows the order as processed."""
    return poll(lambda: read_order(env, order_id), lambda answer: answer.json()["status"] == "processed")


def read_row(env: Environment, order_id: int) -> list[str]:
    """Ask PostgreSQL itself for an order's columns."""
    columns = "item, quantity, status, total_cents, processed_at"
    sql = f"SELECT {columns} FROM orders WHERE id = {order_id:d}"  # noqa: S608 - nothing but a number goes in
    output = env["db"].exec(["psql", "-U", "shop", "-d", "shop", "-At", "-c", sql]).output
    return output.strip().split("|")


def test_an_order_is_processed_and_priced(envspin_env: Environment) -> None:
    order_id = place_order(envspin_env, "teapot", 2)

    order = wait_until_processed(envspin_env, order_id).json()

    assert (order["id"], order["item"], order["quantity"]) == (order_id, "teapot", 2)
    assert order["total_cents"] == 2 * 3495
    assert order["processed_at"] >= order["created_at"]


def test_a_processed_order_is_a_row_in_postgres(envspin_env: Environment) -> None:
    order_id = place_order(envspin_env, "apple", 4)
    wait_until_processed(envspin_env, order_id)

    row = read_row(envspin_env, order_id)

    assert row[:4] == ["apple", "4", "processed", "100"]


def test_the_second_read_comes_from_the_cache(envspin_env: Environment) -> None:
    order_id = place_order(envspin_env, "book", 1)

    first = wait_until_processed(envspin_env, order_id)
    second = read_order(envspin_env, order_id)

    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("miss", "hit")
    assert second.json() == first.json()


def test_the_cached_order_is_in_redis(envspin_env: Environment) -> None:
    order_id = place_order(envspin_env, "book", 3)
    served = wait_until_processed(envspin_env, order_id)

    cached = envspin_env["cache"].exec(["redis-cli", "GET", f"order:{order_id}"]).output

    assert json.loads(cached) == served.json()


def test_a_pending_order_is_not_cached(envspin_env: Environment) -> None:
    envspin_env["worker"].pause()
    try:
        order_id = place_order(envspin_env, "apple", 2)
        reads = [read_order(envspin_env, order_id) for _ in range(2)]
    finally:
        envspin_env["worker"].unpause()

    assert [read.json()["status"] for read in reads] == ["pending", "pending"]
    assert [read.headers["X-Cache"] for read in reads] == ["miss", "miss"]
    assert wait_until_processed(envspin_env, order_id).json()["total_cents"] == 50


def test_a_message_that_comes_again_changes_nothing(envspin_env: Environment) -> None:
    order_id = place_order(envspin_env, "apple", 1)
    wait_until_processed(envspin_env, order_id)
    row = read_row(envspin_env, order_id)

    envspin_env["api"].exec(["python3", "-c", f"import api; api.announce_order({order_id})"])
    poll(envspin_env["worker"].logs, lambda log: f"order {order_id} is not pending" in log)

    assert read_row(envspin_env, order_id) == row


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"[]", "the body is not a JSON object"),
        (b'{"quantity": 1}', "item must be"),
        (b'{"item": "unicorn", "quantity": 1}', "there is no item 'unicorn'"),
        (b'{"item": "apple"}', "quantity must be"),
        (b'{"item": "apple", "quantity": 0}', "quantity must be"),
        (b'{"item": "apple", "quantity": "3"}', "quantity must be"),
        (b'{"item": "apple", "quantity": true}', "quantity must be"),
    ],
)
def test_a_bad_order_is_refused_with_the_reason(envspin_env: Environment, body: bytes, reason: str) -> None:
    answer = request(f"{envspin_env.exports['SHOP_URL']}/api/orders", body)

    assert answer.status == 400
    assert reason in answer.json()["error"]


def test_an_unknown_order_is_not_found(envspin_env: Environment) -> None:
    answer = read_order(envspin_env, 10**12)

    assert (answer.status, answer.json()) == (404, {"error": "there is no order 1000000000000"})


def test_every_part_is_healthy(envspin_env: Environment) -> None:
    answer = request(f"{envspin_env.exports['SHOP_URL']}/api/health")

    assert answer.status == 200
    assert answer.json()["parts"] == {"db": "ok", "cache": "ok", "mq": "ok"}


def test_the_static_page_is_served(envspin_env: Environment) -> None:
    answer = request(envspin_env.exports["SHOP_URL"])

    assert (answer.status, answer.headers.get_content_type()) == (200, "text/html")
    assert "<h1>Shop</h1>" in answer.text


@pytest.mark.parametrize(
    ("variable", "service", "port"),
    [("SHOP_URL", "web", 8080), ("DATABASE_URL", "db", 5432), ("REDIS_URL", "cache", 6379), ("AMQP_URL", "mq", 5672)],
)
def test_an_export_leads_to_its_service(envspin_env: Environment, variable: str, service: str, port: int) -> None:
    url = urlsplit(envspin_env.exports[variable])

    assert (url.hostname, url.port) == (envspin_env[service].host, envspin_env[service].port_for(port))
