/** Rules about who may know whom: ranks, private folders, builtins, the clock and chance. */
import { posix } from 'node:path';
import ts from 'typescript';
import { builtinsOf, processMembers, pureBuiltins, ranks, worldly } from './house.js';
import { type Finding, finding, isProduct, nodesOf, perFile, type Source } from './source.js';

interface Import {
  readonly node: ts.Node;
  readonly from: string;
}

/** Everything a file names as a module, for values or for types, at the top or inside. */
function importsOf({ tree }: Source): Import[] {
  const found: Import[] = [];
  for (const node of nodesOf(tree)) {
    const from = moduleNamedBy(node);
    if (from && ts.isStringLiteralLike(from)) found.push({ node, from: from.text });
  }
  return found;
}

function moduleNamedBy(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return node.argument.literal;
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    return node.arguments[0];
  }
  return undefined;
}

const isRelative = ({ from }: Import): boolean => from.startsWith('.');

/** A room imports only rooms of lower rank. */
export const ranksHold = perFile(isProduct, (source) => {
  const rank = ranks[source.room as string];
  if (rank === undefined) {
    return [finding(source, source.tree, `the room ${source.room} has no rank`)];
  }
  return importsOf(source)
    .filter(isRelative)
    .flatMap((one) => {
      const target = posix.join(posix.dirname(source.path), one.from);
      const [, room, inside] = /^src\/([^/.]+)(\/.+)?\.js$/.exec(target) ?? [];
      if (room === undefined) return [finding(source, one.node, `${one.from} is no file of src`)];
      if (inside !== undefined && room === source.room) return [];
      const below = ranks[room];
      if (below !== undefined && below < rank) return [];
      const says = `${source.room} (rank ${rank}) may not import ${room} (rank ${below})`;
      return [finding(source, one.node, says)];
    });
});

/** A private folder is imported by its door and from inside, by nobody else. */
export const foldersArePrivate = perFile(isProduct, (source) =>
  importsOf(source)
    .filter(isRelative)
    .flatMap((one) => {
      const target = posix.join(posix.dirname(source.path), one.from);
      const owner = /^src\/([^/]+)\//.exec(target)?.[1];
      if (owner === undefined || owner === source.room) return [];
      return [finding(source, one.node, `${one.from} is private to src/${owner}.ts`)];
    }),
);

/** Only the worldly rooms import builtins, and nobody imports a package. */
export const builtinsStayBelow = perFile(isProduct, (source) =>
  importsOf(source).flatMap((one) => {
    if (isRelative(one) || pureBuiltins.has(one.from)) return [];
    if (!one.from.startsWith('node:')) {
      return [finding(source, one.node, `${one.from} is a package: src has no dependencies`)];
    }
    if (worldly.has(source.room as string)) return [];
    if (builtinsOf[source.room as string]?.includes(one.from)) return [];
    return [finding(source, one.node, `${one.from} is for platform and engine only`)];
  }),
);

/** The front door holds re-exports and nothing else. */
export const indexOnlyExports = perFile(
  ({ path }) => path === 'src/index.ts',
  (source) =>
    source.tree.statements
      .filter((one) => !(ts.isExportDeclaration(one) && one.moduleSpecifier))
      .map((one) => finding(source, one, 'index.ts holds re-exports and nothing else')),
);

/** Time, chance and the process come through the platform. */
export const noClockAbovePlatform = perFile(
  (source) => isProduct(source) && !worldly.has(source.room as string),
  (source) => {
    const found: Finding[] = [];
    for (const node of nodesOf(source.tree)) {
      const use = worldlyUse(node, source.room as string);
      if (use) found.push(finding(source, node, `${use} is for platform and engine only`));
    }
    return found;
  },
);

const worldlyMembers = new Set([
  'Date.now',
  'Math.random',
  'AbortSignal.timeout',
  'Atomics.wait',
  'Atomics.waitAsync',
]);
const worldlyGlobals = new Set([
  'process',
  'performance',
  'crypto',
  'globalThis',
  'require',
  'fetch',
  'setTimeout',
  'setInterval',
  'setImmediate',
]);

function worldlyUse(node: ts.Node, room: string): string | undefined {
  if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
    const whole = `${node.expression.text}.${node.name.text}`;
    if (worldlyMembers.has(whole)) return whole;
  }
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && !node.arguments?.length) {
    return 'new Date()';
  }
  if (ts.isIdentifier(node) && worldlyGlobals.has(node.text) && isReference(node)) {
    return isAllowedOfProcess(node, room) ? undefined : node.text;
  }
  return undefined;
}

/** Whether a name stands for the global: not for a member, a property or a label of that name. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node;
  if (ts.isQualifiedName(parent)) return false;
  const isNamedHere = 'name' in parent && parent.name === node;
  return !isNamedHere || ts.isShorthandPropertyAssignment(parent);
}

function isAllowedOfProcess(node: ts.Identifier, room: string): boolean {
  const { parent } = node;
  if (node.text !== 'process' || !ts.isPropertyAccessExpression(parent)) return false;
  return processMembers[room]?.includes(parent.name.text) ?? false;
}
