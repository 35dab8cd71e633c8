/**
 * What a crash of the simulated disk leaves, against a model that remembers everything: what was
 * synced stands, what was not is as it was at some moment since, sector by sector.
 */
import { deepEqual, equal, notDeepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crashStates, type SimulatedDisk, simulatedDisk } from 'holdfast/testing';
import { Calls, Create, ReadWrite } from './simulated/calls.js';
import { content } from './simulated/programs.js';

const SECTOR = 512;
const names = ['a', 'b', 'c'] as const;

type Step =
  | { readonly call: 'write'; readonly name: string; readonly offset: number; length: number }
  | { readonly call: 'truncate'; readonly name: string; readonly length: number }
  | { readonly call: 'rename'; readonly name: string; readonly to: string }
  | { readonly call: 'sync' | 'syncData' | 'unlink' | 'create'; readonly name: string }
  | { readonly call: 'syncNames' };

const name = fc.constantFrom(...names);
const length = fc.constantFrom(1, 200, 512, 700, 1500);
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ call: fc.constant('create' as const), name }),
  fc.record({ call: fc.constant('write' as const), name, offset: fc.nat(1200), length }),
  fc.record({ call: fc.constant('write' as const), name, offset: fc.nat(1200), length }),
  fc.record({ call: fc.constant('truncate' as const), name, length: fc.nat(1600) }),
  fc.record({ call: fc.constantFrom('sync' as const, 'syncData' as const), name }),
  fc.record({ call: fc.constant('rename' as const), name, to: name }),
  fc.record({ call: fc.constant('unlink' as const), name }),
  fc.record({ call: fc.constant('syncNames' as const) }),
);

/** Remembers each content of each file and each set of names since the last sync. */
class Model {
  contents: Uint8Array[][] = [];
  names: Map<string, number>[] = [new Map()];

  get now(): Map<string, number> {
    return this.names[this.names.length - 1] as Map<string, number>;
  }

  contentNow(file: number): Uint8Array {
    const history = this.contents[file] as Uint8Array[];
    return history[history.length - 1] as Uint8Array;
  }

  rename(change: (names: Map<string, number>) => void): void {
    const next = new Map(this.now);
    change(next);
    this.names.push(next);
  }

  apply(one: Step, index: number): void {
    if (one.call === 'syncNames') {
      this.names = [this.now];
      return;
    }
    const file = this.now.get(one.name);
    if (one.call === 'create') {
      if (file !== undefined) return;
      this.contents.push([new Uint8Array(0)]);
      this.rename((all) => all.set(one.name, this.contents.length - 1));
      return;
    }
    if (file === undefined) return;
    if (one.call === 'unlink') this.rename((all) => all.delete(one.name));
    else if (one.call === 'rename') {
      if (one.to === one.name) return;
      this.rename((all) => all.set(one.to, file).delete(one.name));
    } else if (one.call === 'sync' || one.call === 'syncData') {
      this.contents[file] = [this.contentNow(file)];
    } else this.contents[file]?.push(changed(this.contentNow(file), one, index));
  }
}

function changed(old: Uint8Array, one: Step, index: number): Uint8Array {
  if (one.call === 'truncate') {
    const next = new Uint8Array(one.length);
    next.set(old.subarray(0, one.length));
    return next;
  }
  ok(one.call === 'write');
  const next = new Uint8Array(Math.max(old.length, one.offset + one.length));
  next.set(old);
  next.set(content(one.length, index), one.offset);
  return next;
}

function perform(calls: Calls, model: Model, one: Step, index: number): void {
  if (one.call === 'syncNames') {
    calls.syncDirectory('/');
    return;
  }
  const isThere = model.now.has(one.name);
  if (one.call === 'create') {
    if (!isThere) calls.close(calls.open(`/${one.name}`, Create | ReadWrite));
    return;
  }
  if (!isThere) return;
  if (one.call === 'unlink') {
    calls.unlink(`/${one.name}`);
    return;
  }
  if (one.call === 'rename') {
    calls.rename(`/${one.name}`, `/${one.to}`);
    return;
  }
  const fd = calls.open(`/${one.name}`, ReadWrite);
  if (one.call === 'write') calls.write(fd, content(one.length, index), one.offset);
  else if (one.call === 'truncate') calls.truncate(fd, one.length);
  else if (one.call === 'sync') calls.sync(fd);
  else calls.syncData(fd);
  calls.close(fd);
}

function sectorOf(bytes: Uint8Array, index: number): string {
  const sector = Buffer.alloc(SECTOR);
  sector.set(bytes.subarray(index * SECTOR, (index + 1) * SECTOR));
  return sector.toString('latin1');
}

