// What other reviewers decided on the instance shown: a line in the header, and their points beside one's own.
// The desk tells it once one has decided oneself.

import { isDecided } from "./queue.js";

const SAID = { accept: "accepted", reject: "rejected", unsure: "unsure", skip: "skipped", not_visible: "not visible" };

export class Others {
  constructor(session, changed) {
    Object.assign(this, { session, changed, key: null, found: [], at: -1 });
  }

  // Asked for when an instance is shown, and again when someone decides it anew.
  ask() {
    const entry = this.session.entry;
    const known = entry && isDecided(entry) ? (entry.others ?? []) : [];
    const key = known.length ? JSON.stringify([entry.instance_id, known]) : null;
    if (key === this.key) return;
    const wasShown = this.at >= 0;
    Object.assign(this, { key, found: [], at: -1 });
    if (wasShown) this.changed();
    if (key) this.fetch(key, entry.instance_id).catch(() => {}); // nobody asked: no message
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
    if (this.found.some(({ points }) => Object.keys(points).length)) return "Only your points are shown again.";
    if (this.found.length) return "No other reviewer changed points here.";
    return "Nothing of other reviewers is known here; what they decided is shown once you did.";
  }

  // The next reviewer who changed points; after the last, none.
  toggle() {
    const rest = this.found.findIndex(({ points }, i) => i > this.at && Object.keys(points).length);
    this.at = rest;
    this.changed();
    return this.found[rest]?.reviewer ?? null;
  }

  // The shown reviewer's points that are not as one's own: id -> point, or null where they deleted it.
  points() {
    const mine = this.session.state?.points;
    const theirs = Object.entries(this.found[this.at]?.points ?? {}).map(([id, point]) => [Number(id), point]);
    return new Map(theirs.filter(([id, point]) => !same(mine.get(id) ?? null, point)));
  }

  // Theirs for a point of one's own, as a suggestion.
  suggestion(id) {
    const point = this.session.state?.points.has(id) ? this.points().get(id) : undefined;
    return point === undefined ? null : { point_id: id, why: this.found[this.at].reviewer, vertex: point?.vertex ?? -1, point };
  }
}

const same = (one, other) => JSON.stringify(plain(one)) === JSON.stringify(plain(other));
const plain = (point) => point && [point.x, point.y, point.vertex, point.visible];

function describe({ reviewer, verdict, points }) {
  const count = Object.keys(points).length;
  const facts = [`${reviewer} ${SAID[verdict.action]}`];
  if (verdict.reason) facts.push(`“${verdict.reason}”`);
  if (count) facts.push(`${count} ${count === 1 ? "point" : "points"} changed`);
  return facts.join(", ");
}
