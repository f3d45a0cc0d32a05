// Why a run gives no answer, and what the host does about it.
import { mapped } from './stack.js';

/** A run that ends without an answer on purpose. */
export class Failure extends Error {
  constructor(outcome, message, retryAfterMs) {
    super(message);
    this.name = 'Failure';
    this.outcome = outcome;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Ends the run: `what` is missing. It runs again when a look-up changes. */
export function wait(what) {
  throw new Failure('waiting', `waiting for ${what}`);
}

/** Ends the run: something failed that may succeed next time. */
export function retry(message, { afterMs } = {}) {
  throw new Failure('retry', message, afterMs);
}

/** Ends the run: the object asks for what cannot be, and has to be changed. */
export function terminal(message) {
  throw new Failure('terminal', message);
}

/** The contract's form of whatever was thrown: an error that nobody meant is retried. */
export function toFailure(thrown) {
  if (thrown instanceof Failure) {
    return { outcome: thrown.outcome, message: thrown.message, retryAfterMs: milliseconds(thrown.retryAfterMs) };
  }
  return { outcome: 'retry', message: told(thrown), retryAfterMs: null };
}

/** An error with its stack, in the author's own lines. */
export function told(thrown) {
  if (!(thrown instanceof Error)) return `threw ${String(thrown)}`;
  const stack = mapped(thrown.stack ?? '');
  const head = `${thrown.name}: ${thrown.message}`;
  return (stack.startsWith(head) ? stack : `${head}\n${stack}`).trimEnd();
}

/** As the contract takes it: whole and within 32 bits. */
export function milliseconds(value) {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'number' || !(value >= 0)) throw new TypeError(`${value} is no number of milliseconds`);
  return Math.min(Math.round(value), 0xffffffff);
}
