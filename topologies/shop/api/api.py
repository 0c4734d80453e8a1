"""Take orders over HTTP: write them to PostgreSQL, announce them on RabbitMQ, serve them from Redis once processed.

    POST /orders       {"item": "apple", "quantity": 3} -> 202 {"id": 1, "status": "pending"}
    GET  /orders/ID    the order; X-Cache says whether it came from Redis (hit) or from PostgreSQL (miss)
    GET  /health       asks all three servers: 200 when each answers, else 503

Where PostgreSQL is comes from libpq's own variables (PGHOST, PGUSER, PGDATABASE) and DB_PASSWORD_FILE, the others
from REDIS_URL and AMQP_URL. A connection is made for each request: orders are few, threads need not share
connections, and a server that was restarted is simply found again.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import psycopg2
import redis
from pika.exceptions import AMQPError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUEUE = "orders"
CACHE_SECONDS = 300
TIMEOUT_SECONDS = 3
MAX_BODY_BYTES = 10_000
MAX_QUANTITY = 1_000
UNAVAILABLE = (psycopg2.OperationalError, AMQPError, redis.RedisError, OSError)
"""What a server that is away looks like."""

CACHE = redis.Redis.from_url(
    os.environ["REDIS_URL"], socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
)


class RequestError(Exception):
    """The request is wrong; the status to answer with, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@contextmanager
def open_database() -> Iterator[psycopg2.extensions.cursor]:
    """Give a cursor whose transaction is committed at the end."""
    password = Path(os.environ["DB_PASSWORD_FILE"]).read_text().strip()
    connection = psycopg2.connect("", password=password, connect_timeout=TIMEOUT_SECONDS)
    with closing(connection), connection, connection.cursor() as cursor:
        yield cursor


@contextmanager
def open_broker() -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    """Give a channel on which the queue exists."""
    parameters = pika.URLParameters(os.environ["AMQP_URL"])
    parameters.socket_timeout = parameters.stack_timeout = TIMEOUT_SECONDS
    parameters.blocked_connection_timeout = TIMEOUT_SECONDS
    connection = pika.BlockingConnection(parameters)
    try:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        yield channel
    finally:
        if connection.is_open:
            connection.close()


def parse_order(body: bytes) -> tuple[str, int]:
    """Return item and quantity, or say what is wrong with the body."""
    try:
        order = json.loads(body)
    except ValueError:
        raise RequestError(400, "the body is not JSON") from None
    if not isinstance(order, dict):
        raise RequestError(400, "the body is not a JSON object")
    item, quantity = order.get("item"), order.get("quantity")
    if not isinstance(item, str) or not item or "\0" in item:
        raise RequestError(400, "item must be the name of an item")
    if type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:  # True is an int, too
        raise RequestError(400, f"quantity must be a whole number from 1 to {MAX_QUANTITY}")
    return item, quantity


def place_order(item: str, quantity: int) -> int:
    """Write a pending order and announce it; return its id."""
    with open_database() as cursor:
        cursor.execute(
            "INSERT INTO orders (item, quantity) SELECT name, %s FROM items WHERE name = %s RETURNING id",
            [quantity, item],
        )
        row = cursor.fetchone()
    if row is None:
        raise RequestError(400, f"there is no item {item!r}")
    order_id: int = row[0]
    # Only now: the worker must find the order's row when the message arrives.
    try:
        announce_order(order_id)
    except (AMQPError, OSError):
        with open_database() as cursor:
            cursor.execute("DELETE FROM orders WHERE id = %s AND status = 'pending'", [order_id])
        raise
    return order_id


def announce_order(order_id: int) -> None:
    """Publish the order's id; return when the broker has confirmed that it holds the message."""
    with open_broker() as channel:
        channel.confirm_delivery()
        channel.basic_publish(
            exchange="",
            routing_key=QUEUE,
            body=json.dumps({"order_id": order_id}).encode(),
            properties=pika.BasicProperties(
                content_type="application/json", delivery_mode=pika.spec.PERSISTENT_DELIVERY_MODE
            ),
            mandatory=True,
        )


