// The parts mode's actions and its bar: outline a part, take the proposed points, click each on the six views.

import { el, replaceChildren } from "./dom.js";
import { keyOf, titleOf } from "./keys.js";
import { delineated, MAX_POINTS, nextOpenPoint, partPoints, spreadPatch } from "./parts.js";

export function makePartActions(panel, actions) {
  const { session, parts } = panel;
  const name = () => panel.names[panel.partIndex];

  return {
    parts() {
      if (panel.partIndex !== null) {
        panel.partIndex = null;
        panel.template.setPart(null);
        panel.setTool(null);
        panel.refresh();
        return;
      }
      const open = panel.names.findIndex((part) => !session.state.parts[part]);
      actions.setPart(Math.max(0, open));
    },
    setPart(index) {
      panel.partIndex = (index + panel.names.length) % panel.names.length;
      panel.template.setPart(panel.partIndex);
      panel.selected = null;
      const outlined = Boolean(session.state.parts[name()]);
      panel.setTool(outlined ? null : "part");
      if (outlined) actions.nextOpen(-1);
      else panel.refresh();
    },
    nextPart(event) {
      if (panel.partIndex === null) return actions.parts();
      actions.setPart(panel.partIndex + (event?.shiftKey ? -1 : 1));
    },
    outline(polygon) {
      session.do("delineate", delineated(session.state, name(), polygon));
    },
    // The outlines are done: the desk spreads points inside, the more the larger the part is among those outlined.
    async propose() {
      const [part, { instance_id }] = [name(), session.item];
      if (!session.state.parts[part]) return panel.say(`Outline ${part} in the image first.`);
      panel.setTool(null);
      await session.outbox.idle(); // the desk gives ids that no act has used
      const { points } = await session.call("review_spread", { instance_id, parts: session.state.parts });
      if (session.item.instance_id !== instance_id || name() !== part) return; // the user went elsewhere meanwhile
      const patch = spreadPatch(session.state, part, points);
      if (patch) session.do("add", patch, { point_id: Number(Object.keys(patch.points)[0]) });
      actions.nextOpen(-1);
    },
    outlineMore: () => panel.setTool("part"),
    clearPart() {
      if (session.state.parts[name()]) session.do("delineate", { parts: { [name()]: null } });
      panel.setTool("part");
    },
    nextOpen(from) {
      const id = nextOpenPoint(session.state, name(), from);
      panel.select(id, { turn: false });
      if (id !== null || !partPoints(session.state, name()).length) return;
      panel.say(`All points of ${name()} have a vertex. K goes on to the next part.`);
    },
    showParts() {
      const bar = parts["part-bar"];
      bar.hidden = panel.partIndex === null;
      if (bar.hidden) return;
      const onchange = (event) => actions.setPart(event.target.selectedIndex);
      const choice = el("select", { "data-testid": "part-choice", "aria-label": "part", onchange });
      panel.names.forEach((part, i) => {
        const sign = session.state.parts[part] ? "✓ " : "";
        choice.append(el("option", { selected: i === panel.partIndex }, sign + part));
      });
      const button = (action, text, key) =>
        el(
          "button",
          { class: "dc-button", "data-testid": action, title: key ? titleOf(key) : text, onclick: () => panel.run(action) },
          text, key ? el("kbd", {}, keyOf(key)) : null,
        );
      const swatch = el("span", { class: "dc-swatch", style: `background: ${panel.partColors.get(name())}` });
      const points = partPoints(session.state, name());
      const placed = points.filter(({ vertex, visible }) => vertex >= 0 || !visible).length;
      const count = el("span", {}, points.length ? `${placed} of ${points.length} placed` : `up to ${MAX_POINTS} points`);
      replaceChildren(
        bar, swatch, choice, button("nextPart", "Next part", "nextPart"), button("outlineMore", "Outline"),
        button("propose", "Propose points", "takeSuggestion"), button("clearPart", "Clear outline"), count,
      );
    },
  };
}
