/** Copies of trees: files with several names, and whoever changes the target meanwhile. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { linkSync, mkdirSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { copyTree, copyTreeSync, type Engine } from 'holdfast';
import { Code } from '#holdfast/platform.js';
import { onEngines, wordsFor } from './copy/worlds.js';
import { FaultyEngine, type Judge } from './replace/faulty.js';
import { scratch } from './support/scratch.js';

type Face = 'copyTree' | 'copyTreeSync';

/*
 * The other names of a copied file are linked by the path of the first, from the root: whoever may
 * write to the target could lead that path to a file of somebody else's. What guards it: a look.
 */
async function linksNothingElse(t: TestContext, face: Face, inner: Engine): Promise<void> {
  for (const stands of [false, true]) {
    const root = scratch(t);
    const [source, target, evil] = ['source', 'target', 'evil'].map((name) => join(root, name)) as [
      string,
      string,
      string,
    ];
    for (const name of ['source', 'source/a', 'source/b', 'evil']) mkdirSync(join(root, name));
    writeFileSync(join(source, 'a/file'), 'copied');
    linkSync(join(source, 'a/file'), join(source, 'b/file'));
    writeFileSync(join(evil, 'file'), 'secret');
    if (stands) {
      for (const name of ['a', 'b']) mkdirSync(join(target, name), { recursive: true });
      for (const name of ['a', 'b']) writeFileSync(join(target, name, 'file'), 'old');
    }
    let isSwapped = false;
    const judge: Judge = ({ code, place }) => {
      if (code !== Code.Link || isSwapped) return undefined;
      isSwapped = true;
      const first = dirname((place as { path: string }).path);
      renameSync(first, join(root, 'moved'));
      symlinkSync(evil, first);
      return undefined;
    };
    const engine = new FaultyEngine(inner, judge);
    const copy = async (): Promise<unknown> =>
      face === 'copyTree'
        ? copyTree(source, target, { engine })
        : copyTreeSync(source, target, { engine });
    await rejects(copy, { code: 'EBUSY', kind: 'busy', step: 'link' });
    equal(isSwapped, true);
    equal(statSync(join(evil, 'file')).nlink, 1);
    deepEqual([...engine.open], []);
  }
}

for (const face of ['copyTree', 'copyTreeSync'] as const) {
  const name = `${face}() links no file that was put in the way of a copy`;
  onEngines(name, (t, engine) => linksNothingElse(t, face, engine), wordsFor(face));
}
