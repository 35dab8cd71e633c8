/** Copies a file and a tree: at once where the disk can share blocks, whole or not at all. */
import './scratch.js';
import { mkdir, open, readdir, stat, writeFile } from 'node:fs/promises';
import { CopyTreeError, copyFile, copyTree } from 'holdfast';

// A file of 10 MB that is a hole but for its last bytes.
const file = await open('disk.image', 'w');
await file.write('the end', 9_999_993);
await file.close();

const copied = await copyFile('disk.image', 'disk.copy');
console.log(copied.bytes, copied.durability); // 10000000 full
console.log((await stat('disk.copy')).blocks < 1000); // true
// copied.method is 'reflink' on xfs and btrfs, 'copy_file_range' or 'read-write' elsewhere;
// copied.fallbacks says why.

await mkdir('tree/deep', { recursive: true });
await writeFile('tree/deep/one', 'one');
await writeFile('tree/two.log', 'two');
const tree = await copyTree('tree', 'backup', { filter: ({ path }) => !path.endsWith('.log') });
console.log(tree.files, tree.directories, tree.skipped); // 1 2 1
console.log(await readdir('backup/deep')); // [ 'one' ]

// Refused before anything is made: a tree in itself would have no end. A failure later on is a
// CopyTreeError, whose `completed` counts what was copied by then.
try {
  await copyTree('tree', 'tree/deep/again');
} catch (error) {
  console.log(error instanceof CopyTreeError); // false
  console.log((error as Error).message.includes('lies in it')); // true
}
