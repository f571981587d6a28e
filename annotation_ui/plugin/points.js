// Points on the crop, in their vertices' colours on the template.

const RADIUS = 6;

function placed(view, id, point) {
  const { drag } = view;
  return drag?.id === id ? view.toScreen(drag.x, drag.y) : view.toScreen(point.x, point.y);
}

export function nearestPoint(view, x, y, reach) {
  let best = null;
  let least = reach;
  for (const [id, point] of view.scene.state.points) {
    const [px, py] = placed(view, id, point);
    const distance = Math.hypot(px - x, py - y);
    if (distance < least) [best, least] = [id, distance];
  }
  return best;
}

export function drawPoints(context, view) {
  const { state, selected, hovered, marks } = view.scene;
  const small = state.points.size > 400 ? 0.6 : 1;
  for (const [id, point] of state.points) {
    if (id !== selected && id !== hovered) drawPoint(context, view, id, point, RADIUS * small, marks.get(id));
  }
  for (const id of new Set([hovered, selected])) {
    const point = state.points.get(id);
    if (!point) continue;
    drawPoint(context, view, id, point, RADIUS + 2, marks.get(id));
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