const ZEROS = sectorOf(new Uint8Array(0), 0);

/** Fails unless what is left is one of the things a crash may leave of a file. */
function checkContent(left: Uint8Array, history: readonly Uint8Array[]): void {
  ok(
    history.some((one) => one.length === left.length),
    `a size of ${left.length} that never was`,
  );
  for (let index = 0; index * SECTOR < left.length; index++) {
    const allowed = new Set(history.map((one) => sectorOf(one, index)));
    if (history.some((one) => one.length <= index * SECTOR)) allowed.add(ZEROS);
    const cut = (sector: string): string => sector.slice(0, left.length - index * SECTOR);
    const found = cut(sectorOf(left, index));
    ok(
      [...allowed].some((sector) => cut(sector) === found),
      `sector ${index} that never was`,
    );
  }
}

function checkState(state: SimulatedDisk, model: Model): void {
  const left = state.list('/') ?? [];
  const matching = model.names.filter(
    (one) => JSON.stringify([...one.keys()].sort()) === JSON.stringify(left),
  );
  ok(matching.length > 0, `names that never were: ${left}`);
  const isFound = matching.some((one) => {
    try {
      for (const [name, file] of one) {
        checkContent(state.read(`/${name}`) as Uint8Array, model.contents[file] as Uint8Array[]);
      }
      return true;
    } catch (error) {
      if (matching.length === 1) throw error;
      return false;
    }
  });
  ok(isFound, 'content that never was');
}

function contentsOf(disk: SimulatedDisk): Record<string, string> {
  const all = (disk.list('/') ?? []).map((one) => [
    one,
    Buffer.from(disk.read(`/${one}`) as Uint8Array).toString('hex'),
  ]);
  return Object.fromEntries(all);
}

function expected(model: Model, when: 'now' | 'synced'): Record<string, string> {
  const all = when === 'now' ? model.now : (model.names[0] as Map<string, number>);
  const hex = [...all].map(([name, file]) => {
    const history = model.contents[file] as Uint8Array[];
    const bytes = when === 'now' ? model.contentNow(file) : (history[0] as Uint8Array);
    return [name, Buffer.from(bytes).toString('hex')];
  });
  return Object.fromEntries(hex);
}

test('crash() leaves what was synced, and of the rest what once was', () => {
  const program = fc.array(steps, { minLength: 1, maxLength: 30, size: 'max' });
  const property = fc.property(program, fc.nat(), (all, seed) => {
    const disk = simulatedDisk(seed);
    const calls = new Calls(disk.engine);
    const model = new Model();
    for (const [index, one] of all.entries()) {
      perform(calls, model, one, index);
      model.apply(one, index);
    }
    deepEqual(contentsOf(disk), expected(model, 'now'));
    const options = { unwritten: 'zeros' } as const;
    deepEqual(contentsOf(disk.crash({ ...options, keep: 'all' })), expected(model, 'now'));
    deepEqual(contentsOf(disk.crash({ ...options, keep: 'none' })), expected(model, 'synced'));
    for (let round = 0; round < 20; round++) checkState(disk.crash(options), model);
    for (const state of crashStates(disk, { ...options, limit: 50 })) checkState(state, model);
    deepEqual(contentsOf(disk), expected(model, 'now'), 'the disk goes on as if nothing had been');
  });
  fc.assert(property, { numRuns: 400 });
});

test('a disk that goes on after a crash was looked at does not change what was left', () => {
  const disk = simulatedDisk(4);
  disk.put('/a', 'first');
  const calls = new Calls(disk.engine);
  const left = disk.crash();
  const fd = calls.open('/a', ReadWrite);
  calls.write(fd, 'SECOND', 0);
  calls.sync(fd);
  calls.rename('/a', '/b');
  calls.syncDirectory('/');
  deepEqual(contentsOf(left), { a: Buffer.from('first').toString('hex') });
  new Calls(left.engine).rename('/a', '/c');
  deepEqual(disk.list(), ['b']);
  equal(calls.read(fd, 6), 'SECOND');
});

test('crash() closes what was open, and the disk can be used again', () => {
  const disk = simulatedDisk(4);
  const calls = new Calls(disk.engine);
  const fd = calls.open('/a', Create | ReadWrite);
  calls.write(fd, 'text', 0);
  calls.sync(fd);
  calls.syncDirectory('/');
  const left = disk.crash();
  deepEqual(left.openDescriptors, []);
  equal(disk.openDescriptors.length, 1);
  const again = new Calls(left.engine);
  equal(again.read(again.open('/a', ReadWrite), 9), 'text');
});

