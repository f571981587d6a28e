// Points on the crop, in their vertices' colours on the template.

const RADIUS = 6;

function placed(view, id, point) {
  const { drag } = view;
  return drag?.id === id ? view.toScreen(drag.x, drag.y) : view.toScreen(point.x, point.y);
}

// One's own, or another reviewer's that one has not; a point of one's own that is as near comes first.
export function nearestPoint(view, x, y, reach) {
  const { state, theirs } = view.scene;
  const lacking = [...theirs].filter(([id, point]) => point && !state.points.has(id));
  let best = null;
  let least = reach;
  for (const [id, point] of [...state.points, ...lacking]) {
    const [px, py] = placed(view, id, point);
    const distance = Math.hypot(px - x, py - y);
    if (distance < least) [best, least] = [id, distance];
  }
  return best;
}

export function drawPoints(context, view) {
  const { state, selected, hovered, marks, theirs } = view.scene;
  for (const [id, point] of theirs) drawTheirs(context, view, state.points.get(id), point);
  const small = state.points.size > 400 ? 0.6 : 1;
  for (const [id, point] of state.points) {
    if (id !== selected && id !== hovered) drawPoint(context, view, id, point, RADIUS * small, marks.get(id));
  }
  for (const id of new Set([hovered, selected])) {
    const mine = state.points.get(id);
    const point = mine ?? theirs.get(id);
    if (!point) continue;
    if (mine) drawPoint(context, view, id, point, RADIUS + 2, marks.get(id));
    const [x, y] = placed(view, id, point);
    ring(context, x, y, RADIUS + 6, id === selected ? "#fff" : "rgba(255, 255, 255, 0.6)");
  }
}

function drawPoint(context, view, id, point, radius, mark) {
  const [x, y] = placed(view, id, point);
  const v = 3 * point.vertex;
  const color = point.vertex < 0 ? "#888" : `rgb(${view.colors[v]}, ${view.colors[v + 1]}, ${view.colors[v + 2]})`;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  if (point.visible) {
    context.fillStyle = color;
    context.fill();
    context.lineWidth = 3;
    context.strokeStyle = "rgba(0, 0, 0, 0.75)";
    context.stroke();
    context.lineWidth = 1.2;
    context.strokeStyle = "#fff";
    context.stroke();
  } else {
    // Not to be seen: a ring, crossed out.
    context.lineWidth = 4;
    context.strokeStyle = "rgba(0, 0, 0, 0.6)";
    context.stroke();
    context.moveTo(x - radius, y + radius);
    context.lineTo(x + radius, y - radius);
    context.lineWidth = 2;
    context.strokeStyle = color;
    context.stroke();
  }
  const sign = point.vertex < 0 ? "?" : { accept: "✓", unsure: "?", skip: "–" }[mark];
  if (sign) label(context, sign, x + radius + 1, y - radius);
}

// Another reviewer's: a square in the colour of its vertex, tied to one's own; a cross over what they deleted.
function drawTheirs(context, view, mine, point) {
  const side = 8;
  const at = point ?? mine;
  const [x, y] = view.toScreen(at.x, at.y);
  const v = 3 * (point?.vertex ?? -1);
  const color = v < 0 ? "#bbb" : `rgb(${view.colors[v]}, ${view.colors[v + 1]}, ${view.colors[v + 2]})`;
  context.beginPath();
  if (mine) {
    context.moveTo(...view.toScreen(mine.x, mine.y));
    context.lineTo(x, y);
  }
  if (point) context.rect(x - side - 3, y - side - 3, 2 * side + 6, 2 * side + 6);
  else {
    for (const sign of [1, -1]) {
      context.moveTo(x - 2 * side, y - sign * 2 * side);
      context.lineTo(x + 2 * side, y + sign * 2 * side);
    }
  }
  for (const [stroke, width] of [["rgba(0, 0, 0, 0.8)", 6], [color, 3.5]]) {
    Object.assign(context, { strokeStyle: stroke, lineWidth: width });
    context.stroke();
  }
}

function ring(context, x, y, radius, style) {
  for (const [stroke, width] of [["rgba(0, 0, 0, 0.8)", 4], [style, 2]]) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = stroke;
    context.stroke();
  }
}

function label(context, text, x, y) {
  context.font = "bold 12px sans-serif";
  context.lineWidth = 3;
  context.strokeStyle = "#000";
  context.strokeText(text, x, y);
  context.fillStyle = "#fff";
  context.fillText(text, x, y);
}
