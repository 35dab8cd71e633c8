/** Ends workers while their operations are under way; prints how each ended. */
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

const [directory = '', engine = '', times = '0'] = process.argv.slice(2);
const ends: number[] = [];
for (let time = 0; time < Number(times); time++) {
  const workerData = { path: join(directory, `file-${time}`), engine, rounds: 1e9 };
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
  await once(worker, 'message');
  ends.push(await worker.terminate());
}
console.log(JSON.stringify(ends));
