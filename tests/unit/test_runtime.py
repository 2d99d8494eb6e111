"""What all services have in common: settings, logs, health, and the way they end."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from pydantic import Field, SecretStr

from hutong.errors import BrokerUnavailable, ConfigurationError
from hutong.event import header
from hutong.home import Home
from hutong.runtime import logs
from hutong.runtime.addresses import known
from hutong.runtime.health import Health, HealthServer
from hutong.runtime.loop import run
from hutong.runtime.settings import ServiceSettings
from hutong.runtime.stop import Stop
from services.coordinator.line import Both
from tests.integration.processes import await_true
from tests.metrics_page import ACCEPT, check_page


class Own(ServiceSettings):
    """Settings of a service that there is not."""

    service: ClassVar[str] = "tester"

    most: Annotated[int, Field(ge=1, description="how many at 100%")] = 7
    password: Annotated[SecretStr, Field(description="of the database")] = SecretStr("")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a health server writes its address down."""
    monkeypatch.setenv("HUTONG_HOME", str(tmp_path))


@contextmanager
def served(health: Health) -> Iterator[str]:
    server = HealthServer(health, Own(instance="a"))
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.close()


def get(url: str, accept: str = "*/*") -> tuple[int, str, str]:
    try:
        request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - http
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - http
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_a_flag_wins_and_an_empty_variable_is_none() -> None:
    """Flag, else variable, else default."""
    found = Own.read(["--most", "9"], {"HUTONG_TESTER_MOST": "8", "HUTONG_TESTER_PORT": "", "HUTONG_TESTER_INSTANCE": "b"})
    assert (found.most, found.port, found.instance, found.host) == (9, 0, "b", "127.0.0.1")
    assert Own.read([], {"HUTONG_TESTER_MOST": "8"}).most == 8


def test_a_secret_has_no_flag_and_is_in_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in the help nor in an error."""
    found = Own.read([], {"HUTONG_TESTER_PASSWORD": "geheim"})
    assert found.password.get_secret_value() == "geheim"
    assert "geheim" not in repr(found)
    with pytest.raises(SystemExit):
        Own.read(["--password", "geheim"], {})
    with pytest.raises(ConfigurationError, match=r"--most \(HUTONG_TESTER_MOST\)") as caught:
        Own.read([], {"HUTONG_TESTER_MOST": "geheim"})
    assert "geheim" not in str(caught.value)
    with pytest.raises(SystemExit):
        Own.read(["--help"], {})
    assert "how many at 100%" in " ".join(capsys.readouterr().out.split())


def test_a_stuck_step_is_seen_and_forgiven() -> None:
    """Liveness falls while a step does not come back, and rises with the next one."""
    health, stop, entered, go_on = Health(stuck_after=0.3), Stop(), threading.Event(), threading.Event()

    def step() -> bool:
        entered.set()
        go_on.wait(60)
        return not stop.wait(0.01)

    thread = threading.Thread(target=run, args=(step,), kwargs={"stop": stop, "health": health})
    with served(health) as url:
        thread.start()
        try:
            entered.wait(60)
            await_true(lambda: get(f"{url}/health/live")[0] == 503, "a stuck step is seen")
            assert get(f"{url}/health/ready")[0] == 503
            age = REGISTRY.get_sample_value("hutong_process_poll_age_seconds")
            assert age is not None
            assert age >= 0.3
            go_on.set()
            await_true(lambda: get(f"{url}/health/live")[0] == 200, "the loop moves again")
        finally:
            go_on.set()
            stop.set()
            thread.join(60)
    assert not thread.is_alive()


def test_readiness_falls_with_the_wish_to_stop() -> None:
    """While the step that is under way goes on."""
    health, stop, entered, go_on = Health(), Stop(), threading.Event(), threading.Event()
    done: list[bool] = []

    def step() -> bool:
        entered.set()
        go_on.wait(60)
        done.append(True)
        return True

    thread = threading.Thread(target=run, args=(step,), kwargs={"stop": stop, "health": health})
    thread.start()
    try:
        entered.wait(60)
        assert health.ready()[0]
        stop.set()
        assert health.ready() == (False, {"waiting_for": {"stop": "it is stopping"}})
        assert health.live()[0]
        assert not done
    finally:
        go_on.set()
        thread.join(60)
    assert done == [True]  # the step was brought to its end, and none was begun


def test_a_failing_step_makes_it_unready_until_one_works() -> None:
    """The reason is told."""
    health, stop = Health(), Stop()
    seen: list[tuple[bool, dict[str, object]]] = []

    def step() -> bool:
        seen.append(health.ready())
        if len(seen) == 1:
            raise BrokerUnavailable("no broker answers")
        if len(seen) == 3:
            stop.set()
        return True

    run(step, stop=stop, health=health)
    assert seen == [
        (True, {"waiting_for": {}}),
        (False, {"waiting_for": {"last step": "no broker answers"}}),
        (True, {"waiting_for": {}}),
    ]


_STUCK = """
import ctypes, sys
from hutong.runtime.health import Health, HealthServer
from hutong.runtime.loop import run
from hutong.runtime.stop import Stop
from tests.unit.test_runtime import Own

