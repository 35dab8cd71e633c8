/** The child in which a workload runs: `child.js WORKLOAD DIRECTORY MARKS`, the first as JSON. */
import { spawnSync } from 'node:child_process';
import { openSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Site, Workload } from './rig.js';

const [words, path, marks] = process.argv.slice(2) as [string, string, string];
const workload = JSON.parse(words) as Workload;
/* The rig holds the other end: when it is killed, so are we. */
process.stdin.on('end', () => process.exit(1)).resume();
(process.stdin as Socket).unref();

if ('module' in workload) {
  const fd = openSync(marks, 'r+');
  const { module, name = 'work', input } = workload;
  const work = (await import(String(module)))[name] as (site: Site) => unknown;
  await work({ path, input, mark: (line) => void writeSync(fd, line) });
} else {
  const [program, ...rest] = workload.command as [string, ...string[]];
  const ended = spawnSync(program, [...rest, path, marks], { stdio: 'inherit' });
  if (ended.error) throw ended.error;
  process.exitCode = ended.status ?? 1;
}
