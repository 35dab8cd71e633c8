/* The report: its charts, its tables, and where it was measured. */
import { drawDepths, drawLatency, drawTime, plots } from './charts.js';
import { drawChanges, fillComparison } from './comparison.js';
import { comparison, jobs, results } from './told.js';
import { byId, bytes, count, element, fillTable, time } from './words.js';

/* ------------------------------------------------------------------------- what durability costs */

function drawCost() {
  const replaces = jobs.filter(({ question }) => question === 'replace');
  const host = byId('cost');
  if (replaces.length === 0) {
    host.closest('section').hidden = true;
    return;
  }
  const most = Math.max(...replaces.map(({ latency }) => latency.p99));
  for (const { by, durable, latency } of replaces) {
    const row = element('div', undefined, 'bar');
    const track = element('div', undefined, 'track');
    const fill = element('div', undefined, durable ? 'fill durable' : 'fill fleeting');
    const tail = element('div', undefined, 'tail');
    fill.style.width = `${(100 * latency.p50) / most}%`;
    tail.style.width = `${(100 * latency.p99) / most}%`;
    track.append(fill, tail);
    const words = `${durable ? 'durable' : 'not durable'} · ${time(latency.p50)}`;
    row.append(element('span', by), track, element('span', words, 'figures'));
    row.title = `p50 ${time(latency.p50)}, p99 ${time(latency.p99)}`;
    host.append(row);
  }
}

/* ----------------------------------------------------------------------------- tables and machine */

function fillJobs() {
  const head = ['job', 'op/s', 'bytes', 'p50', 'p99', 'p99.9', 'max', 'durable'];
  const rows = jobs.map(({ name, perSecond, bytesPerSecond, latency, durable }) => {
    const figures = [latency.p50, latency.p99, latency.p999, latency.max].map(time);
    const word = durable === undefined ? '' : durable ? 'yes' : 'no';
    return [name, count(perSecond), `${bytes(bytesPerSecond)}/s`, ...figures, word];
  });
  fillTable(byId('jobs'), head, rows);
}

function fillNotes() {
  const notes = new Set(results.flatMap(([, { notes }]) => notes));
  const alone = comparison?.alone ?? [];
  if (alone.length > 0) notes.add(`In one of them alone: ${alone.join(', ')}`);
  for (const note of notes) byId('notes').append(element('li', note));
}

function itemText({ value, no, unknown }) {
  if (value !== undefined) return String(value === true ? 'yes' : value);
  return no !== undefined ? `no: ${no}` : `unknown: ${unknown}`;
}

function itemsOf({ path, takenAt, holdfast, settings, probe }) {
  const { machine, engine, fileSystem, device } = probe;
  return [
    ['Path', path],
    ['Taken', takenAt],
    ['holdfast', holdfast],
    ['Node', itemText(machine.node)],
    [
      'Kernel',
      `${itemText(machine.platform)} ${itemText(machine.kernel)}, ${itemText(machine.cpu)}`,
    ],
    ['Engine', itemText(engine.engine)],
    ['File system', `${itemText(fileSystem.type)}, ${itemText(fileSystem.medium)}`],
    ['Journal', itemText(fileSystem.journal)],
    ['Device', itemText(device.name)],
    ['Write cache', itemText(device.writeCache)],
    ['File', bytes(settings.sizeBytes)],
    ['Rounds', `${settings.rounds} of ${settings.roundMs} ms, warm-up ${settings.warmUpMs} ms`],
  ];
}

/* What differs between two places is marked: figures of different places tell little. */
function fillMachine() {
  const [first, last] = [results[0], results.at(-1)].map(([, result]) => itemsOf(result));
  for (const [when, result] of results) {
    const box = element('div', undefined, 'machine');
    if (when !== '') box.append(element('b', when), element('span'));
    for (const [index, [name, value]] of itemsOf(result).entries()) {
      const line = element('div');
      const differs = name !== 'Taken' && first[index][1] !== last[index][1];
      if (differs) line.className = 'differs';
      line.append(element('b', `${name}: `), value);
      box.append(line);
    }
    byId('machine').append(box);
  }
  const probes = results.map(([, { probe }]) => JSON.stringify(probe, null, 2));
  byId('probe').textContent = probes.join('\n\n');
  const places = results.map(([, { path, probe, takenAt }]) => {
    const { fileSystem, device } = probe;
    return `${path}, ${itemText(fileSystem.type)} on ${itemText(device.name)}, ${takenAt}`;
  });
  byId('subject').textContent = places.join(' → ');
}

function drawAll() {
  for (const { plot } of plots.splice(0)) plot.destroy();
  const filled = ['changes', 'cost', 'latency-choice', 'job', 'jobs', 'notes', 'machine'];
  for (const id of filled) byId(id).replaceChildren();
  if (comparison === undefined) byId('changes').closest('section').hidden = true;
  else drawChanges(comparison);
  drawDepths();
  drawCost();
  drawLatency();
  drawTime();
  if (comparison === undefined) fillJobs();
  else fillComparison(comparison);
  fillNotes();
  fillMachine();
}

drawAll();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
addEventListener('resize', () => {
  for (const { plot, width } of plots) plot.setSize({ width: width(), height: plot.height });
});
globalThis.holdfastPlots = plots;
