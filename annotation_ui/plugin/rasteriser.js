// Draws a mesh in software: remote desktops and test machines often have no WebGL, and the face buffer gives
// exact picking. Orthographic; a view is {yaw, pitch, scale (pixels per metre), cx, cy (screen centre)}.

const AMBIENT = 0.42;
const EMPTY = -1;
const EDGE = -0.1; // cosine: a vertex on the outline may face away a little, for its normal is a mean

// Right, up and towards the viewer. yaw 0 looks at the front, pitch 90 degrees from above.
export function viewAxes({ yaw, pitch }) {
  const [sy, cy, sp, cp] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
  return { right: [cy, 0, -sy], up: [-sp * sy, cp, -sp * cy], toward: [cp * sy, sp, cp * cy] };
}

export class Rasteriser {
  constructor(mesh) {
    this.mesh = mesh;
    this.screen = new Float32Array(3 * mesh.count); // x, y, depth: larger is nearer
    this.light = new Float32Array(mesh.count);
    this.tinted = new Float32Array(3 * mesh.count);
    this.width = this.height = 0;
  }

  resize(width, height) {
    if (width === this.width && height === this.height) return;
    Object.assign(this, { width, height });
    this.depth = new Float32Array(width * height);
    this.face = new Int32Array(width * height);
    this.b0 = new Float32Array(width * height);
    this.b1 = new Float32Array(width * height);
    this.picture = new ImageData(width, height);
    this.rgba = new Uint32Array(this.picture.data.buffer);
  }

  // Fill the buffers; `faces` limits what is drawn, as indices into the mesh's faces.
  rasterise(view, center, faces = null) {
    this.project(view, center);
    this.depth.fill(-Infinity);
    this.face.fill(EMPTY);
    const count = faces ? faces.length : this.mesh.faces.length / 3;
    for (let k = 0; k < count; k++) this.drawFace(faces ? faces[k] : k);
  }

  project(view, center) {
    const { right, up, toward } = viewAxes(view);
    this.toward = toward;
    const { vertices: V, normals: N, count } = this.mesh;
    const S = this.screen;
    // A headlight, a little from above and from the left, so that form shows from every side.
    const lamp = [0, 1, 2].map((k) => toward[k] * 0.86 + up[k] * 0.42 - right[k] * 0.28);
    for (let i = 0; i < 3 * count; i += 3) {
      const [x, y, z] = [V[i] - center[0], V[i + 1] - center[1], V[i + 2] - center[2]];
      S[i] = view.cx + view.scale * (right[0] * x + right[1] * y + right[2] * z);
      S[i + 1] = view.cy - view.scale * (up[0] * x + up[1] * y + up[2] * z);
      S[i + 2] = toward[0] * x + toward[1] * y + toward[2] * z;
      const cosine = lamp[0] * N[i] + lamp[1] * N[i + 1] + lamp[2] * N[i + 2];
      this.light[i / 3] = AMBIENT + (1 - AMBIENT) * Math.min(1, Math.max(0, cosine));
    }
  }

