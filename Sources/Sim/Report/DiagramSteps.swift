/// The script of the page of a run: the state at a moment, moving, steps and keys.
enum DiagramSteps {
  static let moving = #"""
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
    // Shows the time of the story with a margin, or the whole run if it has no story. A promise
    // that is judged at the end has no moment at which it breaks.
    const lookAtStory = () => {
      const [from, to] = data.span ?? [0, last], room = Math.max(2e4, (to - from) / 20);
      look(from - room, to + room);
    };
    $('break').onclick = () => {
      view.now = data.broken ?? last;
      if (data.broken === null) lookAtStory(); else look(view.now - 4e5, view.now + 1e5);
      toMoment(view.now);
    };
    $('whole').onclick = () => look(0, last);
    $('every').onchange = () => { chooseLanes(); draw(); };
    $('bundled').onchange = () => { for (const bundle of bundles) bundle.isOpen = false; draw(); };
    """#

  static let steps = #"""
    // MARK: Steps

    // The recorded events: step, time, node, a sentence, and the message.
    const events = [];
    for (const arrow of data.arrows) {
      const text = arrow[2] + ' → ' + arrow[3] + ': ' + title(arrow).slice(0, 120);
      events.push([arrow[8], arrow[0], arrow[2], text + ' is sent', arrow]);
      if (arrow[1] !== null) events.push([arrow[9], arrow[1], arrow[3], text + ' arrives', arrow]);
    }
    for (const mark of data.marks) events.push([mark[4], mark[0], mark[1], (mark[1] || 'everywhere') + ': ' + mark[2] + ' ' + mark[3], null]);
    events.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    view.step = 0;
    const whole = data.steps || (events.length ? events[events.length - 1][0] : 0);
    // The index of the last event up to a step; -1 before the first one.
    function placeOf(step) {
      let low = 0, high = events.length;
      while (low < high) { const middle = (low + high) >> 1; if (events[middle][0] <= step) low = middle + 1; else high = middle; }
      return low - 1;
    }

    // Shows a step. `time` is given where it is known better than by the last event.
    function goTo(step, time) {
      view.step = Math.max(0, Math.min(whole, step));
      const place = placeOf(view.step);
      view.now = time ?? (place >= 0 ? events[place][1] : 0);
      if (inView(view.now)) draw(); else look(view.now - (view.to - view.from) / 2, view.now + (view.to - view.from) / 2);
      toTime();
      const node = $('node').value;
      history.replaceState(null, '', location.pathname + location.search + '#step=' + view.step + (node ? '&node=' + encodeURIComponent(node) : ''));
      showState();
      showEvents(place);
      if (data.live) loadMoment();
    }
    const toMoment = time => {
      const before = events.filter(event => event[1] <= time);
      goTo(before.length ? Math.max(...before.map(event => event[0])) : 0, time);
    };

    function showEvents(place) {
      $('here').textContent = 'Step ' + view.step + ' of ' + whole + ', ' + seconds(view.now);
      const list = $('near');
      list.replaceChildren();
      for (let index = Math.max(0, place - 4); index <= Math.min(events.length - 1, place + 5); index++) {
        const [step, t, node, text, arrow] = events[index];
        const link = document.createElement('a');
        link.href = '#step=' + step;
        link.textContent = seconds(t) + ' ' + text;
        link.onclick = click => { click.preventDefault(); if (arrow) { view.picked = arrow; show(arrow); } goTo(step, t); };
        const item = document.createElement('li');
        if (index === place) item.setAttribute('aria-current', 'step');
        item.append(link);
        list.append(item);
      }
    }

