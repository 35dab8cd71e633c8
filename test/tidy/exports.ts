/** A rule about what is exported: somebody imports it. */
import { posix } from 'node:path';
import ts from 'typescript';
import { entrances } from './house.js';
import {
  type Finding,
  finding,
  isProduct,
  isTypeScript,
  nodesOf,
  type Rule,
  type Source,
} from './source.js';

const EVERYTHING = '*';

interface Given {
  readonly node: ts.Node;
  readonly name: string;
}

/** Every function, class and constant that a file of src exports is imported by another. */
export const exportsAreImported: Rule = (sources) => {
  const files = sources.filter(isTypeScript);
  const taken = new Set(files.flatMap((source) => [...takenBy(source)]));
  const found: Finding[] = [];
  for (const source of files.filter(isProduct)) {
    if (entrances.has(source.path) || taken.has(`${source.path} ${EVERYTHING}`)) continue;
    for (const { node, name } of givenBy(source)) {
      if (taken.has(`${source.path} ${name}`)) continue;
      found.push(finding(source, node, `${name} is exported and nobody imports it`));
    }
  }
  return found;
};

/* Values alone: a type that a function answers has a name for its reader. */
function* givenBy({ tree }: Source): Generator<Given> {
  for (const node of tree.statements) {
    if (ts.isExportDeclaration(node) && !node.isTypeOnly) {
      for (const one of namesIn(node.exportClause)) {
        if (!one.isTypeOnly) yield { node: one, name: one.name.text };
      }
    } else if (isExported(node)) {
      if (ts.isVariableStatement(node)) {
        for (const { name } of node.declarationList.declarations) {
          if (ts.isIdentifier(name)) yield { node: name, name: name.text };
        }
      } else if (ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node)) {
        if (node.name !== undefined) yield { node, name: node.name.text };
      }
    }
  }
}

function isExported(node: ts.Statement): boolean {
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined;
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;
}

function namesIn(clause: ts.NamedExportBindings | ts.NamedImportBindings | undefined) {
  if (clause === undefined || !('elements' in clause)) return [];
  const elements: readonly (ts.ExportSpecifier | ts.ImportSpecifier)[] = [...clause.elements];
  return elements;
}

/** `path name` of all that a file takes from others, by whatever name it calls it. */
function* takenBy(source: Source): Generator<string> {
  for (const node of nodesOf(source.tree)) {
    const specifier = moduleOf(node);
    if (specifier === undefined) continue;
    const from = fileOf(specifier, source.path);
    const clause = ts.isImportDeclaration(node)
      ? node.importClause?.namedBindings
      : ts.isExportDeclaration(node)
        ? node.exportClause
        : undefined;
    if (clause === undefined || !('elements' in clause)) yield `${from} ${EVERYTHING}`;
    for (const one of namesIn(clause)) yield `${from} ${(one.propertyName ?? one.name).text}`;
  }
}

function moduleOf(node: ts.Node): string | undefined {
  const named =
    ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
      ? node.moduleSpecifier
      : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
        ? node.arguments[0]
        : undefined;
  return named !== undefined && ts.isStringLiteralLike(named) ? named.text : undefined;
}

function fileOf(specifier: string, importer: string): string {
  const path = specifier.startsWith('#holdfast/')
    ? specifier.replace('#holdfast', 'src')
    : posix.join(posix.dirname(importer), specifier);
  return path.replace(/\.js$/, '.ts');
}