  drawFace(f) {
    const F = this.mesh.faces;
    const S = this.screen;
    const [i, j, k] = [3 * F[3 * f], 3 * F[3 * f + 1], 3 * F[3 * f + 2]];
    const x0 = S[i], y0 = S[i + 1], x1 = S[j], y1 = S[j + 1], x2 = S[k], y2 = S[k + 1];
    const area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0);
    if (area >= 0) return; // seen from behind (y points down)
    const left = Math.max(0, Math.ceil(Math.min(x0, x1, x2) - 0.5));
    const end = Math.min(this.width - 1, Math.floor(Math.max(x0, x1, x2) - 0.5));
    const top = Math.max(0, Math.ceil(Math.min(y0, y1, y2) - 0.5));
    const bottom = Math.min(this.height - 1, Math.floor(Math.max(y0, y1, y2) - 0.5));
    const z0 = S[i + 2], z1 = S[j + 2], z2 = S[k + 2];
    const step0 = -(y2 - y1) / area, step1 = -(y0 - y2) / area;
    for (let y = top; y <= bottom; y++) {
      const [px, py] = [left + 0.5, y + 0.5];
      let w0 = ((x2 - x1) * (py - y1) - (y2 - y1) * (px - x1)) / area;
      let w1 = ((x0 - x2) * (py - y2) - (y0 - y2) * (px - x2)) / area;
      for (let x = left, at = y * this.width + left; x <= end; x++, at++, w0 += step0, w1 += step1) {
        const w2 = 1 - w0 - w1;
        if (w0 < -1e-6 || w1 < -1e-6 || w2 < -1e-6) continue;
        const z = w0 * z0 + w1 * z1 + w2 * z2;
        if (z <= this.depth[at]) continue;
        this.depth[at] = z;
        this.face[at] = f;
        this.b0[at] = w0;
        this.b1[at] = w1;
      }
    }
  }

  // Colour what was rasterised; `colors` is RGB per vertex.
  shade(colors) {
    const { faces: F, count } = this.mesh;
    const T = this.tinted;
    for (let v = 0; v < count; v++) {
      for (let c = 3 * v; c < 3 * v + 3; c++) T[c] = colors[c] * this.light[v];
    }
    const { face, b0, b1, rgba } = this;
    for (let at = 0; at < face.length; at++) {
      const f = face[at];
      if (f === EMPTY) {
        rgba[at] = 0;
        continue;
      }
      const [i, j, k] = [3 * F[3 * f], 3 * F[3 * f + 1], 3 * F[3 * f + 2]];
      const u = b0[at], v = b1[at], w = 1 - u - v;
      const red = u * T[i] + v * T[j] + w * T[k];
      const green = u * T[i + 1] + v * T[j + 1] + w * T[k + 1];
      const blue = u * T[i + 2] + v * T[j + 2] + w * T[k + 2];
      rgba[at] = 0xff000000 | (blue << 16) | (green << 8) | red;
    }
    return this.picture;
  }

  // The vertex at a pixel, or the one nearest to it within `reach` pixels, or -1.
  pick(x, y, reach) {
    const column = Math.floor(x), row = Math.floor(y);
    for (let r = 0; r <= reach; r++) {
      let best = -1, least = Infinity;
      for (let dy = -r; dy <= r; dy++) {
        for (let dx = -r; dx <= r; dx += Math.abs(dy) === r ? 1 : 2 * r || 1) {
          const distance = dx * dx + dy * dy;
          const vertex = distance < least ? this.at(column + dx, row + dy) : -1;
          if (vertex >= 0) [best, least] = [vertex, distance];
        }
      }
      if (best >= 0) return best;
    }
    return -1;
  }

  at(x, y) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return -1;
    const at = y * this.width + x;
    const f = this.face[at];
    if (f === EMPTY) return -1;
    const weights = [this.b0[at], this.b1[at], 1 - this.b0[at] - this.b1[at]];
    return this.mesh.faces[3 * f + weights.indexOf(Math.max(...weights))];
  }

  // Where a vertex is on the screen, and whether it can be seen from here.
  place(vertex) {
    const [x, y, z] = this.screen.subarray(3 * vertex, 3 * vertex + 3);
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= this.width || row >= this.height) return { x, y, seen: false };
    let front = Infinity; // a pixel's depth is that of its centre: compare with the farthest neighbour
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        const at = (row + dy) * this.width + column + dx;
        if (this.depth[at] !== undefined) front = Math.min(front, this.depth[at]);
      }
    }
    const normal = this.mesh.normals.subarray(3 * vertex, 3 * vertex + 3);
    const facing = normal.reduce((sum, part, axis) => sum + part * this.toward[axis], 0);
    return { x, y, seen: facing > EDGE && z >= front - this.mesh.size * 0.002 };
  }
}
