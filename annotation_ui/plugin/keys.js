// One table of what keys do; the toolbar's titles and the help sheet are made from it.
// [group, action, key shown, what it does, keys as `event.key` with modifiers in the order Ctrl, Shift]

export const KEYS = [
  ["Instance", "accept", "A", "accept and go on", ["a"]],
  ["Instance", "reject", "R", "reject and go on", ["r"]],
  ["Instance", "unsure", "U", "unsure, with a reason", ["u"]],
  ["Instance", "skip", "S", "skip: it comes again at the end, or someone else decides", ["s"]],
  ["Instance", "hideInstance", "V", "the subject is not visible", ["v"]],
  ["Instance", "next", "N", "next instance", ["n", "PageDown"]],
  ["Instance", "previous", "P", "previous instance", ["p", "PageUp"]],
  ["Instance", "queue", "Q", "show or hide the queue (arrows and Enter open one)", ["q"]],
  ["Instance", "mirror", "M", "mirror all points left ↔ right", ["m"]],
  ["Instance", "region", "B", "brush a wrong region to drop it (stroke, or corners and Enter)", ["b"]],
  ["Instance", "parts", "L", "annotate by parts: outline, then click on the six views", ["l"]],

  ["Point", "nextPoint", ".", "select the next point", ["."]],
  ["Point", "previousPoint", ",", "select the previous point", [","]],
  ["Point", "add", "I", "add a point at the pointer or cursor, or at the next click", ["i"]],
  ["Point", "delete", "D", "delete the selected point", ["d", "Delete"]],
  ["Point", "acceptPoint", "⇧A", "this point is right", ["Shift+A"]],
  ["Point", "rejectPoint", "⇧R", "this point is wrong: drop it", ["Shift+R"]],
  ["Point", "unsurePoint", "⇧U", "unsure about this point, with a reason", ["Shift+U"]],
  ["Point", "skipPoint", "⇧S", "skip this point", ["Shift+S"]],
  ["Point", "hidePoint", "⇧V", "this point is not visible, or is again", ["Shift+V"]],
  ["Point", "takeSuggestion", "Enter", "take the suggestion (or close the outline, or take points as proposed)", ["Enter"]],
  ["Point", "suggest", "G", "suggest corrections for all points, one after another", ["g"]],

  ["Acts", "undo", "Z", "undo, also across instances", ["z", "Ctrl+z"]],
  ["Acts", "redo", "Y", "redo", ["y", "Ctrl+y", "Shift+Z", "Ctrl+Shift+Z"]],

  ["View", "zoomIn", "+", "zoom in (wheel)", ["+", "="]],
  ["View", "zoomOut", "−", "zoom out (wheel)", ["-"]],
  ["View", "fit", "0", "fit (drag an empty place to pan)", ["0"]],
  ["View", "darker", "[", "darker", ["["]],
  ["View", "brighter", "]", "brighter", ["]"]],
  ["View", "togglePoints", "O", "show or hide the points", ["o"]],
  ["View", "others", "C", "compare with the points of another reviewer, once you decided", ["c"]],
  ["View", "heat", "E", "similarity heat map on or off", ["e"]],
  ["View", "full", "F", "the whole screen, or back", ["f"]],
  ["View", "view", "1–6", "front, back, left, right, top, bottom (drag turns, ⇧ drag pans)", ["1", "2", "3", "4", "5", "6"]],

  ["Keyboard only", "switchPane", "T", "arrows act on the image or on the template", ["t"]],
  ["Keyboard only", "arrow", "Arrows", "move the selected point by 1 pixel, or the cursor (⇧ faster; Ctrl turns)",
    ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]],
  ["Keyboard only", "click", "Space", "click at the cursor", [" "]],
  ["Keyboard only", "cancel", "Esc", "leave the tool, drop the selection, close a sheet", ["Escape"]],
  ["Keyboard only", "nextPart", "K", "next part (⇧ previous)", ["k", "Shift+K"]],

  ["Help", "help", "?", "this sheet", ["?", "h"]],
  ["Help", "guide", "W", "the guideline", ["w"]],
];

// A double click is one of these, not two: the second would judge an instance that nobody looked at, or mirror back.
export const CLICKED_ONCE = new Set(["accept", "reject", "skip", "hideInstance", "mirror"]);
// Nor does a key that is held go on to points and instances that nobody looked at.
export const ONCE = new Set([...CLICKED_ONCE, "acceptPoint", "skipPoint", "takeSuggestion"]);

const BY_KEY = new Map(KEYS.flatMap(([, action, , , keys]) => keys.map((key) => [key, action])));

export const keyOf = (action) => KEYS.find((row) => row[1] === action)[2];
export const titleOf = (action) => `${KEYS.find((row) => row[1] === action)[3]} (${keyOf(action)})`;

export function actionOf(event) {
  if (event.altKey || event.metaKey) return null;
  if (event.key.startsWith("Arrow")) return "arrow"; // modifiers change how, not what
  const shift = event.shiftKey && /^[a-z]$/i.test(event.key) ? "Shift+" : "";
  // With Caps Lock on, letters are the same keys.
  const letter = event.key.length === 1 ? (shift ? event.key.toUpperCase() : event.key.toLowerCase()) : event.key;
  return BY_KEY.get((event.ctrlKey ? "Ctrl+" : "") + shift + letter) ?? null;
}
