/**
 * A replace on the calling thread handed all its calls over in one run; with more than 22 extended
 * attributes to keep that was more than the engine's 32 rows, and replaceFileSync failed with an
 * internal error and left a descriptor open. Runs are bounded now; this holds them to it.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { replaceFile, replaceFileSync } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { projectRoot } from './support/scratch.js';

const ATTRIBUTES = 60;

function attributesOf(path: string): string[] {
  const { stdout } = spawnSync('getfattr', ['-d', '--absolute-names', path], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('user.'))
    .sort();
}

/** A file with many attributes on the project's own disk, or nothing where that cannot be. */
function fileWithAttributes(t: TestContext): string | undefined {
  const directory = mkdtempSync(join(projectRoot, 'build/many-attributes-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  for (let index = 0; index < ATTRIBUTES; index++) {
    const args = ['-n', `user.number${index}`, '-v', `${index}`, path];
    if (spawnSync('setfattr', args).status !== 0) return undefined;
  }
  return path;
}

const faces = {
  replaceFile,
  replaceFileSync: async (...args: Parameters<typeof replaceFileSync>) => replaceFileSync(...args),
};

for (const [name, face] of Object.entries(faces)) {
  test(`${name}() keeps ${ATTRIBUTES} attributes`, async (t) => {
    const path = fileWithAttributes(t);
    if (path === undefined) return t.skip('needs setfattr and a file system with user attributes');
    const engine = engineNamed('auto');
    if (engine.capabilities.attributes !== true) return t.skip('needs the addon');
    const before = attributesOf(path);
    equal(before.length, ATTRIBUTES);
    const descriptors = readdirSync('/proc/self/fd').length;
    const report = await face(path, 'new', { engine });
    deepEqual(report.fallbacks, []);
    equal(readFileSync(path, 'utf8'), 'new');
    deepEqual(attributesOf(path), before);
    equal(readdirSync('/proc/self/fd').length, descriptors);
  });
}
