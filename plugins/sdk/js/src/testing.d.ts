import type { Controller, Desired, KubeObject } from './index.js';

export interface Given {
  object: object;
  /** Observed children. */
  children?: object[];
  /** What `get` finds; in the object's namespace where they name none. */
  objects?: object[];
  /** What `select` finds, by the selector as it is written; '' is none. Any other finds nothing. */
  selecting?: Record<string, object[]>;
  config?: object;
  now?: string;
  finalizing?: boolean;
}

export interface Got<Status = any> {
  children: Desired[];
  status: Status;
  labels: [string, string | null][];
  annotations: [string, string | null][];
  events: { reason: string; message: string; warning: boolean }[];
  requeueAfterMs: number | null;
  finalized: boolean;
  logged: { level: string; message: string }[];
}

/** Runs `controller` on what is given and returns its answer; a failure is thrown, with its `outcome`. */
export function run<Status = any>(controller: Controller, given: Given): Got<Status>;

/** What a plugin says of itself. */
export function description(controller: Controller): KubeObject;
