import Environment

/// The operator's page at `/` of the User Manager.
enum OperatorPage {
  static let routes: [Route] = [
    CommonRoutes.asset("/", "text/html", page), CommonRoutes.asset("/operator.js", "text/javascript", script),
    CommonRoutes.asset("/operator.css", "text/css", style),
  ]

  private static let page = """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <title>Parley: User Manager</title>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <link rel="stylesheet" href="/operator.css">
    <script src="/operator.js" defer></script>
    </head>
    <body>
    <header><h1>User Manager</h1><span id="state" role="status">loading…</span></header>
    <form id="token" hidden><label>Service token <input id="secret" type="password" autocomplete="off"></label><button>Show</button></form>
    <section id="numbers" aria-label="Summary"></section>
    <section><h2 id="supervisors-title">Supervisors</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="supervisors-title"><table id="supervisors"></table></div></section>
    <section><h2 id="users-title">Users</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="users-title"><table id="users"></table></div></section>
    <section><h2 id="hosts-title">Hosts</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="hosts-title"><table id="hosts"></table></div></section>
    <section><h2 id="queues-title">Queues</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="queues-title"><table id="queues"></table></div></section>
    <noscript>This page needs JavaScript; <a href="/docs">/docs</a> does not.</noscript>
    </body>
    </html>
    """

  private static let style = """
    :root { color-scheme: light dark; --ground: #fff; --ink: #1d2433; --soft: #667085; --line: #d9dee7; --panel: #f6f8fb; --accent: #0b57d0; --good: #188038; --bad: #b3261e }
    @media (prefers-color-scheme: dark) { :root { --ground: #12161f; --ink: #e6e9f0; --soft: #98a2b3; --line: #2c3446; --panel: #1a202c; --accent: #8ab4f8; --good: #81c995; --bad: #f2b8b5 } }
    [hidden] { display: none !important }
    body { margin: 0 auto; max-width: 64rem; padding: .8rem; font: 16px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground) }
    header { display: flex; align-items: baseline; gap: 1rem; flex-wrap: wrap }
    h1 { font-size: 1.3rem; margin: .3rem 0 }
    h2 { font-size: 1rem; margin: 1.2rem 0 .3rem }
    #state { color: var(--soft) }
    #state.good { color: var(--good) }
    #state.bad { color: var(--bad) }
    #numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem; margin-top: .6rem }
    #numbers div { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: .5rem .8rem }
    #numbers b { display: block; font-size: 1.5rem }
    #numbers span { color: var(--soft); font-size: .85rem }
    .scroll { overflow-x: auto }
    .scroll:focus-visible, input:focus-visible, button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
    .plot { display: block; width: 100%; height: 1.6rem; margin-top: .2rem }
    td .plot { width: 6rem; height: 1.2rem; margin: 0 }
    .plot polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke }
    table { border-collapse: collapse; width: 100%; font-size: .92rem }
    th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap }
    th { color: var(--soft); font-weight: 500 }
    td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
    td.bad { color: var(--bad) }
    input, button { font: inherit; padding: .4rem .6rem; border: 1px solid var(--line); border-radius: 8px; background: var(--ground); color: inherit }
    """

  private static let script = #"""
    'use strict';
    const $ = id => document.getElementById(id);
    // Kept for this tab, and sent to the manager only.
    let token = sessionStorage.getItem('service-token');

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

    function table(id, heads, rows) {
      const head = document.createElement('tr');
      heads.forEach(([text, kind]) => head.append(cell('th', text, kind)));
      const lines = rows.map(values => {
        const row = document.createElement('tr');
        values.forEach((value, index) => {
          const isPicture = value instanceof Element;
          const made = cell('td', isPicture ? '' : value, heads[index][1]);
          if (isPicture) made.append(value);
          row.append(made);
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
      $(id).replaceChildren(head, ...lines);
    }

    function show(all) {
      const now = performance.now() / 1000;
      const customers = new Map(all.SESSIONS.map(s => [s.SESSION_SUPERVISOR_ID, s.EMAIL]));
      const queues = new Set(all.QUEUES.map(q => 'queue ' + q.QUEUE));
      seen.forEach((line, name) => { if (name.startsWith('queue ') && !queues.has(name)) seen.delete(name); });
      all.QUEUES.forEach(q => note('queue ' + q.QUEUE, q.MESSAGES, now));
      const serving = all.USERS.filter(u => u.STATUS === 'SERVING').length;
      const running = all.SUPERVISORS.filter(s => s.STATUS === 'running').length;
      const demand = all.SUPERVISORS.reduce((sum, s) => sum + s.DEMAND, 0);
      $('numbers').replaceChildren(...[
        [running, 'sessions running'], [all.FREE, 'users free'], [serving, 'users serving'], [demand, 'users missing'],
        [all.HOSTS.length, 'hosts'], [all.DEAD_LETTERS, 'dead letters'],
      ].map(([value, what]) => { const box = document.createElement('div'); note(what, value, now); box.append(cell('b', value), cell('span', what), plot(what)); return box; }));
      table('supervisors', [['Supervisor'], ['Customer'], ['Status'], ['Epoch', 'number'], ['Host'], ['Users'], ['Missing', 'number']],
        all.SUPERVISORS.map(s => [s.SESSION_SUPERVISOR_ID, customers.get(s.SESSION_SUPERVISOR_ID) || '–', s.STATUS, s.EPOCH, s.HOST || '–', s.LIST_USER_ID.join(', ') || '–', s.DEMAND]));
      table('users', [['User'], ['Status'], ['Supervisor'], ['Connection', 'number']],
        all.USERS.filter(u => u.STATUS !== 'OFFLINE').slice(0, 200).map(u => [u.USER_ID, u.STATUS.toLowerCase(), u.SESSION_SUPERVISOR_ID || '–', u.CONNECTION]));
      table('hosts', [['Host'], ['Last heartbeat (s ago)', 'number']], all.HOSTS.map(h => [h.HOST, h.SECONDS_SINCE]));
      table('queues', [['Queue'], ['Messages', 'number'], ['Change in a second', 'number'], ['Last two minutes']],
        all.QUEUES.map(q => [q.QUEUE, q.MESSAGES, rate('queue ' + q.QUEUE), plot('queue ' + q.QUEUE)]));
      $('state').textContent = all.BROKER ? 'live' : 'broker not available';
      $('state').className = all.BROKER ? 'good' : 'bad';
    }

    async function refresh() {
      try {
        const answer = await fetch('/overview', token ? { headers: { authorization: 'Bearer ' + token } } : {});
        $('token').hidden = answer.status !== 401 && answer.status !== 403;
        if (answer.ok) show(await answer.json());
        else { $('state').textContent = 'answer ' + answer.status; $('state').className = 'bad'; }
      } catch (error) { $('state').textContent = 'manager not reachable'; $('state').className = 'bad'; }
      setTimeout(refresh, 1000);
    }

    $('token').onsubmit = event => { event.preventDefault(); token = $('secret').value; $('secret').value = ''; sessionStorage.setItem('service-token', token); };
    refresh();
    """#
}
