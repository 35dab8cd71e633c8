/** Appends records of its own, each telling its length; prints where each landed. */
import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';

const [path = '', name, face, id = '', count, access] = process.argv.slice(2);
const engine = engineNamed(name);
const file = await openFile(path, { access: access as 'append', engine });
const landed: { offset: number; text: string }[] = [];
console.log('ready');
while (!existsSync(`${path}.go`)) await setImmediate();
for (let index = 0; index < Number(count); index++) {
  const text = `<${id}:${index}:${'x'.repeat((index * 37) % 900)}>`;
  const views = [Buffer.from(text.slice(0, 3)), Buffer.from(text.slice(3))];
  const offset = face === 'sync' ? file.appendSync(views) : await file.append(views);
  landed.push({ offset, text });
}
await file.close();
console.log(JSON.stringify(landed));
