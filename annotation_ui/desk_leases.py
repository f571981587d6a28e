"""One reviewer's dealings with the leases: as JSON, and without them while the database is away."""

import contextlib
import logging
from typing import Any

from .desk_errors import DeskError
from .leases import Lease, Leases

logger = logging.getLogger(__name__)


class DeskLeases:
    """Leases as one reviewer sees them; that they cannot be reached stops nobody."""

    def __init__(self, leases: Leases, reviewer: str) -> None:
        self._leases, self._reviewer = leases, reviewer

    def take(self, instance_id: str) -> tuple[dict[str, Any], DeskError | None]:
        """Take or renew a lease: the object `lease` as it is then, and why it could not be asked for."""
        try:
            return self._describe(self._leases.take(instance_id, self._reviewer)), None
        except DeskError as error:
            logger.warning("%s", error)
            return {"mine": True, "reviewer": self._reviewer, "until": None}, error

    def take_to_act(self, instance_id: str) -> tuple[dict[str, Any], DeskError | None]:
        """As `take`, for an act.

        Raises:
            DeskError: someone else holds the instance (`lease`).
        """
        lease, away = self.take(instance_id)
        if not lease["mine"]:
            raise DeskError(
                "lease",
                f"an instance that nobody else works on, '{instance_id}'",
                f"one that {lease['reviewer']} holds until {lease['until']}",
                "Go on with the next one; this act was not stored.",
            )
        return lease, away

    def seen(self, instance_id: str) -> dict[str, Any]:
        """The object `lease` without taking it."""
        return self._describe(self.held().get(instance_id))

    def release(self, instance_id: str | None) -> None:
        """Give back a lease, or all; where that fails they run out."""
        with contextlib.suppress(DeskError):
            self._leases.release(self._reviewer, instance_id)

    def held(self) -> dict[str, Lease]:
        """Everyone's leases by instance; none while the database is away."""
        try:
            return self._leases.held()
        except DeskError as error:
            logger.warning("%s", error)
            return {}

    def _describe(self, lease: Lease | None) -> dict[str, Any]:
        if lease is None:
            return {"mine": False, "reviewer": None, "until": None}
        mine = lease.reviewer == self._reviewer
        return {"mine": mine, "reviewer": lease.reviewer, "until": lease.until.isoformat()}
