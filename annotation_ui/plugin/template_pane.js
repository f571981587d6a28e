// The template: the view that can be turned, and the six canonical ones, which in the parts mode show one part.

import { el } from "./dom.js";
import { CANONICAL, heatColors, partFaces } from "./mesh.js";
import { MeshView } from "./mesh_view.js";

export class TemplatePane {
  constructor({ main, strip, template, mesh, onVertex, onHover }) {
    Object.assign(this, { strip, template, mesh, part: null, heat: null, heatShown: true });
    this.main = new MeshView(main, mesh, { turnable: true, onClick: onVertex, onHover });
    this.main.fixed = true;
    this.views = CANONICAL.map(({ name, yaw, pitch }, index) => {
      const canvas = el("canvas", { "data-testid": `view-${name}` });
      const title = `${name} (${index + 1})`;
      strip.append(el("div", { class: "dc-view", title }, el("span", {}, `${index + 1} ${name}`), el("div", {}, canvas)));
      const onClick = (vertex) => (this.part === null ? this.turnTo(index) : onVertex(vertex));
      const view = new MeshView(canvas, mesh, { turnable: false, onClick, onHover });
      view.turn({ yaw, pitch });
      return view;
    });
  }

  all() {
    return [this.main, ...this.views];
  }

  turnTo(index) {
    const { yaw, pitch } = CANONICAL[index];
    this.main.turn({ yaw, pitch, zoom: 1, panX: 0, panY: 0 });
  }

  setMarkers(markers) {
    for (const view of this.all()) view.setMarkers(markers);
  }

  // `values`: 0 to 255 per vertex, or null for the template's own colours. The six views keep theirs: they
  // are small, and one needs them to compare with the points' colours.
  setHeat(values) {
    this.heat = values;
    this.main.setColors(values && this.heatShown ? heatColors(values) : this.mesh.colors);
  }

  toggleHeat() {
    this.heatShown = !this.heatShown;
    this.setHeat(this.heat);
  }

  // A part's index, or null for the whole template; without parts the whole is the only one.
  setPart(part) {
    this.part = part;
    this.strip.parentElement.classList.toggle("dc-parts", part !== null);
    const faces = part === null || this.template.parts === null ? null : partFaces(this.template, part);
    for (const view of this.views) view.setFaces(faces);
  }

  close() {
    for (const view of this.all()) view.close();
  }
}
