/** A file as the rules see it: its path from the root of the project, its text, its syntax tree. */
import ts from 'typescript';

export interface Source {
  readonly path: string;
  readonly text: string;
  /** The room of a file under src/: `file` for src/file.ts and for src/file/open.ts. */
  readonly room: string | undefined;
  /** True for src/<room>.ts. */
  readonly isDoor: boolean;
  /** Parsed when first asked for; only for TypeScript. */
  readonly tree: ts.SourceFile;
}

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly says: string;
}

export type Rule = (sources: readonly Source[]) => Finding[];

export function sourceOf(path: string, text: string): Source {
  let tree: ts.SourceFile | undefined;
  return {
    path,
    text,
    room: /^src\/([^/.]+)[/.]/.exec(path)?.[1],
    isDoor: /^src\/[^/]+$/.test(path),
    get tree() {
      tree ??= ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
      return tree;
    },
  };
}

/** Makes a rule of a function that looks at one file at a time. */
export function perFile(
  applies: (source: Source) => boolean,
  look: (source: Source) => Finding[],
): Rule {
  return (sources) => sources.filter(applies).flatMap(look);
}

export const isTypeScript = (source: Source): boolean => source.path.endsWith('.ts');
export const isProduct = (source: Source): boolean => source.room !== undefined;

/** Every node of a tree, in the order of the text. */
export function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node;
  const children: ts.Node[] = [];
  ts.forEachChild(node, (child) => {
    children.push(child);
  });
  for (const child of children) yield* nodesOf(child);
}

function lineOf(source: Source, node: ts.Node): number {
  return source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree)).line + 1;
}

export function finding(source: Source, node: ts.Node, says: string): Finding {
  return { path: source.path, line: lineOf(source, node), says };
}

/** The finding as a compiler would print it. */
export function printed({ path, line, says }: Finding): string {
  return `${path}:${line}: ${says}`;
}
