// What a plugin's function returns, checked before it goes to the host: a
// mistake is told in the plugin's words and not as a type of the contract's.
import { milliseconds } from './failure.js';
import { show } from './kind.js';

const KEYS = ['children', 'status', 'labels', 'annotations', 'events', 'requeueAfterMs', 'finalized'];

/** The contract's form of an answer. */
export function toResponse(answer) {
  if (!isObject(answer)) {
    const hint = typeof answer?.then === 'function' ? '; it must not be async, as there is nothing to wait for' : '';
    throw new TypeError(`reconcile returned ${show(answer)}; expected an object like { children, status }${hint}`);
  }
  for (const key of Object.keys(answer)) {
    if (!KEYS.includes(key)) throw new TypeError(`the answer has a key '${key}'; expected ${KEYS.join(', ')}`);
  }
  const { children = [], status, labels = {}, annotations = {}, events = [], requeueAfterMs, finalized = false } = answer;
  return {
    children: list('children', children).map((child, at) => json(`children[${at}]`, child)),
    status: status === undefined ? null : json('status', status),
    labels: marks('labels', labels),
    annotations: marks('annotations', annotations),
    events: list('events', events).map(event),
    requeueAfterMs: milliseconds(requeueAfterMs),
    finalized: typed('finalized', 'boolean', finalized),
    extra: null,
  };
}

function event(given, at) {
  if (!isObject(given)) throw new TypeError(`events[${at}] is ${show(given)}; expected { reason, message }`);
  const { reason, message, warning = false } = given;
  return {
    warning: typed(`events[${at}].warning`, 'boolean', warning),
    reason: typed(`events[${at}].reason`, 'string', reason),
    message: typed(`events[${at}].message`, 'string', message),
  };
}

function marks(what, given) {
  if (!isObject(given)) throw new TypeError(`${what} is ${show(given)}; expected an object`);
  return Object.entries(given).map(([key, value]) => [key, value === null ? null : typed(`${what}['${key}']`, 'string', value)]);
}

function json(what, value) {
  if (!isObject(value)) throw new TypeError(`${what} is ${show(value)}; expected an object`);
  return JSON.stringify(value);
}

function list(what, value) {
  if (!Array.isArray(value)) throw new TypeError(`${what} is ${show(value)}; expected an array`);
  return value;
}

function typed(what, type, value) {
  if (typeof value !== type) throw new TypeError(`${what} is ${show(value)}; expected a ${type}`);
  return value;
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && typeof value.then !== 'function';
}
