/** updateJson on what is not JSON: told with its place, and left as it is. */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { IoError, updateJsonSync } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { onBothFaces } from './update/worlds.js';

/* Witness: JSON.parse of Node 20 names no position for short texts. */
const broken: readonly (readonly [string, number, RegExp])[] = [
  ['', 0, /it is empty, not JSON/],
  ['{"a":1', 6, /at byte 6 \(line 1, column 7, where it ends\)/],
  ['{"a":1}}', 7, /at byte 7 \(line 1, column 8\)/],
  ['{\n  "a": 1,\n}', 12, /at byte 12 \(line 3, column 1\)/],
  ['[1, 2,, 3]', 6, /byte 6/],
  ['{"ä": tru}', 7, /byte 7 \(line 1, column 7\)/],
  ['{"a" 1}', 5, /byte 5/],
  ['{a: 1}', 1, /byte 1/],
  ['["\\x"]', 2, /byte 2/],
  ['"line\nfeed"', 5, /byte 5/],
  ['01', 1, /byte 1/],
  ['[1.]', 2, /byte 2/],
  ['"open', 5, /where it ends/],
  ['\ufeff[', 4, /byte 4/],
  ['nul\0', 0, /byte 0/],
  ['\0\0\0\0', 0, /byte 0/],
];

onBothFaces('updateJson() tells where a file is not JSON, and leaves it', async (_, world) => {
  const { path } = world;
  let calls = 0;
  for (const [content, offset, words] of broken) {
    writeFileSync(path, content);
    throws(() => JSON.parse(content.replace('\ufeff', '')), SyntaxError);
    const error = await world.json(() => calls++).catch((refused: unknown) => refused);
    ok(error instanceof IoError, `${error}`);
    deepEqual([error.code, error.kind, error.path], ['ERR_INVALID_JSON', 'corrupt', path]);
    deepEqual([error.offset, error.durable], [offset, 'old'], JSON.stringify(content));
    match(error.message, words);
    equal(readFileSync(path, 'utf8'), content);
  }
  writeFileSync(path, Buffer.from([0x22, 0x61, 0xff, 0x22]));
  await rejects(
    world.json(() => calls++),
    { kind: 'corrupt', offset: 2, message: /UTF-8 at byte 2/ },
  );
  equal(calls, 0);
});

test('the place told is where JSON.parse gives up, whatever the text', async (t) => {
  const seed = Number(process.env.HOLDFAST_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`HOLDFAST_SEED=${seed}`);
  let state = seed;
  const below = (bound: number): number => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * bound);
  };
  const value = { a: [1, -2.5e3, 'x\\"y', null, true], b: { '': {}, c: [[], 'é'] }, d: false };
  const whole = JSON.stringify(value, undefined, 1);
  const disk = simulatedDisk(seed);
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const at = below(whole.length);
    const put = '{}[],:"\\x 0-1.etn\n'[below(18)] as string;
    const content = whole.slice(0, at) + put + whole.slice(at + below(3));
    let isJson = true;
    try {
      JSON.parse(content);
    } catch {
      isJson = false;
    }
    disk.put('/s', content);
    const error = told(() => updateJsonSync('/s', (old) => old, { engine: disk.engine }));
    equal(error === undefined, isJson, JSON.stringify(content));
    if (error === undefined) continue;
    refused++;
    /* What comes before can be gone on with; with what stands there it cannot. */
    const offset = error.offset as number;
    const start = Buffer.from(content).subarray(0, offset).toString('utf8');
    ok(start.length <= content.length && offset >= 0, JSON.stringify([content, offset]));
    ok(isBeginning(start), JSON.stringify([content, start]));
  }
  ok(refused > 500);
});

function told(work: () => unknown): IoError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof IoError) return error;
    throw error;
  }
}

/** Whether some text that begins so is JSON: by closing what is open. */
function isBeginning(start: string): boolean {
  const open: string[] = [];
  let isText = false;
  for (let at = 0; at < start.length; at++) {
    const one = start[at] as string;
    if (isText && one === '\\') at++;
    else if (one === '"') isText = !isText;
    else if (!isText && (one === '{' || one === '[')) open.push(one === '{' ? '}' : ']');
    else if (!isText && (one === '}' || one === ']')) open.pop();
  }
  const close = open.reverse().join('');
  const tries = isText
    ? ['"', '":1', 'n"', 'n":1', '000"']
    : ['', '1', '"a":1', ':1', 'rue', 'ue', 'e', 'ull', 'll', 'l', 'alse', 'lse', 'se', '0', ',1'];
  return tries.some((added) => {
    try {
      JSON.parse(start + added + close);
      return true;
    } catch {
      return false;
    }
  });
}
