/** Rules about comments: the head of each door, and the docstring of everything public. */
import { posix } from 'node:path';
import ts from 'typescript';
import { type Finding, finding, isProduct, nodesOf, perFile, type Source } from './source.js';

const headParts = ['Invariants', 'Not promised', 'Source'];
const fields = ['Shapes', 'Units', 'Order', 'Durable', 'Lifetime', 'Errors', 'Source'];

export const doorsHaveHeads = perFile(
  (source) => source.isDoor,
  (source) => {
    const { path } = source;
    const head = /^(?:#!.*\n)?\/\*\*[\s\S]*?\*\//.exec(source.text)?.[0];
    if (head === undefined) return [{ path, line: 1, says: 'a door opens with a head comment' }];
    const parts = labelsIn(head, headParts);
    if (parts.length === 0) {
      return [{ path, line: 1, says: `the head names none of ${headParts.join(', ')}` }];
    }
    return inOrder(parts, headParts) ? [] : [{ path, line: 1, says: misplaced(headParts) }];
  },
);

/** Everything that index.ts gives away and that can be called says what it does. */
export function publicHasDocstrings(sources: readonly Source[]): Finding[] {
  const files = new Map(sources.filter(isProduct).map((source) => [source.path, source]));
  const index = files.get('src/index.ts');
  if (!index) return [];
  const seen = new Set<ts.Node>();
  return [...exportsOf(index, files)].flatMap(({ source, node }) => {
    if (seen.has(node)) return [];
    seen.add(node);
    return callablesOf(node).flatMap((callable) => docstringFindings(source, callable));
  });
}

interface Exported {
  readonly name: string;
  readonly source: Source;
  readonly node: ts.Statement;
}

/** What a file exports, followed through re-exports to where it is declared. */
function* exportsOf(source: Source, files: ReadonlyMap<string, Source>): Generator<Exported> {
  for (const node of source.tree.statements) {
    if (ts.isExportDeclaration(node)) yield* throughExport(source, node, files);
    else if (isExported(node)) for (const name of namesOf(node)) yield { name, source, node };
  }
}

function* throughExport(
  source: Source,
  node: ts.ExportDeclaration,
  files: ReadonlyMap<string, Source>,
): Generator<Exported> {
  const from = node.moduleSpecifier;
  const target = from && ts.isStringLiteral(from) ? fileOf(source, from.text, files) : source;
  if (!target) return;
  const names = node.exportClause;
  if (!names || !ts.isNamedExports(names)) {
    yield* exportsOf(target, files);
    return;
  }
  const wanted = new Set(names.elements.map((one) => (one.propertyName ?? one.name).text));
  const offered = from ? exportsOf(target, files) : declarationsOf(target);
  for (const one of offered) if (wanted.has(one.name)) yield one;
}

function fileOf(source: Source, from: string, files: ReadonlyMap<string, Source>) {
  const target = posix.join(posix.dirname(source.path), from);
  return files.get(target.replace(/\.js$/, '.ts'));
}

function* declarationsOf(source: Source): Generator<Exported> {
  for (const node of source.tree.statements) {
    for (const name of namesOf(node)) yield { name, source, node };
  }
}

function namesOf(node: ts.Statement): string[] {
  if (ts.isVariableStatement(node)) {
    return node.declarationList.declarations.map(({ name }) => name.getText());
  }
  const { name } = node as unknown as ts.NamedDeclaration;
  return name && ts.isIdentifier(name) ? [name.text] : [];
}

function isExported(node: ts.Node): boolean {
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined;
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

interface Callable {
  readonly name: string;
  /** Where the docstring stands. */
  readonly node: ts.Node;
  readonly canFail: boolean;
}

/** The functions, classes and methods that a declaration gives away. */
function callablesOf(node: ts.Statement): Callable[] {
  if (ts.isFunctionDeclaration(node)) return [callable(node.name?.text ?? '', node, node)];
  if (ts.isInterfaceDeclaration(node)) {
    return firstOfEach(node.members.filter(ts.isMethodSignature)).map((one) =>
      callable(`${node.name.text}.${one.name.getText()}`, one, one),
    );
  }
  if (ts.isVariableStatement(node)) {
    return node.declarationList.declarations.flatMap(({ name, initializer }) =>
      initializer && ts.isFunctionLike(initializer)
        ? [callable(name.getText(), node, initializer)]
        : [],
    );
  }
  if (!ts.isClassDeclaration(node)) return [];
  const className = node.name?.text ?? '';
  const methods = firstOfEach(node.members.filter(ts.isMethodDeclaration).filter(isPublic));
  return [
    { name: className, node, canFail: false },
    ...methods.map((one) => callable(`${className}.${one.name.getText()}`, one, one)),
  ];
}

/** The first declaration of each name: where overloads are documented. */
function firstOfEach<Method extends ts.MethodDeclaration | ts.MethodSignature>(
  methods: readonly Method[],
): Method[] {
  const byName = new Map<string, Method>();
  for (const one of methods) {
    if (!byName.has(one.name.getText())) byName.set(one.name.getText(), one);
  }
  return [...byName.values()];
}

function isPublic(method: ts.MethodDeclaration): boolean {
  const hidden = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword];
  if (ts.getModifiers(method)?.some(({ kind }) => hidden.includes(kind))) return false;
  // [Symbol.asyncDispose] and its like mean what the language says they mean.
  return ts.isIdentifier(method.name);
}

function callable(name: string, node: ts.Node, signature: ts.SignatureDeclaration): Callable {
  const result = signature.type?.getText() ?? '';
  const rejects = /^(Promise|AsyncIterable|AsyncIterableIterator|AsyncGenerator)\b/.test(result);
  return { name, node, canFail: rejects || /Sync$/.test(name) || throws(signature) };
}

function throws(signature: ts.SignatureDeclaration): boolean {
  const body = 'body' in signature ? signature.body : undefined;
  if (!body) return false;
  for (const node of nodesOf(body)) if (ts.isThrowStatement(node)) return true;
  return false;
}

function docstringFindings(source: Source, { name, node, canFail }: Callable): Finding[] {
  const comments = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const text = comments.at(-1)?.getText();
  if (text === undefined) return [finding(source, node, `${name} has no docstring`)];
  const present = labelsIn(text, fields);
  const found: Finding[] = [];
  if (!inOrder(present, fields)) found.push(finding(source, node, `${name}: ${misplaced(fields)}`));
  if (canFail && !present.includes('Errors')) {
    found.push(finding(source, node, `${name} can fail: its docstring needs "Errors:"`));
  }
  return found;
}

/** The labels in a comment, in the order they stand: at the start of a line or a sentence. */
function labelsIn(comment: string, labels: readonly string[]): string[] {
  const pattern = new RegExp(`(?:\\*\\*?[ ]+|[.;:)] )(${labels.join('|')}):`, 'g');
  return [...comment.matchAll(pattern)].map(([, label]) => label as string);
}

function inOrder(present: readonly string[], order: readonly string[]): boolean {
  const places = present.map((label) => order.indexOf(label));
  return places.every((place, index) => index === 0 || place > (places[index - 1] as number));
}

function misplaced(order: readonly string[]): string {
  return `these stand once and in this order: ${order.join(', ')}`;
}
