/// The script of the page of a run: it draws the visible window of time. `DiagramSteps` has the
/// rest.
enum DiagramScript {
  static let drawing = #"""
    'use strict';
    const $ = id => document.getElementById(id);
    const data = JSON.parse($('data').textContent);
    // The lanes that are shown, and their places: those of the story, or all while a word is
    // searched.
    let lanes = new Map();
    const isShown = name => lanes.has(name);
    function chooseLanes() {
      const shown = $('every').checked || $('filter').value || !data.cast.length ? data.lanes : data.lanes.filter(name => data.cast.includes(name));
      lanes = new Map(shown.map((name, index) => [name, index]));
    }
    chooseLanes();
    const left = 8 + 6.5 * Math.max(...data.lanes.map(name => name.length), 6), row = 34, band = data.chances.length ? 44 : 0, upper = 30 + band;
    const last = Math.max(1, ...data.arrows.map(a => a[1] || a[0]), ...data.marks.map(m => m[0]));
    const view = { from: 0, to: last, now: data.broken ?? last, picked: null };
    const svgNS = 'http://www.w3.org/2000/svg';
    const svg = $('diagram');
    const seconds = t => (t / 1e6).toFixed(6) + 's';
    const quiet = /^(heartbeat|ping|pong|noop|\d+ bytes)$/;

    function add(parent, kind, attributes, text) {
      const node = document.createElementNS(svgNS, kind);
      for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
      if (text !== undefined) node.textContent = text;
      parent.append(node);
      return node;
    }
    const width = () => Math.max(300, svg.clientWidth || 900);
    const x = t => left + (t - view.from) / (view.to - view.from) * (width() - left - 10);
    const y = name => upper + row * (lanes.get(name) ?? 0);
    const inView = t => t >= view.from && t <= view.to;

    // MARK: Which nodes were down, and when

    const spells = [];
    {
      const down = new Map(), still = new Map();
      for (const [t, node, kind] of data.marks) {
        if (kind === 'crash' || kind === 'ended') { if (!down.has(node)) down.set(node, t); }
        if (kind === 'boot' && down.has(node)) { spells.push([node, down.get(node), t, 'down']); down.delete(node); }
        if (kind === 'pause') still.set(node, t);
        if ((kind === 'resume' || kind === 'crash') && still.has(node)) { spells.push([node, still.get(node), t, 'still']); still.delete(node); }
      }
      for (const [node, t] of down) spells.push([node, t, last, 'down']);
      for (const [node, t] of still) spells.push([node, t, last, 'still']);
    }

    // MARK: Drawing

    function wanted(arrow) {
      const texts = arrow[6].map(m => m[1]);
      if ($('quiet').checked && texts.every(t => quiet.test(t))) return false;
      const word = $('filter').value.toLowerCase();
      return !word || [arrow[2], arrow[3], ...arrow[6].flatMap(m => [m[1], m[2]])].some(t => t.toLowerCase().includes(word));
    }

    // The chance of failing, from 0 at the bottom of its band to 1 at the top.
    function drawChances(w) {
      const height = p => 18 + (band - 8) * (1 - p);
      add(svg, 'text', { x: 4, y: height(.5) + 4 }, 'chance of failing');
      for (const p of [0, 1]) add(svg, 'line', { class: 'lane', x1: left, x2: w - 10, y1: height(p), y2: height(p) });
      const points = data.chances.map(([t, p]) => Math.max(left - 1, Math.min(w - 9, x(t))) + ',' + height(p));
      add(svg, 'polyline', { class: 'chance', points: points.join(' ') });
      for (const [t, p, runs, step] of data.chances) {
        if (!inView(t)) continue;
        const point = add(svg, 'circle', { class: 'mark fault', cx: x(t), cy: height(p), r: 3 });
        add(point, 'title', {}, Math.round(p * 100) + ' % of ' + runs + ' continuations after step ' + step + ' fail');
      }
      if (data.decided && inView(data.decided[0])) {
        const at = x(data.decided[0]);
        const line = add(svg, 'line', { class: 'decided', x1: at, x2: at, y1: 16, y2: upper + row * (lanes.size - 1) });
        add(line, 'title', {}, data.decided[1]);
      }
    }

