// What drawing needs to know of a template, computed once.

export const CANONICAL = [
  { name: "front", yaw: 0, pitch: 0 },
  { name: "back", yaw: Math.PI, pitch: 0 },
  { name: "left", yaw: Math.PI / 2, pitch: 0 },
  { name: "right", yaw: -Math.PI / 2, pitch: 0 },
  { name: "top", yaw: 0, pitch: Math.PI / 2 },
  { name: "bottom", yaw: 0, pitch: -Math.PI / 2 },
];

export function makeMesh(template) {
  const { vertices, faces, colors } = template;
  const count = vertices.length / 3;
  const { low, high } = bounds(vertices, null);
  return {
    vertices, faces, colors, count,
    normals: vertexNormals(vertices, faces),
    size: Math.hypot(...high.map((value, axis) => value - low[axis])),
  };
}

function vertexNormals(V, F) {
  const N = new Float32Array(V.length);
  for (let f = 0; f < F.length; f += 3) {
    const [i, j, k] = [3 * F[f], 3 * F[f + 1], 3 * F[f + 2]];
    const [ax, ay, az] = [V[j] - V[i], V[j + 1] - V[i + 1], V[j + 2] - V[i + 2]];
    const [bx, by, bz] = [V[k] - V[i], V[k + 1] - V[i + 1], V[k + 2] - V[i + 2]];
    const n = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx]; // as long as the face is large
    for (const at of [i, j, k]) for (let c = 0; c < 3; c++) N[at + c] += n[c];
  }
  for (let i = 0; i < N.length; i += 3) {
    const length = Math.hypot(N[i], N[i + 1], N[i + 2]) || 1;
    for (let c = 0; c < 3; c++) N[i + c] /= length;
  }
  return N;
}

// Bounding box of all vertices, or of those of some faces.
export function bounds(V, used) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  const widen = (vertex) => {
    for (let axis = 0; axis < 3; axis++) {
      low[axis] = Math.min(low[axis], V[3 * vertex + axis]);
      high[axis] = Math.max(high[axis], V[3 * vertex + axis]);
    }
  };
  if (used) for (const vertex of used) widen(vertex);
  else for (let vertex = 0; vertex < V.length / 3; vertex++) widen(vertex);
  return { low, high, center: low.map((value, axis) => (value + high[axis]) / 2) };
}

// Faces all of whose vertices are in a part.
export function partFaces(template, part) {
  const { faces, parts } = template;
  const found = [];
  for (let f = 0; f < faces.length; f += 3) {
    if (parts[faces[f]] === part && parts[faces[f + 1]] === part && parts[faces[f + 2]] === part) found.push(f / 3);
  }
  return Int32Array.from(found);
}

// From dark blue-grey through orange to near white: lightness grows throughout, so it reads without hue.
const HEAT = [[46, 52, 78], [92, 60, 112], [176, 68, 92], [234, 120, 50], [250, 190, 70], [255, 250, 200]];

export function heatColors(values) {
  const colors = new Uint8Array(3 * values.length);
  for (let v = 0; v < values.length; v++) {
    const place = (values[v] / 255) * (HEAT.length - 1);
    const low = Math.min(Math.floor(place), HEAT.length - 2);
    for (let c = 0; c < 3; c++) colors[3 * v + c] = HEAT[low][c] + (place - low) * (HEAT[low + 1][c] - HEAT[low][c]);
  }
  return colors;
}
