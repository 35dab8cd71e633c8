/** One contract over every engine, by both faces; skipped by capability, aloud. */
import { deepEqual } from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Engine } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { contract, type Place, Stage } from './contract/suite.js';
import { Doors, engineFor, engineNames } from './file/doors.js';
import { scratch } from './support/scratch.js';

interface World {
  readonly engine: Engine;
  readonly place: Place;
}

type Make = (t: TestContext) => World | undefined;

function real(name: (typeof engineNames)[number]): Make {
  return (t) => {
    const engine = engineFor(t, name);
    if (engine === undefined) return undefined;
    const directory = scratch(t);
    const place: Place = {
      directory,
      put: (file, bytes) => writeFileSync(join(directory, file), bytes),
      content: (file) => readFileSync(join(directory, file)),
      names: () => readdirSync(directory),
    };
    return { engine, place };
  };
}

function simulated(): World {
  const disk = simulatedDisk(1);
  const directory = '/place';
  disk.makeDirectory(directory);
  const place: Place = {
    directory,
    put: (file, bytes) => disk.put(`${directory}/${file}`, bytes),
    content: (file) => disk.read(`${directory}/${file}`),
    names: () => disk.list(directory) ?? [],
  };
  return { engine: disk.engine, place };
}

const worlds: Readonly<Record<string, Make>> = {
  ...Object.fromEntries(engineNames.map((name) => [name, real(name)])),
  simulated,
};

for (const clause of contract) {
  for (const [name, make] of Object.entries(worlds)) {
    for (const face of ['async', 'sync'] as const) {
      test(`${clause.name} (${name}, ${face})`, { timeout: 60_000 }, async (t) => {
        const world = make(t);
        if (world === undefined) return;
        const { engine, place } = world;
        const lacks = (clause.needs ?? []).find((need) => engine.capabilities[need] !== true);
        if (lacks !== undefined) {
          const reason = `needs ${lacks}: ${engine.capabilities[lacks]}`;
          t.diagnostic(`NOT TESTED: ${reason}`);
          return t.skip(reason);
        }
        const stage = new Stage(new Doors(t, engine, face), place);
        deepEqual(await clause.body(stage), clause.comesTo);
      });
    }
  }
}
