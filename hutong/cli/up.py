"""``hutong up``: bring the embedded bus up."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import asdict
from types import FrameType
from typing import NoReturn

import click

from hutong.cli._bars import ShownProgress
from hutong.cli._json import json_option, print_json
from hutong.embedded import Wish, up
from hutong.embedded.state import Security
from hutong.home import Home
from hutong.language import said

__all__ = ["command"]


@click.command(short_help="Start Kafka and the schema registry on this machine.")
@click.option("--brokers", type=click.IntRange(1, 3), help="Number of brokers, 1 or 3; fixed by the first start. [default: 1]")
@click.option(
    "--kafka-port", type=click.IntRange(0, 65535), help="Port of the first broker, the others follow; 0 picks a new one."
)
@click.option("--registry-port", type=click.IntRange(0, 65535), help="Port of the schema registry; 0 picks a new one.")
@click.option("--tls", is_flag=True, help="Encrypt every connection; fixed by the first start.")
@click.option("--mutual-tls", is_flag=True, help="As --tls, and clients of Kafka show a certificate too.")
@json_option
def command(
    brokers: int | None, kafka_port: int | None, registry_port: int | None, tls: bool, mutual_tls: bool, as_json: bool
) -> None:
    """Start Kafka and the schema registry on this machine.

    The first start downloads them (about 200 MB). Everything listens on 127.0.0.1 only, ports stay the same from start to
    start, and all state lies in HUTONG_HOME (default: .hutong). Harmless when the bus is up already; what of it is missing
    is started. With --tls an authority and certificates are made in HUTONG_HOME/tls; clients on this machine find them.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    began = time.monotonic()
    progress = ShownProgress()
    security: Security | None = "mutual" if mutual_tls else "tls" if tls else None
    wish = Wish(brokers=brokers, kafka_port=kafka_port, registry_port=registry_port, security=security)
    address = up(Home.find(), wish=wish, progress=progress)
    seconds = time.monotonic() - began
    if as_json:
        print_json({**asdict(address), "seconds": round(seconds, 3)})
        return
    progress.say(said("the bus is up ({seconds} s)", seconds=f"{seconds:.1f}"))
    click.echo(f"kafka     {address.bootstrap_servers}")
    click.echo(f"registry  {address.registry_url}")


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    """End as after Ctrl-C: what this call started is stopped first."""
    sys.exit(128 + number)
