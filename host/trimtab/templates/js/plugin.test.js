import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '@trimtab/plugin/testing';
import { controller } from './plugin.js';

test('the Deployment has the replicas that are asked for', () => {
  const object = {
    apiVersion: 'example.dev/v1',
    kind: '{{Kind}}',
    metadata: { name: 'a', namespace: 'default' },
    spec: { image: 'nginx', replicas: 3 },
  };
  const { children, status } = run(controller, { object });
  assert.equal(children[0].spec.replicas, 3);
  assert.equal(status.ready, false);
});
