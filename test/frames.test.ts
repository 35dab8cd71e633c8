/** The bytes of a journal: that no bit of them can change unnoticed. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeHead,
  decodeMark,
  encodeHead,
  encodeMark,
  FRAME_HEAD_BYTES,
  FrameFlag,
  FrameHead,
  frameBytes,
  isPayloadWhole,
  nameKind,
  PAGE_BYTES,
  padding,
  putFrame,
  RECORD_BYTES_MAX,
  type SegmentHead,
  seal,
  sealHere,
  seedOf,
  segmentName,
} from '#holdfast/frames.js';

const head: SegmentHead = {
  flags: 0,
  journal: '0011223344556677',
  epoch: '8899aabbccddeeff',
  firstLsn: 2 ** 40 + 8,
  epochBefore: '0123456789abcdef',
  trimLsn: 2 ** 33,
  capacityBytes: 67108864,
};

interface Frames {
  readonly memory: Uint8Array;
  readonly words: DataView;
  readonly starts: readonly number[];
  readonly end: number;
}

/** Frames of records, from `lsn` on. */
function framesOf(records: readonly Uint8Array[], lsn: number, seed: number): Frames {
  let bytes = 16;
  for (const { length } of records) bytes += frameBytes(length);
  const memory = new Uint8Array(bytes).fill(0xee);
  const words = new DataView(memory.buffer);
  const starts: number[] = [];
  let end = 0;
  for (const record of records) {
    starts.push(end);
    end = putFrame(memory, words, end, { views: [record], byteLength: record.length }, 0);
  }
  seal({ memory, words, start: 0, end, firstLsn: lsn, syncedEndLsn: lsn - 800, seed });
  return { memory, words, starts, end };
}

function isWhole({ memory, words }: Frames, at: number, lsn: number, seed: number): boolean {
  const frame = new FrameHead();
  if (frame.read(words, at, lsn, seed) !== undefined) return false;
  return at + frameBytes(frame.length) <= memory.length && isPayloadWhole(memory, at, frame);
}

test('encodeHead() and decodeHead() agree', () => {
  const page = new Uint8Array(PAGE_BYTES);
  encodeHead(head, page);
  deepEqual(decodeHead(page), head);
  equal(decodeHead(page.subarray(0, 100)), 'short');
  equal(decodeHead(new Uint8Array(PAGE_BYTES)), 'empty');
});

test('encodeMark() and decodeMark() agree, for one epoch', () => {
  const page = new Uint8Array(PAGE_BYTES);
  const mark = { trimLsn: 8, closedLsn: 2 ** 45, lastLsn: 2 ** 45 - 24, isFollowed: true };
  encodeMark(mark, head.epoch, page);
  deepEqual(decodeMark(page, head.epoch), mark);
  equal(decodeMark(page, head.journal), 'empty');
});

test('a bit turned over anywhere in a header or a mark is seen', () => {
  for (const encode of ['head', 'mark']) {
    const page = new Uint8Array(PAGE_BYTES);
    const mark = { trimLsn: 8, closedLsn: 160, lastLsn: 100, isFollowed: false };
    if (encode === 'head') encodeHead(head, page);
    else encodeMark(mark, head.epoch, page);
    for (let bit = 0; bit < 8 * PAGE_BYTES; bit++) {
      turn(page, bit);
      const found = encode === 'head' ? decodeHead(page) : decodeMark(page, head.epoch);
      ok(typeof found === 'string', `${encode}: bit ${bit} went unseen`);
      turn(page, bit);
    }
  }
});

function turn(memory: Uint8Array, bit: number): void {
  memory[bit >> 3] = (memory[bit >> 3] as number) ^ (1 << (bit & 7));
}

test('a bit turned over anywhere in a megabyte of frames is seen', { timeout: 100_000 }, () => {
  const seed = seedOf(head);
  const records: Uint8Array[] = [];
  for (let bytes = 0; bytes < 1_100_000; ) {
    const length = records.length % 37 === 0 ? 1000 : (records.length * 7) % 131;
    records.push(new Uint8Array(length).fill(records.length));
    bytes += frameBytes(length);
  }
  const frames = framesOf(records, head.firstLsn, seed);
  let flips = 0;
  for (const [index, start] of frames.starts.entries()) {
    const lsn = head.firstLsn + start;
    ok(isWhole(frames, start, lsn, seed));
    const end = frames.starts[index + 1] ?? frames.end;
    for (let bit = 8 * start; bit < 8 * end; bit++, flips++) {
      turn(frames.memory, bit);
      if (isWhole(frames, start, lsn, seed)) ok(false, `bit ${bit} went unseen`);
      turn(frames.memory, bit);
    }
  }
  ok(flips > 8 * 1_000_000);
});

