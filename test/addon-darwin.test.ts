/**
 * The addon for macOS as a file. Nobody here can run it, so what can be said of it without is: it
 * compiles and links for both processors, wants nothing that macOS has not, gives what Node-API
 * asks for, is signed where that is demanded, and is the same bytes each time.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { faultOfBinary } from '#holdfast/platform.js';
import { projectRoot, scratch } from './support/scratch.js';

const zigFolder = join(projectRoot, 'scripts/zig/node_modules');
const zigHome = join(zigFolder, '@oven', `zig-${process.platform}-${process.arch}`);
const arches = ['x64', 'arm64'] as const;

/** mach-o/loader.h */
const LC = {
  symtab: 2,
  loadLibrary: 0xc,
  id: 0xd,
  signature: 0x1d,
  build: 0x32,
  info: 0x80000022,
} as const;

interface Command {
  readonly kind: number;
  readonly bytes: Buffer;
}

function commandsOf(file: Buffer): Command[] {
  const commands: Command[] = [];
  for (let at = 32; commands.length < file.readUInt32LE(16); ) {
    const length = file.readUInt32LE(at + 4);
    commands.push({ kind: file.readUInt32LE(at), bytes: file.subarray(at, at + length) });
    at += length;
  }
  return commands;
}

const ofKind = (file: Buffer, kind: number): Buffer[] =>
  commandsOf(file)
    .filter((command) => command.kind === kind)
    .map(({ bytes }) => bytes);

const textAt = (bytes: Buffer, at: number): string =>
  bytes.toString('latin1', at, bytes.indexOf(0, at));

interface Symbols {
  readonly wanted: string[];
  /** Of those: looked for in whatever is loaded already. */
  readonly anywhere: string[];
  /** Seen by whoever loads it, by the table of symbols: where they are. */
  readonly given: Map<string, number>;
  /** All that it has names for. */
  readonly named: string[];
}

function symbolsOf(file: Buffer): Symbols {
  const [table] = ofKind(file, LC.symtab) as [Buffer];
  const [first, count] = [table.readUInt32LE(8), table.readUInt32LE(12)];
  const symbols: Symbols = { wanted: [], anywhere: [], given: new Map(), named: [] };
  for (let index = 0; index < count; index++) {
    const at = first + index * 16;
    const name = textAt(file, table.readUInt32LE(16) + file.readUInt32LE(at));
    const [type = 0, description = 0] = [file[at + 4], file.readUInt16LE(at + 6)];
    if ((type & 0xe0) !== 0) continue;
    if (name !== '') symbols.named.push(name);
    if ((type & 0x0e) === 0) {
      symbols.wanted.push(name);
      if (description >> 8 === 0xfe) symbols.anywhere.push(name);
    } else if ((type & 0x11) === 0x01) {
      symbols.given.set(name, Number(file.readBigUInt64LE(at + 8)));
    }
  }
  return symbols;
}

/** The trie of exports, walked as dyld(1) walks it: names, and where they are. */
function exportsOf(file: Buffer): Map<string, number> {
  const [info] = ofKind(file, LC.info) as [Buffer];
  const trie = file.subarray(info.readUInt32LE(40), info.readUInt32LE(40) + info.readUInt32LE(44));
  const found = new Map<string, number>();
  let at = 0;
  const uleb = (): number => {
    let number = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = trie.readUInt8(at++);
      number += (byte & 0x7f) * factor;
      if (byte < 0x80) return number;
    }
  };
  const walk = (node: number, prefix: string): void => {
    at = node;
    const bytes = uleb();
    const edges = at + bytes;
    if (bytes > 0) {
      equal(uleb(), 0, 'an ordinary export');
      found.set(prefix, uleb());
      equal(at, edges, 'as long as it says');
    }
    let next = edges + 1;
    for (let count = trie.readUInt8(edges); count > 0; count--) {
      const letters = textAt(trie, next);
      at = next + letters.length + 1;
      const child = uleb();
      next = at;
      walk(child, prefix + letters);
    }
  };
  walk(0, '');
  return found;
}

const files = new Map<string, Buffer>();

/** The addon, built once, or a skip that is heard. */
function built(t: TestContext, arch: string): Buffer | undefined {
  if (!existsSync(zigHome)) {
    const why = 'zig is not installed: npm ci --prefix scripts/zig';
    t.diagnostic(`NOT TESTED for darwin-${arch}: ${why}`);
    t.skip(why);
    return undefined;
  }
  const file = files.get(arch) ?? builtIn(t, arch, 'built');
  files.set(arch, file);
  return file;
}

