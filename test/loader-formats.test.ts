/**
 * What the loader makes of libraries of the three systems before any is loaded, and of an addon
 * that nobody has run. A file that is cut is told by its headers: dlopen(3) would die of it.
 */
import { equal, match, ok, throws } from 'node:assert/strict';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { faultOfBinary, type Target } from '#holdfast/platform.js';
import { runChild } from './support/child.js';
import { projectRoot, scratch } from './support/scratch.js';

/** A Mach-O library of two segments: headers, and what is linked. */
function machO(machine: number): Buffer {
  const bytes = Buffer.alloc(400);
  bytes.writeUInt32LE(0xfeedfacf, 0);
  bytes.writeUInt32LE(machine, 4);
  bytes.writeUInt32LE(3, 16);
  bytes.writeUInt32LE(72 + 24 + 72, 20);
  const segment = (at: number, offset: number, length: number): void => {
    bytes.writeUInt32LE(0x19, at);
    bytes.writeUInt32LE(72, at + 4);
    bytes.writeBigUInt64LE(BigInt(offset), at + 40);
    bytes.writeBigUInt64LE(BigInt(length), at + 48);
  };
  segment(32, 0, 300);
  bytes.writeUInt32LE(0x1b, 32 + 72);
  bytes.writeUInt32LE(24, 32 + 72 + 4);
  segment(32 + 72 + 24, 300, 100);
  return bytes;
}

/** A PE library of two sections. */
function pe(machine: number): Buffer {
  const bytes = Buffer.alloc(1200);
  bytes.write('MZ', 0, 'latin1');
  bytes.writeUInt32LE(128, 60);
  bytes.write('PE\0\0', 128, 'latin1');
  bytes.writeUInt16LE(machine, 132);
  bytes.writeUInt16LE(2, 134);
  bytes.writeUInt16LE(240, 148);
  const section = (at: number, offset: number, length: number): void => {
    bytes.writeUInt32LE(length, at + 16);
    bytes.writeUInt32LE(offset, at + 20);
  };
  section(128 + 24 + 240, 512, 400);
  section(128 + 24 + 240 + 40, 912, 288);
  return bytes;
}

function elf(machine: number): Buffer {
  const bytes = Buffer.alloc(256);
  bytes.writeUInt32LE(0x464c457f, 0);
  bytes.writeUInt16LE(machine, 18);
  bytes.writeBigUInt64LE(128n, 40);
  bytes.writeUInt16LE(64, 58);
  bytes.writeUInt16LE(2, 60);
  return bytes;
}

interface Sort {
  readonly platform: string;
  readonly made: (machine: number) => Buffer;
  readonly machines: Readonly<Record<string, number>>;
  readonly name: RegExp;
}

const sorts: readonly Sort[] = [
  { platform: 'linux', made: elf, machines: { x64: 62, arm64: 183 }, name: /an ELF file/ },
  {
    platform: 'darwin',
    made: machO,
    machines: { x64: 0x01000007, arm64: 0x0100000c },
    name: /a Mach-O file/,
  },
  { platform: 'win32', made: pe, machines: { x64: 0x8664, arm64: 0xaa64 }, name: /a PE file/ },
];

function faultOf(t: TestContext, bytes: Uint8Array, target: Target): string | undefined {
  const path = join(scratch(t), 'holdfast.node');
  writeFileSync(path, bytes);
  return faultOfBinary(path, target);
}

