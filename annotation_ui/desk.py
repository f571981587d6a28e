"""The desk: one reviewer at one data set. What the panel asks for and sends goes through its methods.

They are the operators of docs/review-protocol.md: JSON-able values in and out, errors as exceptions (the plugin turns
them into answers). FiftyOne calls them from several threads.
"""

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from densecorr.errors import SettingsError
from densecorr.records import Decision, LabelRecord
from densecorr.review.state import ReviewState, has_decided, replay, verdict_of
from storage.artifacts import Store

from . import desk_spread
from .desk_act import check_addressee, make_decision, sent_before
from .desk_data import DeskData
from .desk_earlier import EarlierLabels
from .desk_errors import DeskError, error_answer
from .desk_guide import guide_page
from .desk_instance import describe_acts, describe_points, picture, undone_ids
from .desk_leases import DeskLeases
from .desk_news import DeskNews
from .desk_others import OtherVerdicts
from .desk_queue import DeskQueue
from .desk_record import DeskRecord
from .desk_settings import DeskSettings
from .desk_similarity import DeskSimilarity
from .desk_suggest import ask_neighbours, gather_evidence, suggest
from .desk_template import describe_template, distances_from
from .leases import Leases, MemoryLeases

VERSION = 1  # of the protocol
REASONS = (
    "left and right swapped",
    "many points wrong",
    "wrong object",
    "outline wrong",
    "too small or blurred",
    "mostly hidden",
    "other",
)
_PICTURES = 64  # kept, so that what was preloaded is not made again


