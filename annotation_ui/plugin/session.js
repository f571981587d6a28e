// One reviewer's session: which instance is shown, what was done, what is on its way. Knows nothing of the page;
// `ui` is told: shown(), changed(), status(), reached(), failed(error), say(text), hideMessage(kind).

import { decodeTemplate } from "./codec.js";
import { Instances } from "./instances.js";
import { applyPatch, makeAct } from "./model.js";
import { Outbox } from "./outbox.js";
import { checkVersion, VERSION } from "./protocol.js";
import { Queue } from "./queue.js";
import { Timings } from "./timings.js";

const MAX_IDLE_S = 120; // a pause longer than this was not spent on the act
const NEWS_MS = 15000; // between looks at what others did

export class Session {
  constructor(call, ui) {
    Object.assign(this, { call, ui, instances: new Instances(call), times: new Timings(), trail: [], record: null });
    this.behind = new Set(); // instances to be fetched again once their acts are stored
    this.ticket = 0;
  }

  async open() {
    const info = await this.call("review_open", { version: VERSION });
    checkVersion(info);
    this.info = { ...info, template: decodeTemplate(info.template) };
    this.queue = new Queue(info);
    this.outbox = new Outbox({
      call: this.call,
      space: `${info.dataset.id}:${info.reviewer}`,
      onStored: (item, answer) => this.stored(item, answer),
      onRefused: (item, error) => this.refused(item, error),
      onChange: () => this.ui.status(),
    });
    const { acts } = await this.call("review_history", { limit: 1 });
    if (acts.length) this.outbox.remember(acts[0].decision_id);
    await this.outbox.start(); // first what an earlier tab could not store: it is part of what is fetched next
    if (this.closed) return this.outbox.close();
    this.news = setInterval(() => document.hidden || this.refreshQueue().catch(() => {}), NEWS_MS); // acts tell of trouble
  }

  get records() {
    return this.instances.records;
  }

  get item() {
    return this.record?.item ?? null;
  }

  get state() {
    return this.record?.state ?? null;
  }

  get entry() {
    return this.item && this.queue.of(this.item.instance_id);
  }

  following(id = this.item?.instance_id) {
    return this.queue.following(id);
  }

  neighbour(step) {
    return this.queue.neighbour(this.item?.instance_id, step);
  }

  async go(id) {
    const began = performance.now();
    const ticket = ++this.ticket;
    this.wanted = id;
    const leaving = this.record;
    const early = this.instances.ready.has(id);
    let record = this.records.get(id);
    if (!record) {
      this.ui.status();
      record = await this.instances.take(id);
    }
    if (ticket !== this.ticket) return this.release(record); // the user went elsewhere meanwhile
    const fresh = !early && !this.records.has(id);
    this.instances.keep(id, record, new Set(this.outbox.items.map(({ act }) => act.instance_id)));
    this.record = record;
    this.lastAct = performance.now();
    this.ui.shown();
    this.adoptLease(record, record.item.lease, fresh); // what it says is of what is shown now
    await this.times.shown(id, began, !fresh);
    if (leaving && leaving !== record) this.leave(leaving);
    if (!fresh) this.lease(record);
    this.instances.preload(this.following());
  }

  leave(record) {
    const id = record.item.instance_id;
    if (record.acted && this.trail.at(-1) !== id) this.trail.push(id);
    this.release(record);
  }

  // Unless it is shown again by then.
  release({ item: { instance_id }, readOnly }) {
    const give = () => this.wanted === instance_id || this.call("review_release", { instance_id });
    if (!readOnly) this.outbox.idle().then(give).catch(() => {});
  }

  // What was preloaded is shown at once; that it is ours, and still as it was, is asked for meanwhile.
  async lease(record) {
    const id = record.item.instance_id;
    try {
      const now = await this.call("review_instance", { instance_id: id, lease: true });
      await this.outbox.idle(); // an act on its way is no news
      const news = record.timeline.lacks(now.acts, this.outbox.ids);
      if (news || now.revision !== record.item.revision) await this.reload(id);
      else this.adoptLease(record, now.lease, true);
      if (this.wanted !== id) this.release(record);
    } catch (error) {
      if (error.kind === "lease") record.readOnly = true;
      if (this.record === record) this.ui.failed(error);
    }
    this.ui.status();
  }

  adoptLease(record, lease, asked) {
    record.readOnly = Boolean(asked && lease?.reviewer && !lease.mine);
    if (lease) record.item.lease = lease;
    if (record.readOnly && record === this.record) this.ui.say(`${lease.reviewer} holds this instance. You can look; N goes on.`);
  }

