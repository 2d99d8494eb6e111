"""The SDK's own speed: ``Publisher`` and ``Subscription`` in one process, and confluent-kafka's Avro classes beside.

All take turns over rounds, on a bus with the sample contracts. Publishing counts from the first event to the last confirmation,
receiving from joining to the last event; a figure whose count is wrong is not printed. There are more persons than any cache of
checked numbers holds. Neighbours: ``sdk_peer`` has confluent-kafka's side, ``sample`` an event and the router that fills a
channel, ``report`` prints.
"""

from __future__ import annotations

import gc
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

from stdnum.cn.ric import is_valid

from bench.sample import CONTRACT, RouterProcess, event
from bench.sdk_peer import CHANNEL, DEPARTMENT, RECIPIENT, Peer, Took
from hutong.home import Home
from hutong.kafka.settings import Settings
from hutong.publisher import Publisher
from hutong.subscription import Subscription

PERSONS = 20_000  # two numbers each: more than twice what the checks of identifiers remember
PLACES = ("140105", "110105", "120104", "130102", "210102", "220102", "310104", "320102", "330102", "440103", "510104", "610102")
SURNAMES, NAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗", "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂"

Round = Callable[[int], Took]
"""Works through all events once; it is told the round's number."""


def identity_number(random: Random) -> tuple[str, date]:
    """A valid citizen identity number that belongs to nobody in particular, and its birthday."""
    while True:
        born = date(1930, 1, 1) + timedelta(days=random.randrange(13_000))  # old enough for all three agreements
        number = f"{random.choice(PLACES)}{born:%Y%m%d}{random.randrange(1000):03d}"
        number += "10X98765432"[sum(int(digit) * (1 << 17 - i) for i, digit in enumerate(number)) % 11]
        if is_valid(number):  # not every place had its code in every year
            return number, born


def credit_code(random: Random) -> str:
    """A valid social credit code."""
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    code = "12" + random.choice(PLACES) + "".join(random.choice(letters) for _ in range(9))
    return code + letters[-sum(letters.index(letter) * pow(3, i, 31) for i, letter in enumerate(code)) % 31]


def events(count: int) -> list[dict[str, Any]]:
    """Different persons, places and facilities; the contract's newest version."""
    random = Random(1)  # noqa: S311 - the same data in every run
    facilities = [{"credit_code": credit_code(random), "name": f"殡仪馆{n}"} for n in range(300)]
    made = []
    for number in range(count):
        data = event(number)
        (deceased, born), (applicant, _) = identity_number(random), identity_number(random)
        names = [random.choice(SURNAMES) + random.choice(NAMES) + random.choice(NAMES) for _ in range(2)]
        data["region"] = random.choice(PLACES)
        data["facility"] = random.choice(facilities)
        data["deceased"] |= {"identity_number": deceased, "birth_date": born, "name": names[0]}
        data["applicant"] |= {"identity_number": applicant, "name": names[1]}
        data["death_date"] = date(2026, 1, 1) + timedelta(days=number % 300)
        data["cremated_at"] = datetime(2026, 11, 3, tzinfo=UTC) + timedelta(milliseconds=number * 977)
        made.append(data | {"ashes_disposal": "CEMETERY"})
    return made


def publish(home: Home, made: list[Any], count: int, contract: str | None) -> float:
    """Seconds for ``count`` events through ``Publisher``."""
    publisher = Publisher(DEPARTMENT, settings=Settings.resolve(DEPARTMENT, {"HUTONG_HOME": str(home.root)}))
    publisher.publish(made[0], contract).result()  # connects, and looks the schema up
    handles, size = [], len(made)
    began = time.perf_counter()
    for number in range(count):
        handle = publisher.publish(made[number % size], contract)
        if number % 1000 == 0:
            handles.append(handle)
    publisher.flush(60)
    took = time.perf_counter() - began
    if publisher.pending or not all(handle.done() and handle.error is None for handle in handles):
        raise SystemExit("not every event was confirmed")
    publisher.close()
    return took


def publish_making(home: Home, model: Any, made: list[Any], count: int) -> float:
    """As ``publish``, and the models are made from keywords in the same loop."""
    publisher = Publisher(DEPARTMENT, settings=Settings.resolve(DEPARTMENT, {"HUTONG_HOME": str(home.root)}))
    publisher.publish(model(**made[0])).result()
    size = len(made)
    began = time.perf_counter()
    for number in range(count):
        publisher.publish(model(**made[number % size]))
    publisher.flush(60)
    took = time.perf_counter() - began
    publisher.close()
    return took


