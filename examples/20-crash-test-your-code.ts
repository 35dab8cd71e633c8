/** Tries your own code on a disk that lies: does what it promises survive every power cut? */
import { openFile, replaceFile } from 'holdfast';
import { crashEverywhere, type SimulatedDisk, simulatedDisk } from 'holdfast/testing';

// What a program often does: it writes over the file it has.
async function storeInPlace({ engine }: SimulatedDisk, text: string) {
  const file = await openFile('/state.json', { access: 'write', truncate: true, engine });
  await file.writeAt(Buffer.from(text), 0);
  await file.sync();
  await file.close();
}

async function storeWhole({ engine }: SimulatedDisk, text: string) {
  await replaceFile('/state.json', text, { engine });
}

// The power goes before the first operation, before the second, and so on; each state that the disk
// may be in afterwards is checked. `isDone` says that the program had come to its end.
function tryIt(store: typeof storeWhole) {
  return crashEverywhere({
    seed: 1,
    prepare: (disk) => disk.put('/state.json', '{"visits":1}'),
    run: (disk) => store(disk, '{"visits":2}'),
    check: (disk, isDone) => {
      const text = Buffer.from(disk.read('/state.json') ?? []).toString();
      const isOld = text === '{"visits":1}';
      const isNew = text === '{"visits":2}';
      if (!isNew && (isDone || !isOld)) throw new Error(`${JSON.stringify(text)} is left`);
    },
  });
}

const report = await tryIt(storeWhole);
console.log(report.operationCount > 10, report.stateCount > 20); // true true

try {
  await tryIt(storeInPlace);
} catch (error) {
  console.log((error as Error).message.split('\n')[0]); // "" is left
}

// Operations can be refused one by one, too: here the disk is full at the first write.
const disk = simulatedDisk(2);
disk.put('/state.json', '{"visits":1}');
disk.refuseNth(1, 'ENOSPC', { operations: ['Write'] });
await storeWhole(disk, '{"visits":2}').catch(({ code, durable }) => {
  console.log(code, durable); // ENOSPC old
});
console.log(disk.list('/')); // [ 'state.json' ]
