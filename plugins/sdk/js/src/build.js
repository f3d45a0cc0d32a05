#!/usr/bin/env node
// `trimtab-plugin ENTRY -o FILE`: one file out of the plugin and what it imports,
// and a component out of that.
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { componentize } from 'componentize-qjs';
import { build } from 'esbuild';

const USAGE = 'usage: trimtab-plugin ENTRY.{js,ts} [-o FILE.wasm]';

/** All modules in one text, with the source map that stacks are told by. */
async function bundle(entry) {
  const built = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2023',
    conditions: ['trimtab'],
    external: ['trimtab:*'],
    sourcemap: 'external',
    sourcesContent: false,
    outfile: resolve('plugin.js'),
    logLevel: 'error',
  });
  const text = (ending) => built.outputFiles.find(({ path }) => path.endsWith(ending)).text;
  const { sources, mappings } = JSON.parse(text('.map'));
  return `${text('.js')}\nglobalThis.trimtabSourceMap = ${JSON.stringify({ sources, mappings })};\n`;
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { output: { type: 'string', short: 'o' } } });
const [entry] = positionals;
if (positionals.length !== 1) {
  console.error(USAGE);
  process.exit(2);
}
const output = values.output ?? entry.replace(/\.[jt]s$/, '.wasm');
try {
  const { component } = await componentize({
    witPath: fileURLToPath(new URL('../plugin.wit', import.meta.url)),
    jsSource: await bundle(entry),
    world: 'plugin',
    sync: true,
  });
  await mkdir(dirname(resolve(output)), { recursive: true });
  // Renamed into place whole: a host may be watching that folder.
  await writeFile(`${output}.part`, component);
  await rename(`${output}.part`, output);
  console.log(`${relative('.', output)}: ${component.length} bytes`);
} catch (error) {
  console.error(`${entry}: ${error.message ?? error}`);
  process.exit(1);
}
