/* Two results beside each other: what became of each job, and whether its rounds show it. */
import { byId, change, count, element, fillTable, time } from './words.js';

/** A word that can be a class. */
const classOf = (verdict) => verdict.replaceAll(' ', '-');

const spread = (rounds) => `${count(Math.min(...rounds))} … ${count(Math.max(...rounds))}`;

/** For each job two lines from the slowest round to the fastest, with a mark at all of them. */
export function drawChanges({ jobs }) {
  for (const { name, before, after, rate, verdict } of jobs) {
    const most = Math.max(...before.rounds, ...after.rounds, before.perSecond, after.perSecond);
    const part = (value) => `${(100 * value) / most}%`;
    const track = element('div', undefined, 'track twice');
    for (const [when, { rounds, perSecond }] of [
      ['before', before],
      ['after', after],
    ]) {
      const range = element('div', undefined, `range ${when} ${classOf(verdict)}`);
      range.style.left = part(Math.min(...rounds));
      range.style.right = `${100 - (100 * Math.max(...rounds)) / most}%`;
      const all = element('div', undefined, `all ${when}`);
      all.style.left = part(perSecond);
      track.append(range, all);
    }
    const row = element('div', undefined, 'bar change');
    const words = element('span', `${change(rate)} · ${verdict}`, `figures ${classOf(verdict)}`);
    row.append(element('span', name), track, words);
    row.title = `before ${spread(before.rounds)}, after ${spread(after.rounds)} a second`;
    byId('changes').append(row);
  }
}

export function fillComparison({ jobs }) {
  const head = [
    ...['job', 'op/s before', 'rounds', 'op/s after', 'rounds', 'change', ''],
    ...['p99 before', 'p99 after', 'change'],
  ];
  const rows = jobs.map(({ name, before, after, rate, p99, verdict }) => [
    name,
    ...[before, after].flatMap(({ perSecond, rounds }) => [count(perSecond), spread(rounds)]),
    change(rate),
    [verdict, classOf(verdict)],
    ...[before, after].map(({ latency }) => time(latency.p99)),
    change(p99),
  ]);
  fillTable(byId('jobs'), head, rows);
}
