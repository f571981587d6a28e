// What the desk thinks of a point: where else on the template looks like it, and which vertex would be better.

import { decode } from "./codec.js";

const HOVER_MS = 60; // a pointer that passes over asks nothing
const SELECT_MS = 120;
const KEPT = 200;
const NOTES = { features: "heat: similarity of features", geodesic: "heat: distance on the surface" };

export class Similarity {
  constructor(session, show) {
    Object.assign(this, { session, show, cache: new Map(), wanted: undefined, timer: null });
  }

  reset() {
    clearTimeout(this.timer);
    this.wanted = undefined; // not even nothing: what is shown now is to go
  }

  // What was shown last, shown again.
  again() {
    const known = this.cache.get(this.wanted);
    this.show(known?.values ?? null, NOTES[known?.kind] ?? "");
  }

  ask(id) {
    const point = this.session.state.points.get(id);
    const instance_id = this.session.item.instance_id;
    const key = point ? `${instance_id}:${point.x}:${point.y}:${point.vertex}` : null;
    if (key === this.wanted) return;
    this.wanted = key;
    clearTimeout(this.timer);
    const known = this.cache.get(key);
    if (!key || known) return this.show(known?.values ?? null, NOTES[known?.kind] ?? "");
    this.timer = setTimeout(() => this.fetch(key, instance_id, point), HOVER_MS);
  }

  async fetch(key, instance_id, { x, y, vertex }) {
    let answer = { kind: "none", values: null };
    try {
      const { kind, values } = await this.session.call("review_similarity", { instance_id, x, y, vertex });
      const alike = decode("u8", values);
      if (alike.some((value) => value > 0)) answer = { kind, values: alike }; // all zero: nothing is known
    } catch {
      // A heat map is an aid: without one the template keeps its colours, and acts tell of real trouble.
    }
    if (answer.values) this.cache.set(key, answer);
    if (this.cache.size > KEPT) this.cache.delete(this.cache.keys().next().value);
    if (this.wanted === key) this.show(answer.values, NOTES[answer.kind] ?? "");
  }
}

export class Suggestions {
  constructor(session, others, changed) {
    Object.assign(this, { session, others, changed });
    this.reset();
  }

  reset() {
    clearTimeout(this.timer);
    this.found = new Map(); // point id -> suggestion or null
    this.tour = []; // points left of "suggest for all"
  }

  // After an act a suggestion for this point is an answer to an old question.
  forget(id) {
    this.found.delete(id);
  }

  // While another reviewer's points are shown, only what they made of it: Enter takes theirs.
  of(id) {
    if (this.others.at >= 0) return this.others.suggestion(id);
    const suggestion = this.found.get(id) ?? null;
    const point = this.session.state?.points.get(id);
    return suggestion && point && suggestion.vertex !== point.vertex ? suggestion : null;
  }

  ask(id) {
    clearTimeout(this.timer);
    if (!this.session.state.points.has(id) || this.found.has(id)) return;
    this.timer = setTimeout(() => this.fetch(id).catch(() => {}), SELECT_MS); // nobody asked: no message
  }

  async fetch(point_id) {
    const instance_id = this.session.item.instance_id;
    const { suggestions } = await this.session.call("review_suggest", { instance_id, point_id });
    if (this.session.item.instance_id !== instance_id) return [];
    if (point_id !== null) this.found.set(point_id, null);
    for (const suggestion of suggestions) this.keepBest(suggestion);
    this.changed();
    return suggestions;
  }

  keepBest(suggestion) {
    const known = this.found.get(suggestion.point_id);
    if (!known || suggestion.confidence > known.confidence) this.found.set(suggestion.point_id, suggestion);
  }

  // For all points: those whose suggestion differs, the surest first.
  async startTour() {
    this.others.hide();
    await this.fetch(null);
    const ids = [...this.found.keys()].filter((id) => this.found.get(id) && this.of(id));
    this.tour = ids.sort((a, b) => this.found.get(b).confidence - this.found.get(a).confidence);
    return this.tour.length;
  }

  nextOfTour() {
    while (this.tour.length) {
      const id = this.tour.shift();
      if (this.of(id)) return id;
    }
    return null;
  }
}
