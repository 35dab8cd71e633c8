/**
 * The house keeps its shape: layers, sizes, words, comments. Each rule is tried on the project and
 * on planted violations, so that a rule that has gone blind is noticed. The shape itself is data,
 * in tidy/house.ts.
 */
import { deepEqual, match, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { doorsHaveHeads, publicHasDocstrings } from './tidy/documents.js';
import { exportsAreImported } from './tidy/exports.js';
import {
  builtinsStayBelow,
  foldersArePrivate,
  indexOnlyExports,
  noClockAbovePlatform,
  ranksHold,
} from './tidy/layers.js';
import {
  cFunctionsAreShort,
  filesAreShort,
  functionsAreShort,
  linesAreShort,
} from './tidy/sizes.js';
import { printed, type Rule, sourceOf } from './tidy/source.js';
import { readSources, root } from './tidy/tree.js';
import { noAny, noDefaultExport, noMarkers, vocabularyHolds, wordsOf } from './tidy/words.js';

type Files = Readonly<Record<string, string>>;

interface Planted {
  readonly rule: Rule;
  /** Each must be reported, with these words. */
  readonly violations: readonly (readonly [Files, RegExp])[];
  /** Each must not be reported. */
  readonly innocent: readonly Files[];
}

const sources = readSources();

function findingsIn(rule: Rule, files: Files): string[] {
  return rule(Object.entries(files).map(([path, text]) => sourceOf(path, text))).map(printed);
}

function keeps(name: string, { rule, violations, innocent }: Planted): void {
  test(`the project keeps: ${name}`, () => {
    deepEqual(rule(sources).map(printed), []);
  });
  test(`a violation is noticed: ${name}`, () => {
    for (const [files, says] of violations) {
      match(findingsIn(rule, files).join('\n'), says, JSON.stringify(files));
    }
    for (const files of innocent) deepEqual(findingsIn(rule, files), []);
  });
}

const lines = (count: number): string => '  f();\n'.repeat(count);

keeps('a room imports only rooms of lower rank', {
  rule: ranksHold,
  violations: [
    [{ 'src/bytes.ts': "import { x } from './buffers.js';" }, /bytes.*may not import buffers/],
    [{ 'src/replace.ts': "import { x } from './journal.js';" }, /replace.*may not import journal/],
    [{ 'src/file/open.ts': "import { x } from '../lock.js';" }, /file.*may not import lock/],
    [{ 'src/file/open.ts': "import { x } from '../file.js';" }, /file.*may not import file/],
    [{ 'src/bytes.ts': "import type { X } from './buffers.js';" }, /may not import buffers/],
    [{ 'src/bytes.ts': "let x: import('./buffers.js').X;" }, /may not import buffers/],
    [{ 'src/bytes.ts': "const x = await import('./buffers.js');" }, /may not import buffers/],
    [{ 'src/bytes.ts': "export { x } from './buffers.js';" }, /may not import buffers/],
    [{ 'src/parlour.ts': '' }, /room parlour has no rank/],
    [{ 'src/file.ts': "import { x } from '../test/support/x.js';" }, /no file of src/],
  ],
  innocent: [
    { 'src/file.ts': "import { x } from './engine.js';\nimport { y } from './file/open.js';" },
    { 'src/file/open.ts': "import { x } from './latch.js';\nimport { y } from '../engine.js';" },
  ],
});

keeps('a private folder is imported only by its door and from inside', {
  rule: foldersArePrivate,
  violations: [
    [{ 'src/file.ts': "import { x } from './engine/rows.js';" }, /private to src\/engine\.ts/],
    [{ 'src/file/open.ts': "import { x } from '../engine/rows.js';" }, /private/],
    [{ 'src/file.ts': "import type { X } from './engine/rows.js';" }, /private/],
  ],
  innocent: [
    { 'src/engine.ts': "import { x } from './engine/rows.js';" },
    { 'src/engine/ring.ts': "import { x } from './rows.js';" },
  ],
});

keeps('only platform and engine import builtins, nobody imports a package', {
  rule: builtinsStayBelow,
  violations: [
    [{ 'src/file.ts': "import { open } from 'node:fs';" }, /node:fs is for platform and engine/],
    [{ 'src/file/open.ts': "import type { Stats } from 'node:fs';" }, /node:fs/],
    [{ 'src/journal.ts': "const { createHash } = await import('node:crypto');" }, /node:crypto/],
    [{ 'src/cli/lock.ts': "import { open } from 'node:fs';" }, /node:fs/],
    [{ 'src/file.ts': "import { parseArgs } from 'node:util';" }, /node:util/],
    [{ 'src/platform.ts': "import { open } from 'fs';" }, /fs is a package/],
    [{ 'src/platform.ts': "import x from 'graceful-fs';" }, /no dependencies/],
    [{ 'src/file.ts': "import { x } from '#holdfast/bytes.js';" }, /no dependencies/],
  ],
  innocent: [
    { 'src/platform/portable.ts': "import { open } from 'node:fs';" },
    { 'src/engine.ts': "import { performance } from 'node:perf_hooks';" },
    { 'src/replace.ts': "import { dirname } from 'node:path';" },
    { 'src/cli/parse.ts': "import { parseArgs } from 'node:util';" },
    { 'test/file.test.ts': "import { open } from 'node:fs';" },
  ],
});

keeps('index.ts holds re-exports and nothing else', {
  rule: indexOnlyExports,
  violations: [
    [{ 'src/index.ts': "import { x } from './file.js';\nexport { x };" }, /re-exports/],
    [{ 'src/index.ts': 'export const x = 1;' }, /re-exports/],
  ],
  innocent: [{ 'src/index.ts': "/** Head. */\nexport { x, type Y } from './file.js';" }],
});

keeps('time, chance and the process come through the platform', {
  rule: noClockAbovePlatform,
  violations: [
    [{ 'src/file.ts': 'const t = Date.now();' }, /Date\.now/],
    [{ 'src/file.ts': 'const t = new Date();' }, /new Date/],
    [{ 'src/file.ts': 'const t = performance.now();' }, /performance/],
    [{ 'src/replace.ts': 'const x = Math.random();' }, /Math\.random/],
    [{ 'src/replace.ts': 'const x = crypto.randomUUID();' }, /crypto/],
    [{ 'src/lock.ts': 'setTimeout(f, 1);' }, /setTimeout/],
    [{ 'src/lock.ts': 'const later = { setInterval };' }, /setInterval/],
    [{ 'src/lock.ts': 'const t = process.hrtime();' }, /process/],
    [{ 'src/journal/tail.ts': "if (process.platform === 'linux') f();" }, /process/],
    [{ 'src/lock.ts': 'globalThis.setTimeout(f, 1);' }, /globalThis/],
    [{ 'src/lock.ts': 'const s = AbortSignal.timeout(5);' }, /AbortSignal\.timeout/],
    [{ 'src/cli.ts': 'process.kill(1);' }, /process/],
  ],
  innocent: [
    { 'src/platform/surroundings.ts': 'const t = Date.now();' },
    { 'src/file.ts': 'const when = new Date(stat.mtimeMs);\nx.process = { process: 1 };' },
    { 'src/cli.ts': 'process.stdout.write(text);' },
    { 'bench/bench.ts': 'const t = performance.now();' },
  ],
});

keeps('lines are short', {
  rule: linesAreShort,
  violations: [
    [{ 'src/file.ts': `// ${'x'.repeat(98)}` }, /:1: a line of 101 columns/],
    [{ 'native/linux.c': `int x;\n// ${'x'.repeat(98)}` }, /:2: a line/],
  ],
  innocent: [{ 'src/file.ts': `// ${'é'.repeat(97)}\n// https://${'x'.repeat(100)}` }],
});

keeps('files are short', {
  rule: filesAreShort,
  violations: [
    [{ 'src/file.ts': lines(501) }, /a file of 501 lines/],
    [{ 'native/ring.h': lines(501) }, /a file of 501 lines/],
  ],
  innocent: [{ 'src/file.ts': lines(500) }],
});

keeps('functions are short', {
  rule: functionsAreShort,
  violations: [
    [{ 'src/file.ts': `function f() {\n${lines(69)}}` }, /a function of 71 lines/],
    [{ 'src/file.ts': `class C {\n  m() {\n${lines(69)}}\n}` }, /:2: a function of 71 lines/],
    [{ 'bench/bench.ts': `const f = () => {\n${lines(69)}};` }, /a function of 71 lines/],
  ],
  innocent: [
    { 'src/file.ts': `/**\n${' * x\n'.repeat(9)} */\nfunction f() {\n${lines(68)}}` },
    { 'test/file.test.ts': `describe('x', () => {\n${lines(99)}});` },
  ],
});

keeps('functions in C are short', {
  rule: cFunctionsAreShort,
  violations: [[{ 'native/ring.c': `static int\nf(int a,\n  int b) {\n${lines(69)}}\n` }, /:2: a/]],
  innocent: [
    { 'native/ring.c': `int f(void) {\n${lines(68)}}\n` },
    { 'native/ring.c': `static const int table[] = {\n${lines(99)}};\n` },
  ],
});

keeps('no default export', {
  rule: noDefaultExport,
  violations: [
    [{ 'src/file.ts': 'export default function open() {}' }, /default/],
    [{ 'src/file.ts': 'export default 1;' }, /default/],
    [{ 'src/file.ts': 'const x = 1;\nexport { x as default };' }, /default/],
    [{ 'test/support/x.ts': 'export default class {}' }, /default/],
  ],
  innocent: [
    { 'src/file.ts': 'switch (x) {\n  default:\n}' },
    { 'src/write-file-atomic.ts': 'export { x as default };' },
  ],
});

keeps('no any', {
  rule: noAny,
  violations: [
    [{ 'src/file.ts': 'let x: any;' }, /any/],
    [{ 'bench/bench.ts': 'const x = y as any;' }, /any/],
  ],
  innocent: [{ 'src/file.ts': '// any\nconst any = 1;' }],
});

keeps('no markers of work left over', {
  rule: noMarkers,
  violations: ['TO-DO', 'FIX-ME', 'XX-X'].map((word) => [
    { 'native/ring.c': `\n// ${word.replace('-', '')}: later` },
    /:2: the marker/,
  ]),
  innocent: [{ 'src/file.ts': "const template = 'nameXXXXXX';\nconst todo = 1;" }],
});

keeps('names keep to the vocabulary', {
  rule: vocabularyHolds,
  violations: [
    [{ 'src/file.ts': 'export function flushAll() {}' }, /"flush".*say sync/],
    [{ 'src/file.ts': 'function f(chunk: Uint8Array) {}' }, /"chunk".*say view/],
    [{ 'src/file.ts': 'const { chunk } = x;' }, /say view/],
    [{ 'src/file.ts': 'interface X { readonly isPoisoned: boolean }' }, /say broken/],
    [{ 'src/file.ts': 'class X { #partialBytes = 0 }' }, /say short/],
    [{ 'src/file.ts': 'const FLUSH_COUNT = 1;' }, /say sync/],
    [{ 'src/journal.ts': 'const entryCount = 1;' }, /say record/],
    [{ 'src/queue.ts': 'type EventSink = 1;' }, /say completion/],
  ],
  innocent: [
    { 'src/file.ts': 'const entry = 1;\nstream.flush({ flush: true });\nlet x: Partial<Y>;' },
    { 'test/x.test.ts': 'const chunk = 1;' },
  ],
});

keeps('every door opens with a head', {
  rule: doorsHaveHeads,
  violations: [
    [{ 'src/file.ts': 'export const x = 1;' }, /opens with a head/],
    [{ 'src/file.ts': '// A file.\n' }, /opens with a head/],
    [{ 'src/file.ts': '/** An open file. */\n' }, /names none of/],
    [{ 'src/file.ts': '/**\n * A.\n *\n * Source: b\n * Invariants: c\n */\n' }, /in this order/],
  ],
  innocent: [
    {
      'src/file.ts': '/**\n * A.\n *\n * Invariants: 1. a\n * Not promised: b\n * Source: c\n */\n',
    },
    { 'src/cli.ts': '#!/usr/bin/env node\n/** A.\n * Source: c\n */\n' },
    { 'src/file/open.ts': 'export const x = 1;' },
  ],
});

keeps('what is exported is imported', {
  rule: exportsAreImported,
  violations: [
    [{ 'src/file.ts': 'export function f() {}' }, /f is exported and nobody imports it/],
    [{ 'src/file.ts': 'export const a = 1;' }, /a is exported/],
    [{ 'src/file.ts': 'export class C {}' }, /C is exported/],
    [{ 'src/file.ts': "export { f } from './file/open.js';" }, /src\/file\.ts:1: f is exported/],
    [
      { 'src/file.ts': 'export const f = 1;', 'src/jsonl.ts': "import { f } from './lock.js';" },
      /f/,
    ],
    [{ 'src/a.ts': 'export const f = 1;', 'src/b.ts': "import { g as f } from './a.js';" }, /f is/],
  ],
  innocent: [
    { 'src/index.ts': 'export const a = 1;' },
    { 'src/a.ts': 'export type T = 1;\nexport interface I {}\nconst f = 1;' },
    { 'test/a.ts': 'export const f = 1;' },
    { 'src/a.ts': 'export const f = 1;', 'src/b.ts': "import { f as g } from './a.js';" },
    { 'src/a.ts': 'export class C {}', 'src/b.ts': "import type { C } from './a.js';" },
    { 'src/a.ts': 'export const f = 1;', 'src/index.ts': "export { f } from './a.js';" },
    { 'src/a.ts': 'export const f = 1;', 'test/b.ts': "import { f } from '#holdfast/a.js';" },
    { 'src/a.ts': 'export const f = 1;', 'src/b/c.ts': "const { f } = await import('../a.js');" },
  ],
});

const index = "export { f, C, type I } from './file.js';";

keeps('what index.ts gives away has docstrings', {
  rule: publicHasDocstrings,
  violations: [
    [{ 'src/index.ts': index, 'src/file.ts': 'export function f() {}' }, /f has no docstring/],
    [
      {
        'src/index.ts': index,
        'src/file.ts': "export { f } from './file/open.js';",
        'src/file/open.ts': 'export function f() {}',
      },
      /src\/file\/open\.ts:1: f has no docstring/,
    ],
    [{ 'src/index.ts': index, 'src/file.ts': 'const g = 1;\nexport class C {}' }, /C has no/],
    [{ 'src/index.ts': index, 'src/file.ts': 'function f() {}\nexport { f };' }, /f has no/],
    [{ 'src/index.ts': index, 'src/file.ts': 'export const f = () => 1;' }, /f has no/],
    [{ 'src/index.ts': index, 'src/file.ts': '/** C. */\nexport class C { m() {} }' }, /C\.m has/],
    [{ 'src/index.ts': index, 'src/file.ts': 'export interface I { m(): void }' }, /I\.m has/],
    [
      { 'src/index.ts': index, 'src/file.ts': '/** F. */\nexport function f(): Promise<void> {}' },
      /needs "Errors:"/,
    ],
    [
      { 'src/index.ts': index, 'src/file.ts': '/** F. */\nexport function f() { throw x; }' },
      /needs "Errors:"/,
    ],
    [
      {
        'src/index.ts': index,
        'src/file.ts': '/**\n * F.\n * Errors: a\n * Units: b\n */\nexport function f() {}',
      },
      /in this order/,
    ],
  ],
  innocent: [
    {
      'src/index.ts': index,
      'src/file.ts':
        'export function g() {}\n/** F. Units: bytes. Errors: `IoError`. */\n' +
        'export async function f(): Promise<void> {}\n' +
        '/** C. */\nexport class C { #m() {} private n() {}\n/** O. */\no() {} }',
    },
  ],
});

test('wordsOf() splits names of every style', () => {
  deepEqual(wordsOf('readSomeAt'), ['read', 'some', 'at']);
  deepEqual(wordsOf('VIEW_COUNT_MAX'), ['view', 'count', 'max']);
  deepEqual(wordsOf('IOError'), ['io', 'error']);
});

test('the rules see the project', () => {
  ok(sources.some(({ path }) => path === 'test/tidy.test.ts'));
  ok(sources.some(({ path }) => path.startsWith('src/')));
});

const addon = join(root, `prebuilds/${process.platform}-${process.arch}/holdfast.node`);

test('the addon links no symbol of libuv', { skip: !existsSync(addon) && 'no addon' }, (t) => {
  const { status, stdout } = spawnSync('nm', ['-D', '--undefined-only', addon], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (status !== 0) return t.skip('no nm');
  deepEqual(libuvSymbols(stdout), []);
});

test('a linked symbol of libuv is noticed', () => {
  deepEqual(libuvSymbols('   U napi_create_int32\n   U uv_poll_init\n   w x\n'), ['uv_poll_init']);
});

function libuvSymbols(listing: string): string[] {
  return listing.split(/\s+/).filter((word) => word.startsWith('uv_'));
}
