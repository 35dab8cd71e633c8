/**
 * Changes a state file from many places at once, in this process and in others; nothing is lost.
 * Needs locks: without the addon it is refused, and says so.
 */
import './scratch.js';
import { readFileSync } from 'node:fs';
import { lockFile, updateJson } from 'holdfast';

interface State {
  visits: number;
}

const { value } = await updateJson<State>('state.json', (old) => ({
  visits: (old?.visits ?? 0) + 1,
}));
console.log(value.visits); // 1

const visit = (): Promise<unknown> =>
  updateJson<State>('state.json', async (old) => ({ visits: (old?.visits ?? 0) + 1 }));
await Promise.all(Array.from({ length: 20 }, visit));
console.log(readFileSync('state.json', 'utf8').trim()); // {"visits":21}

// What cannot be written is refused, and the file is what it was.
await updateJson('state.json', () => 10n).catch((error: Error) => {
  console.log(error.name); // TypeError
});
console.log(readFileSync('state.json', 'utf8').trim()); // {"visits":21}

// A lock of its own, for anything else that processes must not do at once. Another process that
// wants it is told who has it; a crash of the holder frees it.
await using lock = await lockFile('build.lock', { timeoutMs: 5000 });
console.log(lock.isHeld); // true
const { pid } = JSON.parse(readFileSync('build.lock', 'utf8'));
console.log(pid === process.pid); // true
