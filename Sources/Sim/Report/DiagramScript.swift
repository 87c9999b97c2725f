/// The style and the script of the space-time diagram. The script draws the visible window of time.
enum DiagramScript {
  static let style = """
    :root { color-scheme: light dark; --text: #222; --faint: #5a5a5a; --ground: #fff; --box: #f4f4f4; --edge: #ccc; --part: #8a8a8a;
      --message: #2456a6; --bad: #b93224; --good: #22693e; --warn: #a8700a; --hit: #c0125f; }
    @media (prefers-color-scheme: dark) { :root { --text: #e6e6e6; --faint: #a8a8a8; --ground: #161616; --box: #242424; --edge: #4a4a4a;
      --part: #8a8a8a; --message: #82b1ff; --bad: #ff8a7a; --good: #6fcf97; --warn: #f2c94c; --hit: #ff7ab2; } }
    * { box-sizing: border-box; } body { font: 14px/1.5 system-ui, sans-serif; margin: 1rem; color: var(--text); background: var(--ground); }
    h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: 1rem; } header p { margin: 0 0 .5rem; color: var(--faint); }
    nav { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: .5rem 0; }
    #filter { width: 18rem; max-width: 100%; } #frame { border: 1px solid var(--edge); overflow-y: auto; max-height: 34rem; cursor: grab; touch-action: pan-y; }
    #frame:focus-visible { outline: 2px solid var(--message); }
    svg { display: block; font: 11px system-ui, sans-serif; user-select: none; } #diagram { width: 100%; } #diagram text { fill: var(--text); }
    #story { max-height: 18rem; } pre { background: var(--box); padding: .75rem; overflow: auto; max-height: 30rem; font-size: 12px; white-space: pre-wrap; word-break: break-word; }
    main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem; }
    .slider { display: flex; gap: 1rem; margin: .5rem 0; } .slider input { flex: 1; min-width: 0; } #clock { min-width: 6rem; font-variant-numeric: tabular-nums; }
    #legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; margin: .5rem 0 0; padding: 0; font-size: 12px; }
    #legend li { display: flex; gap: .4rem; align-items: center; } #keys { margin: .25rem 0; font-size: 12px; color: var(--faint); }
    .lane { stroke: var(--edge); } .down { stroke: var(--bad); stroke-width: 5; opacity: .45; } .still { stroke: var(--warn); stroke-width: 5; opacity: .6; }
    .arrow { stroke: var(--message); stroke-width: 1.2; fill: none; cursor: pointer; } .arrow.part { stroke: var(--part); }
    .arrow.lost { stroke: var(--bad); stroke-dasharray: 4 3; } .arrow.open { stroke: var(--part); stroke-dasharray: 1 3; }
    .arrow.hit, .mark.hit { stroke: var(--hit); stroke-width: 3; } .reach { stroke: transparent; stroke-width: 9; cursor: pointer; }
    .mark { cursor: pointer; } .fault { fill: var(--bad); } .boot { fill: var(--good); } .sync { fill: var(--part); } .log { fill: var(--warn); }
    .evidence { stroke: var(--hit); stroke-width: 1.5; stroke-dasharray: 2 2; } .now { stroke: var(--text); } .chance { stroke: var(--bad); stroke-width: 1.5; fill: none; } .decided { stroke: var(--bad); stroke-width: 1.5; } #diagram .label { fill: var(--faint); pointer-events: none; }
    table { border-collapse: collapse; font-size: 12px; } td { padding: 0 .75rem 0 0; vertical-align: top; word-break: break-word; } h3 { font-size: .9rem; margin: .5rem 0 0; }
    """

