/** A Kubernetes object. Give your own type for what you look at. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: Metadata;
  [key: string]: any;
}

export interface Metadata {
  name: string;
  namespace?: string;
  uid?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  deletionTimestamp?: string;
  [key: string]: any;
}

/** A child as it should be; without a namespace it lies in that of the object. */
export interface Desired {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  [key: string]: any;
}

/** `v1/Secret`, `apps/v1/Deployment` */
export type Kind = `${string}/${string}`;

/** How a child that differs is made equal; a few at a time, the plugin's policy says how many. */
export type Update = 'in-place' | 'recreate' | 'on-delete' | 'rolling-in-place' | 'rolling-recreate';

interface Shared<T, Status, Config> {
  /** The kinds that answers may contain. */
  children?: (Kind | { kind: Kind; update?: Update })[];
  /** The kinds that `get` and `select` may name. */
  reads?: (Kind | { kind: Kind; namespace?: string })[];
  /** It is asked before an object goes. */
  finalizes?: boolean;
  /** Every object is looked at this often. */
  resyncSeconds?: number;
  /** From what is observed to what should be. Must depend on nothing else. */
  reconcile(observed: Observed<T, Config>): Answer<Status>;
}

export interface Options<T, Status, Config> extends Shared<T, Status, Config> {
  /** What it reconciles, in the version that it wants to be given. */
  for: Kind;
  /** Only those of them, as `kubectl -l` takes it. */
  selector?: string;
}

/** A kind, and which of its objects, as `kubectl -l` takes it: both must match. */
export type Decorated = Kind | { kind: Kind; labelSelector?: string; annotationSelector?: string };

export interface DecoratorOptions<T, Status, Config> extends Shared<T, Status, Config> {
  /** What it adds to. */
  for: Decorated | Decorated[];
}

export interface Observed<T = KubeObject, Config = any> {
  object: T;
  /** What the policy gives this plugin; `{}` without one. */
  config: Config;
  /** RFC 3339, UTC. There is no other clock. */
  now: string;
  cluster: string;
  /** The instance that serves the object; null: the default one. */
  instanceId: string | null;
  /** The object is being deleted: answer `finalized` when nothing is left to do. */
  finalizing: boolean;
  log: typeof log;
  /** The observed children of a declared kind by name; by `namespace/name` in another namespace. */
  children<C = KubeObject>(kind: Kind): Record<string, C | undefined>;
  /** An object from the host's cache, in the object's own namespace unless told otherwise. */
  get<R = KubeObject>(kind: Kind, name: string, where?: { namespace?: string | null }): R | null;
  /** The objects of a kind that a label selector matches. */
  select<R = KubeObject>(
    kind: Kind,
    which?: { namespace?: string | null; labelSelector?: string; limit?: number },
  ): R[];
}

/** What should be. Observed children that are not in it are deleted. */
export interface Answer<Status = object> {
  children?: Desired[];
  /** Absent: stays as it is. Keep times out of it. */
  status?: Status;
  /** Labels to set on the object, or with null to remove. */
  labels?: Record<string, string | null>;
  annotations?: Record<string, string | null>;
  events?: { reason: string; message: string; warning?: boolean }[];
  /** Look again then, even if nothing changes. */
  requeueAfterMs?: number;
  /** While finalizing: nothing is left to do. */
  finalized?: boolean;
}

export interface Controller {
  describe(config: string): string;
  reconcile(request: unknown): unknown;
}

/** A plugin that owns its object's life and status. Export it as `controller`. */
export function composite<T = KubeObject, Status extends object = object, Config = any>(
  options: Options<T, Status, Config>,
): Controller;

/** A plugin that adds to objects that someone else owns. Export it as `controller`. */
export function decorator<T = KubeObject, Status extends object = object, Config = any>(
  options: DecoratorOptions<T, Status, Config>,
): Controller;

/** Ends the run: `what` is missing. It runs again when a look-up changes. */
export function wait(what: string): never;
/** Ends the run: something failed that may succeed next time. */
export function retry(message: string, options?: { afterMs?: number }): never;
/** Ends the run: the object asks for what cannot be, and has to be changed. */
export function terminal(message: string): never;

/** Lines in the host's log, beside the object's name. */
export const log: Record<'debug' | 'info' | 'warn' | 'error', (...values: unknown[]) => void>;
