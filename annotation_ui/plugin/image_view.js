// The instance's crop: zoom, pan, brightness, outline, points, and the tools that work on it.

import { fitCanvas, oncePerFrame, pointerPlace } from "./dom.js";
import { drawCross } from "./mesh_view.js";
import { drawPoints, nearestPoint } from "./points.js";
import { PolygonTool } from "./polygon_tool.js";

const CLICK_PX = 4;
const REACH_PX = 12;
const BAR_PX = 30; // the buttons at the lower edge; points under them could not be clicked

export class ImageView {
  // Two canvases: the picture below, so that brightness is a CSS filter, and all that is drawn on it above.
  constructor(below, above, { colors, onSelect, onHover, onMove, onAdd, onPolygon }) {
    Object.assign(this, { below, above, colors, onSelect, onHover, onMove, onAdd, onPolygon });
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    this.item = null;
    this.scene = { state: null, selected: null, hovered: null, marks: new Map(), theirs: new Map(), partColors: new Map(), proposed: [] };
    this.place = this.fitted = { scale: 1, x: 0, y: 0 }; // screen = (pixel + 0.5 - crop corner) * scale + (x, y)
    this.tool = null;
    this.adding = false;
    this.press = this.drag = null; // the button that is held, and the point that it drags
    this.cursor = null;
    this.pointer = null;
    this.brightness = 1;
    this.pointsShown = true;
    this.redraw = oncePerFrame(() => this.draw());
    this.observer = new ResizeObserver(() => (this.place === this.fitted ? this.fit() : this.redraw())); // a zoom stays
    this.observer.observe(above.parentElement);
    this.listen();
  }

  setItem(item) {
    this.item = item;
    this.setTool(null);
    this.fit();
  }

  setScene(scene) {
    Object.assign(this.scene, scene);
    this.showCursor();
    this.redraw();
  }

  showCursor() {
    const free = this.scene.hovered === null ? "default" : "pointer";
    this.above.style.cursor = this.tool || this.adding ? "crosshair" : free;
  }

  setTool(kind) {
    const polygonDone = (polygon) => this.onPolygon(polygon);
    this.tool = kind === "polygon" ? new PolygonTool(polygonDone, this.redraw) : null;
    this.adding = kind === "add";
    this.press = this.drag = null; // what is held was pressed for another tool, or on another instance
    this.showCursor();
    this.redraw();
  }

  setBrightness(value) {
    this.brightness = Math.min(3, Math.max(0.3, value));
    this.below.style.filter = this.brightness === 1 ? "" : `brightness(${this.brightness})`;
  }

  fit() {
    if (!this.item) return;
    const { clientWidth: width, clientHeight } = this.above.parentElement;
    const height = clientHeight - BAR_PX;
    const [w, h] = this.cropSize();
    const scale = Math.max(0.05, Math.min((width - 16) / w, (height - 16) / h));
    this.place = this.fitted = { scale, x: (width - w * scale) / 2, y: (height - h * scale) / 2 };
    this.redraw();
  }

  zoom(factor, x = this.above.clientWidth / 2, y = this.above.clientHeight / 2) {
    const place = this.place;
    const scale = Math.min(60, Math.max(0.05, place.scale * factor));
    const ratio = scale / place.scale;
    this.place = { scale, x: x - (x - place.x) * ratio, y: y - (y - place.y) * ratio };
    this.redraw();
  }

  // A very large crop comes as a smaller picture.
  cropSize() {
    const [x0, y0, x1, y1] = this.item.image.crop;
    return [x1 - x0, y1 - y0];
  }

  toScreen(x, y) {
    const [left, top] = this.item.image.crop;
    const { scale, x: dx, y: dy } = this.place;
    return [(x + 0.5 - left) * scale + dx, (y + 0.5 - top) * scale + dy];
  }

  toImage(x, y) {
    const [left, top] = this.item.image.crop;
    const { scale, x: dx, y: dy } = this.place;
    return [(x - dx) / scale - 0.5 + left, (y - dy) / scale - 0.5 + top];
  }

  isOnImage(x, y) {
    const [x0, y0, x1, y1] = this.item.image.crop;
    return x >= x0 - 0.5 && y >= y0 - 0.5 && x <= x1 - 0.5 && y <= y1 - 0.5;
  }

  draw() {
    const { above, ratio, item } = this;
    if (!item || !fitCanvas(above, ratio)) return;
    this.drawPicture();
    const context = above.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, above.width, above.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { state, partColors } = this.scene;
    const { object: mask = item.silhouette, ...parts } = state?.parts ?? {}; // a corrected mask, see review/masks.py
    for (const outline of mask) this.drawPolygon(context, outline, { dashes: [5, 4], stroke: "#fff" });
    for (const [name, polygons] of Object.entries(parts)) {
      const stroke = partColors.get(name) ?? "#fff";
      for (const polygon of polygons) this.drawPolygon(context, polygon, { stroke, fill: stroke, alpha: 0.22 });
    }
    for (const region of state?.regions ?? []) {
      this.drawPolygon(context, region, { stroke: "#ff5a5a", fill: "#ff3030", alpha: 0.3 });
    }
    if (state && this.pointsShown) drawPoints(context, this);
    this.tool?.draw(context, (px, py) => this.toScreen(px, py));
    if (this.cursor) drawCross(context, ...this.cursor);
  }

