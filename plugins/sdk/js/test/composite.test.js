import assert from 'node:assert/strict';
import { test } from 'node:test';
import { composite, decorator, log, retry, terminal, wait } from '../src/index.js';
import { description, run } from '../src/testing.js';

const object = { apiVersion: 'example.dev/v1', kind: 'Page', metadata: { name: 'a', namespace: 'home' } };
const page = (reconcile, options = {}) => composite({ for: 'example.dev/v1/Page', reconcile, ...options });
const told = (reconcile, options) => {
  try {
    return run(page(reconcile, options), { object });
  } catch ({ outcome, message, retryAfterMs }) {
    return { outcome, message, retryAfterMs };
  }
};

test('the description is derived from the options', () => {
  const children = ['v1/ConfigMap', { kind: 'batch/v1/Job', update: 'recreate' }];
  const plugin = page(() => ({}), { selector: 'a=b', children, reads: ['v1/Secret'], resyncSeconds: 60 });
  assert.deepEqual(description(plugin), {
    role: 'composite',
    objects: [{ apiVersion: 'example.dev/v1', kind: 'Page', labelSelector: 'a=b' }],
    children: [{ apiVersion: 'v1', kind: 'ConfigMap' }, { apiVersion: 'batch/v1', kind: 'Job', update: 'recreate' }],
    reads: [{ apiVersion: 'v1', kind: 'Secret' }],
    finalizes: false,
    resyncSeconds: 60,
  });
});

test('a decorator names several kinds, with what selects them', () => {
  const service = { kind: 'v1/Service', labelSelector: 'a=b', annotationSelector: 'c' };
  const plugin = decorator({ for: ['apps/v1/StatefulSet', service], children: ['v1/Service'], reconcile: () => ({ labels: { seen: 'yes' } }) });
  const { role, objects } = description(plugin);
  assert.equal(role, 'decorator');
  assert.deepEqual(objects, [
    { apiVersion: 'apps/v1', kind: 'StatefulSet' },
    { apiVersion: 'v1', kind: 'Service', labelSelector: 'a=b', annotationSelector: 'c' },
  ]);
  assert.deepEqual(run(plugin, { object }).labels, [['seen', 'yes']]);
  assert.throws(() => decorator({ for: 'v1/Pod', selector: 'a', reconcile() {} }), /decorator has no option 'selector'/);
});

test('what is no kind and no option is refused where it is declared', () => {
  assert.throws(() => composite({ for: 'Page', reconcile() {} }), /'?"Page" is no kind; expected one like/);
  assert.throws(() => page(() => ({}), { childs: [] }), /composite has no option 'childs'/);
  assert.throws(() => composite({ for: 'v1/Pod' }), /needs a function `reconcile`/);
});

test('a run ends as it is told to end', () => {
  assert.deepEqual(told(() => wait('a secret')), { outcome: 'waiting', message: 'waiting for a secret', retryAfterMs: null });
  assert.deepEqual(told(() => retry('later', { afterMs: 1500.4 })), { outcome: 'retry', message: 'later', retryAfterMs: 1500 });
  assert.deepEqual(told(() => terminal('never')), { outcome: 'terminal', message: 'never', retryAfterMs: null });
});

test('an error is a retry with its message and its place', () => {
  const { outcome, message } = told(() => null.name);
  assert.equal(outcome, 'retry');
  assert.match(message, /^TypeError: .*null/);
  assert.match(message, /composite\.test\.js:\d+/);
  assert.equal(told(() => { throw 'a text'; }).message, 'threw a text');
});

test('an answer of another shape is told in the words of the plugin', () => {
  const cases = [
    [() => null, 'reconcile returned null; expected an object like { children, status }'],
    [() => undefined, 'reconcile returned undefined; expected an object'],
    [async () => ({}), 'it must not be async'],
    [() => ({ childs: [] }), "the answer has a key 'childs'; expected children, status"],
    [() => ({ children: 'web' }), 'children is "web"; expected an array'],
    [() => ({ children: [null] }), 'children[0] is null; expected an object'],
    [() => ({ status: 'ok' }), 'status is "ok"; expected an object'],
    [() => ({ events: [{ reason: 'A' }] }), 'events[0].message is undefined; expected a string'],
    [() => ({ requeueAfterMs: '1' }), '1 is no number of milliseconds'],
    [() => ({ labels: { a: 1 } }), "labels['a'] is 1; expected a string"],
  ];
  for (const [reconcile, expected] of cases) {
    const { outcome, message } = told(reconcile);
    assert.equal(outcome, 'retry');
    assert.ok(message.includes(expected), `${message}\n${expected}`);
  }
});

test('children are found by name, and by namespace where that is another', () => {
  const child = (name, namespace) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace } });
  const plugin = page(({ children }) => ({ status: { names: Object.keys(children('v1/ConfigMap')) } }), { children: ['v1/ConfigMap'] });
  const { status } = run(plugin, { object, children: [child('a', 'home'), child('b', 'away')] });
  assert.deepEqual(status.names, ['a', 'away/b']);
  assert.match(told(({ children }) => children('v1/Pod')).message, /v1\/Pod is not declared as a child.*declared are none/);
});

test('look-ups are made in the namespace of the object, and lines are logged', () => {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'away' } };
  const plugin = page(({ get }) => {
    log.warn('looking', { for: 's' });
    return { status: { home: get('v1/Secret', 's'), away: get('v1/Secret', 's', { namespace: 'away' }).metadata.name } };
  });
  const { status, logged } = run(plugin, { object, objects: [secret] });
  assert.deepEqual(status, { home: null, away: 's' });
  assert.deepEqual(logged, [{ level: 'warn', message: 'looking {"for":"s"}' }]);
});