for (const { platform, made, machines, name } of sorts) {
  describe(`faultOfBinary() on ${platform}`, () => {
    const other = (arch: string): number => machines[arch === 'x64' ? 'arm64' : 'x64'] as number;

    test('has nothing to say of a whole library for this CPU', (t) => {
      for (const [arch, machine] of Object.entries(machines)) {
        equal(faultOf(t, made(machine), { platform, arch }), undefined);
      }
    });

    test('tells a library of another CPU', (t) => {
      const fault = faultOf(t, made(other('x64')), { platform, arch: 'x64' });
      equal(fault, 'the addon is for another CPU than x64');
    });

    test('tells a library cut at any length', (t) => {
      const whole = made(machines.x64 as number);
      const path = join(scratch(t), 'holdfast.node');
      for (let length = 0; length < whole.length; length++) {
        writeFileSync(path, whole.subarray(0, length));
        const fault = faultOfBinary(path, { platform, arch: 'x64' });
        ok(fault !== undefined, `cut at ${length}`);
      }
    });

    test('tells libraries of other systems, and text', (t) => {
      const others = sorts.filter((sort) => sort.platform !== platform);
      const strangers = others.map((sort) => sort.made(sort.machines.x64 as number));
      for (const bytes of [...strangers, Buffer.from('version https://git-lfs'.repeat(40))]) {
        match(faultOf(t, bytes, { platform, arch: 'x64' }) ?? '', name);
      }
    });

    test('is not led astray by headers of noise', (t) => {
      const path = join(scratch(t), 'holdfast.node');
      const whole = made(machines.x64 as number);
      for (let at = 0; at < whole.length; at++) {
        for (const value of [0, 0x7f, 0xff]) {
          const bytes = Buffer.from(whole);
          bytes[at] = value;
          writeFileSync(path, bytes);
          faultOfBinary(path, { platform, arch: 'x64' });
        }
      }
    });
  });
}

test('faultOfBinary() throws what the system says of a file that is not there', (t) => {
  const path = join(scratch(t), 'none');
  throws(() => faultOfBinary(path, { platform: 'linux', arch: 'x64' }), { code: 'ENOENT' });
});

/* Told to be another system, in a process of its own. */
const ELSEWHERE = `
  const [platform, engine] = process.argv.slice(1);
  Object.defineProperty(process, 'platform', { value: platform });
  if (engine === '') delete process.env.HOLDFAST_ENGINE;
  else process.env.HOLDFAST_ENGINE = engine;
  const { defaultEngine } = await import('holdfast');
  const { name, reason, capabilities } = defaultEngine();
  console.log(JSON.stringify({ name, reason, native: capabilities['native-calls'] }));
`;

function packageFor(t: TestContext, platform: string, addon: Buffer): string {
  const directory = scratch(t);
  cpSync(join(projectRoot, 'dist'), join(directory, 'dist'), { recursive: true });
  cpSync(join(projectRoot, 'package.json'), join(directory, 'package.json'));
  const folder = join(directory, 'prebuilds', `${platform}-${process.arch}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'holdfast.node'), addon);
  return directory;
}

describe('an addon that nobody has run', () => {
  const machine = { x64: 0x01000007, arm64: 0x0100000c }[process.arch as 'x64'] ?? 0;
  const run = (directory: string, engine: string) =>
    runChild({ source: ELSEWHERE, args: ['darwin', engine], cwd: directory });

  test('is not taken unasked: the portable engine is, and says why', async (t) => {
    const { code, stdout, stderr } = await run(packageFor(t, 'darwin', machO(machine)), '');
    equal(code, 0, stderr);
    const told = JSON.parse(stdout);
    equal(told.name, 'portable');
    match(told.reason, /compiled and linked, but we have not run it yet/);
    equal(told.native, `the portable engine uses node:fs alone: ${told.reason}`);
  });

  test('is loaded when it is asked for by name', async (t) => {
    const { code, stderr } = await run(packageFor(t, 'darwin', machO(machine)), 'pool');
    equal(code, 1);
    match(stderr, /HOLDFAST_ENGINE.*the addon does not load/s);
  });

  test('is told as cut or as absent, where it is', async (t) => {
    const cut = await run(packageFor(t, 'darwin', machO(machine).subarray(0, 390)), '');
    match(JSON.parse(cut.stdout).reason, /truncated/);
    const none = await run(packageFor(t, 'linux', machO(machine)), '');
    match(JSON.parse(none.stdout).reason, /no addon built for darwin/);
  });
});

test('a system without sources has no addon', async (t) => {
  const directory = packageFor(t, 'aix', Buffer.alloc(0));
  const ended = await runChild({ source: ELSEWHERE, args: ['aix', ''], cwd: directory });
  match(JSON.parse(ended.stdout).reason, /there is no addon for aix/);
});
