/**
 * `holdfast bench` as a shell runs it: what it answers, what it stores, how two results are
 * compared, and that its scratch directory is gone however it ends. Never how fast anything is.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { limitsRefusal } from './support/child.js';
import { projectRoot, scratch } from './support/scratch.js';

const program = join(projectRoot, 'dist', 'cli.js');
const quick = ['--quick', '--size', '1M', '--time', '60ms'];

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function bench(cwd: string, words: readonly string[], under: readonly string[] = []): Ended {
  const line = [...under, process.execPath, program, 'bench', ...words];
  const { status, stdout, stderr } = spawnSync(line[0] as string, line.slice(1), {
    cwd,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { code: status, out: stdout, err: stderr };
}

test('jobs by name, by group and by a line of their own are measured, and stored', (t) => {
  const cwd = scratch(t);
  const jobs = [
    '--jobs',
    'read,replace,random-read',
    '--job',
    'name=mine,rw=randwrite,bs=8k,iodepth=4',
  ];
  const files = ['--output', 'result.json', '--html', 'report.html'];
  const { code, out, err } = bench(cwd, ['.', ...quick, ...jobs, ...files]);
  equal(code, 0, err);
  match(out, /^job +op\/s +bytes +p50 +p99 +p99\.9 +max +stalls +durable\n/);
  match(out, /^mine .* no$/m);
  match(out, /^NOT MEASURED: replace by write-file-atomic: it is not installed here$/m);
  const result = JSON.parse(readFileSync(join(cwd, 'result.json'), 'utf8'));
  deepEqual(
    result.jobs.map(({ name }: { name: string }) => name),
    [
      'read',
      'replace',
      'replace by node:fs, in place',
      'replace by node:fs, the durable order',
      ...[1, 4, 16, 64].map((depth) => `random-read-qd${depth}`),
      'mine',
    ],
  );
  for (const { name, operations, perSecond, latency, timeline, rounds } of result.jobs) {
    ok(operations > 0 && perSecond > 0 && rounds.length === 1, name);
    ok(latency.min <= latency.p50 && latency.p50 <= latency.p99 && latency.p99 <= latency.max);
    ok(timeline.length >= 1);
  }
  const [read, mine] = [result.jobs[0], result.jobs.at(-1)];
  equal(read.bytesPerSecond / read.perSecond, 2 ** 20);
  equal(Math.round(mine.bytesPerSecond / mine.perSecond), 8192, 'bytes of all four workers');
  equal(result.probe.path, '.');
  ok(statSync(join(cwd, 'report.html')).size <= 300 * 1024);
  deepEqual(readdirSync(cwd).sort(), ['report.html', 'result.json']);
});

test('all jobs there are can be run; what the place cannot do is told', (t) => {
  const cwd = scratch(t);
  const listed = bench(cwd, ['--list']).out.trim().split('\n');
  const { code, out, err } = bench(cwd, [...quick, '--json']);
  equal(code, 0, err);
  const { jobs, notes } = JSON.parse(out);
  const told = [...jobs.map(({ name }: { name: string }) => name), ...notes].join('\n');
  for (const name of listed) ok(told.includes(name), name);
  deepEqual(readdirSync(cwd), []);
});

test('peers are measured where they are installed', (t) => {
  const cwd = scratch(t);
  const folder = join(cwd, 'node_modules/write-file-atomic');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "version": "7.7.7", "main": "index.js" }');
  writeFileSync(
    join(folder, 'index.js'),
    "module.exports = require('node:fs/promises').writeFile;",
  );
  /*
   * An ES module whose "exports" hide its package.json, as atomically is: its version was asked for
   * through them, and bench told ERR_PACKAGE_PATH_NOT_EXPORTED in place of a measure.
   */
  const hidden = join(cwd, 'node_modules/atomically');
  mkdirSync(hidden, { recursive: true });
  const manifest = { version: '8.8.8', type: 'module', exports: './index.js' };
  writeFileSync(join(hidden, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(hidden, 'index.js'), "export { writeFile } from 'node:fs/promises';");
  const jobs = 'replace by write-file-atomic,replace by atomically';
  const { out } = bench(cwd, [...quick, '--json', '--jobs', jobs]);
  const told = JSON.parse(out);
  deepEqual(told.notes, []);
  deepEqual(
    told.jobs.map(({ by, durable }: { by: string; durable: boolean }) => [by, durable]),
    [
      ['write-file-atomic 7.7.7', false],
      ['atomically 8.8.8', false],
    ],
  );
});

