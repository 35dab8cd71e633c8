// Writes dist/sbom.cdx.json: what a user gets, as CycloneDX. There are no packages below this one;
// what was copied or compiled into it is listed, with its licence.
//
// Nothing of it depends on when or where it is written: the same sources give the same bytes.

import { readFileSync, writeFileSync } from 'node:fs';
import { inRoot, isMain } from './tools.mjs';

const jsonOf = (path) => JSON.parse(readFileSync(inRoot(path), 'utf8'));

function component(name, version, description) {
  return {
    type: 'library',
    name,
    version,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    licenses: [{ license: { id: 'MIT' } }],
    description,
  };
}

export function writeBillOfMaterials() {
  const { name, version, license, description, dependencies = {} } = jsonOf('package.json');
  const { packages } = jsonOf('package-lock.json');
  const below = Object.keys(dependencies).map((name) =>
    component(name, packages[`node_modules/${name}`].version, 'a dependency'),
  );
  const inside = [
    component('node-api-headers', '1.9.0', 'headers of Node-API, compiled into the addon'),
    component('uplot', packages['node_modules/uplot'].version, 'charts of the report of bench'),
  ];
  const subject = {
    type: 'library',
    name,
    version,
    description,
    purl: `pkg:npm/${name}@${version}`,
  };
  const bill = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { ...subject, licenses: [{ license: { id: license } }] } },
    components: [...below, ...inside],
  };
  writeFileSync(inRoot('dist/sbom.cdx.json'), `${JSON.stringify(bill, null, 2)}\n`);
}

if (isMain(import.meta.url)) writeBillOfMaterials();
