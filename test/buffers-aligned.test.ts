/** Aligned memory: where it begins, who holds it, what is told of those who let it go. */
import { deepEqual, equal, match, notEqual, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { AlignedPool, alignedBuffer, IoError, isAligned, type Lease } from 'holdfast';
import { addressOf } from '#holdfast/platform.js';
import { outputOf, runChild } from './support/child.js';

const outOfRange = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const hasAddon = addressOf(new Uint8Array(1)) !== undefined;
const noAddon = hasAddon ? false : 'needs the addon: nothing else tells an address';

const refusedAs =
  (code: string, kind: string) =>
  (error: unknown): boolean =>
    error instanceof IoError && error.code === code && error.kind === kind;

test('alignedBuffer() begins at a multiple of its alignment', { skip: noAddon }, () => {
  for (const alignment of [1, 2, 16, 512, 4096, 65536, 2 ** 21]) {
    for (const length of [0, 1, 511, 4096, 100_001]) {
      for (let round = 0; round < 8; round++) {
        const buffer = alignedBuffer(length, alignment);
        equal((addressOf(buffer) as number) % alignment, 0, `${length} at ${alignment}`);
        equal(buffer.length, length);
        equal(isAligned(buffer, alignment), true);
      }
    }
  }
});

test('alignedBuffer() is zeroed and 4096 by default', () => {
  const buffer = alignedBuffer(10_000);
  ok(buffer.every((byte) => byte === 0));
  equal(isAligned(buffer, 4096), true);
});

test('isAligned() tells a view that begins off its alignment', () => {
  const buffer = alignedBuffer(8192);
  equal(isAligned(buffer.subarray(512), 4096), false);
  equal(isAligned(buffer.subarray(512), 512), true);
  equal(isAligned(new DataView(buffer.buffer, buffer.byteOffset + 1), 2), false);
});

test('alignedBuffer() and isAligned() refuse lengths and alignments that are none', () => {
  for (const length of [-1, 1.5, Number.NaN, 2 ** 53]) {
    throws(() => alignedBuffer(length), { ...outOfRange, message: /"length"/ });
  }
  throws(() => alignedBuffer('1' as never), wrongType);
  for (const alignment of [0, -4096, 3, 1.5, 4095, Number.NaN, 2 ** 31]) {
    throws(() => alignedBuffer(1, alignment), { ...outOfRange, message: /"alignment"/ });
    throws(() => isAligned(new Uint8Array(1), alignment), outOfRange);
  }
  throws(() => alignedBuffer(1, '512' as never), wrongType);
  throws(() => isAligned(new ArrayBuffer(1) as never, 1), wrongType);
});

test('alignedBuffer() larger than memory can be is an IoError', () => {
  throws(() => alignedBuffer(2 ** 50), refusedAs('ENOMEM', 'limit'));
});

const blind = `
  import { deepEqual, equal } from 'node:assert/strict';
  import { AlignedPool, alignedBuffer, defaultEngine, isAligned } from 'holdfast';
  equal(defaultEngine().name, 'portable');
`;

test('alignedBuffer() without the addon promises pages and tells what it knows', async () => {
  await outputOf({
    nodeArgs: ['--no-addons'],
    source: `${blind}
      for (const alignment of [512, 4096]) {
        equal(isAligned(alignedBuffer(100_000, alignment), alignment), true);
        const pool = new AlignedPool({ bufferBytes: 1000, alignment });
        for (let count = 0; count < 20; count++) {
          equal(isAligned(pool.lease().bytes, alignment), true);
        }
      }
      equal(isAligned(alignedBuffer(512).subarray(1), 512), false);
      equal(isAligned(alignedBuffer(10, 65536), 65536), undefined);
      equal(isAligned(new Uint8Array(10), 4096), undefined);
    `,
  });
});

test('alignedBuffer() without addon and WebAssembly knows nothing, and works', async () => {
  await outputOf({
    nodeArgs: ['--no-addons', '--jitless'],
    source: `${blind}
      const buffer = alignedBuffer(100_000);
      equal(buffer.length, 100_000);
      equal(isAligned(buffer, 4096), undefined);
      const { bytes } = new AlignedPool({ bufferBytes: 1000 }).lease();
      deepEqual([bytes.length, isAligned(bytes, 512)], [1000, undefined]);
    `,
  });
});

/* A process limited in its address space has no WebAssembly memories, which reserve gigabytes. */
test('AlignedPool is aligned where the address space is limited', { skip: noAddon }, async () => {
  await outputOf({
    limits: { addressSpaceBytes: 4e9 },
    source: `
      import { equal } from 'node:assert/strict';
      import { AlignedPool, isAligned } from 'holdfast';
      const pool = new AlignedPool({ bufferBytes: 5000, alignment: 8192 });
      for (let count = 0; count < 40; count++) equal(isAligned(pool.lease().bytes, 8192), true);
    `,
  });
});

/* ------------------------------------------------------------------------------------- pool */

test('AlignedPool leases aligned buffers that share no aligned piece', { skip: noAddon }, () => {
  for (const alignment of [512, 4096, 65536]) {
    const pool = new AlignedPool({ bufferBytes: 5000, count: 4, alignment });
    const places = new Set<number>();
    for (let count = 0; count < 10; count++) {
      const { bytes } = pool.lease();
      const address = addressOf(bytes) as number;
      equal(address % alignment, 0);
      equal(bytes.length, 5000);
      for (let place = address; place < address + 5000; place += alignment) {
        ok(!places.has(place), 'a piece belongs to one lease');
        places.add(place);
      }
    }
  }
});

test('AlignedPool grows by its count up to countMax, then refuses', () => {
  const pool = new AlignedPool({ bufferBytes: 512, count: 2, countMax: 5 });
  const leases: Lease[] = [];
  const counts: number[] = [];
  for (let count = 0; count < 5; count++) {
    leases.push(pool.lease());
    counts.push(pool.count);
  }
  deepEqual(counts, [2, 2, 4, 4, 5]);
  equal(pool.leasedCount, 5);
  equal(pool.tryLease(), undefined);
  throws(() => pool.lease(), refusedAs('ENOMEM', 'limit'));
  leases[2]?.release();
  equal(pool.leasedCount, 4);
  notEqual(pool.tryLease(), undefined);
});

test('lease.release() twice gives the buffer back once', () => {
  const pool = new AlignedPool({ bufferBytes: 512, count: 1, countMax: 1 });
  const first = pool.lease();
  first.release();
  const second = pool.lease();
  first.release();
  equal(pool.tryLease(), undefined);
  equal(second.isHeld, true);
});

test('lease.bytes after the release is an IoError of kind closed', () => {
  const lease = new AlignedPool({ bufferBytes: 512 }).lease();
  equal(lease.bytes.length, 512);
  lease.release();
  equal(lease.isHeld, false);
  throws(() => lease.bytes, refusedAs('ERR_LEASE_RELEASED', 'closed'));
});

test('lease[Symbol.dispose]() releases', () => {
  const pool = new AlignedPool({ bufferBytes: 512 });
  {
    using lease = pool.lease();
    equal(lease.bytes.length, 512);
    equal(pool.leasedCount, 1);
  }
  equal(pool.leasedCount, 0);
});

test('the memory of a pool cannot be transferred away', () => {
  const { bytes } = new AlignedPool({ bufferBytes: 512 }).lease();
  const memory = bytes.buffer as ArrayBuffer & { transfer?: () => unknown };
  for (const take of [
    () => structuredClone(memory, { transfer: [memory] }),
    () => memory.transfer?.(),
  ]) {
    try {
      take();
    } catch {
      // Node 22 and later refuse, Node 20 copies.
    }
    equal(bytes.length, 512);
  }
});

test('AlignedPool refuses options that are none, and names them', () => {
  const pool = (options: object) => () => new AlignedPool(options as never);
  throws(pool({}), { ...wrongType, message: /options\.bufferBytes/ });
  throws(pool({ bufferBytes: 0 }), { ...outOfRange, message: /options\.bufferBytes/ });
  throws(pool({ bufferBytes: 1, alignment: 3 }), { ...outOfRange, message: /options\.alignment/ });
  throws(pool({ bufferBytes: 1, count: 0 }), { ...outOfRange, message: /options\.count/ });
  throws(pool({ bufferBytes: 1, count: 2, countMax: 1 }), { message: /options\.countMax/ });
  throws(pool({ bufferBytes: 1, debug: 1 }), { ...wrongType, message: /options\.debug/ });
  throws(() => new AlignedPool(undefined as never), wrongType);
  throws(pool({ bufferBytes: 2 ** 48 }), refusedAs('ENOMEM', 'limit'));
});

/* ------------------------------------------------------------------------------------ debug */

const dropping = (debug: boolean): string => `
  import { setImmediate as turn } from 'node:timers/promises';
  import { AlignedPool } from 'holdfast';
  process.on('warning', ({ name, code, message }) => console.log(name, code, message));
  let pool = new AlignedPool({ bufferBytes: 4096, debug: ${debug} });
  function forgetful() {
    pool.lease();
    pool.lease().release();
  }
  forgetful();
  pool = undefined;
  for (let round = 0; round < 20; round++) {
    globalThis.gc();
    await turn();
  }
  process.exit(0);
`;

test('AlignedPool tells once of a lease that was dropped, in its debug mode', async () => {
  const nodeArgs = ['--expose-gc', '--no-warnings'];
  const told = await outputOf({ nodeArgs, source: dropping(true) });
  equal(told.match(/HOLDFAST_LEASE_DROPPED/g)?.length, 1, told);
  match(told, /HoldfastWarning HOLDFAST_LEASE_DROPPED A lease of 4096 bytes/);
  match(told, /at forgetful/);
  equal(await outputOf({ nodeArgs, source: dropping(false) }), '');
});

test('AlignedPool tells of a buffer written after its release, in its debug mode', async () => {
  const { stderr, code } = await runChild({
    source: `
      import { AlignedPool } from 'holdfast';
      const pool = new AlignedPool({ bufferBytes: 64, count: 1, debug: true });
      const lease = pool.lease();
      const { bytes } = lease;
      bytes.fill(1);
      lease.release();
      pool.lease().release();
      bytes[5] = 1;
      pool.lease();
    `,
  });
  equal(code, 0);
  equal(stderr.match(/HOLDFAST_LEASE_WRITTEN/g)?.length, 1, stderr);
  match(stderr, /64 bytes was written after its release, at byte 5/);
});
