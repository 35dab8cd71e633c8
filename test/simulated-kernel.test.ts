/**
 * The simulated disk means what the kernel means: random programs of system calls get the same
 * answers, and leave the same tree, on both.
 */
import { deepEqual, ok } from 'node:assert/strict';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type SimulatedDisk, simulatedDisk } from 'holdfast/testing';
import { environment } from '#holdfast/platform.js';
import { engineHere } from './replace/worlds.js';
import { Runner, steps } from './simulated/programs.js';
import { scratch } from './support/scratch.js';

const links = { link: 'a', dangling: 'd/made', loop: 'loop', 'd/up': '..' };

/* One directory down, since a link to `..` that is moved up leads out of it. */
function prepare(root: string): void {
  mkdirSync(join(root, 'r/d'), { mode: 0o755, recursive: true });
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, 'r', name));
}

function prepared(seed: number): SimulatedDisk {
  const disk = simulatedDisk(seed, { modeMask: environment.modeMask() });
  disk.makeDirectory('/r/d');
  for (const [name, target] of Object.entries(links)) disk.makeLink(`/r/${name}`, target);
  return disk;
}

type Tree = Record<string, string>;

function realTree(root: string, prefix = ''): Tree {
  const tree: Tree = {};
  for (const name of readdirSync(root)) {
    const at = join(root, name);
    const stat = lstatSync(at);
    if (stat.isDirectory()) Object.assign(tree, realTree(at, `${prefix}${name}/`));
    else if (stat.isSymbolicLink()) tree[prefix + name] = `to ${readlinkSync(at)}`;
    else tree[prefix + name] = readFileSync(at, 'latin1');
  }
  return tree;
}

function simulatedTree(disk: SimulatedDisk, directory = '/', prefix = ''): Tree {
  const tree: Tree = {};
  for (const name of disk.list(directory) ?? []) {
    const path = `${prefix}${name}`;
    const target = disk.target(`/${path}`);
    if (target !== undefined) tree[path] = `to ${target}`;
    else if (disk.list(`/${path}`) !== undefined) {
      Object.assign(tree, simulatedTree(disk, `/${path}`, `${path}/`));
    } else tree[path] = Buffer.from(disk.read(`/${path}`) as Uint8Array).toString('latin1');
  }
  return tree;
}

test('a simulated disk answers as the kernel does', (t) => {
  const engine = engineHere('pool');
  if (typeof engine === 'string') return t.skip(`needs the addon: ${engine}`);
  const home = scratch(t);
  let count = 0;
  const program = fc.array(steps, { minLength: 1, maxLength: 40, size: 'max' });
  const property = fc.property(program, (all) => {
    const root = join(home, `case-${count++}`);
    mkdirSync(root);
    prepare(root);
    const disk = prepared(count);
    const real = new Runner(engine, join(root, 'r'));
    const simulated = new Runner(disk.engine, '/r');
    real.run(all);
    simulated.run(all);
    for (const [index, answer] of real.answers.entries()) {
      const words = `${index}, ${JSON.stringify(all[index])}, simulated and real`;
      deepEqual(
        simulated.answers[index],
        answer,
        `${words}: ${JSON.stringify([simulated.answers[index], answer])}`,
      );
    }
    deepEqual(simulatedTree(disk), realTree(root));
    deepEqual(disk.openDescriptors, []);
    disk.sync();
    const left = disk.crash();
    deepEqual(simulatedTree(left), simulatedTree(disk), 'what was synced stands');
  });
  fc.assert(property, { numRuns: 1500 });
  ok(count >= 1500);
});
