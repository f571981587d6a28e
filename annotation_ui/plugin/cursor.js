// The keyboard's pointer: a cross that arrows move, on the image or on the template.

export class Cursor {
  constructor(panel) {
    this.panel = panel;
    this.pane = "image";
    this.index = 0; // which of the six views, in the parts mode
  }

  view() {
    if (this.pane === "image") return this.panel.image;
    return this.panel.partIndex === null ? this.panel.template.main : this.panel.template.views[this.index];
  }

  size(view) {
    const canvas = view.above ?? view.canvas;
    return [canvas.clientWidth, canvas.clientHeight];
  }

  put(place) {
    const view = this.view();
    for (const other of [this.panel.image, ...this.panel.template.all()]) {
      if (other === view || !other.cursor) continue;
      other.cursor = null;
      other.redraw();
    }
    view.cursor = place;
    view.redraw();
  }

  switchPane() {
    this.pane = this.pane === "image" ? "template" : "image";
    this.put(this.size(this.view()).map((length) => length / 2));
  }

  toView(index) {
    this.index = index;
    this.pane = "template";
    this.put(this.size(this.view()).map((length) => length / 2));
  }

  move(dx, dy) {
    const view = this.view();
    const size = this.size(view);
    const at = view.cursor ?? size.map((length) => length / 2);
    this.put([dx, dy].map((step, axis) => Math.min(size[axis], Math.max(0, at[axis] + step))));
  }

  click() {
    const view = this.view();
    if (!view.cursor) return this.move(0, 0);
    if (this.pane === "image") view.click(...view.cursor);
    else view.onClick(view.pick(...view.cursor), view);
  }
}
