import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compositeHook, decoratorHook } from '../src/metacontroller.js';
import { description, run } from '../src/testing.js';

const cases = JSON.parse(readFileSync(new URL('../../metacontroller.cases.json', import.meta.url)));
const children = ['v1/ConfigMap', { kind: 'apps/v1/Deployment', update: 'recreate' }];
const reads = ['v1/Secret', 'v1/Namespace', 'networking.k8s.io/v1/NetworkPolicy'];

/** A plugin whose hooks answer what a case says, and what its hook was asked. */
function served({ role, object, sync, finalize, customize }) {
  const asked = {};
  const hook = (name, response) => (request) => {
    Object.assign(asked, { hook: name, ...structuredClone(request) });
    return response;
  };
  const made = role === 'decorator' ? (hooks) => decoratorHook({ attachments: children, ...hooks }) : (hooks) => compositeHook({ children, ...hooks });
  const controller = made({
    for: `${object.apiVersion}/${object.kind}`,
    reads,
    sync: hook('sync', sync),
    ...(finalize === undefined ? {} : { finalize: hook('finalize', finalize) }),
    ...(customize === undefined ? {} : { customize: () => customize }),
  });
  return { controller, asked };
}

for (const one of cases) {
  test(one.name, () => {
    const { controller, asked } = served(one);
    const { role, finalizes } = description(controller);
    assert.deepEqual([role, finalizes], [one.role ?? 'composite', one.finalize !== undefined]);
    if (one.error !== undefined) {
      assert.throws(() => run(controller, one), ({ message }) => message.includes(one.error));
      return;
    }
    const { children, status, labels, annotations, requeueAfterMs, finalized } = run(controller, one);
    const marks = { labels: Object.fromEntries(labels), annotations: Object.fromEntries(annotations) };
    assert.deepEqual({ children, status, ...marks, requeueAfterMs, finalized }, { labels: {}, annotations: {}, ...one.answer });
    if (one.asked !== undefined) assert.deepEqual(asked, one.asked);
  });
}
