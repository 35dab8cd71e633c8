/** The front door gives all that the subpaths give, and the very same things. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import * as house from 'holdfast';
import * as image from 'holdfast/image';
import * as journal from 'holdfast/journal';
import * as queue from 'holdfast/queue';
import * as writeFileAtomic from 'holdfast/write-file-atomic';

const subpaths = { image, journal, queue, 'write-file-atomic': writeFileAtomic };
/* What stands for a whole module, to those who import it as one. */
const shapes = ['default', 'module.exports'];

for (const [name, subpath] of Object.entries<Record<string, unknown>>(subpaths)) {
  test(`what holdfast/${name} gives, holdfast gives too`, () => {
    const given = Object.keys(subpath).filter((one) => !shapes.includes(one));
    deepEqual(
      given.filter((one) => !(one in house)),
      [],
    );
    for (const one of given) equal(Reflect.get(house, one), subpath[one], one);
  });
}