    function draw() {
      svg.replaceChildren();
      svg.setAttribute('height', upper + row * lanes.size);
      const w = width();
      for (const [name] of lanes) {
        add(svg, 'text', { x: 4, y: y(name) + 4 }, name);
        add(svg, 'line', { class: 'lane', x1: left, x2: w - 10, y1: y(name), y2: y(name) });
      }
      for (const [node, from, to, kind] of spells) {
        if (to < view.from || from > view.to || !isShown(node)) continue;
        add(svg, 'line', { class: kind, x1: Math.max(left, x(from)), x2: Math.min(w - 10, x(to)), y1: y(node), y2: y(node) });
      }
      if (band) drawChances(w);
      const span = view.to - view.from, least = 10 ** Math.floor(Math.log10(span / 4));
      const step = least * [1, 2, 5, 10].find(k => span / (least * k) * 75 < w - left);
      for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) add(svg, 'text', { class: 'label', x: x(t), y: 12 }, (t / 1e6).toFixed(step < 1e3 ? 6 : step < 1e6 ? 3 : 0) + 's');
      drawMessages(w);
      for (const mark of data.marks) {
        const [t, node, kind, text] = mark;
        if (!inView(t) || (node && !isShown(node)) || (kind === 'diskSync' && view.to - view.from > 2e6)) continue;
        const shape = { boot: 'boot', resume: 'boot', mended: 'boot', diskSync: 'sync', log: 'log' }[kind] || 'fault';
        const height = node ? y(node) : 20;
        const point = shape === 'sync' ? add(svg, 'rect', { class: 'mark sync', x: x(t) - 2, y: height - 4, width: 4, height: 8 })
          : add(svg, 'circle', { class: 'mark ' + shape, cx: x(t), cy: height, r: 5 });
        add(point, 'title', {}, seconds(t) + ' ' + node + ' ' + kind + ' ' + text);
        point.onclick = () => { goTo(mark[4], t); $('detail').textContent = seconds(t) + '\n' + (node || 'everywhere') + ': ' + kind + '\n' + text; };
      }
      for (const [t, text] of data.evidence) {
        if (!inView(t)) continue;
        const line = add(svg, 'line', { class: 'evidence', x1: x(t), x2: x(t), y1: 16, y2: upper + row * lanes.size });
        add(line, 'title', {}, text);
      }
      add(svg, 'line', { class: 'now', x1: x(view.now), x2: x(view.now), y1: 16, y2: upper + row * lanes.size });
    }
    """#

  static let messages = #"""
    // MARK: Messages, bundled by request

    // A bundle begins where the node that speaks first on a connection speaks again after an
    // answer, or after half a second.
    const bundles = [], bundleOf = new Map();
    {
      const latest = new Map();
      for (const arrow of data.arrows) {
        if (arrow[2] === arrow[3]) continue;
        let bundle = latest.get(arrow[4]);
        const isForward = !bundle || arrow[2] === bundle.arrows[0][2];
        if (!bundle || isForward && bundle.isAnswered || arrow[0] - bundle.end > 5e5) {
          bundle = { arrows: [], isAnswered: false, isOpen: false, end: 0 };
          latest.set(arrow[4], bundle);
          bundles.push(bundle);
        } else if (!isForward) bundle.isAnswered = true;
        bundle.arrows.push(arrow);
        bundleOf.set(arrow, bundle);
        bundle.end = Math.max(bundle.end, arrow[1] ?? arrow[0]);
      }
    }

    const endOf = arrow => arrow[1] ?? Math.min(last, arrow[0] + (view.to - view.from) / 40);
    const title = arrow => arrow[6].map(m => m[1]).join(' · ') || arrow[5] + ' bytes of a message';

    function drawArrow(group, arrow, more) {
      const kind = arrow[7] ? 'arrow lost' : arrow[1] === null ? 'arrow open' : arrow[6].length ? 'arrow' : 'arrow part';
      const place = { x1: x(arrow[0]), y1: y(arrow[2]), x2: x(endOf(arrow)), y2: y(arrow[3]) };
      const line = add(group, 'line', { ...place, class: kind + more + (view.picked === arrow ? ' hit' : '') });
      const angle = Math.atan2(place.y2 - place.y1, place.x2 - place.x1);
      const tip = turn => (place.x2 - 7 * Math.cos(angle + turn)) + ',' + (place.y2 - 7 * Math.sin(angle + turn));
      add(group, 'polyline', { class: line.getAttribute('class'), points: tip(.4) + ' ' + place.x2 + ',' + place.y2 + ' ' + tip(-.4) });
      add(group, 'line', { ...place, class: 'reach' });
      return place;
    }

    function drawMessages(w) {
      let drawn = 0;
      const labels = [];
      const label = (place, text) => {
        const middle = [(place.x1 + place.x2) / 2 + 4, (place.y1 + place.y2) / 2];
        if (labels.some(other => Math.abs(other[1] - middle[1]) <= 11 && Math.abs(other[0] - middle[0]) <= 190)) return;
        labels.push(middle);
        add(svg, 'text', { class: 'label', x: middle[0], y: middle[1] }, text);
      };
      for (const bundle of bundles) {
        const [first] = bundle.arrows;
        if (bundle.end < view.from || first[0] > view.to || !isShown(first[2]) || !isShown(first[3])) continue;
        const shown = bundle.arrows.filter(arrow => wanted(arrow) && endOf(arrow) >= view.from && arrow[0] <= view.to);
        if (!shown.length) continue;
        const isClosed = $('bundled').checked && !bundle.isOpen && shown.length > 1;
        if (++drawn > 1500) break;
        if (!isClosed) {
          for (const arrow of shown) {
            const group = add(svg, 'g', {});
            const place = drawArrow(group, arrow, '');
            add(group, 'title', {}, arrow[2] + ' → ' + arrow[3] + ': ' + title(arrow));
            group.onclick = () => pick(arrow);
            if (arrow[6].length) label(place, arrow[6][0][1].slice(0, 32));
          }
          continue;
        }
        // The request, the last answer, and what was lost stand for all.
        const named = shown.find(arrow => arrow[6].length) ?? shown[0];
        const back = shown.findLast(arrow => arrow[2] !== shown[0][2]);
        const group = add(svg, 'g', { 'data-bundle': shown.length });
        const place = drawArrow(group, shown[0], ' bundle');
        if (back) drawArrow(group, back, ' bundle back');
        for (const arrow of shown) if (arrow[7] && arrow !== back && arrow !== shown[0]) drawArrow(group, arrow, '');
        if (shown.includes(view.picked)) for (const line of group.querySelectorAll('.arrow')) line.classList.add('hit');
        add(group, 'title', {}, shown.map(arrow => arrow[2] + ' → ' + arrow[3] + ': ' + title(arrow)).join('\n'));
        group.onclick = () => {
          bundle.isOpen = true;
          pick(named);
          showBundle(shown);
        };
        label(place, title(named).slice(0, 28) + ' (' + shown.length + ')');
      }
      svg.dataset.drawn = drawn;
    }

    function describe(arrow) {
      const [sent, arrived, from, to, connection, size, messages] = arrow;
      const head = from + ' → ' + to + ', connection ' + connection + ', ' + size + ' bytes\nsent ' + seconds(sent) + ' in step ' + arrow[8]
        + (arrow[7] ? ', never arrived' : arrived === null ? ', under way when the run ended' : ', arrived ' + seconds(arrived));
      return head + '\n\n' + (messages.map(m => m[0] + ': ' + m[1] + '\n\n' + m[2]).join('\n\n—\n\n') || 'Part of a message that is not whole yet.');
    }
    const show = arrow => { $('detail').textContent = describe(arrow); };
    const showBundle = arrows => { $('detail').textContent = arrows.map(describe).join('\n\n════\n\n'); };
    """#
}
