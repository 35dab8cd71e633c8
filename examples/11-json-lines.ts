/**
 * A log that `jq` reads while it is written: one value a line, durable when `append` resolves, and
 * never a new line behind half an old one.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { openJsonl } from 'holdfast';
import './scratch.js';

const log = await openJsonl('visits.jsonl');
await Promise.all(['ann', 'bob', 'eve'].map((who) => log.append({ who, at: '/' })));
await log.close();
console.log(readFileSync('visits.jsonl', 'utf8').split('\n')[1]); // {"who":"bob","at":"/"}

/* Something that does not know how to append was cut short. */
appendFileSync('visits.jsonl', '{"who":"mall');

const again = await openJsonl('visits.jsonl');
const { tail, cutBytes } = again.recovery;
console.log(`${tail}, ${cutBytes} bytes put aside`); // torn line, 12 bytes put aside
await again.append({ who: 'joe', at: '/' });

const names: unknown[] = [];
for await (const visit of again) names.push((visit as { who: string }).who);
console.log(names.join(' ')); // ann bob eve joe
await again.close();
