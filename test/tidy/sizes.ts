/** Rules about size: functions, lines, files. */
import ts from 'typescript';
import { fileLinesMax, functionLinesMax, lineColumnsMax } from './house.js';
import { type Finding, finding, nodesOf, perFile, type Source } from './source.js';

const isC = ({ path }: Source): boolean => /\.[ch]$/.test(path);
const isTs = ({ path }: Source): boolean => path.endsWith('.ts');

export const linesAreShort = perFile(
  () => true,
  ({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const columns = [...line].length;
      if (columns <= lineColumnsMax || line.includes('https://')) return [];
      const says = `a line of ${columns} columns, more than ${lineColumnsMax}`;
      return [{ path, line: index + 1, says }];
    }),
);

export const filesAreShort = perFile(
  () => true,
  ({ path, text }) => {
    const lines = text.trimEnd().split('\n').length;
    if (lines <= fileLinesMax) return [];
    return [{ path, line: lines, says: `a file of ${lines} lines, more than ${fileLinesMax}` }];
  },
);

export const functionsAreShort = perFile(isTs, (source) => {
  const found: Finding[] = [];
  for (const node of nodesOf(source.tree)) {
    if (!ts.isFunctionLike(node) || !('body' in node) || isSuite(node)) continue;
    const lines = source.text.slice(node.getStart(source.tree), node.end).split('\n').length;
    if (lines > functionLinesMax) found.push(finding(source, node, tooLong(lines)));
  }
  return found;
});

/** A group of tests is a list, not a function to be read at once. */
function isSuite(node: ts.Node): boolean {
  const call = node.parent;
  return ts.isCallExpression(call) && /^(describe|suite)\b/.test(call.expression.getText());
}

/** In C a function begins in the first column and ends with a brace there. */
export const cFunctionsAreShort = perFile(isC, ({ path, text }) => {
  const found: Finding[] = [];
  let start = 0;
  text.split('\n').forEach((line, index) => {
    if (/^[a-z].*\(/i.test(line)) start = index;
    if (line === '}' && index - start >= functionLinesMax) {
      found.push({ path, line: start + 1, says: tooLong(index - start + 1) });
    }
  });
  return found;
});

function tooLong(lines: number): string {
  return `a function of ${lines} lines, more than ${functionLinesMax}`;
}
