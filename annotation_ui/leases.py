"""Who works on which instance: leases in the MongoDB that all reviewers' Apps share.

A lease lasts 15 minutes and is renewed by every act. Taking one is a single atomic update of one document, and
the times are the database server's, so that reviewers' clocks do not matter. A lease keeps people from doing the
same work twice; decisions do not depend on it.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from .desk_errors import DeskError

DURATION = timedelta(minutes=15)
COLLECTION = "densecorr_leases"  # beside FiftyOne's own
_TIMEOUT_MS = 200  # an act is to be answered within 300 ms
_PATIENCE_MS = 1000  # with a server that is there, but busy
_PAUSE_S = 10.0  # a database that was away is not asked again until then


@dataclass(frozen=True)
class Lease:
    """Who holds an instance, until when (UTC)."""

    instance_id: str
    reviewer: str
    until: datetime


class Leases(Protocol):
    """The leases of one data set; each method raises DeskError (`database`) where they cannot be reached."""

    def take(self, instance_id: str, reviewer: str) -> Lease:
        """Take or renew a lease if it is free, expired or one's own; in any case the lease that holds now."""
        ...

    def release(self, reviewer: str, instance_id: str | None = None) -> None:
        """Give back one of one's leases, or all."""
        ...

    def held(self) -> dict[str, Lease]:
        """Those that have not expired, by instance id."""
        ...


class MemoryLeases:
    """Leases of one process, for a desk that shares its data with nobody."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now, self._leases, self._lock = now, dict[str, Lease](), threading.Lock()

    def take(self, instance_id: str, reviewer: str) -> Lease:
        """See `Leases`."""
        with self._lock:
            now, lease = self._now(), self._leases.get(instance_id)
            if lease is None or lease.reviewer == reviewer or lease.until <= now:
                lease = self._leases[instance_id] = Lease(instance_id, reviewer, now + DURATION)
            return lease

    def release(self, reviewer: str, instance_id: str | None = None) -> None:
        """See `Leases`."""
        with self._lock:
            for key, lease in list(self._leases.items()):
                if lease.reviewer == reviewer and instance_id in (None, key):
                    del self._leases[key]

    def held(self) -> dict[str, Lease]:
        """See `Leases`."""
        with self._lock:
            now = self._now()
            return {key: lease for key, lease in self._leases.items() if lease.until > now}


class MongoLeases:
    """Leases of one data set in a MongoDB database, which is reached when it is first needed."""

    def __init__(self, uri: str, database: str, dataset_id: str) -> None:
        self._uri, self._database, self._dataset_id = uri, database, dataset_id
        self._collection: Any = None
        self._away_until = 0.0

    def take(self, instance_id: str, reviewer: str) -> Lease:
        """See `Leases`."""
        document = self._asked(lambda leases: self._take(leases, instance_id, reviewer))
        return _lease(document)

    def _take(self, leases: Any, instance_id: str, reviewer: str) -> dict[str, Any]:
        """One atomic update: who may have the lease gets it, else nothing changes."""
        from pymongo import ReturnDocument

        others = {"$ne": [{"$ifNull": ["$reviewer", reviewer]}, reviewer]}
        taken = {"$and": [others, {"$gt": ["$until", "$$NOW"]}]}
        ends = {"$add": ["$$NOW", round(DURATION.total_seconds() * 1000)]}
        update = [
            {"$set": {"taken": taken, "dataset_id": self._dataset_id, "instance_id": instance_id}},
            {
                "$set": {
                    "reviewer": {"$cond": ["$taken", "$reviewer", reviewer]},
                    "until": {"$cond": ["$taken", "$until", ends]},
                }
            },
            {"$unset": "taken"},
        ]
        key = {"_id": f"{self._dataset_id}/{instance_id}"}
        return leases.find_one_and_update(key, update, upsert=True, return_document=ReturnDocument.AFTER)

    def release(self, reviewer: str, instance_id: str | None = None) -> None:
        """See `Leases`."""
        wanted = {"dataset_id": self._dataset_id, "reviewer": reviewer}
        if instance_id is not None:
            wanted["_id"] = f"{self._dataset_id}/{instance_id}"
        self._asked(lambda leases: leases.delete_many(wanted))

    def held(self) -> dict[str, Lease]:
        """See `Leases`."""
        wanted = {"dataset_id": self._dataset_id, "$expr": {"$gt": ["$until", "$$NOW"]}}
        documents = self._asked(lambda leases: list(leases.find(wanted)))
        return {document["instance_id"]: _lease(document) for document in documents}

    def _asked(self, ask: Callable[[Any], Any]) -> Any:
        from pymongo.errors import PyMongoError

        if time.monotonic() < self._away_until:
            raise _away("no answer a moment ago")
        try:
            return ask(self._connect())
        except PyMongoError as error:
            self._away_until = time.monotonic() + _PAUSE_S
            raise _away(str(error).split(",")[0].split(" (configured")[0]) from error

    def _connect(self) -> Any:
        """The collection; the client is made once and finds its server again by itself."""
        import pymongo

        if self._collection is None:
            client = pymongo.MongoClient(
                self._uri,
                tz_aware=True,
                serverSelectionTimeoutMS=_TIMEOUT_MS,
                connectTimeoutMS=_PATIENCE_MS,
                socketTimeoutMS=_PATIENCE_MS,
                retryReads=False,
                retryWrites=False,
            )
            self._collection = client[self._database][COLLECTION]
        return self._collection


def _lease(document: dict[str, Any]) -> Lease:
    return Lease(document["instance_id"], document["reviewer"], document["until"])


def _away(received: str) -> DeskError:
    return DeskError(
        "database",
        "the database that holds the leases",
        received,
        "Your decisions are stored all the same. Start the database again, or the App, so that others see "
        "what you work on.",
    )


def database_name() -> str:
    """The database that FiftyOne keeps its data in, as it would read its settings, without importing it."""
    path = Path(os.environ.get("FIFTYONE_CONFIG_PATH", "~/.fiftyone/config.json")).expanduser()
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return os.environ.get("FIFTYONE_DATABASE_NAME") or config.get("database_name") or "fiftyone"
