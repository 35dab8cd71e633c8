// Rolls the declarations up: dist/house.d.ts with every type that a door of package.json leads to,
// and a list of names for each door in front of it, as the JavaScript has it (scripts/bundle.mjs).
//
// One file a room, with what is private to it, was a third of the tarball, and nothing of it can be
// named by a user.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { changedMs, filesUnder, inRoot, openDoors } from './tools.mjs';

const ROOMS = 'build/src';
const ENTRIES = 'build/entries';
const HOUSE = 'dist/house.d.ts';

function isStale() {
  const built = changedMs(HOUSE);
  const inputs = filesUnder(ROOMS).filter((path) => path.endsWith('.d.ts'));
  return ['scripts/declarations.mjs', 'package.json', ...inputs].some(
    (path) => changedMs(path) > built,
  );
}

/* An entry that only passes on leaves all declarations to the module behind the doors. */
function writeEntry(name) {
  const path = inRoot(ENTRIES, `${name}.d.ts`);
  const room = `'../src/${name}.js'`;
  const isBorrowed = /\bas default\b|export default/.test(
    readFileSync(inRoot(ROOMS, `${name}.d.ts`), 'utf8'),
  );
  const rest = isBorrowed ? `export { default } from ${room};\n` : '';
  writeFileSync(path, `export * from ${room};\n${rest}`);
  return path;
}

/* What opens a room is for those who change it, and would be told of whatever stands first. */
const withoutHeads = {
  name: 'without-heads',
  transform: (text) => text.replace(/^\/\*\*[\s\S]*?\*\/\s*(?=import |export [{*]|\/\*\*)/, ''),
};

export async function rollDeclarations() {
  if (!isStale()) return;
  const [{ rollup }, { dts }] = await Promise.all([import('rollup'), import('rollup-plugin-dts')]);
  rmSync(inRoot(ENTRIES), { recursive: true, force: true });
  mkdirSync(inRoot(ENTRIES), { recursive: true });
  const entries = openDoors().map((name) => [name, writeEntry(name)]);
  const bundle = await rollup({
    input: Object.fromEntries(entries),
    external: [/^node:/, /^@opentelemetry\//],
    plugins: [withoutHeads, dts({ tsconfig: inRoot('tsconfig.src.json') })],
  });
  for (const path of filesUnder('dist')) if (path.endsWith('.d.ts')) rmSync(inRoot(path));
  const isEntry = (id) => id.startsWith(inRoot(ENTRIES));
  await bundle.write({
    dir: inRoot('dist'),
    entryFileNames: '[name].d.ts',
    chunkFileNames: '[name].d.ts',
    manualChunks: (id) => (isEntry(id) ? undefined : 'house'),
    minifyInternalExports: false,
  });
  await bundle.close();
  leaveOutComments();
}

/* Comments on what nobody can name, and no editor would show: a fifth of the file. */
function leaveOutComments() {
  const ts = createRequire(import.meta.url)('typescript');
  const options = { module: ts.ModuleKind.NodeNext, moduleResolution: 99, types: [], noLib: true };
  const doors = openDoors().map((name) => inRoot('dist', `${name}.d.ts`));
  const program = ts.createProgram(doors, options);
  const isPublic = publicStatements(ts, program, doors);
  const source = program.getSourceFile(inRoot(HOUSE));
  let { text } = source;
  for (const { pos, end } of commentsIn(ts, source, isPublic)) {
    text = `${text.slice(0, pos).replace(/[ \t]*$/, '')}${text.slice(end).replace(/^\s*\n/, '')}`;
  }
  writeFileSync(inRoot(HOUSE), text);
}

/** Every declaration that a door gives away. */
function publicStatements(ts, program, doors) {
  const checker = program.getTypeChecker();
  const found = new Set();
  for (const door of doors) {
    const symbol = checker.getSymbolAtLocation(program.getSourceFile(door));
    for (const one of checker.getExportsOfModule(symbol)) {
      const isAlias = one.flags & ts.SymbolFlags.Alias;
      keep(ts, checker, isAlias ? checker.getAliasedSymbol(one) : one, found);
    }
  }
  return found;
}

/** With what a user sees through it: what a class extends, what an interface consists of. */
function keep(ts, checker, symbol, found) {
  for (const declaration of symbol.declarations ?? []) {
    const statement = statementOf(ts, declaration);
    if (found.has(statement)) continue;
    found.add(statement);
    const visit = (node) => {
      const name = ts.isTypeReferenceNode(node) ? node.typeName : node.expression;
      const isNamed = ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node);
      const seen = isNamed ? checker.getSymbolAtLocation(name) : undefined;
      if (seen !== undefined) keep(ts, checker, seen, found);
      ts.forEachChild(node, visit);
    };
    const isClass = ts.isClassDeclaration(statement);
    for (const part of isClass ? (statement.heritageClauses ?? []) : [statement]) visit(part);
  }
}

function statementOf(ts, node) {
  let at = node;
  while (at.parent !== undefined && !ts.isSourceFile(at.parent)) at = at.parent;
  return at;
}

/** From the last to the first: before each statement that is not public, and inside it. */
function commentsIn(ts, source, isPublic) {
  const ranges = new Map();
  const visit = (node) => {
    for (const range of ts.getLeadingCommentRanges(source.text, node.pos) ?? []) {
      ranges.set(range.pos, range);
    }
    ts.forEachChild(node, visit);
  };
  for (const statement of source.statements) if (!isPublic.has(statement)) visit(statement);
  return [...ranges.values()].sort((a, b) => b.pos - a.pos);
}
