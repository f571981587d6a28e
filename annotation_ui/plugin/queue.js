// The instances to go through, with verdicts and leases as last heard of, and what follows on what.

export function verdictOf(entry) {
  return typeof entry.verdict === "string" ? entry.verdict : (entry.verdict?.action ?? null);
}

// By oneself, and for good: what was skipped comes again.
export const isDecided = (entry) => ![null, "skip"].includes(verdictOf(entry));

export const isHeld = (entry) => Boolean(entry.leased_by) && !entry.mine;

export class Queue {
  constructor({ queue, serial, progress }) {
    Object.assign(this, { entries: queue, serial, progress });
    this.byId = new Map(queue.map((entry) => [entry.instance_id, entry]));
  }

  of(id) {
    return this.byId.get(id) ?? null;
  }

  // The next that is undecided and free, after this one, then from the start; at last those that were skipped.
  following(id) {
    const at = this.entries.findIndex((entry) => entry.instance_id === id);
    const rest = [...this.entries.slice(at + 1), ...this.entries.slice(0, Math.max(0, at))];
    const free = rest.filter((entry) => !isHeld(entry));
    const next = free.find((entry) => !verdictOf(entry)) ?? free.find((entry) => !isDecided(entry));
    return next?.instance_id ?? null;
  }

  neighbour(id, step) {
    const at = this.entries.findIndex((entry) => entry.instance_id === id);
    return this.entries[at + step]?.instance_id ?? null;
  }

  setVerdict(id, verdict) {
    if (this.byId.has(id)) this.byId.get(id).verdict = verdict;
  }

  // What the answer to an act says; its verdict is of before those that wait.
  stored(id, answer, waits) {
    if (answer.progress) this.progress = answer.progress;
    const entry = this.of(id);
    const { verdict, others = entry?.others } = answer;
    if (entry && "verdict" in answer && !waits) Object.assign(entry, { verdict, others });
  }

  // What changed since the last answer: what others decided and hold. One older than an own act is left for later.
  async refresh(call, outbox) {
    await outbox.idle();
    const { added } = outbox;
    const { queue, progress, serial } = await call("review_queue", { since: this.serial });
    if (outbox.items.length || added !== outbox.added) return;
    // An App that was started again may list others: those come with a reload of the page.
    for (const entry of queue) Object.assign(this.of(entry.instance_id) ?? {}, entry);
    Object.assign(this, { progress, serial });
  }
}
