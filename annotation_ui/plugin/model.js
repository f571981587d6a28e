// The state of the instance under review, as densecorr/review/{acts,state}.py has it: patches, acts, undo.

export const VERDICTS = ["accept", "reject", "skip", "unsure", "not_visible"];

export function startState(instance) {
  const points = new Map();
  for (const { point_id, x, y, vertex, visible } of instance.points) points.set(point_id, { x, y, vertex, visible });
  const { verdict, regions, parts } = instance;
  return { points, verdict, regions, parts };
}

export function applyPatch(state, patch) {
  const next = { ...state, ...patch };
  if (patch.points) {
    next.points = new Map(state.points);
    for (const [key, point] of Object.entries(patch.points)) {
      if (point === null) next.points.delete(Number(key));
      else next.points.set(Number(key), point);
    }
  }
  if (patch.parts) {
    const named = Object.entries({ ...state.parts, ...patch.parts });
    next.parts = Object.fromEntries(named.filter(([, polygons]) => polygons !== null));
  }
  return next;
}

// What held until now, for the same keys as `after`.
export function before(state, after) {
  const patch = {};
  if ("points" in after) {
    const ids = Object.keys(after.points);
    patch.points = Object.fromEntries(ids.map((id) => [id, state.points.get(Number(id)) ?? null]));
  }
  if ("verdict" in after) patch.verdict = state.verdict;
  if ("regions" in after) patch.regions = state.regions;
  if ("parts" in after) {
    const names = Object.keys(after.parts);
    patch.parts = Object.fromEntries(names.map((name) => [name, state.parts[name] ?? null]));
  }
  return patch;
}

export function makeAct(state, action, after, { point_id = null, reason = "" } = {}) {
  return { action, point_id, undoes: null, before: before(state, after), after, reason };
}

export const movedPoint = (state, id, change) => ({ points: { [id]: { ...state.points.get(id), ...change } } });

export function mirrored(state, mirror) {
  const points = {};
  for (const [id, point] of state.points) {
    if (point.vertex >= 0) points[id] = { ...point, vertex: mirror[point.vertex] };
  }
  return { points };
}

export function newPointId(state, taken = 0) {
  let id = taken;
  for (const known of state.points.keys()) id = Math.max(id, known + 1);
  return id;
}

// Acts of one instance that can be undone or redone. Those of an earlier session have no patches here: the desk
// replays them, and the instance is fetched again.
export class Timeline {
  constructor(acts = []) {
    const kept = acts.filter((act) => act.action !== "undo" && !act.undone);
    this.done = kept.map(({ decision_id, action }) => ({ key: decision_id, action, act: null }));
    this.undone = [];
  }

  push(key, act) {
    this.done.push({ key, action: act.action, act });
    this.undone = []; // what was undone is superseded
  }

  // The act that undoes the last one, or null. `commit` is told the key under which it was stored.
  undo() {
    const entry = this.done.at(-1);
    if (!entry) return null;
    const patches = entry.act ? { before: entry.act.after, after: entry.act.before } : { before: {}, after: {} };
    return {
      act: { action: "undo", point_id: entry.act?.point_id ?? null, undoes: entry.key, reason: "", ...patches },
      entry,
      commit: (key) => this.undone.push({ entry: this.done.pop(), key }),
    };
  }

  // A redo is an undo of the undo.
  redo() {
    const last = this.undone.at(-1);
    if (!last) return null;
    const { entry } = last;
    const patches = entry.act ? { before: entry.act.before, after: entry.act.after } : { before: {}, after: {} };
    return {
      act: { action: "undo", point_id: entry.act?.point_id ?? null, undoes: last.key, reason: "", ...patches },
      entry,
      commit: () => {
        this.undone.pop();
        this.done.push(entry);
      },
    };
  }

  // Whether some acts that count were not made here; `ids` has the decision ids of those that were.
  lacks(acts, ids) {
    const entries = [...this.done, ...this.undone.map(({ entry }) => entry)];
    const known = new Set(entries.map(({ key }) => ids.get(key) ?? key));
    return acts.some((act) => act.action !== "undo" && !act.undone && !known.has(act.decision_id));
  }

  // The last verdict on each point, for the marks beside the points.
  marks() {
    const marks = new Map();
    for (const { act } of this.done) {
      if (act?.point_id == null) continue;
      if (VERDICTS.includes(act.action)) marks.set(act.point_id, act.action);
      else marks.delete(act.point_id);
    }
    return marks;
  }
}

// Even-odd rule; polygon as x, y, x, y, ...
export function isInside(polygon, x, y) {
  let inside = false;
  const n = polygon.length / 2;
  for (let i = 0, j = n - 1; i < n; j = i++) {
    const [xi, yi, xj, yj] = [polygon[2 * i], polygon[2 * i + 1], polygon[2 * j], polygon[2 * j + 1]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

// Ids are never used twice, not even those of points that were deleted.
export function unusedPointId({ item, state, timeline }) {
  const acts = [...item.acts, ...timeline.done.map(({ act }) => act ?? {})];
  const used = [...item.points, ...acts].map(({ point_id }) => point_id ?? -1);
  return newPointId(state, Math.max(-1, ...used) + 1);
}

export function droppedRegion(state, polygon) {
  const points = {};
  for (const [id, point] of state.points) if (isInside(polygon, point.x, point.y)) points[id] = null;
  return { regions: [...state.regions, polygon], points };
}
