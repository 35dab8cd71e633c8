/** Looks through a tree: by glob, entry by entry, or by the hundreds. */
import './scratch.js';
import { batch, countDirectory, findFiles, listDirectory, scanDirectory } from 'holdfast';

await batch({ durable: false })
  .makeDirectory('project/src/deep')
  .write('project/README.md', '# Project')
  .write('project/src/index.ts', '')
  .write('project/src/index.test.ts', '')
  .write('project/src/deep/util.ts', '')
  .write('project/.hidden.ts', '')
  .run();

console.log(await listDirectory('project')); // [ '.hidden.ts', 'README.md', 'src' ]

const sources = await findFiles('project', '**/*.{ts,js}', { ignore: '**/*.test.ts' });
console.log(sources); // [ 'project/src/deep/util.ts', 'project/src/index.ts' ]

// Entries come with their kind; a symbolic link is a 'symlink' and is not followed.
const found: string[] = [];
for await (const { path, kind } of scanDirectory('project', { recursive: true })) {
  if (kind === 'directory') found.push(path);
}
console.log(found); // [ 'project/src', 'project/src/deep' ]

// Over a hundred thousand files: one promise for hundreds of entries.
let count = 0;
for await (const entries of scanDirectory('project', { recursive: true }).batches()) {
  count += entries.length;
}
console.log(count); // 7

const { files, directories } = await countDirectory('project', { recursive: true });
console.log(files, directories); // 5 2
