// Instances that were fetched: loaded ahead, or shown before and kept, so that their acts are undone without the desk.

import { decodeInstance } from "./codec.js";
import { startState, Timeline } from "./model.js";

const KEPT = 60;
const AHEAD = 2; // loaded ahead; one that was not gone to is let go

export class Instances {
  constructor(call) {
    Object.assign(this, { call, records: new Map(), ready: new Map() });
  }

  async fetch(id, lease) {
    const item = await decodeInstance(await this.call("review_instance", { instance_id: id, lease }));
    return { item, state: startState(item), timeline: new Timeline(item.acts), readOnly: false, acted: false };
  }

  preload(id) {
    if (!id || this.records.has(id) || this.ready.has(id)) return;
    const loading = this.fetch(id, false);
    loading.catch(() => this.ready.delete(id)); // what failed is told when it is shown
    this.ready.set(id, loading);
    if (this.ready.size > AHEAD) this.ready.delete(this.ready.keys().next().value);
  }

  // What was loaded ahead, else what the desk says now.
  async take(id) {
    const record = await (this.ready.get(id) ?? this.fetch(id, true));
    this.ready.delete(id);
    return record;
  }

  // `waiting` are the instances with acts that are not stored yet.
  keep(id, record, waiting) {
    this.records.delete(id);
    this.records.set(id, record);
    for (const old of this.records.keys()) {
      if (this.records.size <= KEPT) break;
      if (!waiting.has(old)) this.records.delete(old);
    }
  }
}