def find_order(order_id: int) -> tuple[bytes, str]:
    """Return an order as JSON, and ``hit`` or ``miss``; only what no longer changes is kept in the cache."""
    key = f"order:{order_id}"
    cached = try_cache(lambda: CACHE.get(key))
    if cached is not None:
        return cached, "hit"
    with open_database() as cursor:
        cursor.execute("SELECT row_to_json(orders) FROM orders WHERE id = %s", [order_id])
        row = cursor.fetchone()
    if row is None:
        raise RequestError(404, f"there is no order {order_id}")
    document = json.dumps(row[0]).encode()
    if row[0]["status"] == "processed":
        try_cache(lambda: CACHE.set(key, document, ex=CACHE_SECONDS))
    return document, "miss"


def try_cache(operation: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever Redis answers
    """Do something with the cache; without the cache orders are served more slowly, but they are served."""
    try:
        return operation()
    except redis.RedisError as error:
        print(f"the cache does not answer: {error}")
        return None


def check_health() -> dict[str, str]:
    """Ask each server something; return its name and ``ok``, or what went wrong."""

    def ask_database() -> None:
        with open_database() as cursor:
            cursor.execute("SELECT 1 FROM orders LIMIT 1")

    def ask_broker() -> None:
        with open_broker():
            pass

    parts = {"db": ask_database, "cache": CACHE.ping, "mq": ask_broker}
    return {name: report_failure(ask) for name, ask in parts.items()}


def report_failure(ask: Callable[[], object]) -> str:
    """Return ``ok``, or the error in one line."""
    try:
        ask()
    except (*UNAVAILABLE, psycopg2.Error) as error:
        return f"{type(error).__name__}: {error}".strip()
    return "ok"


class Handler(BaseHTTPRequestHandler):
    """Routes, and errors to statuses."""

    timeout = 10

    def do_GET(self) -> None:
        """Answer GET."""
        self.answer(self.get)

    def do_POST(self) -> None:
        """Answer POST."""
        self.answer(self.post)

    def answer(self, route: Callable[[], None]) -> None:
        """Run a route; turn what it raises into an answer."""
        try:
            route()
        except RequestError as error:
            self.send(error.status, {"error": str(error)})
        except UNAVAILABLE as error:
            print(f"{self.command} {self.path} failed: {error!r}")
            self.send(503, {"error": "a server that this needs does not answer"})

    def get(self) -> None:
        """Serve an order or the state of health."""
        if self.path == "/health":
            parts = check_health()
            healthy = all(state == "ok" for state in parts.values())
            self.send(200 if healthy else 503, {"status": "ok" if healthy else "failing", "parts": parts})
        elif match := re.fullmatch(r"/orders/([0-9]{1,18})", self.path):
            document, cache = find_order(int(match[1]))
            self.send(200, document, {"X-Cache": cache})
        else:
            raise RequestError(404, "there is nothing here")

    def post(self) -> None:
        """Take an order."""
        if self.path != "/orders":
            raise RequestError(404, "there is nothing here")
        order_id = place_order(*parse_order(self.read_body()))
        self.send(202, {"id": order_id, "status": "pending"}, {"Location": f"orders/{order_id}"})

    def read_body(self) -> bytes:
        """Read as many bytes as the request announces."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,9}", length):
            raise RequestError(411, "Content-Length is missing")
        if int(length) > MAX_BODY_BYTES:
            raise RequestError(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
        return self.rfile.read(int(length))

    def send(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        """Answer with JSON, given as bytes or as an object."""
        document = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(document)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(document)


class Server(ThreadingHTTPServer):
    """A thread for each request; requests under way are finished before the process ends."""

    daemon_threads = False
    request_queue_size = 128


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it would report is raised as well
    with Server(("", 8000), Handler) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # shutdown() waits for the loop that this handler interrupts, so it needs a thread of its own
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print("api listens on port 8000")
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
