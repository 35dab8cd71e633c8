/* The charts of the report; the figures stand in the page, as JSON. */
import uPlot from 'uplot';

const byId = (id) => document.getElementById(id);
const result = JSON.parse(byId('result').textContent);
const { jobs, probe, settings } = result;
const plots = [];

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className !== undefined) made.className = className;
  return made;
}

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const seriesColours = () => colourOf('--series').split(/,\s*(?=#)/);

function count(value) {
  if (value === undefined || value === null) return '–';
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return value >= 100 ? value.toFixed(0) : `${Number(value.toFixed(1))}`;
}

/* Units: microseconds. */
function time(us) {
  if (us === undefined || us === null) return '–';
  if (us >= 1e6) return `${(us / 1e6).toFixed(2)} s`;
  if (us >= 1e3) return `${(us / 1e3).toFixed(us >= 1e5 ? 0 : 2)} ms`;
  return `${us.toFixed(us >= 100 ? 0 : 1)} µs`;
}

/* As short as a mark beside an axis has to be. */
function mark(us) {
  if (us === null) return '';
  const [value, unit] = us >= 1e6 ? [us / 1e6, 's'] : us >= 1e3 ? [us / 1e3, 'ms'] : [us, 'µs'];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let [left, unit] = [value, 0];
  while (left >= 1024 && unit < units.length - 1) [left, unit] = [left / 1024, unit + 1];
  return `${left >= 100 || unit === 0 ? left.toFixed(0) : left.toFixed(1)} ${units[unit]}`;
}

function axis(options) {
  return {
    stroke: colourOf('--dim'),
    grid: { stroke: colourOf('--line'), width: 1 },
    ticks: { stroke: colourOf('--line'), width: 1 },
    size: 64,
    ...options,
  };
}

function chart(place, options, data) {
  const host = byId(place);
  const width = () => Math.max(280, host.clientWidth);
  const plot = new uPlot(
    { width: width(), height: 280, cursor: { focus: { prox: 30 } }, ...options },
    data,
    host,
  );
  plots.push({ plot, width });
  return plot;
}

const logScale = { distr: 3, log: 10 };

/* ------------------------------------------------------------------------------ by queue depth */

function drawDepths() {
  const groups = [...new Set(jobs.map(({ group }) => group))]
    .map((group) => jobs.filter((job) => job.group === group))
    .filter((group) => new Set(group.map(({ depth }) => depth)).size > 1);
  const depths = [...new Set(groups.flat().map(({ depth }) => depth))].sort((a, b) => a - b);
  if (depths.length === 0) {
    byId('depth-rate').closest('section').hidden = true;
    return;
  }
  const colours = seriesColours();
  const draw = (place, of, words, isLog) =>
    chart(
      place,
      {
        scales: {
          x: { time: false, distr: 3, log: 2 },
          y: isLog ? logScale : { range: (_, _low, high) => [0, high * 1.05] },
        },
        axes: [
          axis({
            label: 'operations under way',
            splits: () => depths,
            values: (_, at) => at,
            size: 40,
          }),
          axis({ values: (_, at) => at.map(isLog ? mark : count) }),
        ],
        series: [
          { label: 'depth' },
          ...groups.map(([{ group }], index) => ({
            label: group,
            stroke: colours[index % colours.length],
            width: 2,
            spanGaps: true,
            points: { show: true, size: 6 },
            value: (_, value) => words(value),
          })),
        ],
      },
      [
        depths,
        ...groups.map((group) =>
          depths.map((depth) => {
            const job = group.find((one) => one.depth === depth);
            return job === undefined ? null : of(job);
          }),
        ),
      ],
    );
  draw('depth-rate', ({ perSecond }) => perSecond, count, false);
  draw('depth-p99', ({ latency }) => latency.p99, time, true);
}

/* ------------------------------------------------------------------------- what durability costs */

function drawCost() {
  const replaces = jobs.filter(({ group }) => group === 'replace');
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

/* ------------------------------------------------------------------------- latency by percentile */

/* A percentile stands where its distance to 100 has fallen to a tenth: 90, 99, 99.9. */
const placeOf = (percent) => -Math.log10(1 - percent / 100);

function drawLatency() {
  const chosen = new Set(initialChoice());
  const choice = byId('latency-choice');
  let current;
  const draw = () => {
    if (current !== undefined) {
      plots.splice(
        plots.findIndex(({ plot }) => plot === current),
        1,
      );
      current.destroy();
    }
    const shown = jobs.filter(({ name }) => chosen.has(name));
    const percents = [
      ...new Set(shown.flatMap(({ latency }) => latency.percentiles.map(([percent]) => percent))),
    ].sort((a, b) => a - b);
    if (percents.length === 0) percents.push(50, 99);
    const colours = seriesColours();
    const marks = [50, 90, 99, 99.9, 99.99, 99.999];
    current = chart(
      'latency',
      {
        height: 340,
        scales: { x: { time: false }, y: logScale },
        axes: [
          axis({
            splits: () => marks.map(placeOf),
            values: () => marks.map((mark) => `${mark}%`),
            size: 40,
          }),
          axis({ values: (_, at) => at.map(mark) }),
        ],
        series: [
          {
            label: 'percentile',
            value: (_, __, ___, index) => (index === null ? '–' : `${percents[index]}%`),
          },
          ...shown.map(({ name }, index) => ({
            label: name,
            stroke: colours[index % colours.length],
            width: 2,
            spanGaps: true,
            value: (_, value) => time(value),
          })),
        ],
      },
      [
        percents.map(placeOf),
        ...shown.map(({ latency }) => {
          const known = new Map(latency.percentiles);
          return percents.map((percent) => known.get(percent) ?? null);
        }),
      ],
    );
  };
  for (const { name } of jobs) {
    const label = element('label');
    const box = element('input');
    box.type = 'checkbox';
    box.checked = chosen.has(name);
    box.addEventListener('change', () => {
      if (box.checked) chosen.add(name);
      else chosen.delete(name);
      draw();
    });
    label.append(box, ` ${name}`);
    choice.append(label);
  }
  draw();
}

function initialChoice() {
  const names = jobs.map(({ name }) => name);
  const wanted = names.filter((name) =>
    /direct-qd(1|16)$|^replace$|durable order|^sync/.test(name),
  );
  return wanted.length > 0 ? wanted.slice(0, 8) : names.slice(0, 8);
}

/* --------------------------------------------------------------------------- throughput over time */

function drawTime() {
  const select = byId('job');
  for (const { name } of jobs) select.append(element('option', name));
  let current;
  const draw = () => {
    const job = jobs.find(({ name }) => name === select.value);
    if (current !== undefined) {
      plots.splice(
        plots.findIndex(({ plot }) => plot === current),
        1,
      );
      current.destroy();
    }
    if (job === undefined) return;
    const { timeline } = job;
    const stalls = timeline.filter(([, , , isStall]) => isStall);
    byId('stalls').textContent = stalls.length === 0 ? 'No stalls.' : `${stalls.length} stalls.`;
    const [blue, red] = seriesColours();
    current = chart(
      'time',
      {
        scales: {
          x: { time: false },
          y: { range: (_, _low, high) => [0, (high || 1) * 1.05] },
          longest: logScale,
        },
        axes: [
          axis({ values: (_, at) => at.map((ms) => `${ms} ms`), size: 40 }),
          axis({ values: (_, at) => at.map(count) }),
          axis({
            scale: 'longest',
            side: 1,
            grid: { show: false },
            values: (_, at) => at.map(mark),
          }),
        ],
        series: [
          { label: 'time', value: (_, ms) => (ms === null ? '–' : `${ms} ms`) },
          {
            label: 'operations a second',
            stroke: blue,
            width: 2,
            value: (_, value) => count(value),
          },
          {
            label: 'longest',
            scale: 'longest',
            stroke: red,
            width: 1,
            value: (_, value) => time(value),
          },
        ],
        hooks: { drawClear: [(plot) => markStalls(plot, stalls, timeline)] },
      },
      [
        timeline.map(([ms]) => ms),
        timeline.map(([, rate]) => rate),
        timeline.map(([, , longest]) => longest || null),
      ],
    );
  };
  select.addEventListener('change', draw);
  const first = jobs.find(({ timeline }) => timeline.some(([, , , isStall]) => isStall)) ?? jobs[0];
  if (first !== undefined) select.value = first.name;
  draw();
}

function markStalls(plot, stalls, timeline) {
  const step = timeline.length > 1 ? timeline[1][0] - timeline[0][0] : 50;
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = colourOf('--stall');
  for (const [ms] of stalls) {
    const left = Math.max(bbox.left, plot.valToPos(ms - step / 2, 'x', true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(ms + step / 2, 'x', true));
    if (right > left) ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
  }
  ctx.restore();
}

/* ----------------------------------------------------------------------------- tables and machine */

function fillTable() {
  const table = byId('jobs');
  const head = ['job', 'op/s', 'bytes', 'p50', 'p99', 'p99.9', 'max', 'durable'];
  const row = (cells, name) => {
    const made = element('tr');
    for (const cell of cells) made.append(element(name, cell));
    table.append(made);
  };
  row(head, 'th');
  for (const { name, perSecond, bytesPerSecond, latency, durable } of jobs) {
    const figures = [latency.p50, latency.p99, latency.p999, latency.max].map(time);
    const word = durable === undefined ? '' : durable ? 'yes' : 'no';
    row([name, count(perSecond), `${bytes(bytesPerSecond)}/s`, ...figures, word], 'td');
  }
  for (const note of result.notes) byId('notes').append(element('li', note));
}

function itemText({ value, no, unknown }) {
  if (value !== undefined) return String(value === true ? 'yes' : value);
  return no !== undefined ? `no: ${no}` : `unknown: ${unknown}`;
}

function fillMachine() {
  const { machine, engine, fileSystem, device } = probe;
  const items = [
    ['Path', result.path],
    ['Taken', result.takenAt],
    ['holdfast', result.holdfast],
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
  const box = element('div', undefined, 'machine');
  for (const [name, value] of items) {
    const line = element('div');
    line.append(element('b', `${name}: `), value);
    box.append(line);
  }
  byId('machine').append(box);
  byId('probe').textContent = JSON.stringify(probe, null, 2);
  byId('subject').textContent =
    `${result.path}, ${itemText(fileSystem.type)} on ${itemText(device.name)}, ${result.takenAt}`;
}

function drawAll() {
  for (const { plot } of plots.splice(0)) plot.destroy();
  for (const id of ['cost', 'latency-choice', 'job', 'jobs', 'notes', 'machine'])
    byId(id).replaceChildren();
  drawDepths();
  drawCost();
  drawLatency();
  drawTime();
  fillTable();
  fillMachine();
}

drawAll();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
addEventListener('resize', () => {
  for (const { plot, width } of plots) plot.setSize({ width: width(), height: plot.height });
});
globalThis.holdfastPlots = plots;
