// What the header says: which instance, what was decided on it, what is stored, how far the review is.

import { setHidden } from "./dom.js";
import { titleOf } from "./keys.js";
import { isDecided, verdictOf } from "./queue.js";
import { SIGNS } from "./queue_view.js";

export function showTitle(parts, { category, instance_id, image_id, image, label }) {
  parts.title.textContent = `${category} · ${instance_id}`;
  parts.title.title = `image ${image_id}, ${image.width} × ${image.height}; labels: ${label.source}, ${label.producer}`;
}

export function showVerdict(parts, state) {
  const verdict = state && verdictOf(state);
  parts.verdict.textContent = verdict ? `${SIGNS[verdict]} ${verdict.replace("_", " ")}` : "";
  parts.verdict.className = `dc-verdict ${verdict ? `dc-${verdict}` : ""}`;
  parts.verdict.title = state?.verdict?.reason ?? "";
}

export function showOthers(parts, others, entry) {
  const line = entry ? others.line() : "";
  setHidden(parts.others, !line);
  parts.others.textContent = line;
  parts.others.title = entry && isDecided(entry) ? `${line}; ${titleOf("others")}` : "what they decided is shown once you did";
  parts.others.classList.toggle("dc-on", others.at >= 0);
}

export function showProgress(parts, progress, reviewer) {
  const { done, total, accepted, rejected, per_hour, seconds } = progress;
  const rate = per_hour ? [`${Math.round(per_hour)} an hour`, duration(seconds)] : [];
  parts.rate.textContent = [`${done} of ${total} done`, ...rate].join(" · ");
  const verdicts = `${done} of ${total} instances decided by ${reviewer}: ${accepted} accepted, ${rejected} rejected`;
  const time = `${duration(seconds)} of work on this data set, in which a pause counts for 2 min at most`;
  parts.rate.title = parts.bar.title = `${verdicts}; ${time}`;
  parts.done.style.width = `${total ? (100 * done) / total : 0}%`;
}

function duration(seconds) {
  if (seconds < 60) return "under 1 min";
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export function showStatus(parts, outbox) {
  const waiting = outbox.items.length;
  const kind = waiting === 0 ? "saved" : outbox.error ? "unsaved" : "saving";
  parts.status.className = `dc-status dc-${kind}`;
  parts.status.dataset.kind = kind;
  parts.status.textContent = { saved: "✓ saved", saving: "saving…", unsaved: `⚠ ${waiting} not saved` }[kind];
  parts.status.title = outbox.error?.message ?? "";
}