    // A run that is recorded only has its events; a live one has every job.
    const stepBy = by => data.live ? goTo(view.step + by) : eventBy(by, '');
    // To the next event of the chosen node, or the one before, in another step.
    function eventBy(by, node = $('node').value) {
      const fits = event => event[0] !== view.step && (!node || event[2] === node);
      const found = by > 0 ? events.find(event => event[0] > view.step && fits(event)) : events.findLast(event => event[0] < view.step && fits(event));
      if (found) { if (found[4]) { view.picked = found[4]; show(found[4]); } goTo(found[0], found[1]); }
    }
    for (const name of data.lanes) $('node').append(new Option(name, name));
    $('forward').onclick = () => stepBy(1);
    $('back').onclick = () => stepBy(-1);
    $('nextEvent').onclick = () => eventBy(1);
    $('lastEvent').onclick = () => eventBy(-1);
    $('go').onsubmit = submitted => {
      submitted.preventDefault();
      const time = parseFloat($('when').value);
      if (time >= 0) toMoment(Math.min(last, time * 1e6));
    };
    function fromLink() {
      const link = new URLSearchParams(location.hash.slice(1)), step = link.get('step');
      if (data.lanes.includes(link.get('node'))) $('node').value = link.get('node');
      if (step === null || !/^[0-9]+$/.test(step)) return false;
      if (Number(step) !== view.step || !view.isReady) goTo(Number(step));
      return true;
    }
    window.onhashchange = fromLink;
    function start() {
      if (data.live) startLive();
      if (!fromLink()) toMoment(view.now);
      view.isReady = true;
    }
    """#

  static let keyboard = #"""
    // MARK: Keys

    function pick(arrow) {
      view.picked = arrow;
      show(arrow);
      goTo(arrow[8], arrow[0]);
      if (inView(arrow[0])) draw(); else look(arrow[0] - (view.to - view.from) / 2, arrow[0] + (view.to - view.from) / 2);
    }
    // The next message, or the one before; from the chosen one, or from what is in view.
    function step(by) {
      const shown = data.arrows.filter(arrow => isShown(arrow[2]) && isShown(arrow[3]) && arrow[2] !== arrow[3] && wanted(arrow));
      const place = view.picked ? shown.indexOf(view.picked) : -1;
      const next = place >= 0 ? place + by : shown.findIndex(arrow => inView(arrow[0]));
      if (shown[next]) pick(shown[next]);
    }
    // The next message that never arrives, or the first one.
    function toLost() {
      const lost = data.arrows.filter(arrow => arrow[7]);
      const arrow = lost[(lost.indexOf(view.picked) + 1) % lost.length];
      if (!arrow) { $('detail').textContent = 'Every message of this run has arrived, or was under way when it ended.'; return; }
      if (!isShown(arrow[2]) || !isShown(arrow[3])) { $('every').checked = true; chooseLanes(); }
      pick(arrow);
    }
    $('lost').onclick = toLost;
    const keys = {
      ArrowLeft: () => look(view.from - (view.to - view.from) / 5, view.to - (view.to - view.from) / 5),
      ArrowRight: () => look(view.from + (view.to - view.from) / 5, view.to + (view.to - view.from) / 5),
      '+': () => $('in').onclick(), '=': () => $('in').onclick(), '-': () => $('out').onclick(),
      n: () => step(1), p: () => step(-1), b: () => $('break').onclick(), w: () => $('whole').onclick(),
      l: toLost, '.': () => stepBy(1), ',': () => stepBy(-1), ']': () => eventBy(1), '[': () => eventBy(-1), g: () => $('when').focus(),
    };
    window.onkeydown = event => {
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName) || !keys[event.key]) return;
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
    $('time').oninput = () => { view.now = $('time').value / 100000 * last; if (!inView(view.now)) look(view.now - (view.to - view.from) / 2, view.now + (view.to - view.from) / 2); else draw(); toMoment(view.now); };
    $('filter').oninput = () => { chooseLanes(); draw(); };
    $('quiet').onchange = draw;
    window.onresize = draw;
    if (data.omitted) $('omitted').textContent = data.omitted + ' messages of this run are left out';
    lookAtStory();
    start();
    """#
}
