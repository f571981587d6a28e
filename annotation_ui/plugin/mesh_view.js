// One canvas with the template: drawn, turned, picked. The main view and each of the six canonical ones.

import { fitCanvas, oncePerFrame, pointerPlace } from "./dom.js";
import { bounds } from "./mesh.js";
import { Rasteriser, viewAxes } from "./rasteriser.js";

const RATIO = 2; // drawn at twice the size, so that edges are smooth,
const MAX_PIXELS = 7e5; // unless that makes it slow: all of it is drawn and shown without a GPU
const CLICK_PX = 4;

export class MeshView {
  constructor(canvas, mesh, { turnable, onClick, onHover = () => {} }) {
    Object.assign(this, { canvas, mesh, onClick, onHover, markers: [], colors: mesh.colors, faces: null });
    this.context = canvas.getContext("2d");
    this.raster = new Rasteriser(mesh);
    this.view = { yaw: 0, pitch: 0, zoom: 1, panX: 0, panY: 0 };
    this.chosen = { ...this.view }; // as the user last turned it
    this.box = bounds(mesh.vertices, null);
    this.stale = true; // the view changed since it was rasterised
    this.recolor = true;
    this.cursor = null;
    this.redraw = oncePerFrame(() => this.draw());
    this.observer = new ResizeObserver(() => this.look({}));
    this.observer.observe(canvas.parentElement);
    this.listen(turnable);
  }

  turn(change) {
    this.look(change);
    this.chosen = { ...this.view };
  }

  look(change) {
    Object.assign(this.view, change);
    this.stale = true;
    this.redraw();
  }

  setColors(colors) {
    if (colors === this.colors) return;
    this.colors = colors;
    this.recolor = true;
    this.redraw();
  }

  // Draw only some faces, as large as fits.
  setFaces(faces) {
    this.faces = faces;
    const used = faces && new Set([...faces].flatMap((f) => [...this.mesh.faces.subarray(3 * f, 3 * f + 3)]));
    this.box = bounds(this.mesh.vertices, used);
    this.turn({ zoom: 1, panX: 0, panY: 0 });
  }

  // {vertex, kind}: point, hover, suggestion.
  setMarkers(markers) {
    if (JSON.stringify(markers) === JSON.stringify(this.markers)) return; // most acts leave them as they are
    this.markers = markers;
    this.redraw();
  }

  // Bring a vertex into sight with as little change as does: none, a shift, the view that the user chose last, else a turn.
  show(vertex) {
    if (vertex < 0 || this.sees(vertex)) return;
    for (const view of [this.shifted(vertex), this.chosen].filter(Boolean)) {
      this.look(view);
      if (this.sees(vertex)) return;
    }
    const [x, y, z] = this.mesh.normals.subarray(3 * vertex, 3 * vertex + 3);
    const limit = Math.PI / 5;
    const pitch = Math.min(limit, Math.max(-limit, Math.asin(Math.max(-1, Math.min(1, y)))));
    this.look({ yaw: Math.atan2(x, z), pitch, panX: 0, panY: 0, zoom: 1 });
  }

  // This view, with a vertex that is beside the canvas in its middle; null if it is not beside it.
  shifted(vertex) {
    const { x, y } = this.placeOf(vertex);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const { panX, panY } = this.view;
    if (x >= 0 && y >= 0 && x < width && y < height) return null;
    return { ...this.view, panX: panX + width / 2 - x, panY: panY + height / 2 - y };
  }

  sees(vertex) {
    return this.rasterise() && this.raster.place(vertex).seen;
  }

  // Fill the buffers for the present view; false if there is no room.
  rasterise() {
    const { canvas, raster } = this;
    const area = canvas.parentElement.clientWidth * canvas.parentElement.clientHeight;
    this.ratio = Math.min(RATIO, Math.max(1, Math.sqrt(MAX_PIXELS / area)));
    if (!fitCanvas(canvas, this.ratio)) return false;
    if (!this.stale && raster.width === canvas.width && raster.height === canvas.height) return true;
    raster.resize(canvas.width, canvas.height);
    raster.rasterise(this.pixelView(), this.box.center, this.faces);
    this.stale = false;
    return (this.recolor = true);
  }

  draw() {
    const { context, raster } = this;
    if (!this.rasterise()) return;
    if (this.recolor) raster.shade(this.colors);
    this.recolor = false;
    context.putImageData(raster.picture, 0, 0);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    for (const marker of this.markers) this.drawMarker(marker);
    if (this.cursor) drawCross(context, ...this.cursor);
    context.setTransform(1, 0, 0, 1, 0, 0);
  }