def step():
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    print(server.port, flush=True)
    libc.pthread_mutex_lock(mutex)  # for ever, and no signal ends it: as a client that waits for its brokers

stop, health = Stop().on_signals(within=float(sys.argv[1])), Health()
server = HealthServer(health, Own(instance="a"))
run(step, stop=stop, health=health)
"""


def test_a_signal_is_heard_while_the_main_thread_is_stuck() -> None:
    """Readiness falls at once, and the process ends in time although its step does not."""
    command = [sys.executable, "-c", _STUCK, "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{int(process.stdout.readline())}/health/ready"
            assert get(url)[0] == 200
            process.terminate()
            await_true(lambda: get(url)[0] == 503 or process.poll() is not None, "it is not ready any more")
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 1
    assert "ended before its work was" in said


def test_the_page_is_openmetrics_where_that_is_asked_for() -> None:
    """Else Prometheus's own text; both tell which service this is."""
    with served(Health()) as url:
        status, kind, page = get(f"{url}/metrics", ACCEPT)
        assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
        (sample,) = check_page(page)["hutong_process"].samples
        assert (sample.labels["service"], sample.labels["instance"]) == ("tester", "a")
        status, kind, page = get(f"{url}/metrics")
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        assert "\nhutong_process_ready 1.0\n" in page
    assert REGISTRY.get_sample_value("hutong_process_ready") is None  # gone with its server


def test_a_health_server_is_found_while_it_serves(tmp_path: Path) -> None:
    """Its address stands in the home."""
    with served(Health()) as url:
        assert [(one.name, one.url, one.alive) for one in known(Home(root=tmp_path))] == [("tester-a", url, True)]
    assert known(Home(root=tmp_path)) == []


def test_two_loops_are_as_old_as_the_older() -> None:
    """A coordinator's page shows the loop that moves least."""
    older = Health()
    both, least = Both(one=older, other=Health()), older.age()
    assert both.age() >= least


def line_of(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    (line,) = capsys.readouterr().err.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_logs_are_json_from_the_level_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown level is told, and is no reason to be silent."""
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    try:
        logs.configure("tester", {"HUTONG_LOG_LEVEL": "warning"})
        logging.getLogger("hutong").info("not told")
        logging.getLogger("hutong").warning("told", extra={"facts": {"n": 1}})
        line = line_of(capsys)
        assert (line["level"], line["service"], line["message"], line["n"]) == ("warning", "tester", "told", 1)
        logs.configure("tester", {"HUTONG_LOG_LEVEL": "silly"})
        assert "HUTONG_LOG_LEVEL" in str(line_of(capsys)["message"])
    finally:
        logging.basicConfig(handlers=[logging.NullHandler()], force=True)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


_FALLS = """
import sys, threading
from hutong.runtime.logs import configure

def fall():
    raise ValueError("11010519491231002X")

class Falls:
    def __del__(self):
        fall()

configure("tester")
thread = threading.Thread(target=fall, name="worker")
thread.start()
thread.join()
Falls()
fall()
"""


def test_an_error_that_nobody_has_caught_is_told_without_its_text() -> None:
    """In the main thread, in another one, and where Python cannot raise it: its text may quote the value that caused it."""
    ended = subprocess.run([sys.executable, "-c", _FALLS], capture_output=True, text=True, check=False, timeout=60)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert [(line["level"], line["exception"], line.get("thread")) for line in lines] == [
        ("error", "ValueError", "worker"),
        ("error", "ValueError", None),
        ("critical", "ValueError", None),
    ]
    assert all(line["at"] for line in lines)
    assert "11010519491231002X" not in ended.stderr


@given(
    st.lists(st.tuples(st.sampled_from(["ce_id", "traceparent", "x"]), st.binary(max_size=40) | st.just(b"11010519491231002X")))
)
def test_a_line_about_an_event_holds_nothing_that_could_be_somebodys(headers: list[tuple[str, bytes]]) -> None:
    """Whatever an application made its ids of: only a UUID and a trace are told, and where the event lies."""
    told = logs.event_facts([*headers, ("traceparent", b"11010519491231002X")], ("pub.a.b", 1, 2))
    assert told == {"place": "pub.a.b/1/2"}


def test_a_line_about_an_event_names_it() -> None:
    """By id and trace, where they have the usual form."""
    event_id, trace = "0192f0a1-0000-7000-8000-000000000001", f"00-{'a' * 32}-{'b' * 16}-01"
    headers = [("ce_id", event_id.encode()), ("traceparent", trace.encode())]
    assert header(headers, "ce_id") is not None
    assert logs.event_facts(headers, ("t", 0, 9)) == {"place": "t/0/9", "event_id": event_id, "traceparent": trace}
