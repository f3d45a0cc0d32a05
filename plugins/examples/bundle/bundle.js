// A `Bundle` gathers the ConfigMaps that its selector names into one, which bears
// the team of its Namespace. Written as hooks of a CompositeController: all but the
// first and the last line is what such a webhook is made of.
import { compositeHook } from '@trimtab/plugin/metacontroller';

function customize({ parent }) {
  return {
    relatedResources: [
      { apiVersion: 'v1', resource: 'configmaps', labelSelector: parent.spec.selector },
      { apiVersion: 'v1', resource: 'namespaces', names: [parent.metadata.namespace] },
    ],
  };
}

function sync({ parent, related }) {
  const parts = Object.entries(related['ConfigMap.v1']).sort(([a], [b]) => (a < b ? -1 : 1));
  const data = Object.assign({}, ...parts.map(([, part]) => part.data));
  const { team = 'none' } = related['Namespace.v1'][parent.metadata.namespace]?.metadata.labels ?? {};
  return {
    status: { parts: parts.length },
    children: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `${parent.metadata.name}-bundle`, labels: { team } }, data }],
  };
}

export const controller = compositeHook({ for: 'example.dev/v1/Bundle', children: ['v1/ConfigMap'], reads: ['v1/ConfigMap', 'v1/Namespace'], customize, sync });
