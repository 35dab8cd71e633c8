/** `holdfast journal` as a shell runs it: whole, damaged, followed journals, beside a writer. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { defaultEngine } from 'holdfast';
import { Journal } from 'holdfast/journal';
import { crc32c } from '#holdfast/bytes.js';
import { projectRoot, scratch } from './support/scratch.js';

const program = join(projectRoot, 'dist', 'cli.js');

function journal(...words: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'journal', ...words], {
    timeout: 30_000,
    maxBuffer: 2 ** 28,
  });
  return { code: status, bytes: stdout, out: stdout.toString(), err: stderr.toString() };
}

async function filled(path: string, records: readonly (string | Uint8Array)[]): Promise<void> {
  const journal = await Journal.open(path);
  await journal.appendBatch(records.map((record) => Buffer.from(record as string)));
  await journal.close();
}

/** Changes a byte of a record that stands in the middle. */
function damage(path: string, text: string): void {
  for (const name of readdirSync(path)) {
    const bytes = readFileSync(join(path, name));
    const at = bytes.indexOf(text);
    if (at < 0) continue;
    bytes[at] = 0x7e;
    writeFileSync(join(path, name), bytes);
    return;
  }
  throw new Error(`there is no ${text}`);
}

const numbered = Array.from({ length: 200 }, (_, index) => `record ${index}.`);

test('a whole journal is inspected, verified, looked at from its end', async (t) => {
  const path = join(scratch(t), 'journal');
  await filled(path, [...numbered, Uint8Array.of(0xff, 0xfe)]);
  match(
    journal('inspect', path).out,
    /durable up to \d+\n +the tail is clean, the journal was closed/,
  );
  const { firstLsn, nextLsn, recovery } = JSON.parse(journal('inspect', path, '--json').out);
  ok(firstLsn < nextLsn && recovery.tail === 'clean');
  match(journal('verify', path).out, /: intact, .*\n +201 records in 1 segments/);
  equal(JSON.parse(journal('verify', path, '--json').out).isIntact, true);
  match(journal('tail', path, '-n', '2').out, /^ +\d+ +11 +"record 199\."\n +\d+ +2 +fffe\n$/);
  const lines = journal('tail', path, '--json')
    .out.trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  equal(lines.length, 10);
  equal(lines[8].text, 'record 199.');
  equal(lines[9].base64, '//4=');
  equal(journal('tail', path, '-n', '0').out, '');
});

test('records are written out: all or a part, as JSON lines, lines, bytes', async (t) => {
  const path = join(scratch(t), 'journal');
  await filled(path, numbered);
  const all = journal('export', path)
    .out.trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  deepEqual(
    all.map(({ text }) => text),
    numbered,
  );
  const [third, fifth] = [all[2].lsn, all[4].lsn];
  const part = journal(
    'export',
    path,
    '--from',
    `${third}`,
    '--to',
    `${fifth}`,
    '--format',
    'lines',
  );
  equal(part.out, 'record 2.\nrecord 3.\nrecord 4.\n');
  equal(journal('export', path, '--format', 'raw').out, numbered.join(''));
});

test('a reader that goes away, and one that is slow, are taken as they are', async (t) => {
  const path = join(scratch(t), 'journal');
  await filled(
    path,
    Array.from({ length: 40 }, () => new Uint8Array(100_000).fill(0x61)),
  );
  const line = `"${process.execPath}" "${program}" journal export "${path}" --format lines`;
  const run = (script: string) =>
    spawnSync('bash', ['-c', script], { encoding: 'utf8', timeout: 30_000 });
  const gone = run(`${line} | head -c 5; echo " \${PIPESTATUS[0]}"`);
  deepEqual([gone.stdout, gone.stderr], ['aaaaa 0\n', '']);
  equal(run(`${line} | (sleep 0.3; wc -c)`).stdout.trim(), String(40 * 100_001));
});