test('a file that was open in the crash gives its space back when it is unlinked', () => {
  const disk = simulatedDisk(4, { capacityBytes: 1024 });
  const calls = new Calls(disk.engine);
  calls.sync(calls.open('/a', Create | ReadWrite));
  calls.put('/a', 'x'.repeat(1024));
  calls.syncDirectory('/');
  const again = new Calls(disk.crash().engine);
  again.unlink('/a');
  again.put('/b', 'y'.repeat(1024));
});

test('the same seed and the same calls leave the same', () => {
  const run = (seed: number): unknown => {
    const disk = simulatedDisk(seed);
    const calls = new Calls(disk.engine);
    const fd = calls.open('/a', Create | ReadWrite);
    for (let index = 0; index < 20; index++) calls.write(fd, content(700, index), index * 300);
    const left = [1, 2, 3].map(() => disk.crash());
    const name = disk.engine.randomName?.();
    return [name, disk.nowMs, disk.log(), left.map((one) => [one.origin, contentsOf(one)])];
  };
  deepEqual(run(11), run(11));
  notDeepEqual(run(11), run(12));
});

/** Everything that differs between two states. */
function printOf(state: SimulatedDisk): string {
  const calls = new Calls(state.engine);
  const modes = (state.list() ?? []).map((one) => calls.modeOf(`/${one}`));
  return JSON.stringify([contentsOf(state), modes]);
}

function countStates(change: (calls: Calls, fd: number) => void, options = {}): number {
  const disk = simulatedDisk(7);
  disk.put('/a', content(1024, 1));
  const calls = new Calls(disk.engine);
  change(calls, calls.open('/a', ReadWrite));
  const prints = [...crashStates(disk, options)].map(printOf);
  equal(new Set(prints).size, prints.length, 'the states are different');
  return prints.length;
}

test('crashStates() goes through all there are when they are few', () => {
  equal(
    countStates(() => undefined),
    1,
  );
  const overwrite = (calls: Calls, fd: number): unknown => calls.write(fd, content(1024, 2), 0);
  equal(countStates(overwrite), 4, 'two sectors, each old or new');
  equal(
    countStates((calls, fd) => {
      overwrite(calls, fd);
      calls.write(fd, content(100, 3), 0);
    }),
    6,
    'the first sector has three contents now',
  );
  equal(
    countStates((calls, fd) => calls.write(fd, content(512, 2), 1024)),
    4,
    'the old size, or the new one with the sector new, zeros or garbage',
  );
  const zeros = { unwritten: 'zeros' };
  equal(
    countStates((calls, fd) => calls.write(fd, content(512, 2), 1024), zeros),
    3,
  );
  equal(
    countStates((calls, fd) => calls.setMode(fd, 0o600)),
    2,
  );
  equal(
    countStates((calls, fd) => {
      overwrite(calls, fd);
      calls.syncData(fd);
      calls.setMode(fd, 0o600);
      calls.sync(fd);
    }),
    1,
  );
});

test('crashStates() keeps changes of one directory in order, unless any may be lost', () => {
  const change = (calls: Calls): void => {
    for (const one of ['x', 'y', 'z']) calls.close(calls.open(`/${one}`, Create | ReadWrite));
  };
  equal(countStates(change), 4, 'none, x, x and y, all');
  equal(countStates(change, { names: 'any' }), 8);
  const renames = (calls: Calls): void => {
    calls.rename('/a', '/b');
    calls.rename('/b', '/c');
  };
  equal(countStates(renames, { names: 'any' }), 3, 'the second stands on the first');
});

test('crashStates() samples what is too much, the telling states first', () => {
  const disk = simulatedDisk(7);
  disk.put('/a', content(64 * SECTOR, 1));
  const calls = new Calls(disk.engine);
  calls.write(calls.open('/a', ReadWrite), content(64 * SECTOR, 2), 0);
  const states = [...crashStates(disk, { limit: 300 })].map(printOf);
  equal(states.length, 300);
  equal(new Set(states).size, 300);
  equal([...crashStates(disk, { limit: 9 })].length, 9);
  equal(states[0], printOf(disk.crash({ keep: 'none' })));
  equal(states[1], printOf(disk.crash({ keep: 'all' })));
  const seen = new Set(states);
  for (let index = 0; index < 64; index++)
    ok(seen.has(printOf(oneSector(index))), `${index} alone`);
});

function oneSector(index: number): SimulatedDisk {
  const disk = simulatedDisk(7);
  const bytes = content(64 * SECTOR, 1);
  const fresh = content(64 * SECTOR, 2);
  bytes.set(fresh.subarray(index * SECTOR, (index + 1) * SECTOR), index * SECTOR);
  disk.put('/a', bytes);
  return disk;
}
