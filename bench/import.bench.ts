import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { installPeers, peerLabel, peersFolder, root } from './harness/peers.js';
import type { Question, Subject } from './harness/question.js';

export const question: Question = {
  description: 'how long a fresh process waits for its first import',
  async *cases(surroundings) {
    const subjects = [importSubject('holdfast', root), importSubject('node:fs', root)];
    if (installPeers(surroundings)) {
      for (const name of ['write-file-atomic', 'atomically']) {
        subjects.push(importSubject(name, peersFolder, peerLabel(name)));
      }
    }
    surroundings.note('Measured in the child around `await import`; its files in the page cache.');
    yield {
      name: 'import',
      unit: 'ms',
      higherIsBetter: false,
      rounds: 21,
      subjects,
      goals: [{ subject: 'holdfast', valueAtMost: 20 }],
    };
  },
};

function importSubject(specifier: string, cwd: string, name: string = specifier): Subject {
  const source = `
    const begin = process.hrtime.bigint();
    await import(${JSON.stringify(specifier)});
    console.log(Number(process.hrtime.bigint() - begin) / 1e6);`;
  const run = promisify(execFile);
  return {
    name,
    async round() {
      const words = ['--input-type=module', '--eval', source];
      const { stdout } = await run(process.execPath, words, { cwd, timeout: 30_000 });
      return [Number(stdout)];
    },
  };
}
