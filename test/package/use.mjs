// What a stranger does with the package, on whatever runs this: Node, Bun, Deno. Run in a folder
// that has it installed, with a scratch folder as the argument; prints one line of JSON.

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, normalize } from 'node:path';
import * as holdfast from 'holdfast';
import { f64, list, openImage, struct, u32, writeImage } from 'holdfast/image';
import { Journal, verifyJournal } from 'holdfast/journal';
import { CompletionQueue } from 'holdfast/queue';
import { crashEverywhere } from 'holdfast/testing';
import writeFileAtomic from 'holdfast/write-file-atomic';

const directory = process.argv[2];
const { capabilities } = holdfast.defaultEngine();
const at = (name) => join(directory, name);
const text = (name) => readFileSync(at(name), 'utf8');

async function files() {
  const file = await holdfast.openFile(at('file'), { access: 'read-write', create: true });
  equal(await file.writeAt([Buffer.from('one, '), Float64Array.of(1, 2)], 0), 21);
  const views = Array.from({ length: 3000 }, (_, index) => Uint8Array.of(index));
  equal(await file.writeAt(views, 21), 3000);
  equal((await file.readAll()).length, 3021);
  const bytes = new Uint8Array(5);
  equal(await file.readAt(bytes, 0), 5);
  equal(Buffer.from(bytes).toString(), 'one, ');
  await file.sync();
  await file.close();
  await rejects(holdfast.openFile(at('absent/file')), { code: 'ENOENT', kind: 'not-found' });
  await rejects(holdfast.openFile(at('file'), { access: 'no' }), TypeError);
}

async function replaces() {
  const durability = capabilities['directory-sync'] === true ? 'full' : 'file';
  equal((await holdfast.replaceFile(at('state'), 'old')).durability, durability);
  await holdfast.replaceFile(at('state'), [Buffer.from('n'), Buffer.from('ew')]);
  equal(text('state'), 'new');
  holdfast.replaceFileSync(at('state'), 'newer');
  equal(text('state'), 'newer');
  await writeFileAtomic(at('settings'), '{}', { mode: 0o600 });
  equal(text('settings'), '{}');
}

async function names() {
  await holdfast.makeDirectory(at('a/b'));
  await holdfast.copyFile(at('state'), at('a/b/copy'));
  equal(text('a/b/copy'), 'newer');
  const found = await holdfast.findFiles(at('a'), '**/*');
  deepEqual(found.map(normalize), [at('a/b/copy')]);
  await holdfast.removeTree(at('a'));
}

/* Longer than the 260 characters that were all of a path on Windows once. */
async function longNames() {
  const parts = Array.from({ length: 12 }, (_, index) => `${index} ünï ☃ 😀`.padEnd(40, '.'));
  const deep = join(directory, ...parts);
  await holdfast.makeDirectory(deep);
  await holdfast.replaceFile(join(deep, 'file'), 'deep');
  equal(readFileSync(join(deep, 'file'), 'utf8'), 'deep');
  deepEqual(await holdfast.listDirectory(at(parts[0])), [parts[1]]);
  await holdfast.removeTree(at(parts[0]));
}

async function updates(canLock) {
  const add = () => holdfast.updateJson(at('count'), (old) => ({ n: (old?.n ?? 0) + 1 }));
  if (canLock) {
    await Promise.all(Array.from({ length: 10 }, add));
    equal(JSON.parse(text('count')).n, 10);
  } else {
    await rejects(add(), { kind: 'unsupported' });
  }
}

async function until(isSo) {
  for (let tries = 0; !isSo(); tries++) {
    ok(tries < 1000, 'it is so within 20 s');
    await new Promise((done) => setTimeout(done, 20));
  }
}

/* In another process, until it is told to end: with the lock. */
async function hold() {
  const file = await holdfast.openFile(at('turn'), { access: 'read-write', create: true });
  ok((await file.lock()).isHeld);
  writeFileSync(at('held'), '');
  await until(() => existsSync(at('enough')));
}

