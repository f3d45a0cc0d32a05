import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compositeHook } from '../src/metacontroller.js';
import { description, run } from '../src/testing.js';

const cases = JSON.parse(readFileSync(new URL('../../metacontroller.cases.json', import.meta.url)));
const children = ['v1/ConfigMap', { kind: 'apps/v1/Deployment', update: 'recreate' }];
const reads = ['v1/Secret', 'v1/Namespace', 'networking.k8s.io/v1/NetworkPolicy'];

/** A plugin whose hooks answer what a case says, and what its hook was asked. */
function served({ object, sync, finalize, customize }) {
  const asked = {};
  const hook = (name, response) => (request) => {
    Object.assign(asked, { hook: name, ...structuredClone(request) });
    return response;
  };
  const controller = compositeHook({
    for: `${object.apiVersion}/${object.kind}`,
    children,
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
    assert.equal(description(controller).finalizes, one.finalize !== undefined);
    if (one.error !== undefined) {
      assert.throws(() => run(controller, one), ({ message }) => message.includes(one.error));
      return;
    }
    const { children, status, requeueAfterMs, finalized } = run(controller, one);
    assert.deepEqual({ children, status, requeueAfterMs, finalized }, one.answer);
    if (one.asked !== undefined) assert.deepEqual(asked, one.asked);
  });
}
