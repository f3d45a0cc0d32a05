// A {{Kind}} runs its image in as many pods as it asks for.
import { composite } from '@trimtab/plugin';

const DEPLOYMENT = 'apps/v1/Deployment';

export const controller = composite({
  for: 'example.dev/v1/{{Kind}}',
  children: [DEPLOYMENT],

  reconcile({ object, children }) {
    const { name } = object.metadata;
    const { image, replicas } = object.spec;
    const labels = { app: name };
    const running = children(DEPLOYMENT)[name]?.status?.readyReplicas ?? 0;
    return {
      children: [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name },
          spec: {
            replicas,
            selector: { matchLabels: labels },
            template: { metadata: { labels }, spec: { containers: [{ name: 'main', image }] } },
          },
        },
      ],
      status: { ready: running >= replicas },
    };
  },
});
