/* Elements of the page, and figures as words. */

export const byId = (id) => document.getElementById(id);

export function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className !== undefined) made.className = className;
  return made;
}

export function count(value) {
  if (value === undefined || value === null) return '–';
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return value >= 100 ? value.toFixed(0) : `${Number(value.toFixed(1))}`;
}

/* Units: microseconds. */
export function time(us) {
  if (us === undefined || us === null) return '–';
  if (us >= 1e6) return `${(us / 1e6).toFixed(2)} s`;
  if (us >= 1e3) return `${(us / 1e3).toFixed(us >= 1e5 ? 0 : 2)} ms`;
  return `${us.toFixed(us >= 100 ? 0 : 1)} µs`;
}

/* As short as a mark beside an axis has to be. */
export function mark(us) {
  if (us === null) return '';
  const [value, unit] = us >= 1e6 ? [us / 1e6, 's'] : us >= 1e3 ? [us / 1e3, 'ms'] : [us, 'µs'];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let [left, unit] = [value, 0];
  while (left >= 1024 && unit < units.length - 1) [left, unit] = [left / 1024, unit + 1];
  return `${left >= 100 || unit === 0 ? left.toFixed(0) : left.toFixed(1)} ${units[unit]}`;
}

/** A head and rows of cells; a cell is a text, or a text and its class. */
export function fillTable(table, head, rows) {
  const row = (cells, name) => {
    const made = element('tr');
    for (const cell of cells) made.append(element(name, ...[cell].flat()));
    table.append(made);
  };
  row(head, 'th');
  for (const cells of rows) row(cells, 'td');
}

/** What became of a figure: 1.1 is a tenth more. */
export function change(ratio) {
  const percent = (ratio - 1) * 100;
  return `${percent >= 0 ? '+' : '−'}${Math.abs(percent).toFixed(1)} %`;
}
