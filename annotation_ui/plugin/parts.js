// Annotating from scratch, as DensePose was: outline each part, take points proposed inside, and for each click the
// place on one of the part's six views; the click shows on all of them.

import { isInside, newPointId } from "./model.js";

export const MAX_POINTS = 14; // per part, as in DensePose

export function partNames(template) {
  return template.parts === null ? ["whole"] : template.part_names;
}

export function partColor(index) {
  return `hsl(${(index * 137.5) % 360}, 80%, 62%)`; // neighbours in the list differ most
}

// Points spread evenly over polygons: the grid point farthest from all so far, again and again.
export function proposePoints(polygons, count, taken = []) {
  const xs = polygons.flatMap((polygon) => polygon.filter((_, i) => i % 2 === 0));
  const ys = polygons.flatMap((polygon) => polygon.filter((_, i) => i % 2 === 1));
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const step = Math.max(1, Math.sqrt(((x1 - x0) * (y1 - y0)) / 1500));
  const grid = [];
  for (let y = y0 + step / 2; y < y1; y += step) {
    for (let x = x0 + step / 2; x < x1; x += step) {
      if (polygons.some((polygon) => isInside(polygon, x, y))) grid.push([x, y]);
    }
  }
  // The outline counts as taken, at half weight: a point on the edge is hard to place on the template.
  const edge = polygons.flatMap((polygon) => polygon.filter((_, i) => i % 2 === 0).map((x, i) => [x, polygon[2 * i + 1]]));
  const near = grid.map(([x, y]) => 2 * Math.min(...edge.map(([ex, ey]) => Math.hypot(ex - x, ey - y))));
  const take = (px, py) => grid.forEach(([x, y], i) => (near[i] = Math.min(near[i], Math.hypot(px - x, py - y))));
  for (const { x, y } of taken) take(x, y);
  const points = [];
  while (points.length < Math.min(count, grid.length)) {
    const best = near.indexOf(Math.max(...near));
    if (near[best] < 2) break;
    const [bx, by] = grid[best];
    points.push([Math.round(bx * 10) / 10, Math.round(by * 10) / 10]);
    take(bx, by);
  }
  return points;
}

// What delineating one more polygon of a part changes.
export const delineated = (state, name, polygon) => ({ parts: { [name]: [...(state.parts[name] ?? []), polygon] } });

// The points inside a part's outlines, as [{id, x, y, vertex, visible}].
export function partPoints(state, name) {
  const polygons = state.parts[name] ?? [];
  const all = [...state.points].map(([id, point]) => ({ id, ...point }));
  return all.filter(({ x, y }) => polygons.some((polygon) => isInside(polygon, x, y)));
}

// The points proposed for a part, or null; those inside it that are there already count.
export function proposedAct(state, name) {
  const there = partPoints(state, name);
  const room = MAX_POINTS - there.length;
  if (room <= 0 || !state.parts[name]) return null;
  let id = newPointId(state);
  const points = {};
  for (const [x, y] of proposePoints(state.parts[name], room, there)) points[id++] = { x, y, vertex: -1, visible: true };
  return Object.keys(points).length ? { points } : null;
}

// The next point of a part that has no vertex yet, after `from`; null when all have one.
export function nextOpenPoint(state, name, from) {
  const open = partPoints(state, name).filter(({ vertex, visible }) => vertex < 0 && visible);
  const ids = open.map(({ id }) => id).sort((a, b) => a - b);
  return ids.find((id) => id > from) ?? ids[0] ?? null;
}
