import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '@trimtab/plugin/testing';
import { controller } from './page.js';

const page = (spec = {}) => ({
  apiVersion: 'example.dev/v1',
  kind: 'Page',
  metadata: { name: 'a', namespace: 'default', generation: 3 },
  spec: { host: 'a.example.dev', text: 'hello', replicas: 2, ...spec },
});
const web = (readyReplicas) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'a', namespace: 'default' },
  status: { readyReplicas },
});

test('a page becomes three children that share its name', () => {
  const { children } = run(controller, { object: page() });
  assert.deepEqual(children.map(({ kind }) => kind), ['ConfigMap', 'Deployment', 'Service']);
  assert.equal(children[0].data['index.html'], 'hello');
});

test('it is ready when all its replicas are, and says so once', () => {
  const waiting = run(controller, { object: page(), children: [web(1)] });
  assert.deepEqual([waiting.status.ready, waiting.requeueAfterMs], [false, 30_000]);
  const ready = run(controller, { object: page(), children: [web(2)] });
  assert.deepEqual([ready.status.ready, ready.events[0].reason], [true, 'Served']);
  const again = run(controller, { object: { ...page(), status: { ready: true } }, children: [web(2)] });
  assert.deepEqual(again.events, []);
});

test('it waits for its secret', () => {
  const object = page({ tls: 'cert' });
  assert.throws(() => run(controller, { object }), { outcome: 'waiting', message: 'waiting for the secret cert' });
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cert' } };
  assert.equal(run(controller, { object, objects: [secret] }).status.url, 'https://a.example.dev/');
});

test('a page without a host is not tried again', () => {
  assert.throws(() => run(controller, { object: page({ host: '' }) }), { outcome: 'terminal' });
});
