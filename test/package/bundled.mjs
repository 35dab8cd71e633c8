// The main calls, of rooms whose parts wait for them: what a program does that is bundled.

import { copyFile, defaultEngine, Journal, openFile, replaceFileSync } from 'holdfast';

const main = async () => {
  const { durability } = replaceFileSync('state.json', '{}');
  const { bytes } = await copyFile('state.json', 'copy.json');
  const journal = await Journal.open('log');
  const lsn = await journal.append(Buffer.from('first'));
  await journal.close();
  const file = await openFile('copy.json');
  let read = 0;
  for await (const view of file.createReadStream()) read += view.length;
  console.log(JSON.stringify({ durability, bytes, lsn, read, engine: defaultEngine().name }));
};

main();
