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
  leaveOutInsides();
  leaveOutComments();
}

/*
 * What a user cannot call: members that are protected or `@internal`, constructors that take what
 * has no name outside, and then every type that nothing leads to any more. An eighth of the file.
 */
function leaveOutInsides() {
  const ts = createRequire(import.meta.url)('typescript');
  const text = readFileSync(inRoot(HOUSE), 'utf8');
  const given = new Set(openDoors().flatMap((name) => namesGiven(ts, name)));
  const without = cut(text, insides(ts, parsed(ts, text), given));
  writeFileSync(inRoot(HOUSE), cut(without, unreached(ts, parsed(ts, without), given)));
}

const parsed = (ts, text) => ts.createSourceFile(HOUSE, text, ts.ScriptTarget.Latest, true);

/** The names by which a door finds what it gives away. */
function namesGiven(ts, door) {
  const source = parsed(ts, readFileSync(inRoot('dist', `${door}.d.ts`), 'utf8'));
  return source.statements
    .filter(ts.isExportDeclaration)
    .flatMap(({ exportClause }) =>
      exportClause.elements.map(({ propertyName, name }) => (propertyName ?? name).text),
    );
}

/** A text with ranges replaced. */
function cut(text, ranges) {
  let left = text;
  for (const { pos, end, by = '' } of ranges.sort((a, b) => b.pos - a.pos)) {
    left = left.slice(0, pos) + by + left.slice(end);
  }
  return left;
}

const namesOf = (ts, statement) =>
  ts.isVariableStatement(statement)
    ? statement.declarationList.declarations.map(({ name }) => name.text)
    : [statement.name?.text].filter((name) => name !== undefined);

function insides(ts, source, given) {
  const named = new Map(
    source.statements.flatMap((one) => namesOf(ts, one).map((name) => [name, one])),
  );
  const isUnnamed = (name) => named.has(name) && !given.has(name);
  const takesUnnamed = (node) =>
    (ts.isTypeReferenceNode(node) && isUnnamed(node.typeName.getText())) ||
    ts.forEachChild(node, takesUnnamed) === true;
  const replaced = (member, name) => {
    const isProtected = member.modifiers?.some(
      ({ kind }) => kind === ts.SyntaxKind.ProtectedKeyword,
    );
    const isInternal = ts.getJSDocTags(member).some(({ tagName }) => tagName.text === 'internal');
    if (ts.isConstructorDeclaration(member)) {
      /* Errors are made by those who test what handles them. */
      return takesUnnamed(member) && !name.endsWith('Error')
        ? '\n    protected constructor();'
        : undefined;
    }
    return isProtected || isInternal ? '' : undefined;
  };
  return source.statements.filter(ts.isClassDeclaration).flatMap((statement) => {
    const clauses = (statement.heritageClauses ?? []).filter(
      ({ token, types }) =>
        token === ts.SyntaxKind.ImplementsKeyword &&
        types.every(({ expression }) => isUnnamed(expression.getText())),
    );
    const members = statement.members.flatMap((member) => {
      const by = replaced(member, statement.name.text);
      return by === undefined ? [] : [{ pos: member.pos, end: member.end, by }];
    });
    return [...clauses.map(({ pos, end }) => ({ pos, end })), ...members];
  });
}

/** Statements that no name which is given away leads to. */
function unreached(ts, source, given) {
  const statementsOf = new Map();
  for (const statement of source.statements) {
    for (const name of namesOf(ts, statement)) {
      statementsOf.set(name, [...(statementsOf.get(name) ?? []), statement]);
    }
  }
  const reached = new Set();
  const visit = (node) => {
    if (ts.isIdentifier(node)) reach(node.text);
    ts.forEachChild(node, visit);
  };
  const reach = (name) => {
    if (reached.has(name) || !statementsOf.has(name)) return;
    reached.add(name);
    statementsOf.get(name).forEach(visit);
  };
  for (const name of given) reach(name);
  const isReached = (statement) => namesOf(ts, statement).some((name) => reached.has(name));
  return source.statements
    .filter((statement) => namesOf(ts, statement).length > 0 && !isReached(statement))
    .map(({ pos, end }) => ({ pos, end }));
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
