/** Appends until it is killed, and says on stdout what was acknowledged: `killed.js DIRECTORY`. */
import { writeSync } from 'node:fs';
import { Journal } from 'holdfast';

const directory = process.argv[2] as string;
const journal = await Journal.open(directory, { segmentBytes: 65536, lockTimeoutMs: 1000 });
let next = 0;
for await (const { data } of journal.read({ reverse: true })) {
  next = Number.parseInt(Buffer.from(data).toString(), 10) + 1;
  break;
}
writeSync(1, `from ${next}\n`);
for (;;) {
  const count = 1 + (next % 7);
  const all = Array.from({ length: count }, () => {
    const index = next++;
    return journal.append(Buffer.alloc(12 + ((index * 131) % 700), `${index},`));
  });
  await Promise.all(all);
  writeSync(1, `${next}\n`);
}
