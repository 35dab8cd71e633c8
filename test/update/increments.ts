/** A process that adds one to a counter, many times: run by the tests of update. */
import { updateFile, updateFileSync, updateJson, updateJsonSync } from 'holdfast';

interface Counter {
  count: number;
  last?: string;
}

const [path, kind, times, durable] = process.argv.slice(2) as [string, string, string, string];
const options = { durable: durable === 'full' ? 'full' : false } as const;
const name = `${process.pid}`;

const added = (old: Counter | undefined): Counter => ({ count: (old?.count ?? 0) + 1, last: name });
/* Two copies of the number with much between them: a torn read would not agree with itself. */
const filler = '.'.repeat(5000);
const next = (old: Uint8Array | undefined): string => {
  const number = old === undefined ? 0 : Number.parseInt(Buffer.from(old).toString('latin1'), 10);
  return `${number + 1}${filler}${number + 1}`;
};

const kinds: Readonly<Record<string, () => unknown>> = {
  json: () => updateJson<Counter>(path, added, options),
  jsonSync: () => updateJsonSync<Counter>(path, added, options),
  file: () => updateFile(path, async (old) => next(old), options),
  fileSync: () => updateFileSync(path, next, options),
};

const one = kinds[kind] as () => unknown;
for (let done = 0; done < Number(times); done++) await one();
process.stdout.write('done');
