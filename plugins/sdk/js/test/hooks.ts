// Only compiled: the types of hooks as an author in TypeScript meets them.
import type { KubeObject } from '@trimtab/plugin';
import { compositeHook } from '@trimtab/plugin/metacontroller';

type Site = KubeObject & { spec: { replicas: number } };

export const controller = compositeHook<Site>({
  for: 'example.dev/v1/Site',
  children: ['apps/v1/Deployment'],
  reads: ['v1/Secret'],
  customize: ({ parent }) => ({ relatedResources: [{ apiVersion: 'v1', resource: 'secrets', names: [parent.metadata.name] }] }),
  sync({ parent, children, related }) {
    const running = children['Deployment.apps/v1']?.web?.status?.readyReplicas ?? 0;
    return { status: { ready: running >= parent.spec.replicas, secrets: Object.keys(related['Secret.v1'] ?? {}) } };
  },
});
