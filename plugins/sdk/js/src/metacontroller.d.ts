import type { Controller, DecoratorOptions, Desired, KubeObject, Options } from './index.js';

/** By `Kind.apiVersion`, then by name, or by `namespace/name` in another namespace than the parent's. */
export type Groups = Record<string, Record<string, KubeObject>>;

export interface CustomizeRequest<T = KubeObject> {
  /** The plugin's config: put there what hooks read of their CompositeController. */
  controller: any;
  parent: T;
}

export interface SyncRequest<T = KubeObject> extends CustomizeRequest<T> {
  children: Groups;
  related: Groups;
  finalizing: boolean;
}

export interface SyncResponse {
  /** The whole status; `observedGeneration` is added. */
  status?: object | null;
  children?: Desired[];
  resyncAfterSeconds?: number;
  finalized?: boolean;
}

export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'; values?: string[] }[];
}

export interface RelatedRule {
  apiVersion: string;
  /** The plural, in lower case, of a kind among the `reads`. */
  resource: string;
  labelSelector?: LabelSelector;
  /** Needs `v1/Namespace` among the `reads`. */
  namespaceSelector?: LabelSelector;
  /** The parent's, unless told otherwise; '' where the resource has none. */
  namespace?: string;
  names?: string[];
}

export interface Hooks<T> extends Omit<Options<T, object, any>, 'reconcile' | 'finalizes'> {
  sync(request: SyncRequest<T>): SyncResponse;
  finalize?(request: SyncRequest<T>): SyncResponse;
  customize?(request: CustomizeRequest<T>): { relatedResources?: RelatedRule[] };
}

/** A plugin out of the hooks of a CompositeController. Export it as `controller`. */
export function compositeHook<T = KubeObject>(hooks: Hooks<T>): Controller;

export interface DecoratorRequest<T = KubeObject> {
  controller: any;
  object: T;
  attachments: Groups;
  related: Groups;
  finalizing: boolean;
}

export interface DecoratorResponse {
  /** To set on the object, or with null to remove. */
  labels?: Record<string, string | null>;
  annotations?: Record<string, string | null>;
  /** null: stays as it is. */
  status?: object | null;
  attachments?: Desired[];
  resyncAfterSeconds?: number;
  finalized?: boolean;
}

export interface DecoratorHooks<T>
  extends Omit<DecoratorOptions<T, object, any>, 'reconcile' | 'finalizes' | 'children'> {
  /** The kinds of the attachments. */
  attachments?: DecoratorOptions<T, object, any>['children'];
  sync(request: DecoratorRequest<T>): DecoratorResponse;
  finalize?(request: DecoratorRequest<T>): DecoratorResponse;
  customize?(request: CustomizeRequest<T>): { relatedResources?: RelatedRule[] };
}

/** A plugin out of the hooks of a DecoratorController. Export it as `controller`. */
export function decoratorHook<T = KubeObject>(hooks: DecoratorHooks<T>): Controller;
