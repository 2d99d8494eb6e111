"""Act three: families are verified and deaths acted upon by flows that ask many agencies, some of which do not do as they should.

Neighbours: ``families`` and ``deceased`` invent the cases, ``agencies`` plays all departments, ``workdays`` makes their days
short, ``case_account`` judges.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from random import Random

from demo.account import Committed, Held
from demo.act_two import tally_of
from demo.case_account import REPORTS, CaseAccount, settle_cases
from demo.deceased import deaths
from demo.families import families
from demo.holdings import read_held
from demo.ministry import store_of
from demo.plot import Plot, sources_of, write_plots
from demo.population import Numbering
from demo.processes import Crew
from demo.rights import Right
from demo.topics import published_on, quarantined_on, read_topics
from hutong.embedded.process import last_words
from hutong.errors import HutongError
from hutong.kafka.settings import Settings

__all__ = ["EMITTED", "KEYS", "OUTCOMES", "Cast", "invent"]

KEYS = {
    "mca.assistance.application_accepted": "application_number",
    "mca.assistance.authorisation_signed": "application_number",
    "mca.assistance.authorisation_withdrawn": "application_number",
    "nhc.health.death_certificate_issued": "certificate_number",
    "mca.funeral.cremation_recorded": "certificate_number",
    "mps.population.register_cancelled": "cancellation_number",
    "spc.court.death_declared": "case_number",
    "spc.court.declaration_revoked": "declared_number",
    "mca.marriage.marriage_registered": "certificate_number",
    "mca.information.review_decided": "identity_number",
}
"""Contract of what departments publish of their own accord -> its key."""

_QUESTIONS = ("mca.verification.question_asked", "mca.information.question_asked")
_PROGRESS = ("mca.verification.case_progressed", "mca.information.case_progressed")
_FOLLOWS = "cnao.audit"  # whose progress tells the agencies how far a case is
OUTCOMES = ("mca.verification.verification_reported", "mca.information.death_concluded")
EMITTED = frozenset((*_QUESTIONS, *_PROGRESS, *OUTCOMES))
"""Contracts that flows emit."""

_PROCESS = "agencies"
_LOOK_SECONDS = 0.3
_READY_SECONDS = 60.0
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def invent(seed: int, verifications: int, deceased: int, moment: datetime) -> list[Plot]:
    """All cases, in the order in which they begin: first those that wait for a deadline, beside which the others are played.

    Args:
        seed: decides everything.
        verifications: how many families.
        deceased: how many deaths.
        moment: when it all happens.
    """
    random = Random(f"cases {seed}")  # noqa: S311 - a play, not a secret
    numbering = Numbering(random)
    plots = [*families(random, numbering, verifications, moment), *deaths(random, numbering, deceased, moment)]
    random.shuffle(plots)
    return sorted(plots, key=lambda plot: not plot.slow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who plays in act three, and where what they receive is kept.

    Attributes:
        plots: the cases.
        rights: every agreement.
        directory: for the plots, what was published, and what is received.
    """

    plots: Sequence[Plot]
    rights: Sequence[Right]
    directory: Path

    @classmethod
    def of(cls, seed: int, verifications: int, deceased: int, rights: Sequence[Right], directory: Path) -> Cast:
        """A cast; the cases happen today."""
        moment = datetime.now(UTC).replace(microsecond=0)
        return cls(plots=invent(seed, verifications, deceased, moment), rights=rights, directory=directory)

    def play(self, crew: Crew, coordinators: int, apply_flows: Callable[[], None], tell: Callable[[int], None]) -> None:
        """Start the agencies and the coordinators, and wait until all cases are closed, or nothing more happens.

        Args:
            crew: keeps the processes.
            coordinators: how many share the cases.
            apply_flows: puts the flows in force, before which no coordinator has anything to do.
            tell: called with the number of closed cases.
        """
        plots = self.directory / "agencies.plots"
        plots.unlink(missing_ok=True)
        paths = [str(plots), str(self._holdings), str(self._published)]
        crew.start(_PROCESS, "demo.agencies", *paths, *(f"{one}/{channel}" for one, channel in self._channels()), ends=True)
        apply_flows()
        names = [f"coordinator-{number}" for number in range(1, coordinators + 1)]
        for number, name in enumerate(names, 1):
            crew.start(name, "services.coordinator", f"--instance=demo-{number}")
        for name in names:
            _await_ready(crew, name)
        write_plots(plots, self.plots)
        while not crew.has_ended(_PROCESS):
            time.sleep(_LOOK_SECONDS)
            crew.look()
            tell(int(tally_of(crew.log_of(_PROCESS)).get("closed", 0)))
        if not tally_of(crew.log_of(_PROCESS)).get("done"):
            raise HutongError(f"the agencies failed: {last_words(crew.log_of(_PROCESS))}")

    def sources(self) -> list[Committed]:
        """What departments published of their own accord, in that order."""
        order: dict[str, int] = {}
        for place, event_id in enumerate(self._published.read_text("ascii").split()):
            order.setdefault(event_id, place)
        return sources_of(self.plots, KEYS, order)

    @property
    def reports(self) -> int:
        """How many deliveries of reports there must be."""
        return sum(len(REPORTS[plot.flow]) for plot in self.plots)

    def settle(self, held: Sequence[Held]) -> CaseAccount:
        """Read what lies about, and judge it.

        Args:
            held: what the ministries hold of reports.
        """
        contracts = {deed.contract for plot in self.plots for deed in plot.deeds}
        settings = Settings.resolve("operator")
        published = Counter(one.id for one in published_on(read_topics(settings, [f"pub.{one}" for one in contracts])))
        answers = contracts - KEYS.keys()
        odd = list(quarantined_on(read_topics(settings, [f"quarantine.{one}" for one in answers])))
        own = [one for channel in self._channels() for one in read_held(store_of(self._holdings, *channel))]
        questioned = {right.agreement: right.recipient for right in self.rights if right.contract in _QUESTIONS}
        return settle_cases(self.plots, published, questioned, [*own, *held], odd)

    @property
    def _published(self) -> Path:
        return self.directory / "agencies.published"

    @property
    def _holdings(self) -> Path:
        return self.directory / "agencies"

    def _channels(self) -> list[tuple[str, str]]:
        """Recipient and channel of the agencies' questions, and of what tells them how far a case is."""
        asked = {agency for plot in self.plots for agency in plot.asked.values()}
        found = {(one.recipient, one.channel) for one in self.rights if one.contract in _QUESTIONS and one.recipient in asked}
        found |= {(one.recipient, one.channel) for one in self.rights if one.contract in _PROGRESS and one.recipient == _FOLLOWS}
        return sorted(found)


def _await_ready(crew: Crew, name: str) -> None:
    """Wait until a coordinator says that it works: cases that begin earlier would find their deadlines passed."""
    gives_up = time.monotonic() + _READY_SECONDS
    while time.monotonic() < gives_up:
        crew.look()
        found = re.search(r'"health_port": ?(\d+)', crew.log_of(name).read_text("utf-8"))
        if found and _is_ready(f"http://127.0.0.1:{found[1]}/health/ready"):
            return
        time.sleep(_LOOK_SECONDS)
    raise HutongError(f"{name} is not ready after {_READY_SECONDS:.0f} s: {last_words(crew.log_of(name))}")


def _is_ready(url: str) -> bool:
    try:
        with _LOCAL.open(url, timeout=5) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:  # it says that it is not, or does not answer yet
        return False
