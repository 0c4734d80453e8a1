"""Process orders from the queue: work out the total price and mark the order as processed.

A message is acknowledged after its order is committed, so a message may come twice but is never lost; an order that
is no longer pending is left as it is. When PostgreSQL or RabbitMQ goes away, both connections are made anew.

Where PostgreSQL is comes from libpq's own variables (PGHOST, PGUSER, PGDATABASE) and DB_PASSWORD_FILE, where
RabbitMQ is from AMQP_URL.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pika
import psycopg2
from pika.exceptions import AMQPError

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel
    from pika.spec import Basic, BasicProperties

QUEUE = "orders"
RETRY_SECONDS = 0.5
STOP_SECONDS = 0.2
"""How often to look whether to stop while no message comes."""


def main() -> None:
    """Consume until SIGTERM or SIGINT, over as many connections as it takes."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it would report is raised as well
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            consume(stop)
        except (AMQPError, psycopg2.OperationalError, psycopg2.InterfaceError, OSError) as error:
            print(f"worker lost a connection: {error!r}")
            stop.wait(RETRY_SECONDS)
    print("worker stopped")


def consume(stop: threading.Event) -> None:
    """Process messages until told to stop; raise when a connection breaks."""
    password = Path(os.environ["DB_PASSWORD_FILE"]).read_text().strip()
    with ExitStack() as stack:
        database = stack.enter_context(closing(psycopg2.connect("", password=password)))
        broker = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        stack.callback(lambda: broker.is_open and broker.close())
        channel = broker.channel()
        channel.queue_declare(QUEUE, durable=True)
        channel.basic_qos(prefetch_count=10)
        channel.basic_consume(QUEUE, partial(handle, database))
        print("worker ready")
        while not stop.is_set():
            broker.process_data_events(time_limit=STOP_SECONDS)


def handle(
    database: psycopg2.extensions.connection,
    channel: BlockingChannel,
    delivery: Basic.Deliver,
    _properties: BasicProperties,
    body: bytes,
) -> None:
    """Process one message, then acknowledge it; drop one that names no order."""
    try:
        order_id = int(json.loads(body)["order_id"])
    except (ValueError, KeyError, TypeError):
        print(f"dropped a message that names no order: {body[:100]!r}")
        channel.basic_reject(delivery.delivery_tag, requeue=False)
        return
    done = process(database, order_id)
    channel.basic_ack(delivery.delivery_tag)
    print(f"order {order_id} processed" if done else f"order {order_id} is not pending, left as it is")


def process(database: psycopg2.extensions.connection, order_id: int) -> bool:
    """Price a pending order and mark it as processed; return whether it was pending."""
    with database, database.cursor() as cursor:
        cursor.execute(
            "UPDATE orders SET status = 'processed', processed_at = now(),"
            " total_cents = orders.quantity::bigint * items.unit_price_cents"
            " FROM items WHERE items.name = orders.item AND orders.id = %s AND orders.status = 'pending'",
            [order_id],
        )
        return bool(cursor.rowcount)


if __name__ == "__main__":
    main()
