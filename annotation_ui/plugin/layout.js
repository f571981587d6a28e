// The panel's elements. Buttons take their titles from the table of keys and call actions by name.

import { el, replaceChildren } from "./dom.js";
import { keyOf, titleOf } from "./keys.js";

// Short, so that one row does beside the App's sidebar on a screen of 1366 pixels; titles say the rest.
const TOOLBAR = [
  [["accept", "Accept"], ["reject", "Reject"], ["unsure", "Unsure"], ["skip", "Skip"], ["hideInstance", "Not visible"]],
  [["add", "Add"], ["delete", "Delete"], ["suggest", "Suggest"]],
  [["mirror", "Mirror"], ["region", "Region"], ["parts", "Parts"]],
  [["undo", "↶"], ["redo", "↷"]],
];
const NAMES = { "↶": "undo", "↷": "redo" }; // for those who hear the page
const FACTS = "score: similarity of features; expected error: along the surface, as a share of the template's diameter";
const POINT_BAR = [
  ["acceptPoint", "Right"], ["rejectPoint", "Wrong"], ["unsurePoint", "Unsure"], ["skipPoint", "Skip"],
  ["hidePoint", "Not visible"],
];

export function buildLayout(root, run) {
  const does = (action) => ({ title: titleOf(action), "data-testid": action, onclick: (event) => run(action, event) });
  const button = ([action, text], kind = "") =>
    el("button", { class: `dc-button ${kind}`, "aria-label": NAMES[text], ...does(action) }, text, el("kbd", {}, keyOf(action)));
  const icon = (action, text) => el("button", { class: "dc-icon", ...does(action) }, text);
  const part = (name, tag = "div", attributes = {}, ...children) =>
    (parts[name] = el(tag, { class: `dc-${name}`, "data-testid": name, ...attributes }, ...children));
  const parts = {};

  const header = el(
    "header", { class: "dc-header" },
    icon("queue", "☰"), icon("previous", "‹"), icon("next", "›"),
    part("title"), part("verdict", "span"), part("others", "button", { hidden: true, onclick: () => run("others") }),
    el("span", { class: "dc-space" }),
    part("status", "span", { role: "status", "aria-live": "polite" }),
    part("rate", "span"),
    part("bar", "div", {}, part("done")),
    icon("full", "Full"), icon("guide", "Guide"), icon("help", "?"),
  );
  const group = (rows) => el("div", { class: "dc-group" }, ...rows.map((row) => button(row, `dc-tool-${row[0]}`)));
  const image = el(
    "section", { class: "dc-pane dc-image", "aria-label": "image" },
    part("below", "canvas"), part("above", "canvas"),
    el(
      "div", { class: "dc-float" },
      icon("zoomOut", "−"), icon("fit", "fit"), icon("zoomIn", "+"),
      icon("darker", "◐"), icon("brighter", "☀"), icon("togglePoints", "●"),
    ),
    part("tool-hint"),
  );
  const template = el(
    "section", { class: "dc-pane dc-template", "aria-label": "template" },
    part("part-bar"),
    el(
      "div", { class: "dc-main" },
      part("main", "canvas"), part("heat-note"), el("div", { class: "dc-float" }, icon("heat", "heat map")),
    ),
    part("strip"),
  );
  const pointBar = part("point-bar", "div", {}, ...POINT_BAR.map((row) => button(row)));
  root.replaceChildren(
    header,
    el("nav", { class: "dc-toolbar", "aria-label": "acts" }, ...TOOLBAR.map(group)),
    part("message", "div", { role: "alert", hidden: true }),
    el("main", { class: "dc-body" }, part("queue", "aside", { hidden: true, "aria-label": "queue", "data-testid": "queue-pane" }), image, template),
    el(
      "footer", { class: "dc-footer" },
      part("point-info", "div", { title: FACTS }), part("suggestion", "button", { hidden: true, onclick: () => run("takeSuggestion") }),
      el("span", { class: "dc-space" }), pointBar,
    ),
  );
  return parts;
}

// An error in the product's three parts, or a plain text of a kind: "remark", "end".
export function showMessage(parts, error, onClose, kind) {
  parts.message.hidden = false;
  const close = el("button", { class: "dc-icon", title: "hide this message", onclick: onClose }, "✕");
  if (typeof error === "string") {
    parts.message.className = `dc-message dc-${kind}`;
    replaceChildren(parts.message, el("span", {}, error), close);
    return;
  }
  parts.message.className = "dc-message dc-error";
  parts.message.dataset.kind = error.kind ?? "";
  const lines = error.expected
    ? [el("b", {}, error.remedy), el("span", {}, ` Expected ${error.expected}; received ${error.received}.`)]
    : [el("b", {}, `The panel failed: ${error.message ?? error}. Reload the page; what you did is stored.`)];
  replaceChildren(parts.message, el("span", {}, ...lines), close);
}
