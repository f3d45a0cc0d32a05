// Does with a Kubernetes API what JavaScript programs do, and prints what it sees.
//
//     clients.mjs MODULES KUBECONFIG NAMESPACE
//
// The test runs it against two servers and compares. Each wait has an end.
import { createRequire } from 'node:module';

const LIMIT_MS = 30_000;
const [modules, kubeconfig, namespace] = process.argv.slice(2);
const k8s = createRequire(`${modules}/`)('@kubernetes/client-node');
const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const core = config.makeApiClient(k8s.CoreV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);

/** What a call is refused with. */
async function refusal(call) {
    try {
        await call;
    } catch (error) {
        const status = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
        return [error.code, status.reason, status.message];
    }
    throw new Error('it was not refused');
}

/** What has been told so far, in order, to be waited for. */
class Told {
    #lines = [];
    #wake = () => {};

    tell(line) {
        this.#lines.push(line);
        this.#wake();
    }

    async take() {
        const end = Date.now() + LIMIT_MS;
        while (this.#lines.length === 0) {
            if (Date.now() > end) throw new Error('nothing more was told');
            await new Promise((wake) => {
                this.#wake = wake;
                setTimeout(wake, end - Date.now()).unref();
            });
        }
        return this.#lines.shift();
    }
}

const map = (name, data) => ({ metadata: { name, labels: { app: 'js' } }, data });
const patching = (strategy) => k8s.setHeaderOptions('Content-Type', strategy);

async function typed() {
    for (const name of ['a', 'b', 'c']) {
        await core.createNamespacedConfigMap({ namespace, body: map(name, { n: name }) });
    }
    console.log(await refusal(core.createNamespacedConfigMap({ namespace, body: map('a') })));
    console.log(await refusal(core.readNamespacedConfigMap({ namespace, name: 'nope' })));
    const page = await core.listNamespacedConfigMap({ namespace, labelSelector: 'app=js', limit: 2 });
    const rest = await core.listNamespacedConfigMap({
        namespace, labelSelector: 'app=js', limit: 2, _continue: page.metadata._continue });
    console.log([...page.items, ...rest.items].map((item) => item.metadata.name));
    const stale = await core.readNamespacedConfigMap({ namespace, name: 'a' });
    const where = { namespace, name: 'a' };
    for (const [strategy, body] of [
        [k8s.PatchStrategy.JsonPatch, [{ op: 'add', path: '/data/j', value: '1' }]],
        [k8s.PatchStrategy.MergePatch, { data: { n: null, m: '2' } }],
        [k8s.PatchStrategy.StrategicMergePatch, { data: { s: '3' } }],
    ]) {
        console.log((await core.patchNamespacedConfigMap({ ...where, body }, patching(strategy))).data);
    }
    console.log(await refusal(core.replaceNamespacedConfigMap({ ...where, body: stale })));
}

/** An informer: a list and a watch, and what they tell. */
async function informed() {
    const told = new Told();
    const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: 'app=js' });
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const informer = k8s.makeInformer(config, path, list, 'app=js');
    for (const verb of ['add', 'update', 'delete']) {
        informer.on(verb, (one) => told.tell(`${verb} ${one.metadata.name} ${JSON.stringify(one.data)}`));
    }
    informer.on('error', (error) => told.tell(`error ${error}`));
    await informer.start();
    for (let left = 3; left > 0; left -= 1) console.log(await told.take());
    const merge = patching(k8s.PatchStrategy.MergePatch);
    await core.createNamespacedConfigMap({ namespace, body: map('d', { n: 'd' }) });
    console.log(await told.take());
    await core.patchNamespacedConfigMap({ namespace, name: 'b', body: { data: { n: 'x' } } }, merge);
    console.log(await told.take());
    // Out of the selector is deleted, as far as this informer knows.
    await core.patchNamespacedConfigMap({ namespace, name: 'b', body: { metadata: { labels: null } } }, merge);
    console.log(await told.take());
    await core.deleteNamespacedConfigMap({ namespace, name: 'd' });
    console.log(await told.take());
    console.log(informer.list(namespace).map((one) => one.metadata.name).sort());
    await informer.stop();
}

/** Whatever the kind, found by discovery; server-side apply and its conflicts. */
async function applied() {
    const apply = (data, manager, force) => objects.patch(
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied', namespace }, data },
        undefined, undefined, manager, force, k8s.PatchStrategy.ServerSideApply);
    console.log((await apply({ a: '1', b: '1' }, 'one')).data);
    console.log((await apply({ b: '1', c: '1' }, 'two')).data);
    console.log(await refusal(apply({ a: '2' }, 'two')));
    const last = await apply({ a: '2' }, 'two', true);
    console.log(last.data, last.metadata.managedFields.map((entry) => [entry.manager, entry.operation]));
    console.log((await apply({}, 'one')).data);
    await objects.delete({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied', namespace } });
}

async function custom() {
    const group = `${namespace}.clients.test`;
    const definitions = config.makeApiClient(k8s.ApiextensionsV1Api);
    const told = new Told();
    const watching = await new k8s.Watch(config).watch(
        '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
        { fieldSelector: `metadata.name=widgets.${group}` },
        (_, { status }) => {
            if (status?.conditions?.some((one) => one.type === 'Established' && one.status === 'True')) {
                told.tell('established');
            }
        },
        () => {});
    await objects.create({
        apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: `widgets.${group}` },
        spec: {
            group, scope: 'Namespaced', names: { plural: 'widgets', kind: 'Widget' },
            versions: [{
                name: 'v1', served: true, storage: true, subresources: { status: {} },
                schema: { openAPIV3Schema: { type: 'object', properties: {
                    spec: { type: 'object', properties: { size: { type: 'integer', maximum: 5, _default: 1 } } },
                    status: { type: 'object', properties: { ready: { type: 'boolean' } } } } } },
            }],
        },
    });
    console.log(await told.take());
    watching.abort();
    const widgets = config.makeApiClient(k8s.CustomObjectsApi);
    const where = { group, version: 'v1', namespace, plural: 'widgets' };
    const widget = { apiVersion: `${group}/v1`, kind: 'Widget', metadata: { name: 'w' }, spec: {} };
    console.log((await widgets.createNamespacedCustomObject({ ...where, body: widget })).spec);
    widget.spec.size = 9;
    widget.metadata.name = 'v';
    console.log(await refusal(widgets.createNamespacedCustomObject({ ...where, body: widget })));
    const status = await widgets.patchNamespacedCustomObjectStatus(
        { ...where, name: 'w', body: { spec: { size: 4 }, status: { ready: true } } },
        patching(k8s.PatchStrategy.MergePatch));
    console.log(status.spec, status.status);
    console.log((await widgets.listNamespacedCustomObject(where)).items.length);
    await definitions.deleteCustomResourceDefinition({ name: `widgets.${group}` });
}

console.log((await config.makeApiClient(k8s.VersionApi).getCode()).gitVersion);
await typed();
await informed();
await applied();
await custom();
console.log('told to the end');
process.exit(0);
