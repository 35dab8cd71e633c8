// Takes the comments out of the declarations that a user cannot name: of what is private to a room,
// and of rooms that no subpath leads to. Types stay as they are. They were half of the declarations
// in the tarball, which nobody's editor would ever show.

import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { filesUnder, inRoot } from './tools.mjs';

/** Every declaration that an entry of package.json gives away, through all re-exports. */
function publicDeclarations(ts, program) {
  const checker = program.getTypeChecker();
  const { exports } = JSON.parse(readFileSync(inRoot('package.json'), 'utf8'));
  const found = new Set();
  for (const { import: entry } of Object.values(exports)) {
    const source = entry && program.getSourceFile(inRoot(entry.types));
    const symbol = source && checker.getSymbolAtLocation(source);
    for (const one of symbol ? checker.getExportsOfModule(symbol) : []) {
      const isAlias = one.flags & ts.SymbolFlags.Alias;
      const target = isAlias ? checker.getAliasedSymbol(one) : one;
      keep(ts, checker, target, found);
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
    const isClass = ts.isClassDeclaration(statement);
    const visit = (node) => {
      const name = ts.isTypeReferenceNode(node) ? node.typeName : node.expression;
      const isNamed = ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node);
      const seen = isNamed ? checker.getSymbolAtLocation(name) : undefined;
      if (seen !== undefined) {
        const isAlias = seen.flags & ts.SymbolFlags.Alias;
        keep(ts, checker, isAlias ? checker.getAliasedSymbol(seen) : seen, found);
      }
      ts.forEachChild(node, visit);
    };
    for (const part of isClass ? (statement.heritageClauses ?? []) : [statement]) visit(part);
  }
}

function statementOf(ts, node) {
  let at = node;
  while (at.parent !== undefined && !ts.isSourceFile(at.parent)) at = at.parent;
  return at;
}

/** Where comments stand that go: before each statement that is not public, and inside it. */
function commentsIn(ts, source, isPublic) {
  const ranges = [];
  const visit = (node) => {
    ranges.push(...(ts.getLeadingCommentRanges(source.text, node.pos) ?? []));
    ts.forEachChild(node, visit);
  };
  for (const statement of source.statements) if (!isPublic.has(statement)) visit(statement);
  return [...new Map(ranges.map((range) => [range.pos, range])).values()].sort(
    (a, b) => b.pos - a.pos,
  );
}

export function trimDeclarations() {
  const ts = createRequire(import.meta.url)('typescript');
  const paths = filesUnder('dist').filter((path) => path.endsWith('.d.ts'));
  const options = { module: ts.ModuleKind.NodeNext, moduleResolution: 99, types: [], noLib: true };
  const program = ts.createProgram(
    paths.map((path) => inRoot(path)),
    options,
  );
  const isPublic = publicDeclarations(ts, program);
  for (const path of paths) {
    const source = program.getSourceFile(inRoot(path));
    let { text } = source;
    for (const { pos, end } of commentsIn(ts, source, isPublic)) {
      text = `${text.slice(0, pos).replace(/[ \t]*$/, '')}${text.slice(end).replace(/^\s*\n/, '')}`;
    }
    if (text === source.text) continue;
    // The compiler goes by times: what it wrote has not changed for it.
    const { atime, mtime } = statSync(inRoot(path));
    writeFileSync(inRoot(path), text);
    utimesSync(inRoot(path), atime, mtime);
  }
}
