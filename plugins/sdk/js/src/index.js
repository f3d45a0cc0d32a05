// Write Trimtab plugins in JavaScript: a function from what is observed to what
// should be.
import { host } from '#host';
import { toResponse } from './answer.js';
import { toFailure, told } from './failure.js';
import { kindRef } from './kind.js';

export { retry, terminal, wait } from './failure.js';

const OPTIONS = ['for', 'children', 'reads', 'finalizes', 'resyncSeconds', 'reconcile'];

/** A plugin that owns its object's life and status. Export it as `controller`. */
export function composite({ selector, ...options }) {
  const objects = [{ ...kindRef(options.for), ...(selector === undefined ? {} : { labelSelector: selector }) }];
  return plugin('composite', objects, options, ['selector', ...OPTIONS]);
}

/** A plugin that adds to objects that someone else owns. Export it as `controller`. */
export function decorator(options) {
  const objects = Array.isArray(options.for) ? options.for : [options.for];
  return plugin('decorator', objects.map(declared), options, OPTIONS);
}

function plugin(role, objects, options, known) {
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw new TypeError(`${role} has no option '${key}'; it has ${known.join(', ')}`);
  }
  const { reconcile } = options;
  if (typeof reconcile !== 'function') throw new TypeError(`${role} needs a function \`reconcile\``);
  const description = { role, objects, ...describe(options) };
  return {
    describe: () => JSON.stringify(description),
    reconcile(request) {
      try {
        return toResponse(reconcile(observed(request, description)));
      } catch (thrown) {
        throw toFailure(thrown);
      }
    },
  };
}

/** What any plugin says of itself, see description.schema.json of the contract. */
function describe({ children = [], reads = [], finalizes = false, resyncSeconds }) {
  return {
    children: children.map(declared),
    reads: reads.map(declared),
    finalizes,
    ...(resyncSeconds === undefined ? {} : { resyncSeconds }),
  };
}

/** `'v1/Secret'`, or `{ kind: 'v1/Secret', … }` with what else is to be said. */
function declared(kind) {
  if (typeof kind !== 'object' || kind === null) return kindRef(kind);
  const { kind: text, ...rest } = kind;
  return { ...kindRef(text), ...rest };
}

/** What a run observes. Most runs look at few kinds, so each is read when it is asked for. */
function observed(request, description) {
  const object = JSON.parse(request.object);
  const home = object.metadata.namespace ?? null;
  const groups = new Map(request.children.map(({ of, objects }) => [`${of.apiVersion}/${of.kind}`, objects]));
  const read = new Map();
  return {
    object,
    config: JSON.parse(request.config),
    now: request.now,
    cluster: request.cluster,
    instanceId: request.instanceId ?? null,
    finalizing: request.finalizing,
    log,
    children(kind) {
      if (!groups.has(kind)) {
        throw new Error(`${kind} is not declared as a child, so none are observed; declared are ${kinds(description.children)}`);
      }
      if (!read.has(kind)) read.set(kind, byName(groups.get(kind), home));
      return read.get(kind);
    },
    get(kind, name, { namespace = home } = {}) {
      const text = asked(() => host.get(reference(kind), namespace, name));
      return text === null || text === undefined ? null : JSON.parse(text);
    },
    select(kind, { namespace = home, labelSelector = null, limit = 500 } = {}) {
      return asked(() => host.select(reference(kind), namespace, labelSelector, limit)).map((text) => JSON.parse(text));
    },
  };
}

/** By name, and by `namespace/name` where that is not the object's own namespace. */
function byName(texts, home) {
  const objects = {};
  for (const text of texts) {
    const object = JSON.parse(text);
    const { name, namespace = null } = object.metadata;
    objects[namespace === null || namespace === home ? name : `${namespace}/${name}`] = object;
  }
  return objects;
}

function reference(kind) {
  return { cluster: null, ...kindRef(kind) };
}

/** The host's refusals are texts; as errors they have a stack that says who asked. */
function asked(question) {
  try {
    return question();
  } catch (refusal) {
    throw refusal instanceof Error ? refusal : new Error(String(refusal?.payload ?? refusal));
  }
}

function kinds(declared) {
  return declared.map(({ apiVersion, kind }) => `${apiVersion}/${kind}`).join(', ') || 'none';
}

/** Lines in the host's log, beside the object's name. */
export const log = Object.fromEntries(
  ['debug', 'info', 'warn', 'error'].map((level) => [level, (...values) => host.log(level, values.map(line).join(' '))]),
);

function line(value) {
  if (typeof value === 'string') return value;
  return value instanceof Error ? told(value) : (JSON.stringify(value) ?? String(value));
}
