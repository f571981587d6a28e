// What to say when no instance follows: what is left, who has it, and how to go on.

import { isDecided, isHeld, verdictOf } from "./queue.js";

const STOP = "Ctrl-C in the terminal of `densecorr review open` ends the review and prints the command that comes next.";

export function noInstances() {
  throw Object.assign(new Error("no instances"), {
    expected: "instances to review", received: "an empty queue", kind: "input",
    remedy: "Label some first (densecorr pseudo-labels), then run `densecorr review open` again.",
  });
}

// Said anew when it changes, by an undo or by a lease that ended. True if nothing follows.
export function tellEnd(panel) {
  const { session, parts } = panel;
  const text = ending(session.queue, session.item?.instance_id);
  const told = panel.messageKind === "end" && !parts.message.hidden && parts.message.firstChild.textContent;
  if (text === null) panel.hideMessage("end");
  else if (text !== told) panel.say(text, "end");
  return text !== null;
}

// Null while the instance shown waits for a verdict.
function ending(queue, id) {
  const shown = queue.of(id);
  if (!shown || (!verdictOf(shown) && !isHeld(shown))) return null;
  if (queue.following(id)) return "An instance is free again: press N.";
  const open = queue.entries.filter((entry) => !isDecided(entry));
  const held = open.filter(isHeld);
  const said = [];
  if (!open.length) said.push(`All ${queue.entries.length} instances are decided.`);
  if (open.length > held.length) said.push("Only this one is left to you; you skipped it.");
  if (held.length) {
    const names = [...new Set(held.map(({ leased_by }) => leased_by))];
    const who = `${names.join(", ")} ${names.length === 1 ? "holds" : "hold"}`;
    said.push(`${who} ${held.length} that you have not decided; this line says when one is free.`);
  }
  return [...said, STOP].join(" ");
}
