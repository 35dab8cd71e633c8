/**
 * The addon for Windows as a file: it compiles without a warning, wants three libraries that every
 * Windows has, gives Node-API's names, may lie anywhere in memory, is the same bytes each time, and
 * speaks the numbers that TypeScript does. What it does is run under Wine (npm run matrix).
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { faultOfBinary } from '#holdfast/platform.js';
import { hasTool } from './support/child.js';
import { projectRoot, scratch } from './support/scratch.js';

const compiler = 'x86_64-w64-mingw32-gcc-posix';
const textOf = (path: string): string => readFileSync(join(projectRoot, path), 'utf8');

interface Section {
  readonly address: number;
  readonly bytes: number;
  readonly offset: number;
}

/** "PE Format", learn.microsoft.com: what of a library can be seen without running it. */
class Library {
  readonly #file: Buffer;
  readonly #optional: number;
  readonly #sections: Section[] = [];

  constructor(file: Buffer) {
    this.#file = file;
    const head = file.readUInt32LE(60);
    this.#optional = head + 24;
    const first = this.#optional + file.readUInt16LE(head + 20);
    for (let index = 0; index < file.readUInt16LE(head + 6); index++) {
      const at = first + index * 40;
      const [address, bytes, offset] = [12, 16, 20].map((field) => file.readUInt32LE(at + field));
      this.#sections.push({ address, bytes, offset } as Section);
    }
  }

  get builtAt(): number {
    return this.#file.readUInt32LE(this.#optional - 16);
  }

  get characteristics(): number {
    return this.#file.readUInt16LE(this.#optional + 70);
  }

  /** The names of the libraries it wants, and of what it takes from each. */
  imports(): Record<string, string[]> {
    const found: Record<string, string[]> = {};
    for (let at = this.#directory(1); this.#number(at + 12) !== 0; at += 20) {
      const names: string[] = [];
      for (let thunk = this.#number(at); this.#number(thunk) !== 0; thunk += 8) {
        names.push(this.#text(this.#number(thunk) + 2));
      }
      found[this.#text(this.#number(at + 12))] = names;
    }
    return found;
  }

  exports(): string[] {
    const at = this.#directory(0);
    const names = this.#number(at + 32);
    return Array.from({ length: this.#number(at + 24) }, (_, index) =>
      this.#text(this.#number(names + index * 4)),
    );
  }

  #directory(index: number): number {
    return this.#file.readUInt32LE(this.#optional + 112 + index * 8);
  }

  #place(address: number): number {
    const section = this.#sections.find((one) => {
      return address >= one.address && address < one.address + one.bytes;
    });
    ok(section !== undefined, `${address} lies in a section`);
    return address - section.address + section.offset;
  }

  #number(address: number): number {
    return this.#file.readUInt32LE(this.#place(address));
  }

  #text(address: number): string {
    const at = this.#place(address);
    return this.#file.toString('latin1', at, this.#file.indexOf(0, at));
  }
}

function lacksCompiler(t: TestContext): boolean {
  if (hasTool(compiler)) return false;
  const why = `${compiler} is not installed: Debian's package gcc-mingw-w64-x86-64-posix has it`;
  t.diagnostic(`NOT TESTED: ${why}`);
  t.skip(why);
  return true;
}

const known = new Map<string, Buffer>();

/** The project's sources elsewhere, built there; once for each name. */
function built(t: TestContext, name = 'built'): Buffer {
  const file = known.get(name) ?? newlyBuilt(t, name);
  known.set(name, file);
  return file;
}

function newlyBuilt(t: TestContext, name: string): Buffer {
  const copy = join(scratch(t), name);
  for (const folder of ['native', 'scripts', 'package.json']) {
    /* The compiler for macOS is 355 MB. */
    const filter = (path: string): boolean => !path.endsWith('node_modules');
    cpSync(join(projectRoot, folder), join(copy, folder), { recursive: true, filter });
  }
  const words = [join(copy, 'scripts/addon.mjs'), '--require', '--target=win32-x64'];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  equal(status, 0, `${stdout}${stderr}`);
  return readFileSync(join(copy, 'prebuilds/win32-x64/holdfast.node'));
}

test('the addon for Windows wants libraries that every Windows has, and nothing of libuv', (t) => {
  if (lacksCompiler(t)) return;
  const imports = new Library(built(t)).imports();
  deepEqual(Object.keys(imports).sort(), ['KERNEL32.dll', 'msvcrt.dll', 'ntdll.dll']);
  const names = Object.values(imports).flat();
  deepEqual(
    names.filter((name) => /^(uv|napi|node)_/.test(name)),
    [],
  );
  ok(names.includes('NtCreateFile') && names.includes('LockFileEx'), 'the names are read');
});

test("the addon for Windows gives Node-API's names alone", (t) => {
  if (lacksCompiler(t)) return;
  deepEqual(new Library(built(t)).exports(), [
    'napi_register_module_v1',
    'node_api_module_get_api_version_v1',
  ]);
});

test('the addon for Windows lies anywhere, runs no data, and passes for an addon', (t) => {
  if (lacksCompiler(t)) return;
  const file = built(t);
  /* HIGH_ENTROPY_VA, DYNAMIC_BASE, NX_COMPAT */
  equal(new Library(file).characteristics & 0x160, 0x160);
  const folder = scratch(t);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'holdfast.node');
  writeFileSync(path, file);
  equal(faultOfBinary(path, { platform: 'win32', arch: 'x64' }), undefined);
  writeFileSync(path, file.subarray(0, -512));
  equal(faultOfBinary(path, { platform: 'win32', arch: 'x64' }), 'the addon is truncated');
});

test('the same sources give the same bytes for Windows, with no time in them', (t) => {
  if (lacksCompiler(t)) return;
  const file = built(t);
  equal(new Library(file).builtAt, 0);
  ok(file.equals(built(t, 'a longer name')));
});

test('native/windows and TypeScript open files by the same flags', () => {
  const inC = textOf('native/windows/opening.c');
  const inTypeScript = textOf('src/platform/linux.ts');
  const pairs = {
    direct: 'O_DIRECT_IO',
    directory: 'O_OF_DIRECTORY',
    noFollow: 'O_NOT_FOLLOWED',
  };
  for (const [name, macro] of Object.entries(pairs)) {
    const here = new RegExp(`${name}: (0x[0-9a-f]+)`).exec(inTypeScript)?.[1];
    const there = new RegExp(`#define ${macro} (0x[0-9a-f]+)`).exec(inC)?.[1];
    ok(here !== undefined, name);
    equal(there, here, name);
  }
});
