// Outlines a region: a stroke drawn with the button held closes when it is let go; single clicks set corners, and
// Enter, a double click or a click on the first corner closes.

const STROKE_PX = 24; // a press that moved less is a click
const SPACING = 2; // image pixels between the corners of a stroke

export class PolygonTool {
  constructor(done, redraw) {
    Object.assign(this, { done, redraw, corners: [], pressed: 0, tip: null });
  }

  press(x, y) {
    this.pressed = this.corners.length;
    this.corners.push([x, y]);
    this.redraw();
  }

  drag(x, y, far) {
    if (!this.corners.length) return; // Esc took the stroke back
    const [lastX, lastY] = this.corners.at(-1);
    if (far > 3 && Math.hypot(x - lastX, y - lastY) >= SPACING) this.corners.push([x, y]);
    this.tip = null;
    this.redraw();
  }

  release(far) {
    if (!this.corners.length) return;
    if (far >= STROKE_PX) return this.close();
    const [x, y] = this.corners[this.pressed]; // a click with an unsteady hand
    this.corners.length = this.pressed;
    this.click(x, y);
  }

  click(x, y) {
    const first = this.corners[0];
    if (this.corners.length > 2 && Math.hypot(x - first[0], y - first[1]) < 3 * SPACING) return this.close();
    this.corners.push([x, y]);
    this.redraw();
  }

  hover(x, y) {
    this.tip = [x, y];
    if (this.corners.length) this.redraw();
  }

  // The double click that closes has set the last corner twice.
  close() {
    const apart = ([x, y], i, all) => i === 0 || Math.hypot(x - all[i - 1][0], y - all[i - 1][1]) > 0.5;
    const corners = this.corners.filter(apart);
    this.cancel();
    if (corners.length > 2) this.done(corners.flat().map((value) => Math.round(value * 10) / 10));
  }

  cancel() {
    this.corners = [];
    this.redraw();
  }

  draw(context, toScreen) {
    if (!this.corners.length) return;
    const path = new Path2D();
    for (const corner of this.tip ? [...this.corners, this.tip] : this.corners) path.lineTo(...toScreen(...corner));
    for (const [style, width] of [["#000", 4], ["#ffd84d", 2]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.stroke(path);
    }
    const [x, y] = toScreen(...this.corners[0]);
    context.fillStyle = "#ffd84d";
    context.fillRect(x - 4, y - 4, 8, 8);
  }
}
