// The queue: every instance with its verdict and who holds it, most informative first.

import { el, replaceChildren } from "./dom.js";

export const SIGNS = { accept: "✓", reject: "✗", unsure: "?", skip: "–", not_visible: "∅" };
const ROWS = 400; // as many as are made at once; the list is a window around the present instance

export function verdictOf(entry) {
  return typeof entry.verdict === "string" ? entry.verdict : (entry.verdict?.action ?? null);
}

export function drawQueue(list, { queue, current, onOpen }) {
  const at = Math.max(0, queue.findIndex((entry) => entry.instance_id === current));
  const start = Math.max(0, Math.min(at - ROWS / 2, queue.length - ROWS));
  const rows = queue.slice(start, start + ROWS).map((entry) => row(entry, entry.instance_id === current, onOpen));
  const hidden = queue.length - rows.length;
  const note = hidden > 0 ? [el("div", { class: "dc-queue-note" }, `${hidden} more`)] : [];
  replaceChildren(list, ...rows, ...note);
  list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

function row(entry, isCurrent, onOpen) {
  const verdict = verdictOf(entry);
  const held = entry.leased_by && !entry.mine ? `held by ${entry.leased_by}` : "";
  return el(
    "button",
    {
      class: `dc-queue-row ${verdict ? `dc-${verdict}` : ""}`,
      "aria-current": isCurrent ? "true" : null,
      "data-testid": "queue-row",
      title: held ? `${entry.instance_id}, ${held}` : entry.instance_id,
      onclick: () => onOpen(entry.instance_id),
    },
    el("span", { class: "dc-sign" }, SIGNS[verdict] ?? "·"),
    el("span", { class: "dc-queue-name" }, `${entry.category} ${entry.instance_id}`),
    el("span", { class: "dc-queue-held" }, held),
  );
}
