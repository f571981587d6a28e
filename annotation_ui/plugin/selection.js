// What the template and the footer show of the selected and the hovered point.

import { el, leaveFocus, setHidden } from "./dom.js";
import { keyOf } from "./keys.js";
import { partPoints } from "./parts.js";

const SOURCES = { neighbours: "its neighbours", model: "the trained model" };

export function markersOf({ session, selected, hovered, suggestions, underPointer, partIndex, names }) {
  const { points } = session.state;
  const markers = [];
  if (partIndex !== null) {
    // Where the part's other points went.
    for (const { vertex } of partPoints(session.state, names[partIndex])) markers.push({ vertex, kind: "hover" });
  }
  const suggestion = suggestions.of(selected);
  if (suggestion?.vertex >= 0) markers.push({ vertex: suggestion.vertex, kind: "suggestion" });
  if (underPointer >= 0 && selected !== null) markers.push({ vertex: underPointer, kind: "hover" });
  for (const id of new Set([selected, hovered])) {
    if (points.has(id)) markers.push({ vertex: points.get(id).vertex, kind: "point" });
  }
  return markers;
}

export function showPoint({ session, selected, hovered, suggestions, parts }, marks) {
  const mine = session.state.points.has(selected);
  if (!mine) leaveFocus(parts["point-bar"]);
  for (const button of parts["point-bar"].children) button.disabled = !mine;
  showSuggestion(parts.suggestion, suggestions.of(selected), mine);
  const id = hovered ?? selected;
  const point = session.state.points.get(id);
  const facts = point ? factsOf(session, id, point, marks) : overview(session.state.points);
  parts["point-info"].textContent = facts.join(" · ");
}

function showSuggestion(box, suggestion, mine) {
  setHidden(box, !suggestion);
  if (!suggestion) return;
  const { why, vertex, confidence, point } = suggestion;
  const sure = confidence === undefined ? "" : ` (${Math.round(100 * confidence)} %)`;
  const what = point === null ? "deleted" : vertex < 0 ? "no vertex" : `vertex ${vertex}${sure}`;
  const text = `${point === undefined ? "Suggested by " : ""}${SOURCES[why] ?? why}: ${mine ? "" : "a point at "}${what}`;
  box.replaceChildren(text, el("kbd", {}, keyOf("takeSuggestion")));
}

function overview(points) {
  const open = [...points.values()].filter(({ vertex }) => vertex < 0).length;
  const facts = [`${points.size} points`];
  if (open) facts.push(`${open} without a vertex`);
  return [...facts, "click one, then click its place on the template"];
}

function factsOf(session, id, point, marks) {
  const known = session.item.points.find(({ point_id }) => point_id === id);
  const same = known && known.x === point.x && known.y === point.y && known.vertex === point.vertex;
  const facts = [`Point ${id}`, point.vertex < 0 ? "no vertex yet: click on the template" : `vertex ${point.vertex}`];
  if (!point.visible) facts.push("not visible");
  if (same && known.score !== null) facts.push(`score ${known.score.toFixed(2)}`);
  if (same && known.expected_error !== null) facts.push(`expected error ${(100 * known.expected_error).toFixed(1)} %`);
  if (marks.has(id)) facts.push(marks.get(id).replace("_", " "));
  return facts;
}
