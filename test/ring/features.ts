/**
 * What a ring is asked for by the contract of a file and by a queue, in a process of its own; tells
 * on stderr, at its end, what the ring was made of and what became of it.
 */
import { ringState } from '#holdfast/engine.js';

process.on('exit', () => {
  const { isThere, reason } = ringState();
  process.stderr.write(`${JSON.stringify({ isThere, reason })}\n`);
});

await import('../contract.test.js');
await import('../queue.test.js');