class Desk:
    """One reviewer at one data set; `close` gives back the leases and brings the decisions table up to date."""

    def __init__(self, settings: DeskSettings, leases: Leases | None = None) -> None:
        store = Store(settings.store)
        self._settings = settings
        self._leases = DeskLeases(MemoryLeases() if leases is None else leases, settings.reviewer)
        self._news = DeskNews(store, settings.tags, (settings.dataset, settings.labels))
        self._data = DeskData(settings, store)
        self._record = DeskRecord(store, settings.dataset, settings.reviewer)
        similarities = store.path(settings.similarities) if settings.similarities else None
        self._similarity = DeskSimilarity(self._data.template, similarities)
        self._earlier = EarlierLabels(store, settings.dataset, self._data.template.template_id)
        labels = dict(zip(self._data.instance_ids, self._data.label_ids(), strict=True))
        self._others = OtherVerdicts(store, settings.dataset, settings.reviewer, labels)
        self._queue = DeskQueue(self._data, self._record, self._leases, self._others, settings.reviewer)
        self._picture = lru_cache(_PICTURES)(lambda key: picture(self._data.instance(key)))
        self._guide = lru_cache(1)(lambda: guide_page(self._data.template))
        self._acting = threading.RLock()

    def review_open(self, version: int) -> dict[str, Any]:
        """All that does not change while the panel is open, and the queue.

        Raises:
            DeskError: the panel speaks another version (`version`).
        """
        if version != VERSION:
            raise DeskError(
                "version",
                f"a panel that speaks version {VERSION}",
                f"version {version}",
                "Start the App again with densecorr review open, and reload the page.",
            )
        settings = self._settings
        return {
            "version": VERSION,
            "reviewer": settings.reviewer,
            "dataset": {"id": settings.dataset, "name": settings.name},
            "template": describe_template(self._data.template),
            "reasons": list(REASONS),
            "gold": bool(settings.gold),
        } | self.review_queue()

    def review_queue(self, since: int | None = None) -> dict[str, Any]:
        """The queue with verdicts and leases as they are now, and the progress.

        `since` is the `serial` of an earlier answer: then only the entries that changed after it.
        """
        return self._queue.entries(since) | {"progress": self._queue.progress()}

    def review_instance(self, instance_id: str, lease: bool) -> dict[str, Any]:
        """One instance as it is now; `lease` takes it, without it is loaded ahead.

        Raises:
            DeskError: it is gone (`stale`) or its labels are of another template (`template`).
            ImageError: its image cannot be read.
        """
        label = self._data.label(instance_id)
        found = self._data.instance(instance_id)
        decisions = self._decisions(instance_id, label.label_id)
        state = replay(label, decisions)
        return {
            "instance_id": instance_id,
            "image_id": found.image.image_id,
            "category": found.instance.category,
            "revision": self._data.revision(instance_id),
            "label": {
                "label_id": label.label_id,
                "source": label.source,
                "producer": label.producer,
                "template_id": label.template_id,
            },
            **self._picture(instance_id),
            "points": describe_points(label, state),
            "verdict": state.verdict,
            "regions": state.regions,
            "parts": state.parts,
            "acts": describe_acts(decisions, undone_ids(decisions)),
            "lease": self._leases.take(instance_id)[0] if lease else self._leases.seen(instance_id),
            "seconds": self._record.seconds_on(instance_id),
        }

    def review_act(self, act: Mapping[str, Any]) -> dict[str, Any]:
        """Store an act; once this answers, it is on the disk.

        Beside `decision_id` there may be an `error`: the leases cannot be reached (`database`), or what this desk is
        about was replaced since it was opened, or it is another label set that the store knows (`stale`).

        Raises:
            DeskError: the act is another reviewer's or on another data set (`version`), the labels are others now
                (`stale`, `template`), someone else holds the instance
                (`lease`), or the act could not be stored (`storage`).
            AnnotationError: an act that could not be replayed.
        """
        check_addressee(act, self._settings.dataset, self._settings.reviewer)
        key = str(act.get("instance_id"))
        label, notice = self._earlier.of_act(
            self._data, key, str(act.get("label_id")), str(act.get("revision"))
        )
        with self._acting:
            lease, away = self._leases.take_to_act(key)
            earlier = self._decisions(key, label.label_id)
            decision = sent_before(act, earlier)
            if decision is None:
                decision = make_decision(
                    act,
                    label,
                    earlier,
                    self._settings.dataset,
                    self._settings.reviewer,
                    len(self._data.template.V),
                )
                self._record.add(decision)
            verdict = verdict_of(self._record.of(key, self._data.label_id(key)))
            self._queue.set_verdict(key, verdict)
        notice = notice or away or self._news.check()
        return {
            "decision_id": decision.decision_id,
            "verdict": verdict,
            "others": self._queue.others(key),
            "progress": self._queue.progress(),
            "lease": lease,
        } | ({} if notice is None else error_answer(notice))

    def review_release(self, instance_id: str) -> dict[str, Any]:
        """Let others have an instance."""
        self._leases.release(instance_id)
        return {}

    def review_similarity(self, instance_id: str, x: float, y: float, vertex: int) -> dict[str, Any]:
        """How alike the image at a labelled point near (x, y) is to each vertex, if that was computed.

        Else how near each vertex is to the one given, or, where that is -1, to what the neighbours put at (x, y).
        """
        template = self._data.template
        if not -1 <= vertex < len(template.V):
            raise SettingsError(f"a vertex in [-1, {len(template.V)})", str(vertex), "Reload the panel.")
        known = self._similarity.features(instance_id, x, y)
        if known is not None or vertex >= 0:
            return known or self._similarity.geodesic(vertex)
        label, state = self._state(instance_id)
        guess = ask_neighbours(template, gather_evidence(label, state), np.array([x, y]))
        return self._similarity.geodesic(None if guess is None else guess[0])

    def review_spread(self, instance_id: str, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Points to annotate on delineated parts, for annotating from scratch; nothing is stored."""
        label, image = self._data.label(instance_id), self._data.instance(instance_id).image
        decisions = self._decisions(instance_id, label.label_id)
        return {"points": desk_spread.propose_points(label, decisions, parts, image.height, image.width)}

    def review_suggest(self, instance_id: str, point_id: int | None) -> dict[str, Any]:
        """Suggestions for a point; for all points only those that would move them by more than a little."""
        label, state = self._state(instance_id)
        if point_id is not None and point_id not in state.points:
            raise SettingsError(f"a point of '{instance_id}'", str(point_id), "Load the instance again.")
        opinion = self._data.opinion(instance_id)
        return {"suggestions": suggest(self._data.template, label, state, opinion, point_id)}

    def review_others(self, instance_id: str) -> dict[str, Any]:
        """What others decided on an instance and which points they changed; nothing before one's own verdict."""
        label, state = self._state(instance_id)
        return {"others": self._others.changes(label) if has_decided(state.verdict) else []}

    def review_history(self, limit: int) -> dict[str, Any]:
        """One's last acts, newest first."""
        with self._acting:
            return {"acts": self._record.history(max(0, int(limit)))}

    def review_guide(self) -> dict[str, Any]:
        """The guideline page, made for the template when it is first asked for."""
        return {"html": self._guide()}

    def warm_up(self) -> None:
        """Do now what would make the first answers slow: geodesics, k-means, the database's first connection."""
        self._leases.held()
        distances_from(self._data.template, 0)
        desk_spread.warm_up()

    def close(self) -> None:
        """Give back the leases, bring the decisions table up to date, close the journal."""
        self._leases.release(None)
        self._record.close()

    def _decisions(self, instance_id: str, label_id: str) -> list[Decision]:
        with self._acting:
            return self._record.of(instance_id, label_id)

    def _state(self, instance_id: str) -> tuple[LabelRecord, ReviewState]:
        label = self._data.label(instance_id)
        return label, replay(label, self._decisions(instance_id, label.label_id))