  // Only when it moved: scaling it without a GPU takes longer than all that is drawn on it.
  drawPicture() {
    const { below, above, ratio, item, place } = this;
    const shown = JSON.stringify([item.instance_id, item.revision, above.width, above.height, place]);
    if (shown === this.shown || !fitCanvas(below, ratio)) return;
    this.shown = shown;
    const context = below.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, below.width, below.height);
    context.setTransform(place.scale * ratio, 0, 0, place.scale * ratio, place.x * ratio, place.y * ratio);
    context.imageSmoothingEnabled = place.scale < 4; // single pixels are to be seen as such
    context.drawImage(item.picture, 0, 0, ...this.cropSize());
  }

  drawPolygon(context, polygon, { stroke, fill, alpha, dashes = [] }) {
    const path = new Path2D();
    for (let i = 0; i < polygon.length; i += 2) path.lineTo(...this.toScreen(polygon[i], polygon[i + 1]));
    path.closePath();
    if (fill) {
      context.globalAlpha = alpha;
      context.fillStyle = fill;
      context.fill(path);
      context.globalAlpha = 1;
    }
    context.lineWidth = 2.5;
    context.strokeStyle = "rgba(0, 0, 0, 0.55)";
    context.stroke(path);
    context.lineWidth = 1.2;
    context.setLineDash(dashes);
    context.strokeStyle = stroke;
    context.stroke(path);
    context.setLineDash([]);
  }

  pick(x, y) {
    return this.pointsShown && this.scene.state ? nearestPoint(this, x, y, REACH_PX) : null;
  }

  // A click, by mouse or keyboard.
  click(x, y) {
    if (!this.item) return;
    const [px, py] = this.toImage(x, y);
    if (this.tool) return this.tool.click(px, py);
    if (this.adding) return this.isOnImage(px, py) && this.onAdd(px, py);
    this.onSelect(this.pick(x, y));
  }

  listen() {
    const { above } = this;
    above.addEventListener("pointerdown", (event) => {
      if (!this.item) return;
      above.setPointerCapture(event.pointerId);
      const at = pointerPlace(above, event);
      const pan = event.button > 0 || event.shiftKey;
      const point = pan || this.tool || this.adding ? null : this.pick(...at);
      const own = this.scene.state?.points.has(point); // another reviewer's stays where it is
      this.press = { at, place: this.place, pan, point: own ? point : null, far: 0 };
      if (this.tool && !pan) this.tool.press(...this.toImage(...at));
    });
    above.addEventListener("pointermove", (event) => {
      if (!this.item) return;
      const at = (this.pointer = pointerPlace(above, event));
      const { press } = this;
      if (!press) return this.tool ? this.tool.hover(...this.toImage(...at)) : this.onHover(this.pick(...at));
      const [dx, dy] = [at[0] - press.at[0], at[1] - press.at[1]];
      press.far = Math.max(press.far, Math.hypot(dx, dy));
      if (this.tool && !press.pan) return this.tool.drag(...this.toImage(...at), press.far);
      if (press.far < CLICK_PX) return;
      if (press.point === null) {
        this.place = { ...press.place, x: press.place.x + dx, y: press.place.y + dy };
      } else {
        const [x, y] = this.toImage(...at);
        this.drag = { id: press.point, x, y };
      }
      this.redraw();
    });
    above.addEventListener("pointerup", (event) => {
      if (!this.press) return;
      const { far, pan } = this.press;
      this.press = null;
      const at = pointerPlace(above, event);
      if (this.tool && !pan) this.tool.release(far);
      else if (this.drag) {
        const { id, x, y } = this.drag;
        this.drag = null;
        if (this.scene.state.points.has(id)) this.onMove(id, x, y); // else a key took it away meanwhile
        else this.redraw();
      } else if (far < CLICK_PX && !pan) this.click(...at);
    });
    above.addEventListener("pointercancel", () => {
      this.press = this.drag = null;
      this.redraw();
    });
    above.addEventListener("pointerleave", () => {
      this.pointer = null;
      if (!this.press) this.onHover(null);
    });
    above.addEventListener("dblclick", () => this.tool?.close());
    above.addEventListener("contextmenu", (event) => event.preventDefault());
    const zoom = (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), ...pointerPlace(above, event));
    };
    above.addEventListener("wheel", zoom, { passive: false });
  }

  close() {
    this.observer.disconnect();
  }
}
