// The review panel: puts the parts together. `mountPanel(element, {base, dataset})` is all the App calls.

import { makeActions } from "./actions.js";
import { Cursor } from "./cursor.js";
import { Dialogs } from "./dialogs.js";
import { el, setHidden } from "./dom.js";
import { noInstances, tellEnd } from "./ending.js";
import { ImageView } from "./image_view.js";
import { showOthers, showProgress, showStatus, showTitle, showVerdict } from "./header.js";
import { actionOf, CLICKED_ONCE, ONCE } from "./keys.js";
import { buildLayout, showMessage } from "./layout.js";
import { makeMesh } from "./mesh.js";
import { Similarity, Suggestions } from "./opinions.js";
import { partColor, partNames } from "./parts.js";
import { Others } from "./others.js";
import { makeCall } from "./protocol.js";
import { QueueView } from "./queue_view.js";
import { markersOf, showPoint } from "./selection.js";
import { Session } from "./session.js";
import { TemplatePane } from "./template_pane.js";

export function mountPanel(place, { base, dataset }) {
  const panel = new Panel(place, base, dataset);
  panel.start();
  return panel;
}

class Panel {
  constructor(place, base, dataset) {
    this.root = el("div", { class: "dc-review", tabindex: 0, "data-testid": "densecorr-review", "aria-label": "review" });
    this.style = el("link", { rel: "stylesheet", href: `${base}panel.css` });
    place.replaceChildren(this.style, this.root);
    const call = makeCall(base.slice(0, base.indexOf("/plugins/")), dataset);
    this.parts = buildLayout(this.root, (action, event) => this.run(action, event));
    this.dialogs = new Dialogs(this.root);
    this.session = new Session(call, this);
    this.selected = this.hovered = null;
    this.partIndex = null; // of the part being annotated; null outside the parts mode
    this.similarity = new Similarity(this.session, (heat, note) => this.showHeat(heat, note));
    this.others = new Others(this.session, () => this.changed());
    this.suggestions = new Suggestions(this.session, this.others, () => this.refresh());
    this.queue = new QueueView(this.parts.queue, {
      onOpen: (id) => this.actions.open(id).catch((error) => this.failed(error)),
      onLeave: () => this.root.focus({ preventScroll: true }),
    });
    this.cursor = new Cursor(this);
    this.actions = makeActions(this);
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("pointerenter", () => this.takeFocus());
    this.root.addEventListener("mousedown", (event) => this.keepFocus(event));
    // The App listens for keys too: what is for the panel must not reach it.
    this.root.addEventListener("keyup", (event) => event.stopPropagation());
    window.densecorrReview = { times: this.session.times, panel: this, ready: false };
  }

  async start() {
    try {
      await this.session.open();
      if (this.session.closed) return; // the tab was left meanwhile
      const { template } = this.session.info;
      this.mesh = makeMesh(template);
      this.names = partNames(template);
      this.makeViews(template);
      const next = this.session.following(null);
      await this.session.go(next ?? this.session.queue.entries[0]?.instance_id ?? noInstances());
      if (this.session.closed) return;
      if (!next) tellEnd(this);
      window.densecorrReview.ready = true;
      this.takeFocus();
    } catch (error) {
      this.failed(error);
    }
  }

  makeViews(template) {
    const { below, above, main, strip } = this.parts;
    this.image = new ImageView(below, above, {
      colors: template.colors,
      onSelect: (id) => this.select(id),
      onHover: (id) => this.hover(id),
      onMove: (id, x, y) => this.actions.movePoint(id, x, y),
      onAdd: (x, y) => this.actions.addPoint(x, y),
      onPolygon: (polygon) => this.actions.polygon(polygon),
    });
    this.template = new TemplatePane({
      main, strip, template, mesh: this.mesh,
      onVertex: (vertex) => this.session.state && this.actions.assign(vertex),
      onHover: (vertex) => {
        this.underPointer = vertex;
        this.markers();
      },
    });
    this.partColors = new Map(this.names.map((name, i) => [name, partColor(i)]));
  }

  run(action, event) {
    const always = ["help", "guide", ...(this.image ? ["queue", "next", "previous"] : [])];
    if (!this.session.state && !always.includes(action)) return; // the first instance is on its way
    if (event?.repeat && ONCE.has(action)) return;
    if (event?.detail > 1 && CLICKED_ONCE.has(action)) return;
    Promise.resolve(this.actions[action](event)).catch((error) => this.failed(error));
  }