test('a frame is whole at its own LSN, in its own segment, and nowhere else', () => {
  const seed = seedOf(head);
  const frames = framesOf([new Uint8Array(50)], head.firstLsn, seed);
  ok(isWhole(frames, 0, head.firstLsn, seed));
  for (let power = 3; power < 50; power++) {
    ok(!isWhole(frames, 0, head.firstLsn + 2 ** power, seed), `2^${power} further on`);
  }
  for (const other of ['8899aabbccddeefe', '0899aabbccddeeff']) {
    ok(!isWhole(frames, 0, head.firstLsn, seedOf({ ...head, epoch: other })));
    ok(!isWhole(frames, 0, head.firstLsn, seedOf({ ...head, journal: other })));
  }
});

test('frames cost at most 24 bytes each, and begin at multiples of 8', () => {
  for (let length = 0; length < 100; length++) {
    ok(frameBytes(length) - length < 24);
    equal(frameBytes(length) % 8, 0);
    equal(frameBytes(length), FRAME_HEAD_BYTES + length + padding(length));
  }
  equal(frameBytes(RECORD_BYTES_MAX), 2 ** 28 + 16);
});

test('frames tell their flags, and how far what is not durable reaches back', () => {
  const seed = seedOf(head);
  const { memory, words } = framesOf([new Uint8Array(10)], head.firstLsn, seed);
  const frame = new FrameHead();
  equal(frame.read(words, 0, head.firstLsn, seed), undefined);
  equal(frame.durableLsn, head.firstLsn - 800);
  equal(frame.isContinued, false);
  words.setUint32(0, 10 | FrameFlag.Continues, true);
  const syncedEndLsn = head.firstLsn - 2 ** 35;
  seal({ memory, words, start: 0, end: 32, firstLsn: head.firstLsn, syncedEndLsn, seed });
  equal(frame.read(words, 0, head.firstLsn, seed), undefined);
  equal(frame.durableLsn, -1);
  equal(frame.isContinued, true);
});

test('records of any kind come back from their frames', () => {
  const seed = seedOf(head);
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 20 }), (records) => {
      const frames = framesOf(records, 8, seed);
      const frame = new FrameHead();
      for (const [index, start] of frames.starts.entries()) {
        equal(frame.read(frames.words, start, 8 + start, seed), undefined);
        ok(isPayloadWhole(frames.memory, start, frame));
        const payload = start + FRAME_HEAD_BYTES;
        deepEqual(frames.memory.slice(payload, payload + frame.length), records[index]);
      }
    }),
  );
});

test('seal() is the same by the addon as in JavaScript', () => {
  const seed = seedOf(head);
  const lengths = fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 30 });
  const lsns = fc.bigInt({ min: 1n, max: 2n ** 50n }).map((lsn) => Number(lsn) * 8);
  fc.assert(
    fc.property(lengths, lsns, fc.nat({ max: 2 ** 26 }), (all, firstLsn, back) => {
      const records = all.map((length, index) => new Uint8Array(length).fill(index));
      const { memory, words, end } = framesOf(records, firstLsn, seed);
      const syncedEndLsn = Math.max(0, firstLsn - 8 * back);
      const unsealed = { memory, words, start: 0, end, firstLsn, syncedEndLsn, seed };
      seal(unsealed);
      const one = memory.slice();
      sealHere(unsealed);
      deepEqual(memory, one);
    }),
  );
});

test('names are told apart', () => {
  equal(nameKind(segmentName(2 ** 53 - 8)), 'segment');
  equal(nameKind('0000000000000008.segment~'), 'stranger');
  equal(nameKind('8.segment'), 'stranger');
  equal(nameKind('torn-0000000000000008-1.bytes'), 'kept');
  equal(nameKind('journal.lock'), 'lock');
});
