// Only compiled: the types of hooks as an author in TypeScript meets them.
import type { KubeObject } from '@trimtab/plugin';
import { compositeHook, decoratorHook } from '@trimtab/plugin/metacontroller';

type Site = KubeObject & { spec: { replicas: number } };

export const composite = compositeHook<Site>({
  for: 'example.dev/v1/Site',
  children: ['apps/v1/Deployment'],
  reads: ['v1/Secret'],
  customize: ({ parent }) => ({ relatedResources: [{ apiVersion: 'v1', resource: 'secrets', names: [parent.metadata.name] }] }),
  sync({ parent, children, related }) {
    const running = children['Deployment.apps/v1']?.web?.status?.readyReplicas ?? 0;
    return { status: { ready: running >= parent.spec.replicas, secrets: Object.keys(related['Secret.v1'] ?? {}) } };
  },
});

export const decorator = decoratorHook({
  for: [{ kind: 'apps/v1/StatefulSet', annotationSelector: 'serve' }],
  attachments: ['v1/Service'],
  sync: ({ object, attachments }) => ({
    labels: { services: String(Object.keys(attachments['Service.v1'] ?? {}).length) },
    attachments: [{ apiVersion: 'v1', kind: 'Service', metadata: { name: object.metadata.name } }],
  }),
});
