// The queue: every instance with its verdict, who else decided it and who holds it, most informative first.
// Only the rows in sight are in the page, so that ten thousand scroll like ten.

import { el, oncePerFrame } from "./dom.js";
import { isDecided, verdictOf } from "./queue.js";

export const SIGNS = { accept: "✓", reject: "✗", unsure: "?", skip: "–", not_visible: "∅" };
const ROW = 25; // pixels; panel.css has the same
const SPARE = 8; // rows drawn above and below those in sight

export class QueueView {
  constructor(place, { onOpen, onLeave }) {
    Object.assign(this, { place, onOpen, onLeave, queue: [], shown: [], current: null, at: 0, left: 0 });
    const filter = () => this.filter();
    this.text = el("input", { type: "search", placeholder: "find", "aria-label": "find in the queue", oninput: filter });
    this.open = el("input", { type: "checkbox", onchange: filter });
    this.count = el("span", { class: "dc-queue-count", "data-testid": "queue-count" });
    this.rows = el("div", { class: "dc-queue-rows" });
    const labels = { role: "listbox", "aria-label": "instances", "data-testid": "queue-list" };
    this.list = el("div", { class: "dc-queue-list", tabindex: 0, ...labels, onscroll: oncePerFrame(() => this.drawRows()) }, this.rows);
    this.list.addEventListener("keydown", (event) => this.key(event));
    const undecided = el("label", { title: "list only what you have not decided" }, this.open, "only open");
    place.replaceChildren(el("div", { class: "dc-queue-head" }, this.text, undecided, this.count), this.list);
  }

  draw(queue, current) {
    const left = queue.filter((entry) => !isDecided(entry)).length;
    const other = this.open.checked && left !== this.left; // than the rows that are listed now
    const moved = queue !== this.queue || current !== this.current;
    Object.assign(this, { queue, current, left });
    if (moved || other) return this.filter();
    this.drawCount();
    this.drawRows();
  }

  // How many are open to this reviewer, whatever is listed; and how many are listed, if that is not all.
  drawCount() {
    const { queue, shown, left, count } = this;
    const open = `${left} of ${queue.length} open`;
    count.textContent = shown === queue ? open : `${open} · ${shown.length} listed`;
    count.title = `${open}: not decided by you, or skipped; some may be held by others`;
  }

  // Shown again, or filtered: the present instance is to be in sight.
  filter() {
    const text = this.text.value.trim().toLowerCase();
    const fits = (entry) => !text || `${entry.category} ${entry.instance_id}`.toLowerCase().includes(text);
    const wanted = (entry) => fits(entry) && !(this.open.checked && isDecided(entry));
    this.shown = text || this.open.checked ? this.queue.filter(wanted) : this.queue;
    this.drawCount();
    this.rows.style.height = `${this.shown.length * ROW}px`;
    this.at = Math.max(0, this.shown.findIndex((entry) => entry.instance_id === this.current));
    this.reveal();
  }

  reveal() {
    const { scrollTop, clientHeight } = this.list;
    const top = this.at * ROW;
    if (top < scrollTop || top + ROW > scrollTop + clientHeight) this.list.scrollTop = top - (clientHeight - ROW) / 2;
    this.drawRows();
  }

  drawRows() {
    const { scrollTop, clientHeight } = this.list;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - SPARE);
    const last = Math.ceil((scrollTop + clientHeight) / ROW) + SPARE;
    const rows = this.shown.slice(first, last).map((entry, i) => this.row(entry, first + i));
    this.list.setAttribute("aria-activedescendant", `dc-row-${this.at}`);
    const drawn = [...this.rows.children];
    if (drawn.length !== rows.length || drawn[0]?.id !== rows[0]?.id) return this.rows.replaceChildren(...rows);
    // One that says the same stays: a click needs the row that was pressed.
    drawn.forEach((row, i) => row.isEqualNode(rows[i]) || row.replaceWith(rows[i]));
  }

  row(entry, at) {
    const verdict = verdictOf(entry);
    const held = entry.leased_by && !entry.mine ? `held by ${entry.leased_by}` : "";
    const others = (entry.others ?? []).map(({ reviewer, verdict: theirs }) => `${reviewer} ${SIGNS[theirs?.action] ?? "•"}`);
    const blind = entry.others?.length && !isDecided(entry) ? "what they decided is shown once you did" : "";
    return el(
      "div",
      {
        id: `dc-row-${at}`,
        class: `dc-queue-row ${verdict ? `dc-${verdict}` : ""} ${at === this.at ? "dc-at" : ""}`,
        style: `top: ${at * ROW}px`,
        role: "option",
        "aria-current": entry.instance_id === this.current ? "true" : null,
        "aria-selected": at === this.at ? "true" : "false",
        "aria-posinset": at + 1,
        "aria-setsize": this.shown.length,
        "data-testid": "queue-row",
        title: [entry.instance_id, held, ...others, blind].filter(Boolean).join(", "),
        onclick: () => this.onOpen(entry.instance_id),
      },
      el("span", { class: "dc-sign" }, SIGNS[verdict] ?? "·"),
      el("span", { class: "dc-queue-name" }, `${entry.category} ${entry.instance_id}`),
      el("span", { class: "dc-queue-others" }, others.join(" ")),
      el("span", { class: "dc-queue-held" }, held),
    );
  }

  // Arrows go through the list and Enter opens; any other key is the panel's again.
  key(event) {
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW) - 1);
    const end = this.shown.length;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -end, End: end }[event.key];
    if (event.key === "Enter" && this.shown[this.at]) this.onOpen(this.shown[this.at].instance_id);
    else if (step) {
      this.at = Math.max(0, Math.min(end - 1, this.at + step));
      this.reveal();
    } else {
      if (!["Tab", "Shift", "Control", "Alt"].includes(event.key)) this.onLeave();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
