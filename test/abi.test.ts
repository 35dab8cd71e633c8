/** The submission ABI: C and TypeScript name the same codes, flags and layout. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { APPENDS, Code, codeName, FD_OPENED_IN_RUN, loadAddon } from '#holdfast/platform.js';
import { outputOf } from './support/child.js';
import { projectRoot } from './support/scratch.js';

const header = readFileSync(join(projectRoot, 'native/rows.h'), 'utf8');

/** `READ_LINK` as `ReadLink`. */
function nameOf(upper: string): string {
  return upper
    .split('_')
    .map((word) => word.slice(0, 1) + word.slice(1).toLowerCase())
    .join('');
}

function codesOfHeader(): Record<string, number> {
  const body = /enum row_code \{([^}]*)\}/.exec(header)?.[1] ?? '';
  const codes: Record<string, number> = {};
  for (const [, name, value] of body.matchAll(/ROW_(\w+) = (\d+)/g)) {
    codes[nameOf(name as string)] = Number(value);
  }
  return codes;
}

function defined(name: string): number {
  const value = new RegExp(`#define ${name} \\(?(-?\\d+)\\)?`).exec(header)?.[1];
  ok(value !== undefined, `${name} is defined in native/rows.h`);
  return Number(value);
}

test('native/rows.h and Code name the same operations by the same numbers', () => {
  deepEqual(codesOfHeader(), { ...Code });
});

test('Code counts from 0 without a gap, and each code has a name of its own', () => {
  const numbers = Object.values(Code).sort((a, b) => a - b);
  deepEqual(numbers, [...numbers.keys()]);
  const names = numbers.map((code) => codeName(code));
  equal(new Set(names).size, names.length);
  ok(!names.includes('unknown'));
});

test('native/rows.h and TypeScript name the same flags', () => {
  equal(defined('TRANSFER_APPENDS'), APPENDS);
  equal(defined('FD_OPENED_IN_RUN'), FD_OPENED_IN_RUN);
  const rows = readFileSync(join(projectRoot, 'src/engine/rows.ts'), 'utf8');
  match(rows, new RegExp(`IS_VECTORED = ${defined('TRANSFER_IS_VECTORED')};`));
});

test('native/rows.h and src/engine/rows.ts agree on 64 bytes a row', () => {
  match(header, /_Static_assert\(sizeof\(struct row\) == 64/);
  const rows = readFileSync(join(projectRoot, 'src/engine/rows.ts'), 'utf8');
  match(rows, /ROW_BYTES = 64;/);
});

test('the addon is built from the same header', (t) => {
  const { addon, reason } = loadAddon();
  if (addon === undefined) return t.skip(`no addon: ${reason}`);
  equal(addon.rowBytes, 64);
  equal(addon.codeCount, Object.keys(Code).length);
  ok(addon.viewCountMax >= 16 && addon.viewCountMax <= 1024);
});

test('the border takes bytes for bytes and numbers for numbers, and nothing else', (t) => {
  const { addon, reason } = loadAddon();
  if (addon === undefined) return t.skip(`no addon: ${reason}`);
  const refused = { code: 'ERR_INTERNAL_ASSERTION' };
  const bytes = new Uint8Array(64);
  const others = [new Float64Array(8), new Uint16Array(8), new DataView(bytes.buffer), [], 'bytes'];
  for (const other of others as unknown[] as Uint8Array[]) {
    throws(() => addon.performView(other), refused);
    throws(() => addon.addressOf(other), refused);
    throws(() => addon.crc32c(other, 0), refused);
    throws(() => addon.sealFrames(other, new Float64Array(5)), refused);
  }
  throws(() => addon.sealFrames(bytes, bytes as unknown as Float64Array), refused);
  equal(addon.addressOf(Buffer.from(bytes.buffer)), addon.addressOf(bytes));
});

test('a ring that cannot be told of is closed again', async (t) => {
  const { addon, reason } = loadAddon();
  if (addon === undefined) return t.skip(`no addon: ${reason}`);
  const source = `
    import { readdirSync } from 'node:fs';
    import { engineNamed } from '#holdfast/engine.js';
    import { loadAddon } from '#holdfast/platform.js';
    engineNamed('pool');
    const { addon } = loadAddon();
    const open = () => {
      try {
        return addon.openRing(new Float64Array(8), 'rows', 'pairs', () => undefined)?.[0];
      } catch (error) {
        return error.code;
      }
    };
    const before = readdirSync('/proc/self/fd').length;
    const told = [open(), open()];
    console.log(JSON.stringify([told, readdirSync('/proc/self/fd').length - before]));
  `;
  const [told, left] = JSON.parse(await outputOf({ source }));
  if (told[0] !== 'ERR_INTERNAL_ASSERTION') return t.skip(`no ring: ${told[0]}`);
  deepEqual([told[1], left], ['ERR_INTERNAL_ASSERTION', 0]);
});
