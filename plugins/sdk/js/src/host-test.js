// Outside of WebAssembly there is no host, until a test stands in for it.
const none = () => {
  throw new Error('there is no host here; call the controller through @trimtab/plugin/testing');
};

export const host = { get: none, log: none, select: none };
