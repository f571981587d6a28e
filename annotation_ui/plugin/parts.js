// Annotating from scratch, as DensePose was: outline each part, take the points the desk spreads inside, and for each click the
// place on one of the part's six views; the click shows on all of them.

import { isInside, newPointId } from "./model.js";

export const MAX_POINTS = 14; // per part, as in DensePose

export function partNames(template) {
  return template.parts === null ? ["whole"] : template.part_names;
}

export function partColor(index) {
  return `hsl(${(index * 137.5) % 360}, 80%, 62%)`; // neighbours in the list differ most
}

// What delineating one more polygon of a part changes.
export const delineated = (state, name, polygon) => ({ parts: { [name]: [...(state.parts[name] ?? []), polygon] } });

// The points inside a part's outlines, as [{id, x, y, vertex, visible}].
export function partPoints(state, name) {
  const polygons = state.parts[name] ?? [];
  const all = [...state.points].map(([id, point]) => ({ id, ...point }));
  return all.filter(({ x, y }) => polygons.some((polygon) => isInside(polygon, x, y)));
}

// What of the desk's points (`review_spread`) a part takes, or null. Points inside that are there already count, and
// what lies close to one is left out.
export function spreadPatch(state, name, spread) {
  const mine = spread.filter(({ part }) => part === name);
  const there = partPoints(state, name);
  const gap = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
  const least = Math.min(...mine.flatMap((a, i) => mine.slice(i + 1).map((b) => gap(a, b))));
  const fresh = mine.filter((point) => there.every((known) => gap(point, known) > least / 2));
  const room = Math.max(0, MAX_POINTS - there.length);
  let id = Math.max(newPointId(state), spread[0]?.point_id ?? 0); // the first that no act has used
  const points = {};
  for (const { x, y } of fresh.slice(0, room)) points[id++] = { x, y, vertex: -1, visible: true };
  return Object.keys(points).length ? { points } : null;
}

// The next point of a part that has no vertex yet, after `from`; null when all have one.
export function nextOpenPoint(state, name, from) {
  const open = partPoints(state, name).filter(({ vertex, visible }) => vertex < 0 && visible);
  const ids = open.map(({ id }) => id).sort((a, b) => a - b);
  return ids.find((id) => id > from) ?? ids[0] ?? null;
}