test('two results are compared', (t) => {
  const cwd = scratch(t);
  const job = (name: string, perSecond: number, rounds: readonly number[]) => ({
    name,
    perSecond,
    rounds,
    latency: { p99: 1000 / perSecond },
  });
  const write = (name: string, version: number, ...jobs: readonly unknown[]) =>
    writeFileSync(join(cwd, name), JSON.stringify({ format: 'holdfast-bench', version, jobs }));
  write(
    'a.json',
    1,
    job('one', 100, [90, 110, 100]),
    job('two', 10, [9, 11, 10]),
    job('few', 1, [1]),
    job('gone', 1, [1]),
  );
  write(
    'b.json',
    1,
    job('one', 200, [190, 210, 200]),
    job('two', 10.5, [10, 11, 10]),
    job('few', 9, [9]),
    job('new', 1, [1]),
  );
  const { code, out } = bench(cwd, ['--compare', 'a.json', 'b.json']);
  equal(code, 0);
  match(out, /^one +100 +200 +\+100\.0% +faster +10\.0 us +5\.0 us +-50\.0%$/m);
  match(out, /^two .*\+5\.0% +rounds overlap/m);
  match(out, /^In one of them alone: gone, new$/m);
  const { jobs, alone } = JSON.parse(bench(cwd, ['--compare', 'a.json', 'b.json', '--json']).out);
  deepEqual([jobs[0].rate, jobs[0].isClear, jobs[1].isClear], [2, true, false]);
  deepEqual([jobs[2].rate, jobs[2].isClear, jobs[2].verdict], [9, false, 'too few rounds']);
  deepEqual(alone, ['gone', 'new']);
  write('future.json', 2);
  writeFileSync(join(cwd, 'text'), 'no JSON');
  writeFileSync(join(cwd, 'other.json'), '{}');
  for (const [file, code, says] of [
    ['future.json', 2, /of version 2; this holdfast reads version 1/],
    ['text', 2, /is not JSON/],
    ['other.json', 2, /no result of holdfast bench/],
    ['absent', 1, /no such file/],
  ] as const) {
    const ended = bench(cwd, ['--compare', 'a.json', file]);
    equal(ended.code, code);
    match(ended.err, says);
  }
});

test('wrong words and places are told before anything is measured', (t) => {
  const cwd = scratch(t);
  writeFileSync(join(cwd, 'file'), '');
  const wrong: (readonly [string[], number, RegExp])[] = [
    [['--jobs', 'raed'], 2, /no job "raed"; did you mean "read"/],
    [['--job', 'rw=randraed'], 2, /rw is one of .*did you mean "randread"/],
    [['--job', 'depth=3'], 2, /a job has no "depth"/],
    [['--job', 'iodepth=0'], 2, /iodepth is a whole number/],
    [['--job', 'rw=replace,iodepth=4'], 2, /one by one/],
    [['--size', '3'], 2, /--size is from 1M/],
    [['--time', '1ms'], 2, /--time is at least 10ms/],
    [['--rounds', 'many'], 2, /--rounds takes a whole number/],
    [['--compare', 'a'], 2, /takes two results/],
    [['a', 'b'], 2, /one word too many/],
    [['--html', 'absent/report.html'], 1, /no such file/],
    [['--output', 'file/result.json'], 2, /file is no directory/],
    [['--html', '.'], 2, /\. is a directory/],
    [['--output', '/proc/result.json'], 1, /Cannot write the file: .*"\/proc\/result\.json"/],
    [['absent'], 1, /no such file/],
    [['file'], 1, /not a directory/],
  ];
  /* Half of the memory: a disk might have as much. */
  if (existsSync('/dev/shm')) {
    wrong.push([['/dev/shm', '--size', '1023G'], 1, /it would be 1023\.0 GiB, and .* are free/]);
  }
  for (const [words, code, says] of wrong) {
    const ended = bench(cwd, words);
    equal(ended.code, code, `${words}: ${ended.err}`);
    match(ended.err, says);
  }
  deepEqual(readdirSync(cwd), ['file']);
});

test('a disk that is full ends it with the reason, and nothing is left', (t) => {
  const refusal = limitsRefusal();
  if (refusal !== undefined) return t.skip(refusal);
  const cwd = scratch(t);
  const { code, err } = bench(cwd, quick, ['prlimit', '--fsize=100000']);
  equal(code, 1);
  match(err, /^holdfast bench: Cannot write .*too large/);
  deepEqual(readdirSync(cwd), []);
});

/** The scratch directory of a bench, when it has a file of that name. */
async function begun(cwd: string, file: string): Promise<void> {
  for (;;) {
    const names = readdirSync(cwd).filter((name) => name.startsWith('.holdfast-bench-'));
    if (names.some((name) => readdirSync(join(cwd, name)).includes(file))) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('Ctrl-C in the middle leaves nothing', async (t) => {
  const cwd = scratch(t);
  const words = [program, 'bench', '--jobs', 'replace', '--time', '20s'];
  const child = spawn(process.execPath, words, { cwd });
  t.after(() => child.kill('SIGKILL'));
  await begun(cwd, 'replaced');
  child.kill('SIGINT');
  const [code] = await once(child, 'exit');
  equal(code, 130);
  deepEqual(readdirSync(cwd), []);
});

/*
 * timeout(1) signals its child, and again with the child's group. The second was taken for somebody
 * who cannot wait, and the scratch directory stayed.
 */
test('one end that is asked for twice at once leaves nothing', async (t) => {
  const cwd = scratch(t);
  const child = spawn(process.execPath, [program, 'bench', '--size', '1G'], { cwd });
  t.after(() => child.kill('SIGKILL'));
  await begun(cwd, 'file');
  child.kill('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 1));
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  equal(code, 143);
  deepEqual(readdirSync(cwd), []);
});
