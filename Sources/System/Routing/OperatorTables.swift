/// The part of the operator's page that keeps a history of numbers, and draws tables and plots.
extension OperatorPage {
  static let tables = #"""
    'use strict';
    const $ = id => document.getElementById(id);

    function cell(tag, text, kind) {
      const made = document.createElement(tag);
      made.textContent = text;
      if (kind) made.className = kind;
      return made;
    }

    // What was seen in the last two minutes, by name: the times in seconds and the values.
    const seen = new Map();
    const kept = 120;

    function note(name, value, now) {
      const line = seen.get(name) || [];
      line.push([now, value]);
      while (line.length > 1 && line[0][0] < now - kept) line.shift();
      seen.set(name, line);
    }

    // The change in each second, over the last ten.
    function rate(name) {
      const line = seen.get(name);
      const last = line[line.length - 1];
      const first = line.find(([time]) => time >= last[0] - 10);
      if (last[0] - first[0] < 1) return '–';
      const change = (last[1] - first[1]) / (last[0] - first[0]);
      return (change > 0 ? '+' : '') + change.toFixed(1);
    }

    function plot(name) {
      const line = seen.get(name);
      const all = line.map(([, value]) => value);
      const [least, most] = [Math.min(...all), Math.max(...all)];
      const last = line[line.length - 1][0];
      const points = line.map(([time, value]) =>
        (100 - (last - time) / kept * 100).toFixed(1) + ',' + (most > least ? 19 - (value - least) / (most - least) * 18 : 19).toFixed(1));
      const space = 'http://www.w3.org/2000/svg';
      const picture = document.createElementNS(space, 'svg');
      picture.setAttribute('class', 'plot');
      picture.setAttribute('viewBox', '0 0 100 20');
      picture.setAttribute('preserveAspectRatio', 'none');
      picture.setAttribute('role', 'img');
      picture.setAttribute('aria-label', 'the last two minutes: ' + least + ' to ' + most);
      const path = document.createElementNS(space, 'polyline');
      path.setAttribute('points', points.join(' '));
      picture.append(path);
      return picture;
    }

    // A button of a row. `name` is what a screen reader says, since rows have the same buttons.
    function button(text, name, run) {
      const made = cell('button', text);
      made.type = 'button';
      made.setAttribute('aria-label', name);
      made.onclick = run;
      return made;
    }

    // Shows rows, each with a key and the values of its cells. Rows and their buttons stay as long
    // as their keys do, so that the focus stays too. A value may be a function that makes buttons.
    function table(id, heads, rows) {
      const place = $(id);
      const known = new Map([...place.rows].filter(row => row.dataset.key).map(row => [row.dataset.key, row]));
      if (!place.tHead) {
        const head = place.createTHead().insertRow();
        heads.forEach(([text, kind]) => {
          const made = cell('th', text, kind === 'actions' ? '' : kind);
          made.scope = 'col';
          head.append(made);
        });
        place.createTBody();
      }
      const lines = rows.map(([key, values]) => {
        const row = known.get('=' + key) || document.createElement('tr');
        row.dataset.key = '=' + key;
        values.forEach((value, index) => {
          const isNew = !row.cells[index];
          const made = row.cells[index] || row.appendChild(cell('td', '', heads[index][1]));
          if (typeof value === 'function') { if (isNew) made.append(...value()); }
          else if (value instanceof Element) made.replaceChildren(value);
          else if (made.textContent !== String(value)) made.textContent = value;
        });
        return row;
      });
      if (!lines.length) {
        const row = document.createElement('tr');
        const empty = cell('td', 'none');
        empty.colSpan = heads.length;
        row.append(empty);
        lines.push(row);
      }
      const body = place.tBodies[0];
      const before = [...body.rows];
      // Moving a row would take the focus from it.
      if (before.length !== lines.length || before.some((row, index) => row !== lines[index])) {
        const focused = document.activeElement;
        body.replaceChildren(...lines);
        if (body.contains(focused)) focused.focus();
      }
    }
    """#
}
