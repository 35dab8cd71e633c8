/** Replaces durably in two thirds of the time, where one commit of the journal is proved enough. */
import './scratch.js';
import { readFile } from 'node:fs/promises';
import { probe, replaceFile } from 'holdfast';

const report = await replaceFile('state.json', '{"visits":1}', { oneCommit: true });

// The promise is the same everywhere; the report tells how it was kept, and why not by one commit.
console.log(report.durability); // full
console.log(report.oneCommit === (report.fallbacks.length === 0)); // true
console.log(await readFile('state.json', 'utf8')); // {"visits":1}

// Asked beforehand: true on ext4 and xfs as they are mounted by default, else a reason.
const { value, no, unknown } = (await probe('.')).fileSystem.oneCommit;
console.log((value ?? no ?? unknown) !== undefined); // true
