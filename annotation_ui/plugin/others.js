// What other reviewers decided on the instance shown: a line in the header, and their points beside one's own.
// The desk tells it once one has decided oneself.

import { isDecided } from "./queue.js";

const SAID = { accept: "accepted", reject: "rejected", unsure: "unsure", skip: "skipped", not_visible: "not visible" };

export class Others {
  constructor(session, changed) {
    Object.assign(this, { session, changed, key: null, failed: false, found: [], at: -1 });
  }

  // Asked for when an instance is shown, and again when someone decides it anew.
  ask() {
    const entry = this.session.entry;
    const known = entry && isDecided(entry) ? (entry.others ?? []) : [];
    const key = known.length ? JSON.stringify([entry.instance_id, known]) : null;
    if (key === this.key) return;
    const wasShown = this.at >= 0;
    Object.assign(this, { key, failed: false, found: [], at: -1 });
    if (wasShown) this.changed();
    if (key) this.fetch(key, entry.instance_id).catch(() => (this.failed ||= this.key === key)); // nobody asked: no message
  }

  // Another request succeeded: what failed is asked for again, once.
  retry() {
    if (this.failed) Object.assign(this, { key: null, failed: false });
  }

  async fetch(key, instance_id) {
    const { others } = await this.session.call("review_others", { instance_id });
    if (this.key !== key) return;
    this.found = others;
    this.changed();
  }

  line() {
    if (this.found.length) return this.found.map(describe).join(" · ");
    const blind = (this.session.entry?.others ?? []).filter(({ verdict }) => !verdict);
    return blind.length ? `${blind.map(({ reviewer }) => reviewer).join(", ")} decided` : "";
  }

  // Why nobody's points are shown.
  why() {
    if (this.found.some(countOf)) return "Only your points are shown again.";
    if (this.found.length) return "No other reviewer changed points here.";
    return "Nothing of other reviewers is known here; what they decided is shown once you did.";
  }

  // The next reviewer who changed points; after the last, none.
  toggle() {
    const rest = this.found.findIndex((one, i) => i > this.at && countOf(one));
    this.at = rest;
    this.changed();
    return this.found[rest]?.reviewer ?? null;
  }

  hide() {
    this.at = -1;
  }

  // The shown reviewer's points that are not as one's own: id -> point, or null where they deleted it. What they added
  // goes by ids of its own ("+0", ...): a number that both gave a new point is not the same point.
  points() {
    const mine = this.session.state?.points;
    const { points = {}, added = [] } = this.found[this.at] ?? {};
    const changed = Object.entries(points).map(([id, point]) => [Number(id), point]);
    const others = added.map((point, i) => [`+${i}`, point]);
    return new Map([
      ...changed.filter(([id, point]) => !same(mine.get(id) ?? null, point)),
      ...others.filter(([, point]) => ![...mine.values()].some((own) => same(own, point))),
    ]);
  }

  // Those that one has not oneself, to be selected and taken over.
  lacking() {
    return [...this.points()].filter(([id, point]) => point && !this.session.state.points.has(id)).map(([id]) => id);
  }

  // Theirs for a point, as a suggestion.
  suggestion(id) {
    const point = this.session.state ? this.points().get(id) : undefined;
    return point === undefined ? null : { point_id: id, why: this.found[this.at].reviewer, vertex: point?.vertex ?? -1, point };
  }
}

const countOf = ({ points, added }) => Object.keys(points).length + added.length;
const same = (one, other) => JSON.stringify(plain(one)) === JSON.stringify(plain(other));
const plain = (point) => point && [point.x, point.y, point.vertex, point.visible];

function describe(one) {
  const { reviewer, verdict } = one;
  const count = countOf(one);
  const facts = [`${reviewer} ${SAID[verdict.action]}`];
  if (verdict.reason) facts.push(`“${verdict.reason}”`);
  if (count) facts.push(`${count} ${count === 1 ? "point" : "points"} changed`);
  return facts.join(", ");
}
