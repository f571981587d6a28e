// Milliseconds until what was done is drawn and stored, and until an instance is drawn: for the tests and the benchmark.

export class Timings {
  constructor() {
    Object.assign(this, { acts: [], nexts: [], marks: new Map() });
  }

  acted(key, action, began) {
    const mark = { action, began, drawn_ms: null, stored_ms: null };
    this.marks.set(key, mark);
    this.acts.push(mark);
    drawn().then(() => (mark.drawn_ms = performance.now() - began));
  }

  stored(key) {
    const mark = this.marks.get(key);
    if (mark) mark.stored_ms = performance.now() - mark.began;
    this.marks.delete(key);
  }

  async shown(instance_id, began, preloaded) {
    await drawn();
    this.nexts.push({ instance_id, drawn_ms: performance.now() - began, preloaded });
  }
}

// Once the next frame is on the screen.
const drawn = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
