// A `Page` becomes a Deployment, a Service and a ConfigMap with its text. The same
// plugin is beside this one in other languages.
import { composite, terminal, wait } from '@trimtab/plugin';

const DEPLOYMENT = 'apps/v1/Deployment';
const IMAGE = 'docker.io/library/nginx:1.29';

/** @typedef {{ host: string, replicas?: number, text?: string, tls?: string, settings?: object }} Spec */
/** @typedef {import('@trimtab/plugin').KubeObject & { spec: Spec, status?: { ready: boolean } }} Page */

export const controller = composite({
  for: 'example.dev/v1/Page',
  children: ['v1/ConfigMap', DEPLOYMENT, 'v1/Service'],
  reads: ['v1/Secret'],
  finalizes: true,

  /** @param {import('@trimtab/plugin').Observed<Page, { image?: string }>} observed */
  reconcile({ object, config, children, get, finalizing, log }) {
    const { metadata: { name, generation }, spec, status } = object;
    const { host, replicas = 1, text = '', tls, settings = {} } = spec;
    if (finalizing) {
      return { finalized: true, events: [{ reason: 'Closed', message: `${host} is closed` }] };
    }
    if (host === '') terminal('spec.host is empty');
    if (tls !== undefined) get('v1/Secret', tls) ?? wait(`the secret ${tls}`);

    const ready = (children(DEPLOYMENT)[name]?.status?.readyReplicas ?? 0) >= replicas;
    const pages = Object.keys(children('v1/ConfigMap')).length;
    log.info(`${name} is ${ready ? 'ready' : 'not ready'}`);

    const labels = { app: name };
    const metadata = { name, labels };
    const pod = podOf(name, config.image ?? IMAGE, tls);
    return {
      children: [
        { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'index.html': text } },
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata,
          spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } },
        },
        { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: labels, ports: [{ port: 80, targetPort: 80 }] } },
      ],
      status: {
        ready,
        url: `${tls === undefined ? 'http' : 'https'}://${host}/`,
        pages,
        settings,
        observedGeneration: generation,
      },
      events: ready && status?.ready !== true ? [{ reason: 'Served', message: `${host} is served` }] : [],
      requeueAfterMs: ready ? undefined : 30_000,
    };
  },
});

/** @param {string} name @param {string} image @param {string | undefined} tls */
function podOf(name, image, tls) {
  const volumes = [{ name: 'page', configMap: { name } }];
  const volumeMounts = [{ name: 'page', mountPath: '/usr/share/nginx/html' }];
  const containers = [{ name: 'web', image, ports: [{ containerPort: 80 }], volumeMounts }];
  const secrets = tls === undefined ? [] : [{ name: 'tls', secret: { secretName: tls } }];
  return { containers, volumes: [...volumes, ...secrets] };
}