  key(event) {
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) return event.stopPropagation();
    const action = actionOf(event);
    // Enter and Space press the button or box that has the focus.
    if (event.target.matches("button, input") && ["Enter", " "].includes(event.key)) {
      if (event.repeat) event.preventDefault();
      return event.stopPropagation();
    }
    if (this.dialogs.open && !["cancel", "help"].includes(action)) return event.stopPropagation();
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    this.run(action, event);
  }

  // A button that was clicked does not keep the focus: Enter would press it again, and is for the suggestion.
  keepFocus(event) {
    if (this.dialogs.open || !event.target.closest("button")) return;
    event.preventDefault();
    this.root.focus({ preventScroll: true });
  }

  takeFocus() {
    const active = document.activeElement;
    if (this.root.contains(active) || active?.matches("input, textarea, [contenteditable]")) return;
    this.root.focus({ preventScroll: true });
  }

  // Told by the session.
  shown({ same = false } = {}) {
    const { session } = this;
    if (!same) {
      this.selected = this.hovered = null;
      this.hideMessage("remark", "end");
      this.image.setItem(session.item);
      if (this.partIndex !== null) this.actions.setPart(this.partIndex);
    }
    showTitle(this.parts, session.item);
    this.similarity.reset();
    this.suggestions.reset();
    this.changed();
  }

  changed() {
    if (!this.pointOf(this.selected)) this.selected = null;
    if (!this.pointOf(this.hovered)) this.hovered = null;
    this.suggestions.forget(this.selected);
    this.refresh();
    this.status();
  }

  status() {
    const { session, parts } = this;
    if (session.queue) showProgress(parts, session.queue.progress, session.info.reviewer);
    if (session.outbox) {
      showStatus(parts, session.outbox);
      const { error, items } = session.outbox;
      if (error && items.length) this.failed(error);
      else if (!items.length) this.hideMessage("unreachable", "storage");
    }
    if (!parts.queue.hidden) this.drawQueue();
    showVerdict(parts, session.state);
    if (this.messageKind === "end" && !parts.message.hidden) tellEnd(this);
    if (session.item) this.others.ask();
    showOthers(parts, this.others, session.entry);
  }

  // The desk answered: what failed before may succeed now.
  reached() {
    this.others.retry();
  }

  failed(error) {
    if (!error.kind) console.error(error); // a mistake of ours: what the desk answers is no error of the page
    this.messageKind = error.kind ?? "panel";
    showMessage(this.parts, error, () => this.hideMessage());
  }

  say(text, kind = "remark") {
    this.messageKind = kind;
    showMessage(this.parts, text, () => this.hideMessage(), kind);
  }

  hideMessage(...kinds) {
    if (kinds.length && !kinds.includes(this.messageKind)) return;
    setHidden(this.parts.message, true);
  }

  drawQueue() {
    const { queue, item } = this.session;
    if (queue) this.queue.draw(queue.entries, item?.instance_id);
  }

  // One's own, or one of another reviewer that one has not and that is shown beside them.
  pointOf(id) {
    return this.session.state.points.get(id) ?? this.others.points().get(id) ?? null;
  }

  select(id, { turn = true } = {}) {
    this.selected = id;
    const point = this.pointOf(id);
    if (point && turn && this.partIndex === null) this.template.main.show(point.vertex);
    this.suggestions.ask(id);
    this.refresh();
  }

  hover(id) {
    if (id === this.hovered) return;
    this.hovered = id;
    this.refresh();
  }

  // Draw all that depends on the state and on the selection.
  refresh() {
    const { session, selected, hovered } = this;
    if (!session.state) return;
    const marks = session.record.timeline.marks();
    const theirs = this.others.points();
    this.image.setScene({ state: session.state, selected, hovered, marks, theirs, partColors: this.partColors });
    this.markers();
    this.similarity.ask(hovered ?? selected);
    showPoint(this, marks);
    this.actions.showParts();
  }

  markers() {
    if (this.session.state) this.template.setMarkers(markersOf(this));
  }

  showHeat(heat, note) {
    this.template.setHeat(heat);
    this.parts["heat-note"].textContent = heat && this.template.heatShown ? note : "";
  }

  // What the outlining tool is for: "region", "part"; "add" waits for a click; null selects and drags.
  setTool(use) {
    this.toolUse = use;
    this.image.setTool(use === "region" || use === "part" ? "polygon" : use);
    const part = this.names[this.partIndex];
    this.parts["tool-hint"].textContent = {
      region: "Brush the wrong region; Esc leaves",
      part: `Outline ${part}; then Enter proposes points`,
      add: "Click where the new point goes; Esc leaves",
    }[use] ?? "";
    for (const [name, on] of [["region", use === "region"], ["add", use === "add"], ["parts", this.partIndex !== null]]) {
      this.root.querySelector(`[data-testid=${name}]`).classList.toggle("dc-on", on);
    }
  }

  close() {
    this.session.close();
    this.image?.close();
    this.template?.close();
    this.similarity.reset();
    this.suggestions.reset();
    if (window.densecorrReview?.panel === this) delete window.densecorrReview;
  }
}