async function turns() {
  /* Not under an emulator, which the system does not know of. */
  const isNode = process.versions.bun === undefined && !('Deno' in globalThis);
  if (!isNode || spawnSync(process.execPath, ['--version'], { stdio: 'ignore' }).status !== 0)
    return;
  spawn(process.execPath, [process.argv[1], directory, 'hold'], { stdio: 'ignore' });
  await until(() => existsSync(at('held')));
  const file = await holdfast.openFile(at('turn'), { access: 'read-write' });
  equal(await file.tryLock(), undefined);
  equal(await file.tryLock({ exclusive: false }), undefined);
  writeFileSync(at('enough'), '');
  ok((await file.lock({ timeoutMs: 20_000 })).isHeld);
  await file.close();
}

async function journals() {
  const journal = await Journal.open(at('journal'));
  await Promise.all(Array.from({ length: 50 }, (_, n) => journal.append(Buffer.from(`${n}`))));
  await journal.appendBatch([Buffer.from('a'), new Uint8Array(100_000)]);
  await journal.close();
  const again = await Journal.open(at('journal'), { readOnly: true });
  let count = 0;
  for await (const { data } of again.read()) count += data.length >= 0 ? 1 : 0;
  equal(count, 52);
  await again.close();
  equal((await verifyJournal(at('journal'))).isIntact, true);
}

async function images() {
  const schema = struct({ count: u32, points: list(f64) });
  await writeImage(at('image'), schema, { count: 3, points: Float64Array.of(1, 2, 3) });
  for (const mode of ['map', 'read']) {
    const image = await openImage(at('image'), schema, { mode, verify: 'full' });
    deepEqual([image.count, [...image.points]], [3, [1, 2, 3]]);
    await image.close();
  }
}

async function streams() {
  const file = await holdfast.openFile(at('streamed'), { access: 'read-write', create: true });
  const writing = file.createWriteStream({ sync: 'data', autoClose: false });
  await new Promise((done, fail) => {
    writing.on('error', fail).on('finish', done);
    writing.write('one, ');
    writing.end('two');
  });
  let seen = '';
  for await (const view of file.createReadStream({ autoClose: false })) seen += view;
  equal(seen, 'one, two');
  await file.close();
}

async function queues() {
  const file = await holdfast.openFile(at('pages'), { access: 'read-write', create: true });
  const queue = new CompletionQueue({ depth: 16 });
  for (let page = 0; page < 8; page++) {
    queue.write(file, new Uint8Array(4096).fill(page), page * 4096, page, { link: true });
  }
  queue.sync(file, 'data', 99);
  const ended = await queue.wait({ atLeast: 9 });
  ok(ended.every(({ status }) => status === 0));
  await queue.close();
  await file.close();
}

async function crashes() {
  const report = await crashEverywhere({
    seed: 1,
    prepare: (disk) => disk.put('/state', 'old'),
    run: ({ engine }) => holdfast.replaceFile('/state', 'new', { engine }),
    check(disk, isDone) {
      const left = Buffer.from(disk.read('/state') ?? []).toString();
      ok(left === 'new' || (left === 'old' && !isDone), left);
    },
  });
  ok(report.stateCount > 20);
}

async function both() {
  const require = createRequire(import.meta.url);
  if (process.versions.bun === undefined && !('Deno' in globalThis)) {
    ok(require('holdfast').IoError === holdfast.IoError);
  }
  equal(typeof require('holdfast').openFile, 'function');
}

if (process.argv[3] === 'hold') {
  await hold();
  process.exit();
}
await files();
await replaces();
await names();
await longNames();
const { name, reason } = holdfast.defaultEngine();
await updates(name !== 'portable');
if (name !== 'portable') await turns();
await journals();
await images();
await streams();
await queues();
await crashes();
await both();
writeFileSync(at('probed'), JSON.stringify(await holdfast.probe(directory)));
deepEqual(
  readdirSync(directory).filter((entry) => entry.startsWith('.holdfast')),
  [],
);
console.log(JSON.stringify({ runtime: process.version, engine: name, reason }));
