// Sheets over the panel: help, reason, guideline. One at a time; Escape closes, and focus stays inside.

import { el } from "./dom.js";
import { KEYS } from "./keys.js";

export class Dialogs {
  constructor(root) {
    this.root = root;
    this.open = null;
  }

  show(name, title, content) {
    this.close();
    const close = el("button", { class: "dc-close", title: "close (Esc)", onclick: () => this.close() }, "✕");
    const head = el("div", { class: "dc-sheet-head" }, el("h2", {}, title), close);
    const labels = { role: "dialog", "aria-modal": "true", "aria-label": title, "data-testid": `sheet-${name}` };
    const sheet = el("div", { class: "dc-sheet", tabindex: -1, ...labels }, head, content);
    const cover = el("div", { class: "dc-cover" }, sheet);
    cover.addEventListener("pointerdown", (event) => event.target === cover && this.close());
    cover.addEventListener("keydown", (event) => keepFocus(sheet, event));
    this.root.append(cover);
    this.open = { name, cover };
    sheet.focus();
    return sheet;
  }

  close() {
    if (!this.open) return false;
    this.open.cover.remove();
    this.open = null;
    this.root.focus({ preventScroll: true });
    return true;
  }

  toggle(name, title, content) {
    if (this.open?.name === name) this.close();
    else this.show(name, title, content());
  }

  help() {
    const groups = groupBy(KEYS);
    const parts = [...groups].map(([group, rows]) => {
      const lines = rows.map(([, , key, text]) => el("div", { class: "dc-help-row" }, el("kbd", {}, key), el("span", {}, text)));
      return el("section", {}, el("h3", {}, group), ...lines);
    });
    this.toggle("help", "Keys and mouse", () => el("div", { class: "dc-help" }, ...parts));
  }

  // Resolves to the reason, or null if the user thought better of it.
  askReason(question, reasons) {
    return new Promise((resolve) => {
      const choose = (reason) => {
        resolve(reason);
        this.close();
      };
      const buttons = reasons.map((reason, i) =>
        el(
          "button",
          { class: "dc-button", title: `${reason} (${i + 1})`, onclick: () => choose(reason) },
          el("kbd", {}, String(i + 1)), ` ${reason}`,
        ),
      );
      const text = el("input", { type: "text", placeholder: "another reason, then Enter", "aria-label": "another reason" });
      const sheet = this.show("reason", question, el("div", { class: "dc-reasons" }, ...buttons, text));
      sheet.addEventListener("keydown", (event) => {
        if (event.target === text) {
          if (event.key === "Enter" && text.value.trim()) choose(text.value.trim());
        } else if (reasons[Number(event.key) - 1]) choose(reasons[Number(event.key) - 1]);
        if (event.key !== "Escape") return;
        resolve(null);
        if (event.target === text) this.close(); // the panel leaves a field's keys alone
      });
    });
  }

  // The guideline is a page of ours with its own style: a frame keeps the two apart, and runs no scripts; it takes our colours.
  guide(html) {
    const ours = getComputedStyle(this.root);
    const colors = ["text", "ground", "raised", "line"].map((name) => `--${name}: ${ours.getPropertyValue(`--${name}`)};`);
    const page = `${html}<style>:root { ${colors.join(" ")} }</style>`;
    const frame = el("iframe", { sandbox: "allow-same-origin", title: "guideline", srcdoc: page, class: "dc-guide" });
    const pages = { ArrowDown: 0.1, ArrowUp: -0.1, PageDown: 0.9, PageUp: -0.9 };
    const scroll = ({ key }) => frame.contentWindow.scrollBy(0, (pages[key] ?? 0) * frame.clientHeight);
    const sheet = this.show("guide", "Guideline", frame);
    sheet.addEventListener("keydown", scroll);
    // A click on the page takes the focus into the frame, from where no key comes back.
    frame.addEventListener("load", () => frame.contentWindow.addEventListener("pointerup", () => sheet.focus()));
  }
}

function groupBy(rows) {
  const groups = new Map();
  for (const row of rows) groups.set(row[0], [...(groups.get(row[0]) ?? []), row]);
  return groups;
}

function keepFocus(sheet, event) {
  if (event.key !== "Tab") return;
  const stops = [...sheet.querySelectorAll("button, input")];
  const last = event.shiftKey ? stops[0] : stops.at(-1);
  if (document.activeElement !== last) return;
  event.preventDefault();
  (event.shiftKey ? stops.at(-1) : stops[0]).focus();
}