  // Draw the instance as it is stored. What is done here meanwhile must be part of it: else it is fetched again.
  async reload(id) {
    for (;;) {
      await this.outbox.idle();
      if (this.outbox.waits(id)) return void this.behind.add(id); // it cannot be stored now
      this.behind.delete(id);
      if (this.item?.instance_id !== id) return void this.records.delete(id); // fetched when it is shown again
      const { added } = this.outbox;
      const record = await this.instances.fetch(id, true);
      if (this.item?.instance_id !== id) this.release(record);
      else if (this.outbox.added === added) return this.replace(id, record);
    }
  }

  replace(id, record) {
    const old = this.records.get(id); // none after a refusal: what was undone may not have been stored
    if (old && old.item.revision === record.item.revision) record.timeline.undone = old.timeline.undone;
    record.acted = this.record.acted;
    this.records.set(id, record);
    this.queue.setVerdict(id, record.state.verdict);
    this.record = record;
    this.adoptLease(record, record.item.lease, true);
    this.ui.shown({ same: true });
  }

  // Do it here, send it, draw. True if it was done.
  do(action, after, options = {}) {
    const record = this.writable();
    if (!record) return false;
    const act = makeAct(record.state, action, after, options);
    record.timeline.push(this.commit(record, act), act);
    this.ui.changed();
    return true;
  }

  writable() {
    const holder = this.item?.lease?.reviewer ?? "Another reviewer";
    if (this.record?.readOnly) this.ui.say(`${holder} holds this instance; nothing was changed.`);
    return this.record && !this.record.readOnly ? this.record : null;
  }

  commit(record, act) {
    const began = performance.now();
    const { instance_id, label, revision } = record.item;
    const seconds = Math.round(Math.min(MAX_IDLE_S, (began - this.lastAct) / 1000) * 1000) / 1000;
    this.lastAct = began;
    record.acted = true;
    this.ui.hideMessage("remark"); // it was about what came before
    record.state = applyPatch(record.state, act.after);
    if ("verdict" in act.after) this.queue.setVerdict(instance_id, act.after.verdict);
    const key = this.outbox.add({
      reviewer: this.info.reviewer,
      dataset: this.info.dataset.id,
      instance_id,
      label_id: label.label_id,
      revision,
      seconds,
      ...act,
    });
    this.times.acted(key, act.action, began);
    return key;
  }

  async undo() {
    if (!this.record?.timeline.done.length) {
      const back = this.trail.pop();
      if (!back) return this.ui.say("Nothing to undo.");
      await this.go(back);
    }
    await this.step((timeline) => timeline.undo(), "Nothing to undo.");
  }

  redo() {
    return this.step((timeline) => timeline.redo(), "Nothing to redo.");
  }

  async step(take, nothing) {
    const record = this.writable();
    const step = record && take(record.timeline);
    if (!step) return record && this.ui.say(nothing);
    const key = this.commit(record, step.act);
    step.commit(key);
    this.ui.changed();
    if (step.entry.act) return;
    await this.reload(record.item.instance_id); // an act of an earlier session: only the desk knows what it changed
  }

  stored(item, answer) {
    this.times.stored(item.key);
    const id = item.act.instance_id;
    this.queue.stored(id, answer, this.outbox.waits(id));
    const record = this.records.get(id);
    if (record && answer.lease) record.item.lease = answer.lease;
    if (this.behind.delete(id)) this.reload(id).catch((error) => this.ui.failed(error));
    if (answer.error) this.ui.failed(answer.error);
    else this.ui.hideMessage("database");
    this.ui.reached();
  }

  refused(item, error) {
    this.ui.failed(error);
    const id = item.act.instance_id;
    this.records.delete(id);
    this.queue.serial = null; // its verdict may have been counted already: ask for all
    this.refreshQueue().catch(() => {});
    if (this.item?.instance_id === id) this.reload(id).catch((again) => this.ui.failed(again));
  }

  async refreshQueue() {
    await this.queue.refresh(this.call, this.outbox);
    this.ui.reached();
    this.ui.status();
  }

  close() {
    this.closed = true;
    this.ticket += 1; // an instance on its way is given back
    this.wanted = null;
    clearInterval(this.news);
    this.outbox?.close();
    const { record } = this;
    this.record = null; // what comes now is not drawn, and takes no lease
    if (record) this.release(record);
  }
}
