/** Locks of open files: who is next. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { type Engine, type OpenFile, openFile } from 'holdfast';
import { onEveryLock, onRealFile, settled } from './lock/worlds.js';

const shared = { exclusive: false };

onEveryLock('lock() gives turns in the order of the calls, readers too', async (_, { open }) => {
  const files = await Promise.all(Array.from({ length: 6 }, () => open()));
  const order: number[] = [];
  const kinds = [true, false, true, false, false, true];
  const first = await (files[0] as OpenFile).lock();
  const waiting = kinds.map(async (exclusive, index) => {
    const lock = await (files[index] as OpenFile).lock({ exclusive });
    order.push(index);
    if (index === 3 || index === 4) await together(index);
    await lock.release();
  });
  const sharing = new Map<number, () => void>();
  /* Each asks the kernel on a thread of its own: which is told first, nobody promises. */
  function together(index: number): Promise<void> {
    return new Promise((resolve) => {
      sharing.set(index, resolve);
      if (sharing.size === 2) for (const go of sharing.values()) go();
    });
  }
  await settled();
  deepEqual(order, []);
  await first.release();
  await Promise.all(waiting);
  const readers = order.splice(3, 2);
  deepEqual(
    [order, readers.sort()],
    [
      [0, 1, 2, 5],
      [3, 4],
    ],
  );
});

/* Each run is handed to the engine so much later. */
function late(engine: Engine, milliseconds: number): Engine {
  const submit: Engine['submit'] = (run, waiter) => {
    setTimeout(() => engine.submit(run, waiter), milliseconds);
  };
  return new Proxy(engine, {
    get: (inner, name) => (name === 'submit' ? submit : Reflect.get(inner, name, inner)),
  });
}

onRealFile('lock() queues at the call, whatever the system is slow to tell', async (t, world) => {
  const files: OpenFile[] = [];
  for (const milliseconds of [20, 10, 0]) {
    const engine = late(world.engine, milliseconds);
    const file = await openFile(world.path, { access: 'read-write', engine });
    t.after(() => file.close());
    files.push(file);
  }
  const order: number[] = [];
  const taking = files.map(async (file, index) => {
    const lock = await file.lock();
    order.push(index);
    await lock.release();
  });
  await Promise.all(taking);
  deepEqual(order, [0, 1, 2]);
});

onEveryLock('lock() of a reader does not pass a writer who waits', async (_, { open }) => {
  const [one, two, three] = [await open(), await open(), await open()];
  const reading = await one.lock(shared);
  const writing = two.lock();
  await settled();
  equal(await three.tryLock(shared), undefined);
  const later = three.lock(shared);
  await reading.release();
  await (await writing).release();
  ok((await later).isHeld);
});
