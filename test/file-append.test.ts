/** Appending: in order, at the end, wherever that is, and telling where. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IoError } from 'holdfast';
import { Code } from '#holdfast/platform.js';
import { cutEvery, patterned } from './file/bytes.js';
import { abortable, type Doors, onAllDoors, onBothEngines } from './file/doors.js';
import { Child, type Ended } from './support/child.js';
import { scratch } from './support/scratch.js';

const WAYS = ['append', 'read-write', 'write'] as const;

onAllDoors(
  'append() tells where the bytes landed, for every access that writes',
  async (t, doors) => {
    for (const access of WAYS) {
      const path = join(scratch(t), access);
      writeFileSync(path, 'before');
      const file = await doors.open(path, { access });
      equal(await doors.append(file, patterned(100)), 6);
      equal(await doors.append(file, cutEvery(patterned(50), 7)), 106);
      appendFileSync(path, 'foreign');
      equal(await doors.append(file, Uint8Array.of(1)), 163);
      ok(
        readFileSync(path).equals(
          Buffer.concat([
            Buffer.from('before'),
            patterned(100),
            patterned(50),
            Buffer.from('foreign\x01'),
          ]),
        ),
      );
    }
  },
);

onAllDoors('append() of nothing tells the end and writes nothing', async (t, doors) => {
  for (const access of WAYS) {
    const path = join(scratch(t), access);
    writeFileSync(path, 'before');
    const file = await doors.open(path, { access });
    equal(await doors.append(file, []), 6);
    equal(await doors.append(file, new Uint8Array(0)), 6);
    equal(readFileSync(path, 'utf8'), 'before');
    equal(file.stats().bytesWritten, 0);
  }
});

onAllDoors('append() of more views than one call takes is in one piece', async (t, doors) => {
  for (const access of WAYS) {
    const path = join(scratch(t), access);
    writeFileSync(path, 'before');
    const file = await doors.open(path, { access });
    const bytes = patterned(3000 * 600);
    equal(await doors.append(file, cutEvery(bytes, 600)), 6);
    ok(readFileSync(path).subarray(6).equals(bytes));
  }
});

onAllDoors(
  'append() resumes after a short write and still tells the beginning',
  async (t, doors) => {
    for (const access of WAYS) {
      for (const moved of [1, 3, 7, 8, 9, 29]) {
        const path = join(scratch(t), 'file');
        writeFileSync(path, 'before');
        let writes = 0;
        const judged = doors.judged(({ code }) =>
          code === Code.Write && writes++ === 0 ? { moves: moved } : undefined,
        );
        const file = await judged.open(path, { access });
        equal(await judged.append(file, cutEvery(patterned(30), 8)), 6, `${access}, ${moved}`);
        ok(readFileSync(path).subarray(6).equals(patterned(30)), `${access}, short at ${moved}`);
        equal(await judged.append(file, Uint8Array.of(1)), 36);
      }
    }
  },
);

onBothEngines('append() keeps the order of the calls, a hundred at once', async (t, doors) => {
  for (const access of WAYS) {
    const path = join(scratch(t), access);
    const file = await doors.open(path, { access, create: true });
    const lines = Array.from({ length: 100 }, (_, index) => `${index}${'.'.repeat(index * 13)}\n`);
    const offsets = await Promise.all(lines.map((line) => file.append(Buffer.from(line))));
    equal(readFileSync(path, 'latin1'), lines.join(''));
    let end = 0;
    for (const [index, line] of lines.entries()) {
      equal(offsets[index], end, `where line ${index} landed`);
      end += line.length;
    }
  }
});

onBothEngines('append() goes on after one that was refused', async (t, doors) => {
  const path = join(scratch(t), 'file');
  let writes = 0;
  const judged = doors.judged(({ code }) =>
    code === Code.Write && ++writes === 2 ? { answers: -28 } : undefined,
  );
  const file = await judged.create(path, { access: 'append' });
  const texts = ['one', 'two', 'three'];
  const all = await Promise.allSettled(texts.map((text) => file.append(Buffer.from(text))));
  deepEqual(
    all.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as IoError).code)),
    [0, 'ENOSPC', 3],
  );
  equal(readFileSync(path, 'utf8'), 'onethree');
});

onBothEngines('appendSync() is refused while an append is under way', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const file = await doors.create(path, { access: 'append' });
  const first = file.append(Buffer.from('one'));
  throws(() => file.appendSync(Buffer.from('two')), {
    name: 'IoError',
    code: 'EBUSY',
    kind: 'busy',
  });
  equal(await first, 0);
  equal(file.appendSync(Buffer.from('three')), 3);
  const refused = file.append(7 as never);
  equal(file.appendSync(Buffer.from('four')), 8, 'a call that was refused is not under way');
  await rejects(refused, TypeError);
  equal(readFileSync(path, 'utf8'), 'onethreefour');
});

/* An abort between the calls of one append: some bytes are there, and the error says how many. */
onBothEngines(
  'append() that is aborted tells the bytes that reached the file',
  async (t, doors) => {
    for (const access of WAYS) {
      for (const moves of [5, 1e9]) {
        const path = join(scratch(t), 'file');
        const controller = new AbortController();
        const judged = doors.judged(({ code }) => {
          if (code !== Code.Write) return undefined;
          controller.abort();
          return { moves };
        });
        const file = await judged.create(path, { access });
        const views = cutEvery(patterned(2000 * 600), 600);
        const error = await file
          .append(views, abortable(controller.signal))
          .catch((e: unknown) => e);
        const { name, bytesDone } = error as { name: string; bytesDone: number };
        const size = readFileSync(path).length;
        deepEqual(
          { name, bytesDone },
          { name: 'AbortError', bytesDone: size },
          `${access} ${moves}`,
        );
        ok(size > 0 && size < 2000 * 600);
      }
    }
  },
);

interface Landed {
  readonly offset: number;
  readonly text: string;
}

async function appendersOf(doors: Doors, path: string, access: string): Promise<Landed[]> {
  const { face, engine, t } = doors;
  const children = ['a', 'b'].map((id) => {
    const module = new URL('./file/appender.js', import.meta.url);
    return new Child({ module, args: [path, engine.name, face, id, '300', access] });
  });
  for (const child of children) t.after(() => child.kill());
  for (const child of children) await child.waitFor('ready');
  writeFileSync(`${path}.go`, '');
  const ends: Ended[] = await Promise.all(children.map(({ ended }) => ended));
  return ends.flatMap(({ code, stdout, stderr }) => {
    equal(code, 0, stderr);
    return JSON.parse(stdout.split('\n')[1] as string) as Landed[];
  });
}

/* RWF_APPEND gives read-write files the same on the pool; node:fs has nothing like it. */
onAllDoors(
  'append() of two processes never overlaps, and each is told its own place',
  async (t, doors) => {
    const inPlace = doors.engine.capabilities['append-in-place'] === true;
    for (const access of inPlace ? ['append', 'read-write'] : ['append']) {
      const path = join(scratch(t), access);
      writeFileSync(path, '');
      const landed = await appendersOf(doors, path, access);
      const content = readFileSync(path, 'latin1');
      let total = 0;
      for (const { offset, text } of landed) {
        equal(content.slice(offset, offset + text.length), text, `${access} at ${offset}`);
        total += text.length;
      }
      equal(content.length, total, 'nothing else is in the file');
    }
  },
);
