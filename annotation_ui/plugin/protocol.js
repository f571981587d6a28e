// Calls of the desk's methods, as operators of the plugin. See docs/review-protocol.md.

export const VERSION = 1;
const TIMEOUT_MS = 30000;

export class DeskError extends Error {
  constructor({ expected, received, remedy, kind }) {
    super(`expected ${expected}; received ${received}. ${remedy}`);
    Object.assign(this, { expected, received, remedy, kind });
  }
}

// Nobody answered, so whether the call had an effect is not known.
const unreachable = (received) =>
  new DeskError({
    expected: "an answer from the FiftyOne server",
    received,
    remedy: "Check that `densecorr review open` still runs. What you did is kept here and sent again.",
    kind: "unreachable",
  });

// `origin`: the App's address with its path prefix, if any. FiftyOne's own client retries and shows a page of
// its own on errors, so requests are sent here directly.
export function makeCall(origin, dataset) {
  return async function call(operator, params = {}) {
    const body = { operator_uri: `@densecorr/review/${operator}`, dataset_name: dataset, params };
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
    let answer;
    try {
      const response = await fetch(`${origin}/operators/execute`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: abort.signal,
      });
      if (response.status === 404) throw missing(operator);
      if (!response.ok) throw unreachable(`HTTP status ${response.status}`);
      answer = await response.json();
    } catch (error) {
      if (error instanceof DeskError) throw error;
      throw unreachable(abort.signal.aborted ? `none within ${TIMEOUT_MS / 1000} s` : error.message);
    } finally {
      clearTimeout(timer);
    }
    // FiftyOne answers 200 with the traceback when an operator fails.
    if (answer.error) throw unreachable(firstLine(answer.error_message || String(answer.error)));
    const result = answer.result ?? {};
    // An act's answer may carry both: stored, though the lease could not be renewed.
    if (result.error && !result.decision_id) throw new DeskError(result.error);
    return result;
  };
}

export function checkVersion(info) {
  if (info.version === VERSION) return;
  throw new DeskError({
    expected: `a desk that speaks version ${VERSION}`,
    received: `version ${info.version}`,
    remedy: "Restart `densecorr review open` and reload this page, so that both come from one release.",
    kind: "version",
  });
}

function missing(operator) {
  return new DeskError({
    expected: `the operator @densecorr/review/${operator}`,
    received: "a server that does not know it",
    remedy: "The plugin is older or newer than densecorr: restart `densecorr review open` and reload this page.",
    kind: "version",
  });
}

const firstLine = (text) => text.trim().split("\n").pop().slice(0, 300);
