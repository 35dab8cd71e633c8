/** What holds for every report, and the doors of probe by both faces on each engine. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Engine, type ProbeItem, type ProbeReport, probe, probeSync } from 'holdfast';
import { engineFor, engineNames } from '../file/doors.js';
import { toolEnvironment } from '../support/child.js';

export interface Prober {
  readonly engine: Engine;
  /** True for the engines that have the addon. */
  readonly isNative: boolean;
  probe(path: string, options?: { readonly measure?: boolean }): Promise<ProbeReport>;
}

/** One test for each engine and face. */
export function onAllProbers(
  name: string,
  body: (t: TestContext, prober: Prober) => unknown,
): void {
  for (const engineName of engineNames) {
    for (const face of ['async', 'sync'] as const) {
      test(`${name} (${engineName}, ${face})`, { timeout: 60_000 }, async (t) => {
        const engine = engineFor(t, engineName);
        if (engine === undefined) return;
        const probeHere = async (path: string, options = {}): Promise<ProbeReport> => {
          const whole = { ...options, engine };
          const report = face === 'sync' ? probeSync(path, whole) : await probe(path, whole);
          assertWhole(report);
          return report;
        };
        await body(t, { engine, isNative: engineName !== 'portable', probe: probeHere });
      });
    }
  }
}

/** Every item of a report with its name, as `section.key`. */
export function itemsOf(report: ProbeReport): [string, ProbeItem<unknown>][] {
  const { path: _, below, ...sections } = report;
  const all = [...Object.entries(sections), ...below.map((items) => ['below', items] as const)];
  return all.flatMap(([section, items]) => {
    return Object.entries(items).map(([key, item]): [string, ProbeItem<unknown>] => {
      return [`${section}.${key}`, item];
    });
  });
}

/** Invariant 2: one of value, no, unknown; a reason is words; and all of it is JSON. */
export function assertWhole(report: ProbeReport): void {
  deepEqual(JSON.parse(JSON.stringify(report)), report);
  ok(itemsOf(report).length > 50);
  for (const [name, item] of itemsOf(report)) {
    const { note, ...answer } = item as Record<string, unknown>;
    equal(Object.keys(answer).length, 1, `${name}: ${JSON.stringify(item)}`);
    const [kind, said] = Object.entries(answer)[0] as [string, unknown];
    ok(['value', 'no', 'unknown'].includes(kind), name);
    if (kind !== 'value') ok(typeof said === 'string' && said.length > 3, `${name}: ${said}`);
    ok(note === undefined || typeof note === 'string', name);
  }
}

/**
 * A folder with mounts of the test's own in it. Make it before the file systems it mounts parts of:
 * what a test registers first ends first, and these have to go before those.
 */
export class Home {
  readonly path: string;
  readonly #points: string[] = [];

  constructor(t: TestContext) {
    this.path = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
    t.after(() => this.#end());
  }

  /** Runs mount(8) with these words onto a fresh folder, or onto `point`. */
  mount(words: readonly string[], point: string = mkdtempSync(join(this.path, 'mount-'))): string {
    runTool('mount', [...words, point]);
    this.#points.unshift(point);
    return point;
  }

  #end(): void {
    for (const point of this.#points) {
      // Lazily where a descriptor was leaked: that test has failed, and nothing may stay mounted.
      const { status } = spawnSync('umount', [point], { env: toolEnvironment });
      if (status !== 0) runTool('umount', ['--lazy', point]);
    }
    rmSync(this.path, { recursive: true });
  }
}

/** Runs a program that has to succeed. */
export function runTool(program: string, words: readonly string[]): string {
  const ended = spawnSync(program, words, {
    env: toolEnvironment,
    encoding: 'utf8',
    timeout: 60_000,
  });
  equal(ended.status, 0, `${program}: ${ended.stderr}`);
  return ended.stdout;
}

/** Fresh folders. */
export function folders(under: string, ...names: readonly string[]): string[] {
  return names.map((name) => {
    const path = join(under, name);
    mkdirSync(path);
    return path;
  });
}

/** The name of the device that holds a mount point, from findmnt(8): `loop3`. */
export function deviceOf(path: string): string {
  const source = runTool('findmnt', ['-n', '-o', 'SOURCE', '--target', path]).trim();
  return source.replace(/^\/dev\//, '').replace(/\[.*$/, '');
}
