// Stacks in the author's lines: the build puts all files into one, and leaves a
// source map behind by which the places are found again.

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PLACE = /\bcomponentize-qjs:user\.js:(\d+)(?::(\d+))?/g;

/** The stack, with the places in the bundle replaced by those in the sources. */
export function mapped(stack) {
  const map = globalThis.trimtabSourceMap;
  if (map === undefined) return stack;
  const lines = decode(map.mappings);
  return stack.replace(PLACE, (place, line, column) => {
    const segments = (lines[line - 1] ?? []).filter(([at]) => column === undefined || at < column);
    const segment = segments.at(column === undefined ? 0 : -1);
    return segment === undefined ? place : `${map.sources[segment[1]]}:${segment[2] + 1}`;
  });
}

/** For each line of the bundle, its segments: [column, source, line]. */
function decode(mappings) {
  let source = 0;
  let line = 0;
  return mappings.split(';').map((text) => {
    let column = 0;
    const segments = [];
    for (const part of text === '' ? [] : text.split(',')) {
      const [columns, sources, lines] = numbers(part);
      column += columns;
      if (sources === undefined) continue;
      source += sources;
      line += lines;
      segments.push([column, source, line]);
    }
    return segments;
  });
}

/** Base 64 with five bits a digit, the lowest first, and the sign in the first bit. */
function numbers(text) {
  const found = [];
  let value = 0;
  let shift = 0;
  for (const digit of text) {
    const bits = DIGITS.indexOf(digit);
    value |= (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    found.push(value & 1 ? -(value >>> 1) : value >>> 1);
    value = shift = 0;
  }
  return found;
}