test('damage is told with its place and 3, mended, and what can be read is left', async (t) => {
  const path = join(scratch(t), 'journal');
  await filled(path, numbered);
  damage(path, 'record 100.');
  const verified = journal('verify', path);
  equal(verified.code, 3);
  match(verified.out, /: DAMAGED.*\n[\s\S]* at offset \d+, LSN \d+: .*; on from LSN \d+/);
  const read = journal('export', path);
  equal(read.code, 1);
  match(read.err, /^holdfast journal: .* is damaged at offset/);
  const mended = journal('repair', path);
  equal(mended.code, 0, mended.err);
  match(mended.out, /: mended\n/);
  equal(journal('verify', path).code, 0);
  const left = journal('export', path, '--format', 'lines').out.trim().split('\n');
  ok(left.includes('record 199.') === !left.includes('record 100.') && left.length < 200);
});

test('a journal of a later format is refused by its number, and left as it is', async (t) => {
  const path = join(scratch(t), 'journal');
  await filled(path, ['x']);
  const name = readdirSync(path).find((one) => one.endsWith('.segment')) as string;
  const bytes = readFileSync(join(path, name));
  bytes.writeUInt32LE(7, 8);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, 508)), 508);
  writeFileSync(join(path, name), bytes);
  for (const deed of ['inspect', 'verify', 'tail', 'repair', 'export']) {
    const { code, out, err } = journal(deed, path);
    equal(code, 1, `${deed}: ${out}`);
    match(err, /version 7/);
  }
  deepEqual(readFileSync(join(path, name)), bytes);
});

test('records are followed as they become durable, until Ctrl-C', async (t) => {
  const path = join(scratch(t), 'journal');
  const writer = await Journal.open(path);
  await writer.append(Buffer.from('before'));
  const child = spawn(process.execPath, [program, 'journal', 'tail', path, '-f', '--json']);
  t.after(() => child.kill('SIGKILL'));
  let seen = '';
  child.stdout.on('data', (bytes) => {
    seen += String(bytes);
  });
  const until = async (words: string): Promise<void> => {
    while (!seen.includes(words)) await new Promise((done) => setTimeout(done, 5));
  };
  await until('before');
  await writer.append(Buffer.from('after'));
  await until('after');
  child.kill('SIGINT');
  const [code] = await once(child, 'exit');
  equal(code, 130);
  await writer.close();
});

test('a journal that is being written is not repaired; who writes it is told', async (t) => {
  if (defaultEngine().capabilities.locks !== true) return t.skip('there are no locks');
  const path = join(scratch(t), 'journal');
  const held = await Journal.open(path);
  const refused = journal('repair', path);
  equal(refused.code, 1);
  match(refused.err, new RegExp(`held by .*${process.pid}`));
  await held.close();
});

test('wrong words, absent and foreign directories are told; nothing is made', (t) => {
  const directory = scratch(t);
  const path = join(directory, 'absent');
  writeFileSync(join(directory, 'text'), 'x');
  for (const [words, code, says] of [
    [['insect', path], 2, /did you mean "inspect"/],
    [['verify', path, '--follow'], 2, /--follow is for tail, not for verify/],
    [['tail', path, '-n', 'all'], 2, /--count takes a whole number/],
    [['verify'], 2, /something is missing/],
    [['inspect', path], 1, /no such file/],
    [['verify', path], 1, /no such file/],
    [['repair', path], 1, /no such file/],
    [['inspect', directory], 1, /there is no journal in the directory/],
    [['verify', directory], 1, /there is no journal in the directory/],
    [['repair', directory], 1, /there is no journal in the directory/],
    [['tail', join(directory, 'text')], 1, /not a directory/],
  ] as const) {
    const ended = journal(...words);
    equal(ended.code, code, `${words}: ${ended.err}`);
    match(ended.err, says);
  }
  deepEqual(readdirSync(directory), ['text']);
});
