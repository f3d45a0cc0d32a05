// The host as a plugin sees it: what the contract lets it ask.
import { get, log, select } from 'trimtab:plugin/host@0.1.0';

export const host = { get, log, select };