  static let script = #"""
    'use strict';
    const $ = id => document.getElementById(id);
    const data = JSON.parse($('data').textContent);
    const lanes = new Map(data.lanes.map((name, index) => [name, index]));
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
        if (to < view.from || from > view.to) continue;
        add(svg, 'line', { class: kind, x1: Math.max(left, x(from)), x2: Math.min(w - 10, x(to)), y1: y(node), y2: y(node) });
      }
      if (band) drawChances(w);
      const span = view.to - view.from, least = 10 ** Math.floor(Math.log10(span / 4));
      const step = least * [1, 2, 5, 10].find(k => span / (least * k) * 75 < w - left);
      for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) add(svg, 'text', { class: 'label', x: x(t), y: 12 }, (t / 1e6).toFixed(step < 1e3 ? 6 : step < 1e6 ? 3 : 0) + 's');
      let drawn = 0;
      const labels = [];
      for (const arrow of data.arrows) {
        const [sent, arrived, from, to] = arrow;
        const end = arrived ?? Math.min(last, sent + (view.to - view.from) / 40);
        if (end < view.from || sent > view.to || from === to || !wanted(arrow)) continue;
        if (++drawn > 1500) break;
        const kind = arrow[7] ? 'arrow lost' : arrived === null ? 'arrow open' : arrow[6].length ? 'arrow' : 'arrow part';
        const group = add(svg, 'g', {});
        const place = { x1: x(sent), y1: y(from), x2: x(end), y2: y(to) };
        const line = add(group, 'line', { ...place, class: kind + (view.picked === arrow ? ' hit' : '') });
        const angle = Math.atan2(place.y2 - place.y1, place.x2 - place.x1);
        const tip = turn => (place.x2 - 7 * Math.cos(angle + turn)) + ',' + (place.y2 - 7 * Math.sin(angle + turn));
        add(group, 'polyline', { class: line.getAttribute('class'), points: tip(.4) + ' ' + place.x2 + ',' + place.y2 + ' ' + tip(-.4) });
        add(group, 'line', { ...place, class: 'reach' });
        add(group, 'title', {}, from + ' → ' + to + ': ' + (arrow[6].map(m => m[1]).join(' · ') || arrow[5] + ' bytes of a message'));
        group.onclick = () => pick(arrow);
        const middle = [(place.x1 + place.x2) / 2 + 4, (place.y1 + place.y2) / 2];
        if (arrow[6].length && labels.every(other => Math.abs(other[1] - middle[1]) > 11 || Math.abs(other[0] - middle[0]) > 190)) {
          labels.push(middle);
          add(svg, 'text', { class: 'label', x: middle[0], y: middle[1] }, arrow[6][0][1].slice(0, 32));
        }
      }
      for (const mark of data.marks) {
        const [t, node, kind, text] = mark;
        if (!inView(t) || (kind === 'diskSync' && view.to - view.from > 2e6)) continue;
        const shape = { boot: 'boot', resume: 'boot', mended: 'boot', diskSync: 'sync', log: 'log' }[kind] || 'fault';
        const height = node ? y(node) : 20;
        const point = shape === 'sync' ? add(svg, 'rect', { class: 'mark sync', x: x(t) - 2, y: height - 4, width: 4, height: 8 })
          : add(svg, 'circle', { class: 'mark ' + shape, cx: x(t), cy: height, r: 5 });
        add(point, 'title', {}, seconds(t) + ' ' + node + ' ' + kind + ' ' + text);
        point.onclick = () => { $('detail').textContent = seconds(t) + '\n' + (node || 'everywhere') + ': ' + kind + '\n' + text; };
      }
      for (const [t, text] of data.evidence) {
        if (!inView(t)) continue;
        const line = add(svg, 'line', { class: 'evidence', x1: x(t), x2: x(t), y1: 16, y2: upper + row * lanes.size });
        add(line, 'title', {}, text);
      }
      add(svg, 'line', { class: 'now', x1: x(view.now), x2: x(view.now), y1: 16, y2: upper + row * lanes.size });
      svg.dataset.drawn = drawn;
    }

    function show(arrow) {
      const [sent, arrived, from, to, connection, size, messages] = arrow;
      const head = from + ' → ' + to + ', connection ' + connection + ', ' + size + ' bytes\nsent ' + seconds(sent) + (arrow[7] ? ', never arrived' : arrived === null ? ', under way when the run ended' : ', arrived ' + seconds(arrived));
      $('detail').textContent = head + '\n\n' + (messages.map(m => m[0] + ': ' + m[1] + '\n\n' + m[2]).join('\n\n—\n\n') || 'Part of a message that is not whole yet.');
    }

    // MARK: The state at a moment

    function showState() {
      $('clock').textContent = seconds(view.now);
      const groups = new Map([['nodes', new Map(data.lanes.map(name => [name, 'up']))]]);
      for (const [node, from, to, kind] of spells) if (from <= view.now && view.now < to) groups.get('nodes').set(node, kind === 'down' ? 'down' : 'paused');
      for (const [t, group, subject, value] of data.states) {
        if (t > view.now) break;
        if (!groups.has(group)) groups.set(group, new Map());
        groups.get(group).set(subject, value);
      }
      const box = $('state');
      box.replaceChildren();
      for (const [group, entries] of groups) {
        const title = document.createElement('h3');
        title.textContent = group;
        const table = document.createElement('table');
        for (const [subject, value] of entries) {
          if (group === 'nodes' && value === 'up') continue;
          const line = table.insertRow();
          line.insertCell().textContent = subject;
          line.insertCell().textContent = value;
        }
        if (!table.rows.length) table.insertRow().insertCell().textContent = group === 'nodes' ? 'all up' : 'nothing yet';
        box.append(title, table);
      }
    }

    // MARK: Moving

    function look(from, to) {
      const span = Math.max(200, Math.min(last, to - from));
      view.from = Math.max(0, Math.min(from, last - span));
      view.to = view.from + span;
      draw();
    }
    const zoom = (factor, at) => look(at - (at - view.from) * factor, at + (view.to - at) * factor);
    const timeAt = event => view.from + (event.offsetX - left) / (width() - left - 10) * (view.to - view.from);
    const toTime = () => { $('time').value = view.now / last * 100000; };
    $('in').onclick = () => zoom(.5, inView(view.now) ? view.now : (view.from + view.to) / 2);
    $('out').onclick = () => zoom(2, (view.from + view.to) / 2);
    // The story with some room around it; all when there is none. A promise about the end is broken nowhere else.
    const lookAtStory = () => {
      const [from, to] = data.span ?? [0, last], room = Math.max(2e4, (to - from) / 20);
      look(from - room, to + room);
    };
    $('break').onclick = () => {
      view.now = data.broken ?? last;
      toTime();
      if (data.broken === null) lookAtStory(); else look(view.now - 4e5, view.now + 1e5);
      showState();
    };
    $('whole').onclick = () => look(0, last);

    // MARK: Keys

    function pick(arrow) {
      view.picked = arrow;
      show(arrow);
      if (inView(arrow[0])) draw(); else look(arrow[0] - (view.to - view.from) / 2, arrow[0] + (view.to - view.from) / 2);
    }
    // The next message, or the one before; from the chosen one, or from what is in view.
    function step(by) {
      const shown = data.arrows.filter(arrow => arrow[2] !== arrow[3] && wanted(arrow));
      const place = view.picked ? shown.indexOf(view.picked) : -1;
      const next = place >= 0 ? place + by : shown.findIndex(arrow => inView(arrow[0]));
      if (shown[next]) pick(shown[next]);
    }
    const keys = {
      ArrowLeft: () => look(view.from - (view.to - view.from) / 5, view.to - (view.to - view.from) / 5),
      ArrowRight: () => look(view.from + (view.to - view.from) / 5, view.to + (view.to - view.from) / 5),
      '+': () => $('in').onclick(), '=': () => $('in').onclick(), '-': () => $('out').onclick(),
      n: () => step(1), p: () => step(-1), b: () => $('break').onclick(), w: () => $('whole').onclick(),
    };
    window.onkeydown = event => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'INPUT' || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    };
    $('frame').addEventListener('wheel', event => { if (event.ctrlKey || event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) { event.preventDefault(); const by = (view.to - view.from) * (event.deltaX || event.deltaY) / 1000; look(view.from + by, view.to + by); } else { event.preventDefault(); zoom(event.deltaY > 0 ? 1.25 : .8, timeAt(event)); } }, { passive: false });
    let held = null;
    $('frame').onpointerdown = event => { held = { x: event.clientX, from: view.from, to: view.to }; };
    window.onpointerup = () => { held = null; };
    $('frame').onpointermove = event => {
      if (!held || Math.abs(event.clientX - held.x) < 4) return;
      const by = (held.x - event.clientX) / (width() - left - 10) * (held.to - held.from);
      look(held.from + by, held.to + by);
    };
    $('time').oninput = () => { view.now = $('time').value / 100000 * last; if (!inView(view.now)) look(view.now - (view.to - view.from) / 2, view.now + (view.to - view.from) / 2); else draw(); showState(); };
    $('filter').oninput = draw;
    $('quiet').onchange = draw;
    window.onresize = draw;
    if (data.omitted) $('omitted').textContent = data.omitted + ' messages of this run are left out';
    toTime();
    lookAtStory();
    showState();
    """#
}
