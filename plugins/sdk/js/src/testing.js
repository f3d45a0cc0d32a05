// Calls a controller as the host would, without any WebAssembly.
import { host } from '#host';

/** Runs `controller` on what is given and returns its answer; a failure is thrown. */
export function run(controller, { object, children = [], objects = [], selecting = {}, config = {}, now = '2000-01-01T00:00:00Z', finalizing = false }) {
  const description = JSON.parse(controller.describe('{}'));
  const logged = [];
  const found = standIn(objects, selecting, logged);
  const before = { ...host };
  Object.assign(host, found);
  try {
    const response = controller.reconcile({
      cluster: 'test',
      instanceId: null,
      now,
      config: JSON.stringify(config),
      object: JSON.stringify(object),
      children: description.children.map((of) => ({ of, objects: children.filter(is(of)).map((child) => JSON.stringify(child)) })),
      finalizing,
      extra: '{}',
    });
    return { ...response, children: response.children.map((text) => JSON.parse(text)), status: JSON.parse(response.status), logged };
  } catch (failure) {
    throw Object.assign(new Error(failure.message), failure);
  } finally {
    Object.assign(host, before);
  }
}

/** What a plugin says of itself. */
export function description(controller) {
  return JSON.parse(controller.describe('{}'));
}

function standIn(objects, selecting, logged) {
  const lies = (namespace) => ({ metadata }) => namespace === null || (metadata.namespace ?? namespace) === namespace;
  return {
    log: (level, message) => logged.push({ level, message }),
    get(of, namespace, name) {
      const found = objects.filter(is(of)).filter(lies(namespace)).find(({ metadata }) => metadata.name === name);
      return found === undefined ? null : JSON.stringify(found);
    },
    select(of, namespace, selector) {
      return (selecting[selector ?? ''] ?? []).filter(is(of)).filter(lies(namespace)).map((found) => JSON.stringify(found));
    },
  };
}

function is({ apiVersion, kind }) {
  return (object) => object.apiVersion === apiVersion && object.kind === kind;
}
