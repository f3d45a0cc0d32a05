// Hooks in Metacontroller's shapes: what the webhooks of its controllers are sent
// and answer, served by a plugin.
import { composite, decorator } from './index.js';
import { kindRef, show } from './kind.js';

/** All there are: the host bounds what a run may be given. */
const LIMIT = 0xffffffff;

/** A plugin out of the hooks of a CompositeController. Export it as `controller`. */
export function compositeHook({ children = [], ...hooks }) {
  return plugin(composite, { object: 'parent', children: 'children' }, children, hooks);
}

/** A plugin out of the hooks of a DecoratorController. Export it as `controller`. */
export function decoratorHook({ attachments = [], ...hooks }) {
  return plugin(decorator, { object: 'object', children: 'attachments' }, attachments, hooks);
}

/** `called` is how requests and responses call an object and its children. */
function plugin(role, called, children, { sync, finalize, customize, ...options }) {
  if (typeof sync !== 'function') throw new TypeError('there is no function `sync` among the hooks');
  const { reads = [] } = options;
  const owned = children.map(kindOf);
  const readable = reads.map(kindOf);
  return role({
    ...options,
    children,
    finalizes: finalize !== undefined,
    reconcile(observed) {
      const { object, config: controller, finalizing } = observed;
      const rules = customize === undefined ? [] : (customize({ controller, parent: object }).relatedResources ?? []);
      const request = {
        controller,
        [called.object]: object,
        [called.children]: Object.fromEntries(owned.map((kind) => [keyOf(kind), observed.children(kind)])),
        related: related(rules, readable, observed),
        finalizing,
      };
      const asksFinalize = finalizing && finalize !== undefined;
      const response = asksFinalize ? finalize(request) : sync(request);
      if (typeof response !== 'object' || response === null || Array.isArray(response)) {
        const expected = `expected an object like { status, ${called.children} }`;
        throw new TypeError(`${asksFinalize ? 'finalize' : 'sync'} returned ${show(response)}; ${expected}`);
      }
      return answered(response, response[called.children], role === composite ? wholeStatus(response, object) : response.status);
    },
  });
}

/** What a hook's response is for the host. */
function answered({ labels, annotations, resyncAfterSeconds, finalized }, children, status) {
  return {
    children: children ?? [],
    status: status ?? undefined,
    labels: labels ?? {},
    annotations: annotations ?? {},
    requeueAfterMs: resyncAfterSeconds > 0 ? resyncAfterSeconds * 1000 : undefined,
    finalized: finalized ?? false,
  };
}

/** A composite's: what is not in the response goes. */
function wholeStatus({ status }, { metadata: { generation } }) {
  return { ...status, ...(generation === undefined ? {} : { observedGeneration: generation }) };
}

/** The objects that rules ask for, grouped as children are. */
function related(rules, reads, observed) {
  const groups = {};
  for (const rule of rules) {
    const kind = reads.find((read) => isResource(rule, kindRef(read)));
    if (kind === undefined) {
      throw new Error(`customize asks for ${rule.resource} of ${rule.apiVersion}, which is none of the reads: ${reads.join(', ')}`);
    }
    const group = (groups[keyOf(kind)] ??= {});
    const home = observed.object.metadata.namespace;
    for (const object of found(rule, kind, observed)) {
      const { name, namespace } = object.metadata;
      group[namespace === undefined || namespace === home ? name : `${namespace}/${name}`] = object;
    }
  }
  return groups;
}

function found({ names = [], labelSelector, namespaceSelector, namespace: named }, kind, { object, get, select }) {
  const labels = selectorOf(labelSelector);
  const inNamespace = (namespace) => {
    if (names.length === 0) return select(kind, { namespace, labelSelector: labels, limit: LIMIT });
    if (namespace !== null) return names.map((name) => get(kind, name, { namespace })).filter((one) => one !== null);
    return select(kind, { namespace, limit: LIMIT }).filter(({ metadata }) => names.includes(metadata.name));
  };
  if (namespaceSelector === undefined) return inNamespace((named ?? object.metadata.namespace) || null);
  const selected = select('v1/Namespace', { namespace: null, labelSelector: selectorOf(namespaceSelector), limit: LIMIT });
  return selected.flatMap(({ metadata }) => inNamespace(metadata.name));
}

/** Whether a rule's plural names the kind, as the API conventions make it. */
function isResource({ apiVersion, resource }, kind) {
  const name = kind.kind.toLowerCase();
  const plural = /(s|x|z|ch|sh)$/.test(name) ? `${name}es` : /[^aeiou]y$/.test(name) ? `${name.slice(0, -1)}ies` : `${name}s`;
  return apiVersion === kind.apiVersion && (resource === plural || resource === name);
}

/** A LabelSelector as `kubectl -l` takes it; null: all. */
function selectorOf({ matchLabels = {}, matchExpressions = [] } = {}) {
  const equal = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const others = matchExpressions.map(({ key, operator, values = [] }) => {
    const requirement = {
      In: `${key} in (${values.join(', ')})`,
      NotIn: `${key} notin (${values.join(', ')})`,
      Exists: key,
      DoesNotExist: `!${key}`,
    }[operator];
    if (requirement === undefined) throw new Error(`a selector has the operator ${show(operator)}; expected In, NotIn, Exists or DoesNotExist`);
    return requirement;
  });
  return [...equal, ...others].join(',') || null;
}

function kindOf(declared) {
  return typeof declared === 'string' ? declared : declared.kind;
}

/** `Deployment.apps/v1` */
function keyOf(text) {
  const { apiVersion, kind } = kindRef(text);
  return `${kind}.${apiVersion}`;
}
