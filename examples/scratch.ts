/** Lets an example work in a directory of its own, which is gone when it ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const directory = mkdtempSync(join(tmpdir(), 'holdfast-example-'));
process.chdir(directory);
process.on('exit', () => {
  process.chdir(tmpdir());
  rmSync(directory, { recursive: true, force: true });
});
