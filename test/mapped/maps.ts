/** Maps by either face on each engine, and what the kernel shows of them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type Engine,
  type HintReport,
  type MapAdviceName,
  type MapOptions,
  type MappedFile,
  type MapRange,
  type MapSyncReport,
  mapFile,
  mapFileSync,
  type OpenFile,
  type PathLike,
} from 'holdfast';
import { patterned } from '../file/bytes.js';
import { engineFor, engineNames, type Face } from '../file/doors.js';
import { scratch, type Test } from '../support/scratch.js';

export const PAGE = 4096;

/** A file of these bytes, or of so many. */
export function fileOf(t: Test, bytes: Uint8Array | number): string {
  const path = join(scratch(t), 'file');
  writeFileSync(path, typeof bytes === 'number' ? patterned(bytes) : bytes);
  return path;
}

/** The doors of a map by one face; the others of a map have but one. */
export class MapDoors {
  readonly t: TestContext;
  readonly engine: Engine;
  readonly face: Face;

  constructor(t: TestContext, engine: Engine, face: Face) {
    this.t = t;
    this.engine = engine;
    this.face = face;
  }

  /** Whether this engine maps; else it reads. */
  get maps(): boolean {
    return this.engine.capabilities.maps === true;
  }

  /** Maps a file and releases the map when the test ends. */
  async map(source: PathLike | OpenFile, options: MapOptions = {}): Promise<MappedFile> {
    const all = { engine: this.engine, ...options };
    const map = this.face === 'sync' ? mapFileSync(source, all) : await mapFile(source, all);
    this.t.after(() => map.release());
    return map;
  }

  async sync(map: MappedFile, range?: MapRange): Promise<MapSyncReport> {
    return this.face === 'sync' ? map.syncSync(range) : map.sync(range);
  }

  async advise(map: MappedFile, advice: MapAdviceName, range?: MapRange): Promise<HintReport> {
    return this.face === 'sync' ? map.adviseSync(advice, range) : map.advise(advice, range);
  }

  async release(map: MappedFile): Promise<void> {
    return this.face === 'sync' ? map.releaseSync() : map.release();
  }
}

function onDoors(
  name: string,
  onlyMaps: boolean,
  body: (t: TestContext, doors: MapDoors) => unknown,
): void {
  for (const engineName of engineNames) {
    if (onlyMaps && engineName === 'portable') continue;
    for (const face of ['async', 'sync'] as const) {
      test(`${name} (${engineName}, ${face})`, { timeout: 60_000 }, async (t) => {
        const engine = engineFor(t, engineName);
        if (engine === undefined) return;
        const doors = new MapDoors(t, engine, face);
        if (onlyMaps && !doors.maps) t.skip(String(engine.capabilities.maps));
        else await body(t, doors);
      });
    }
  }
}

/** One test for each engine and face, those that read in place of mapping among them. */
export function onAllMaps(name: string, body: (t: TestContext, doors: MapDoors) => unknown): void {
  onDoors(name, false, body);
}

/** One test for each engine and face that maps. */
export function onRealMaps(name: string, body: (t: TestContext, doors: MapDoors) => unknown): void {
  onDoors(name, true, body);
}

/** What /proc shows of the mappings of a file in this process: proc(5), smaps. */
export interface Shown {
  readonly residentBytes: number;
  readonly flags: readonly string[];
}

/** The mappings of a file, in the order of their addresses. */
export function mappingsOf(path: string): Shown[] {
  const shown: Shown[] = [];
  const parts = readFileSync('/proc/self/smaps', 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  for (const part of parts) {
    if (!part.split('\n', 1)[0]?.includes(path)) continue;
    const resident = /^Rss:\s+(\d+) kB/m.exec(part)?.[1];
    const flags = /^VmFlags: (.*)$/m.exec(part)?.[1] ?? '';
    shown.push({ residentBytes: Number(resident) * 1024, flags: flags.trim().split(' ') });
  }
  return shown;
}
