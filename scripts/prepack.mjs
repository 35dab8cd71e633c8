// What `npm pack` and `npm publish` do first: everything built, an addon for every target.
//
// A compiler that is missing is told, and that target goes to the portable engine; a publish wants
// all of them.

import { buildAll } from './addon.mjs';
import { writeBillOfMaterials } from './sbom.mjs';
import { setup } from './setup.mjs';

await setup();
buildAll({ isRelease: process.env.npm_command === 'publish' });
writeBillOfMaterials();
