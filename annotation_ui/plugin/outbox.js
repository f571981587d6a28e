// Acts on their way to the desk, in order. Each is in localStorage until it is stored, so that neither a server
// that goes away nor a closed tab loses one.

import { DeskError } from "./protocol.js";

const SLOW_MS = 3000;
const RETRY_MS = [1000, 2000, 4000, 8000, 15000];
const KEPT = new Set(["unreachable", "storage", "database", "version"]); // may succeed later; all else is refused for good

// Over plain HTTP from another machine (`--address`) a browser has neither locks nor `crypto.randomUUID`. Without locks a
// tab takes over what all others left, those still there too: an act that comes twice is stored once, by its key.
const LOCKS = navigator.locks ?? { request: (key, options, task) => task?.({}) };
const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export class Outbox {
  constructor({ call, space, onStored, onRefused, onChange }) {
    Object.assign(this, { call, onStored, onRefused, onChange });
    this.prefix = `densecorr-review:${space}:`;
    this.storageKey = this.prefix + newKey();
    // {key, act, unsure, since}: unsure when a try got no answer, so that it may have been stored; since: the
    // newest decision known before it was sent (ids sort by time).
    this.items = [];
    this.latest = "";
    this.added = 0; // acts so far, for those who must know whether there was one meanwhile
    this.ids = new Map(); // key -> decision_id
    this.error = null;
    this.failures = 0;
    this.sending = null;
    this.timer = null;
  }

  // Take over what tabs that are gone left behind. Each tab holds a lock named like its storage key for life.
  async start() {
    const hold = new Promise((resolve) => (this.leave = resolve));
    LOCKS.request(this.storageKey, () => hold);
    for (const key of Object.keys(localStorage).filter((name) => name.startsWith(this.prefix)).sort()) {
      await LOCKS.request(key, { ifAvailable: true }, (lock) => {
        if (lock === null) return;
        this.items.push(...JSON.parse(localStorage.getItem(key) ?? "[]").map((item) => ({ ...item, unsure: true })));
        localStorage.removeItem(key);
      });
    }
    this.save();
    return this.pump();
  }

  add(act) {
    const key = newKey();
    this.added += 1;
    this.items.push({ key, act, unsure: false, since: this.latest });
    this.save();
    this.pump();
    return key;
  }

  // Resolves when nothing waits, or when sending failed.
  idle() {
    return this.sending ?? Promise.resolve();
  }

  waits(instanceId) {
    return this.items.some(({ act }) => act.instance_id === instanceId);
  }

  pump() {
    this.sending ??= this.send().finally(() => (this.sending = null));
    return this.sending;
  }

  async send() {
    clearTimeout(this.timer);
    await null; // a tick, so that `sending` is set before the first change is told
    while (this.items.length) {
      const item = this.items[0];
      this.onChange();
      const slow = setTimeout(() => this.tellSlow(), SLOW_MS);
      try {
        const answer =
          (item.unsure && (await this.findStored(item))) ||
          (await this.call("review_act", { act: { ...this.resolved(item.act), key: item.key } }));
        this.ids.set(item.key, answer.decision_id);
        this.remember(answer.decision_id);
        this.shift();
        this.onStored(item, answer);
      } catch (error) {
        this.error = error;
        if (KEPT.has(error.kind)) {
          item.unsure ||= error.kind === "unreachable";
          this.save();
          this.timer = setTimeout(() => this.pump(), RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)]);
          this.onChange();
          return;
        }
        this.shift();
        this.drop(item);
        this.onRefused(item, error);
        continue;
      } finally {
        clearTimeout(slow);
      }
      this.error = null;
      this.failures = 0;
    }
    this.onChange();
  }

  // A server that hangs is told of long before the request is given up.
  tellSlow() {
    this.error = new DeskError({
      expected: "an answer from the FiftyOne server",
      received: `none within ${SLOW_MS / 1000} s`,
      remedy: "What you did is kept in this browser; go on, or check the terminal of `densecorr review open`.",
      kind: "unreachable",
    });
    this.onChange();
  }

  // An act whose answer was lost may be stored: then it is newer than all that was known when it was first sent.
  async findStored({ act, since }) {
    const { acts } = await this.call("review_history", { limit: 50 });
    const known = new Set(this.ids.values());
    const same = ["instance_id", "action", "point_id"];
    return acts.find(
      (stored) =>
        stored.decision_id > since && !known.has(stored.decision_id) && same.every((key) => stored[key] === act[key]),
    );
  }

  remember(decisionId) {
    if (decisionId > this.latest) this.latest = decisionId;
  }

  resolved(act) {
    return { ...act, undoes: act.undoes === null ? null : (this.ids.get(act.undoes) ?? act.undoes) };
  }

  // What builds on a refused act cannot be stored either.
  drop(refused) {
    const gone = new Set([refused.key]);
    this.items = this.items.filter(({ key, act }) => {
      if (act.instance_id !== refused.act.instance_id && !gone.has(act.undoes)) return true;
      gone.add(key);
      return false;
    });
    this.save();
  }

  shift() {
    const { key } = this.items.shift();
    // Those that wait and survive a reload must not name a key only this tab knows, nor be taken for this one.
    for (const item of this.items) {
      if (item.act.undoes === key) item.act = this.resolved(item.act);
      item.since = this.latest;
    }
    this.save();
  }

  save() {
    try {
      if (this.items.length) localStorage.setItem(this.storageKey, JSON.stringify(this.items));
      else localStorage.removeItem(this.storageKey);
    } catch {
      // Full or forbidden: what waits is still in memory and is still sent.
    }
  }

  close() {
    clearTimeout(this.timer);
    this.leave?.();
  }
}