  pixelView() {
    const { width, height } = this.canvas;
    const { right, up } = viewAxes(this.view);
    const half = this.box.high.map((value, axis) => (value - this.box.low[axis]) / 2);
    const extent = (axes) => axes.reduce((sum, part, axis) => sum + Math.abs(part) * half[axis], 0) || 1e-6;
    // While it is turned its size must not change: the main view is fitted as seen from the front.
    const [wide, tall] = this.fixed ? [Math.hypot(half[0], half[2]), half[1]] : [extent(right), extent(up)];
    const scale = 0.46 * Math.min(width / wide, height / tall) * this.view.zoom;
    const { yaw, pitch, panX, panY } = this.view;
    return { yaw, pitch, scale, cx: width / 2 + panX * this.ratio, cy: height / 2 + panY * this.ratio };
  }

  drawMarker({ vertex, kind }) {
    if (vertex < 0) return;
    const { x, y, seen } = this.placeOf(vertex);
    const context = this.context;
    context.globalAlpha = seen ? 1 : 0.35;
    const radius = { point: 7, hover: 5, suggestion: 7 }[kind] * (this.canvas.clientWidth < 200 ? 0.6 : 1);
    for (const [style, width] of [["#000", 4], [{ point: "#fff", hover: "#fff", suggestion: "#5ad1ff" }[kind], 2]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.beginPath();
      if (kind === "suggestion") context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
      else context.arc(x, y, radius, 0, 2 * Math.PI);
      if (kind === "point") {
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          context.moveTo(x + dx * radius, y + dy * radius);
          context.lineTo(x + dx * radius * 1.8, y + dy * radius * 1.8);
        }
      }
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  pick(x, y) {
    if (!this.rasterise()) return -1;
    return this.raster.pick(x * this.ratio, y * this.ratio, Math.round(4 * this.ratio));
  }

  // Where a vertex is on the canvas, in CSS pixels.
  placeOf(vertex) {
    const { x, y, seen } = this.raster.place(vertex);
    return { x: x / this.ratio, y: y / this.ratio, seen };
  }

  listen(turnable) {
    let press = null;
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      press = { at: [event.clientX, event.clientY], view: { ...this.view }, pan: event.shiftKey || event.button > 0, far: 0 };
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!press) return this.onHover(this.pick(...pointerPlace(canvas, event)));
      const [dx, dy] = [event.clientX - press.at[0], event.clientY - press.at[1]];
      press.far = Math.max(press.far, Math.hypot(dx, dy));
      if (!turnable || press.far < CLICK_PX) return;
      if (press.pan) this.turn({ panX: press.view.panX + dx, panY: press.view.panY + dy });
      else this.turn({ yaw: press.view.yaw - dx / 110, pitch: clampPitch(press.view.pitch + dy / 110) });
    });
    canvas.addEventListener("pointerup", (event) => {
      if (press?.far < CLICK_PX && event.button === 0) this.onClick(this.pick(...pointerPlace(canvas, event)), this);
      press = null;
    });
    canvas.addEventListener("pointercancel", () => (press = null));
    canvas.addEventListener("pointerleave", () => this.onHover(-1));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    if (!turnable) return;
    const zoom = (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), ...pointerPlace(canvas, event));
    };
    canvas.addEventListener("wheel", zoom, { passive: false });
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const { zoom, panX, panY } = this.view;
    const next = Math.min(20, Math.max(0.5, zoom * factor));
    const [dx, dy] = [x - this.canvas.clientWidth / 2, y - this.canvas.clientHeight / 2];
    const ratio = next / zoom;
    this.turn({ zoom: next, panX: dx - (dx - panX) * ratio, panY: dy - (dy - panY) * ratio });
  }

  close() {
    this.observer.disconnect();
  }
}

export const clampPitch = (pitch) => Math.min(Math.PI / 2, Math.max(-Math.PI / 2, pitch));

export function drawCross(context, x, y) {
  for (const [style, width] of [["#000", 3], ["#ff0", 1]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.beginPath();
    for (const [dx, dy] of [[12, 0], [0, 12]]) {
      context.moveTo(x - dx, y - dy);
      context.lineTo(x + dx, y + dy);
    }
    context.stroke();
  }
}
