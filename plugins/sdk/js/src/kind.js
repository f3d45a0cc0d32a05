// Kinds, as plugins write them: `v1/Secret`, `apps/v1/Deployment`.

/** The contract's form of a kind. */
export function kindRef(text) {
  const at = typeof text === 'string' ? text.lastIndexOf('/') : -1;
  if (at <= 0 || at === text.length - 1) {
    throw new TypeError(`${show(text)} is no kind; expected one like 'v1/Secret' or 'apps/v1/Deployment'`);
  }
  return { apiVersion: text.slice(0, at), kind: text.slice(at + 1) };
}

/** A value, short enough for a message. */
export function show(value) {
  const text = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
