// Each pod of a StatefulSet that names ports in an annotation gets a Service of
// its own.
import { decorator, terminal } from '@trimtab/plugin';

const PORTS = 'example.dev/service-per-pod'; // '80,443'

export const controller = decorator({
  for: { kind: 'apps/v1/StatefulSet', annotationSelector: PORTS },
  children: ['v1/Service'],
  reconcile({ object: { metadata, spec } }) {
    const ports = metadata.annotations[PORTS].split(',').map((text) => ({ name: `port-${text.trim()}`, port: Number(text) }));
    if (ports.some(({ port }) => !(port > 0))) terminal(`${PORTS} is '${metadata.annotations[PORTS]}'; expected ports like '80,443'`);
    const first = spec.ordinals?.start ?? 0;
    const pods = Array.from({ length: spec.replicas ?? 1 }, (_, at) => `${metadata.name}-${first + at}`);
    return {
      children: pods.map((pod) => ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: pod },
        spec: { selector: { 'statefulset.kubernetes.io/pod-name': pod }, ports },
      })),
    };
  },
});
