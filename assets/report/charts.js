/* The charts: what is drawn by uPlot. */
import uPlot from 'uplot';
import { jobs } from './told.js';
import { byId, count, element, mark, time } from './words.js';

export const plots = [];

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const seriesColours = () => colourOf('--series').split(/,\s*(?=#)/);

/* The same work in the same colour; what was before is dashed. */
function lines(shown, name) {
  const colours = seriesColours();
  const order = [...new Set(shown.map((job) => job[name]))];
  return shown.map((job) => ({
    stroke: colours[order.indexOf(job[name]) % colours.length],
    width: 2,
    spanGaps: true,
    ...(job.isBefore ? { dash: [6, 4] } : {}),
  }));
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

export function drawDepths() {
  const groups = [...new Set(jobs.map(({ group }) => group))]
    .map((group) => jobs.filter((job) => job.group === group))
    .filter((group) => new Set(group.map(({ depth }) => depth)).size > 1);
  const depths = [...new Set(groups.flat().map(({ depth }) => depth))].sort((a, b) => a - b);
  if (depths.length === 0) {
    byId('depth-rate').closest('section').hidden = true;
    return;
  }
  const strokes = lines(
    groups.map(([job]) => job),
    'question',
  );
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
            ...strokes[index],
            label: group,
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

/* ------------------------------------------------------------------------- latency by percentile */

/* A percentile stands where its distance to 100 has fallen to a tenth: 90, 99, 99.9. */
const placeOf = (percent) => -Math.log10(1 - percent / 100);

export function drawLatency() {
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
    const strokes = lines(shown, 'work');
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
            ...strokes[index],
            label: name,
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
  const wanted = jobs.filter(({ work }) =>
    /direct-qd(1|16)$|^replace$|durable order|^sync/.test(work),
  );
  return (wanted.length > 0 ? wanted : jobs).slice(0, 8).map(({ name }) => name);
}

/* --------------------------------------------------------------------------- throughput over time */

export function drawTime() {
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
