/** Writes a structure as it lies in memory, and looks at it again without reading it. */
import './scratch.js';
import { writeFile } from 'node:fs/promises';
import { IoError } from 'holdfast';
import {
  f64,
  type InputOf,
  LayoutMismatchError,
  list,
  map,
  openImage,
  optional,
  struct,
  text,
  u32,
  writeImage,
} from 'holdfast/image';

const Station = struct({ id: u32, name: text, note: optional(text) });
const Weather = struct({
  stations: list(Station),
  temperatures: list(f64),
  byName: map(text, u32),
});

const value: InputOf<typeof Weather> = {
  stations: [
    { id: 7, name: 'Säntis' },
    { id: 9, name: 'Zürich', note: 'moved in 2019' },
  ],
  temperatures: new Float64Array(100_000).fill(4.5), // written from where it lies
  byName: { Säntis: 0, Zürich: 1 },
};
const { bytes, durability } = await writeImage('weather.image', Weather, value);
console.log(bytes, durability); // 800736 full

{
  await using weather = await openImage('weather.image', Weather);
  console.log(weather.stations.at(1)?.note); // moved in 2019
  console.log(weather.byName.get('Säntis')); // 0
  console.log(weather.temperatures.length, weather.temperatures[99_999]); // 100000 4.5
}

// A later version adds a field: old images are read on. Any other change is refused by name.
const Later = struct({
  stations: list(struct({ id: u32, name: text, note: optional(text), height: optional(f64) })),
  temperatures: list(f64),
  byName: map(text, u32),
});
{
  using weather = await openImage('weather.image', Later);
  console.log(weather.stations.at(0)?.name, weather.stations.at(0)?.height); // Säntis undefined
}
const Other = struct({ stations: list(Station), temperatures: list(u32), byName: map(text, u32) });
try {
  await openImage('weather.image', Other);
} catch (error) {
  if (!(error instanceof LayoutMismatchError)) throw error;
  console.log(error.field, error.image, error.schema); // temperatures[] f64 u32
}

// Larger than memory: a list may be whatever brings its elements one by one.
async function* stations() {
  for (let id = 0; id < 1000; id++) yield { id, name: `station ${id}` };
}
await writeImage('many.image', Weather, { ...value, stations: stations() });
{
  using many = await openImage('many.image', Weather, { mode: 'read', sections: ['stations'] });
  let sum = 0;
  for (const { id } of many.stations.scan()) sum += id; // one view that moves on
  console.log(sum); // 499500
}

// What is not as it was written is noticed before it is shown.
await writeFile('many.image', 'x', { flag: 'r+' });
try {
  await openImage('many.image', Weather);
} catch (error) {
  if (!(error instanceof IoError)) throw error;
  console.log(error.code, error.kind); // ERR_IMAGE_DAMAGED corrupt
}
