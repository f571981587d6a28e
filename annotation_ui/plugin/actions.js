// What each action of the table of keys does.

import { tellEnd } from "./ending.js";
import { verdictOf } from "./queue.js";
import { droppedRegion, mirrored, movedPoint, unusedPointId } from "./model.js";
import { makePartActions } from "./parts_mode.js";
import { clampPitch } from "./mesh_view.js";

const NUDGE = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FAST = 8;

export function makeActions(panel) {
  const { session, dialogs, suggestions, parts } = panel;
  const point = () => session.state.points.get(panel.selected);
  const needPoint = () => point() ?? panel.say("Select a point first (click it, or press “.”).");
  const round = (value) => Math.round(value * 100) / 100;

  async function verdict(action, reason = "") {
    if (!session.do(action, { verdict: { action, reason } }, { reason })) return;
    const next = session.following();
    if (next) await open(next);
    else tellEnd(panel);
  }

  // A verdict on one point changes nothing by itself, but is kept as a decision.
  function judge(action, reason = "") {
    if (session.do(action, {}, { point_id: panel.selected, reason })) actions.nextPoint();
  }

  function change(action, patch, id = panel.selected) {
    return session.do(action, patch, { point_id: id });
  }

  function selectBy(step) {
    const ids = [...[...session.state.points.keys()].sort((a, b) => a - b), ...panel.others.lacking()];
    if (!ids.length) return;
    const at = ids.indexOf(panel.selected);
    panel.select(ids[at < 0 ? (step > 0 ? 0 : ids.length - 1) : (at + step + ids.length) % ids.length]);
  }

  async function open(id) {
    if (!id) return panel.say("There is no other instance in this direction.");
    await session.go(id);
    if (verdictOf(session.entry) === "skip" && !session.record.readOnly) panel.say("You skipped this one before.");
  }

  // Of the desk's suggestions the vertex, of another reviewer's the whole point, or that it is gone.
  function takeOver({ vertex, point: theirs }) {
    if (!point()) return addTheirs(theirs);
    if (theirs === null) return change("delete", { points: { [panel.selected]: null } });
    const action = theirs === undefined || theirs.vertex !== point().vertex ? "assign" : "move";
    return change(action, movedPoint(session.state, panel.selected, theirs ?? { vertex }));
  }

  // One that they added becomes one of one's own; one that one deleted comes back.
  function addTheirs(theirs) {
    const known = typeof panel.selected === "number";
    const id = known ? panel.selected : unusedPointId(session.record);
    if (change("add", { points: { [id]: theirs } }, id)) panel.selected = id;
  }

  // The button of what is switched off.
  const strike = (name, off) => panel.root.querySelector(`[data-testid=${name}]`).classList.toggle("dc-off", off);

  // Undo and redo wait for the one before: it may be on its way to another instance.
  let stepping = Promise.resolve();
  const inTurn = (step) => (stepping = stepping.catch(() => {}).then(step));

  const onImage = () => panel.cursor.pane === "image";

  const actions = {
    open,
    accept: () => verdict("accept"),
    reject: () => verdict("reject"),
    skip: () => verdict("skip"),
    hideInstance: () => verdict("not_visible"),
    async unsure() {
      const reason = await dialogs.askReason("Unsure about this instance: why?", session.info.reasons);
      if (reason !== null) await verdict("unsure", reason);
    },
    next() {
      const id = session.following() ?? session.neighbour(1);
      if (id || !tellEnd(panel)) return open(id);
    },
    previous: () => open(session.neighbour(-1)),
    async queue() {
      parts.queue.hidden = !parts.queue.hidden;
      if (parts.queue.hidden) return panel.root.focus({ preventScroll: true });
      panel.drawQueue();
      panel.queue.filter();
      panel.queue.list.focus();
      await session.refreshQueue();
    },
    mirror() {
      const { mirror } = session.info.template;
      if (mirror === null) return panel.say("This template has no mirror symmetry.");
      session.do("mirror", mirrored(session.state, mirror));
    },
    region: () => panel.setTool(panel.image.tool && panel.toolUse === "region" ? null : "region"),

    nextPoint: () => selectBy(1),
    previousPoint: () => selectBy(-1),
    // At the pointer if it is over the picture, else at the keyboard's cursor, else where the next click is.
    add() {
      const at = panel.image.pointer ?? panel.image.cursor;
      const place = at && panel.image.toImage(...at);
      if (place && panel.image.isOnImage(...place)) return actions.addPoint(...place);
      panel.setTool(panel.image.adding ? null : "add");
    },
    addPoint(x, y) {
      const id = unusedPointId(session.record);
      panel.setTool(null);
      if (change("add", { points: { [id]: { x: round(x), y: round(y), vertex: -1, visible: true } } }, id)) panel.select(id);
    },
    movePoint(id, x, y) {
      if (!panel.image.isOnImage(x, y)) return panel.image.redraw(); // dropped outside: as before
      if (change("move", movedPoint(session.state, id, { x: round(x), y: round(y) }), id)) panel.select(id, { turn: false });
    },
    assign(vertex) {
      if (vertex < 0 || !needPoint()) return;
      const id = panel.selected;
      if (!change("assign", movedPoint(session.state, id, { vertex }))) return;
      if (panel.partIndex === null) panel.select(id, { turn: false });
      else actions.nextOpen(id);
    },
    delete() {
      if (needPoint()) change("delete", { points: { [panel.selected]: null } });
    },
    acceptPoint: () => needPoint() && judge("accept"),
    skipPoint: () => needPoint() && judge("skip"),
    async unsurePoint() {
      if (!needPoint()) return;
      const reason = await dialogs.askReason(`Unsure about point ${panel.selected}: why?`, session.info.reasons);
      if (reason !== null) judge("unsure", reason);
    },
    rejectPoint() {
      if (needPoint()) change("reject", { points: { [panel.selected]: null } });
    },
    hidePoint() {
      if (!needPoint()) return;
      change("not_visible", movedPoint(session.state, panel.selected, { visible: !point().visible }));
    },
    takeSuggestion() {
      if (panel.image.tool?.corners.length) return panel.image.tool.close();
      if (panel.partIndex !== null) return actions.propose();
      const suggestion = suggestions.of(panel.selected);
      if (!suggestion) return panel.say("There is no suggestion for the selected point. G asks for all points.");
      takeOver(suggestion);
      const next = suggestions.nextOfTour();
      panel.select(next ?? panel.selected);
    },
    async suggest() {
      const count = await suggestions.startTour();
      if (!count) return panel.say("No better vertex is suggested for any point.");
      panel.say(`${count} suggestions. Enter takes one and goes on; G starts anew.`);
      panel.select(suggestions.nextOfTour());
    },

    undo: () => inTurn(() => session.undo()),
    redo: () => inTurn(() => session.redo()),

    zoomIn: () => (onImage() ? panel.image : panel.template.main).zoom(1.25),
    zoomOut: () => (onImage() ? panel.image : panel.template.main).zoom(0.8),
    fit() {
      panel.image.fit();
      panel.template.main.turn({ zoom: 1, panX: 0, panY: 0 });
    },
    darker: () => panel.image.setBrightness(panel.image.brightness / 1.15),
    brighter: () => panel.image.setBrightness(panel.image.brightness * 1.15),
    togglePoints() {
      panel.image.pointsShown = !panel.image.pointsShown;
      panel.image.redraw();
      strike("togglePoints", !panel.image.pointsShown);
    },
    others() {
      const shown = panel.others.toggle();
      panel.say(shown ? `${shown}'s points are the squares. Select one of yours; Enter takes theirs.` : panel.others.why());
    },
    heat() {
      panel.template.toggleHeat();
      panel.similarity.again();
      strike("heat", !panel.template.heatShown);
    },
    full: () => (document.fullscreenElement ? document.exitFullscreen() : panel.root.requestFullscreen()),
    view(event) {
      const index = Number(event.key) - 1;
      if (panel.partIndex === null) panel.template.turnTo(index);
      else panel.cursor.toView(index);
    },

    switchPane: () => panel.cursor.switchPane(),
    arrow(event) {
      const [dx, dy] = NUDGE[event.key].map((step) => step * (event.shiftKey ? FAST : 1));
      const main = panel.template.main;
      if (event.ctrlKey) {
        return main.turn({ yaw: main.view.yaw + dx / 12, pitch: clampPitch(main.view.pitch - dy / 12) });
      }
      const selected = onImage() && !panel.image.tool && !panel.image.adding && point();
      if (selected) return actions.movePoint(panel.selected, selected.x + dx, selected.y + dy);
      panel.cursor.move(dx * 4, dy * 4);
    },
    click: () => panel.cursor.click(),
    cancel() {
      if (dialogs.close()) return;
      if (panel.image.tool?.corners.length) return panel.image.tool.cancel();
      if (panel.image.tool || panel.image.adding) return panel.setTool(null);
      if (panel.selected !== null) return panel.select(null);
      if (panel.partIndex !== null) actions.parts();
      else panel.hideMessage();
    },

    help: () => dialogs.help(),
    async guide() {
      const { html } = await session.call("review_guide");
      dialogs.guide(html);
    },

    polygon(polygon) {
      if (panel.toolUse === "part") return actions.outline(polygon);
      panel.setTool(null);
      session.do("drop_region", droppedRegion(session.state, polygon));
    },
  };
  return Object.assign(actions, makePartActions(panel, actions));
}
