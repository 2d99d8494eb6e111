"""What is pending, measured on the bus itself, for a picture without a monitor.

Neighbours: ``hutong.lag`` measures, ``picture`` asks here where no page tells.
"""

from __future__ import annotations

from collections.abc import Sequence

from hutong.kafka.settings import Settings
from hutong.lag.now import LagNow
from hutong.lag.snapshot import AgreementLag
from hutong.overview.agreements import AgreementState

__all__ = ["Measure", "state_of"]


class Measure:
    """Measures whenever it is called; what it has read once it remembers.

    Args:
        principal: as whom the bus is looked at; its address and password are looked up when it is asked first.
    """

    def __init__(self, principal: str) -> None:
        self._principal = principal
        self._lag: LagNow | None = None

    def __call__(self) -> Sequence[AgreementState]:
        """The agreements as they stand now.

        Raises:
            HutongError: the bus cannot be found, reached or read.
        """
        if self._lag is None:
            self._lag = LagNow(Settings.resolve(self._principal))
        return [state_of(one) for one in self._lag().agreements.values()]

    def close(self) -> None:
        """Let go of the brokers."""
        if self._lag is not None:
            self._lag.close()


def state_of(lag: AgreementLag) -> AgreementState:
    """What was measured of an agreement, without a rate; None where nothing can be said now, as the monitor tells no number."""
    return AgreementState(
        agreement=lag.agreement,
        contract=lag.contract,
        publisher=lag.publisher,
        recipient=lag.recipient,
        pending=lag.delivery.count if lag.told else None,
        exact=lag.delivery.exact,
        freshness=lag.freshness_seconds if lag.told else None,
        objective=lag.objective_seconds,
        untaken=max((one.count for one in lag.taking.values() if one.measured), default=None),
        in_force=lag.in_force,
    )
