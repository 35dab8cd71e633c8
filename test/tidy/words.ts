/** Rules about what may be written: exports, types, markers, names. */
import ts from 'typescript';
import { borrowedNames, borrowedShapes, vocabulary } from './house.js';
import {
  type Finding,
  finding,
  isProduct,
  isTypeScript,
  nodesOf,
  perFile,
  type Source,
} from './source.js';

export const noDefaultExport = perFile(isTypeScript, (source) => {
  if (source.room && borrowedShapes.has(source.room)) return [];
  const found: Finding[] = [];
  for (const node of nodesOf(source.tree)) {
    if (isDefaultExport(node)) found.push(finding(source, node, 'a default export'));
  }
  return found;
});

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true;
  if (ts.isExportSpecifier(node)) return node.name.text === 'default';
  return node.kind === ts.SyntaxKind.DefaultKeyword && ts.isDeclarationStatement(node.parent);
}

export const noAny = perFile(isTypeScript, (source) => {
  const found: Finding[] = [];
  for (const node of nodesOf(source.tree)) {
    if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(finding(source, node, 'the type any'));
  }
  return found;
});

// Spelt in two parts so that this file does not report itself.
const markers = new RegExp(`\\b(TO${'DO'}|FIX${'ME'}|XX${'X'})\\b`);

/** What is left to do stands in an issue. */
export const noMarkers = perFile(
  () => true,
  ({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const marker = markers.exec(line)?.[1];
      return marker ? [{ path, line: index + 1, says: `the marker ${marker}` }] : [];
    }),
);

/** One word for one thing: names declared in src keep to the table of STYLE.md. */
export const vocabularyHolds = perFile(isProduct, (source) => {
  const found: Finding[] = [];
  for (const node of nodesOf(source.tree)) {
    const name = declaredName(node);
    if (name === undefined || borrowedNames.has(name)) continue;
    for (const word of wordsOf(name)) {
      const wrong = wrongWord(word, source);
      if (wrong) found.push(finding(source, node, `"${word}" in ${name}: say ${wrong.use}`));
    }
  }
  return found;
});

function wrongWord(word: string, { room }: Source) {
  return vocabulary.find(
    ({ not, rooms }) => not.test(word) && (rooms?.includes(room as string) ?? true),
  );
}

/** The name a node declares; names that are only used, and keys of literals, are others'. */
function declaredName(node: ts.Node): string | undefined {
  const declares =
    ts.isVariableDeclaration(node) ||
    ts.isBindingElement(node) ||
    ts.isParameter(node) ||
    ts.isFunctionDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isClassElement(node) ||
    ts.isTypeElement(node);
  if (!declares || !node.name) return undefined;
  const { name } = node;
  if (ts.isIdentifier(name) || ts.isPrivateIdentifier(name)) return name.text.replace('#', '');
  return undefined;
}

/** `crc32cOfViews` and `VIEW_COUNT` as lower-case words. */
export function wordsOf(name: string): string[] {
  const spaced = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2');
  return spaced.split(/[\s_$]+/).map((word) => word.toLowerCase());
}
