/* What the page was given: a result of bench, or two beside each other. */
import { byId } from './words.js';

const told = JSON.parse(byId('result').textContent);

/** Two results and what became of each job, or undefined. */
export const comparison = told.before === undefined ? undefined : told;

/** Each result with the word that tells it from the other. */
export const results =
  comparison === undefined
    ? [['', told]]
    : [
        ['before', told.before],
        ['after', told.after],
      ];

/**
 * What the charts show. Of two results the jobs that both have, one after the other; `question` and
 * `work` are the names of their group and their own without the word.
 */
export const jobs =
  comparison === undefined
    ? told.jobs.map((job) => shown(job, ''))
    : comparison.jobs.flatMap(({ before, after }) => [
        shown(before, 'before'),
        shown(after, 'after'),
      ]);

function shown(job, when) {
  const said = (text) => (when === '' ? text : `${text}, ${when}`);
  const { name, group, by } = job;
  const names = { name: said(name), group: said(group), by: said(by) };
  return { ...job, ...names, work: name, question: group, isBefore: when === 'before' };
}