/** The project's sources elsewhere, and the addon that is built there. */
function builtIn(t: TestContext, arch: string, name: string): Buffer {
  const copy = join(scratch(t), name);
  for (const folder of ['native', 'scripts', 'package.json']) {
    cpSync(join(projectRoot, folder), join(copy, folder), {
      recursive: true,
      filter: (path) => !path.includes('node_modules'),
    });
  }
  symlinkSync(zigFolder, join(copy, 'scripts/zig/node_modules'));
  const words = [join(copy, 'scripts/addon.mjs'), '--require', `--target=darwin-${arch}`];
  const options = { encoding: 'utf8', timeout: 100_000 } as const;
  const { status, stderr, stdout } = spawnSync(process.execPath, words, options);
  equal(status, 0, `${stderr}${stdout}`);
  equal(stderr.includes('warning'), false, stderr);
  const path = join(copy, `prebuilds/darwin-${arch}/holdfast.node`);
  equal(faultOfBinary(path, { platform: 'darwin', arch }), undefined);
  return readFileSync(path);
}

/* The names of the C library as the linker's stub of it has them, by what links against it. */
function namesOfMacos(): Set<string> {
  const stub = readFileSync(join(zigHome, 'lib/libc/darwin/libSystem.tbd'), 'latin1');
  return new Set(stub.match(/[_A-Za-z][\w$]*/g));
}

for (const arch of arches) {
  test(`the addon for macOS on ${arch} wants what macOS and Node have`, (t) => {
    const file = built(t, arch);
    if (file === undefined) return;
    const libraries = ofKind(file, LC.loadLibrary).map((bytes) => textAt(bytes, 24));
    deepEqual(libraries, ['/usr/lib/libSystem.B.dylib']);
    const { wanted, anywhere } = symbolsOf(file);
    const isNode = (name: string): boolean => name.startsWith('_napi_');
    ok(wanted.includes('_napi_create_function') && wanted.includes('_pwritev'));
    deepEqual(
      anywhere.filter((name) => !isNode(name)),
      [],
    );
    deepEqual(
      wanted.filter((name) => isNode(name) && !anywhere.includes(name)),
      [],
    );
    const known = namesOfMacos();
    ok(known.has('_preadv') && !known.has('_pwritev2'), 'the list is one of macOS');
    deepEqual(
      wanted.filter((name) => !isNode(name) && !known.has(name)),
      [],
    );
    deepEqual(
      wanted.filter((name) => /^_(uv_|io_uring|eventfd|fdatasync|__.*_chk$)/.test(name)),
      [],
    );
    ok(wanted.includes('___stack_chk_fail'), 'it is hardened');
  });

  test(`the addon for macOS on ${arch} gives Node-API its names, and is for macOS 11 on`, (t) => {
    const file = built(t, arch);
    if (file === undefined) return;
    const { given, named, wanted } = symbolsOf(file);
    deepEqual([...given.keys()].sort(), [
      '_napi_register_module_v1',
      '_node_api_module_get_api_version_v1',
    ]);
    deepEqual(exportsOf(file), given, 'dyld finds the same by the trie');
    equal(named.length, wanted.length + given.size, 'nothing else is called by a name');
    const [build] = ofKind(file, LC.build) as [Buffer];
    equal(build.readUInt32LE(8), 1, 'PLATFORM_MACOS');
    equal(build.readUInt32LE(12), 11 << 16);
    const [id] = ofKind(file, LC.id) as [Buffer];
    equal(textAt(id, 24), '@rpath/holdfast.node');
    equal(file.includes(projectRoot), false, 'no path of this machine');
  });

  test(`the addon for macOS on ${arch} is the same bytes, wherever it is compiled`, (t) => {
    const one = built(t, arch);
    if (one === undefined) return;
    ok(one.equals(builtIn(t, arch, 'a longer name')));
  });
}

/* Without a signature, if only one of its own, the kernel of an arm64 Mac ends whoever loads it. */
test('the addon for macOS on arm64 is signed, every page of it', (t) => {
  const file = built(t, 'arm64');
  if (file === undefined) return;
  const [command] = ofKind(file, LC.signature) as [Buffer];
  equal(ofKind(file, LC.signature).length, 1);
  const blob = file.subarray(command.readUInt32LE(8));
  equal(blob.readUInt32BE(0), 0xfade0cc0, 'CSMAGIC_EMBEDDED_SIGNATURE');
  const directory = blob.subarray(blob.readUInt32BE(16));
  equal(directory.readUInt32BE(0), 0xfade0c02, 'CSMAGIC_CODEDIRECTORY');
  equal(directory.readUInt32BE(12) & 2, 2, 'CS_ADHOC');
  const [slots, codeEnd] = [directory.readUInt32BE(28), directory.readUInt32BE(32)];
  const [hashBytes, hashType] = [directory[36] as number, directory[37]];
  equal(hashType, 2, 'SHA-256');
  equal(codeEnd, command.readUInt32LE(8), 'what is signed is all but the signature');
  const pageBytes = 2 ** (directory[39] as number);
  equal(slots, Math.ceil(codeEnd / pageBytes));
  for (let slot = 0; slot < slots; slot++) {
    const page = file.subarray(slot * pageBytes, Math.min((slot + 1) * pageBytes, codeEnd));
    const at = directory.readUInt32BE(16) + slot * hashBytes;
    const expected = directory.subarray(at, at + hashBytes);
    ok(createHash('sha256').update(page).digest().equals(expected), `page ${slot}`);
  }
});
