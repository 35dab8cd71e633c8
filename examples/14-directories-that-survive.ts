/** Makes, fills, moves and removes directories; a power cut after a call changes nothing. */
import './scratch.js';
import { BatchError, batch, makeDirectory, moveFile, removeTree } from 'holdfast';

const made = await makeDirectory('releases/1.0/assets');
console.log(made.created); // [ 'releases', 'releases/1.0', 'releases/1.0/assets' ]
console.log(made.durability); // full

// Several changes, one sync for each directory at the end.
const report = await batch()
  .write('releases/1.0/index.html', '<h1>One</h1>')
  .write('releases/1.0/assets/style.css', 'h1 { color: teal }')
  .write('current', '1.0')
  .run();
console.log(report.completed, report.directories); // 3 3

// It stops at the first refusal, tells which one it was, and keeps what was done by then.
try {
  await batch().write('next', '1.1').remove('absent').write('never', '').run();
} catch (error) {
  if (!(error instanceof BatchError)) throw error;
  console.log(error.index, error.operation, error.code); // 1 remove ENOENT
  console.log(error.completed, error.completedDurable); // 1 true
}

const moved = await moveFile('releases/1.0', 'releases/old'); // a directory, too
console.log(moved.method); // rename

const removed = await removeTree('releases'); // never through a symbolic link
console.log(removed.files, removed.directories); // 2 3