def receive(home: Home, count: int, group: str) -> float:
    """Seconds for ``count`` deliveries through ``Subscription``, as mappings."""
    settings = Settings.resolve(RECIPIENT, {"HUTONG_HOME": str(home.root)})
    with Subscription(RECIPIENT, CHANNEL, settings=settings, group=group, from_beginning=True, idle_timeout=20) as subscription:
        found = 0
        began = time.perf_counter()
        for received in subscription:
            if received.data["source_system"] != DEPARTMENT or not received.attributes.id:
                raise SystemExit("a delivery is not as its agreement says")
            found += 1
            if found == count:
                break
        took = time.perf_counter() - began
    if found != count:
        raise SystemExit(f"{found} deliveries where {count} are right")
    return took


def models(folder: Path, schemas: str) -> ModuleType:
    """What ``hutong codegen`` writes for the contract, imported."""
    path = folder / "bench_models.py"
    command = [sys.executable, "-m", "hutong", "codegen", "--schemas", schemas, "--out", str(path), CONTRACT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be imported")
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fill(home: Home, made: list[dict[str, Any]], count: int) -> None:
    """Publish, and let a router deliver to all three recipients."""
    publish(home, made, count - 1, CONTRACT)  # and one that it connects with
    router = RouterProcess(home, log=home.log / "bench-router.log")
    try:
        deadline = time.monotonic() + 300
        while router.delivered() < 3 * count:
            if time.monotonic() > deadline:
                raise SystemExit(f"not all of {3 * count} deliveries after 300 s")
            time.sleep(0.25)
    finally:
        router.stop()


def here(work: Callable[[int], float]) -> Round:
    """A round in this process."""

    def run(number: int) -> Took:
        gc.collect()
        before = time.process_time()
        seconds = work(number)
        return Took(seconds, time.process_time() - before)

    return run


def measured(rounds: int, count: int, runs: Mapping[str, Round]) -> dict[str, dict[str, float]]:
    """Events a second of each, in turn; with them the processor time per event, which other work on the machine disturbs less."""
    found: dict[str, list[Took]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            found[name].append(run(number))
    return {name: _summary(took, count) for name, took in found.items()}


def _summary(took: list[Took], count: int) -> dict[str, float]:
    rates = [count / one.seconds for one in took]
    return {
        "per_s": round(statistics.median(rates)),
        "low": round(min(rates)),
        "high": round(max(rates)),
        "cpu_us": round(statistics.median(one.cpu_seconds for one in took) / count * 1e6, 1),
        "rounds": len(took),
    }


def run(home: Home, schemas: str, rounds: int, count: int, *, beside: bool) -> dict[str, dict[str, float]]:
    """All figures, on a bus that is up and has the declarations.

    Args:
        home: of the bus.
        schemas: the sample declarations.
        rounds: of each, in turn.
        count: events of a round.
        beside: whether confluent-kafka's classes take part.
    """
    made = events(min(PERSONS, count))
    model = models(home.root, schemas).CremationRecorded
    ready = [model(**data) for data in made]
    peer = Peer(home, made, count) if beside else None
    gc.collect()
    gc.freeze()  # the prepared events are no part of what is measured: no collection shall walk over them
    fill(home, made, count)
    receiving = {"Subscription, dicts": here(lambda n: receive(home, count, f"{RECIPIENT}.bench{n}"))}
    publishing = {
        "Publisher, dicts": here(lambda _: publish(home, made, count, CONTRACT)),
        "Publisher, models ready": here(lambda _: publish(home, ready, count, None)),
        "Publisher, models made in the loop": here(lambda _: publish_making(home, model, made, count)),
    }
    if peer:
        receiving["AvroDeserializer"] = lambda n: peer.receive(f"{RECIPIENT}.peer{n}")
        publishing["AvroSerializer, schema given"] = lambda _: peer.publish(latest=False)
        publishing["AvroSerializer, latest version"] = lambda _: peer.publish(latest=True)
    found = measured(rounds, count, publishing) | measured(rounds, count, receiving)
    gc.unfreeze()
    return found
