/** Serves paths that somebody else chose, from a directory that none of them leads out of. */
import './scratch.js';
import { symlink } from 'node:fs/promises';
import { IoError, makeDirectory, openRoot, replaceFile } from 'holdfast';

await makeDirectory('uploads/ann');
await replaceFile('secret.txt', 'not for you');
await symlink('../secret.txt', 'uploads/sneaky');

await using root = await openRoot('uploads');

await root.replaceFile('ann/note.txt', 'hello');
console.log(Buffer.from(await root.readFile('ann/note.txt')).toString()); // hello
console.log(await root.findFiles('.', '**/*.txt')); // [ 'ann/note.txt' ]

const kinds: string[] = [];
for (const path of ['../secret.txt', '/etc/passwd', 'sneaky']) {
  try {
    await root.readFile(path);
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    kinds.push(error.kind);
  }
}
console.log(kinds); // [ 'escape', 'escape', 'escape' ]

// By openat2(2), or part by part where that is refused; a swapped directory leads nobody out.
console.log(['kernel', 'walk'].includes(root.explain().resolution)); // true
