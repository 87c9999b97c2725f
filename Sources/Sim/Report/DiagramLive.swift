/// The script of the page of a run that a server can run again: the state of the world at each
/// step, and branches.
enum DiagramLive {
  static let script = #"""
    // MARK: A run on a server

    const key = new URLSearchParams(location.search).get('key') ?? '';
    let asked = null;
    function complain(error) { if (error.name !== 'AbortError') $('trouble').textContent = error.message; }
    async function ask(path, body, signal) {
      const answer = await fetch(path, {
        method: body ? 'POST' : 'GET', headers: { authorization: 'Bearer ' + key, ...(body && { 'content-type': 'application/json' }) },
        body: body && JSON.stringify(body), signal });
      const value = await answer.json();
      if (!answer.ok) throw new Error(value.message ?? answer.statusText);
      $('trouble').textContent = '';
      return value;
    }

    // Asks for the state at the step. Only the last question counts.
    function loadMoment() {
      asked?.abort();
      asked = new AbortController();
      $('alive').setAttribute('aria-busy', 'true');
      ask('moment?run=' + data.live.run + '&step=' + view.step, null, asked.signal).then(showMoment).catch(complain);
    }
    function showMoment(moment) {
      view.moment = moment;
      view.now = moment.at;
      $('here').textContent = 'Step ' + view.step + ' of ' + whole + ', ' + seconds(moment.at)
        + (moment.step > view.step ? '; the next choice is after step ' + moment.step : '');
      $('alive').dataset.step = view.step;
      $('alive').setAttribute('aria-busy', 'false');
      showJobs(moment);
      $('nodes').replaceChildren(...moment.nodes.map(showNode));
      const table = $('connections');
      table.replaceChildren();
      const head = table.insertRow();
      for (const text of ['connection', 'to the server: under way, unread', 'to the client: under way, unread']) head.append(Object.assign(document.createElement('th'), { textContent: text, scope: 'col' }));
      const way = ([travels, unread, end]) => travels + ', ' + unread + (end === 'open' ? '' : ', ' + end);
      for (const c of moment.connections) {
        const line = table.insertRow();
        for (const text of ['#' + c.id + ' ' + c.from + ' → ' + c.to, way(c.sent), way(c.received)]) line.insertCell().textContent = text;
      }
    }
    function showJobs(moment) {
      $('jobs').replaceChildren(...moment.jobs.map((job, place) => {
        const item = document.createElement('li'), button = document.createElement('button');
        item.textContent = job.task + (job.actor ? ' on ' + job.actor : '') + (job.wait ? ', after ' + job.wait : '') + ' ';
        if (place === moment.next) {
          item.setAttribute('aria-current', 'true');
          item.append('— runs next');
        } else {
          button.type = 'button';
          button.textContent = 'Let it go first';
          button.setAttribute('aria-label', 'Let ' + job.task + ' go first');
          button.onclick = () => branch({ step: moment.step, job: place });
          item.append(button);
        }
        return item;
      }));
      if (!moment.jobs.length) $('jobs').append(Object.assign(document.createElement('li'), { textContent: 'none: the run has ended' }));
    }
    const isOpen = new Set();
    // A tree of what a service holds. Branches stay open from step to step.
    function showTree([name, text, children], path) {
      const here = path + '/' + name;
      if (!children.length) return Object.assign(document.createElement('div'), { className: 'leaf', textContent: name + ': ' + text });
      const box = document.createElement('details'), head = document.createElement('summary');
      head.textContent = name + (text === name ? '' : ': ' + text);
      box.append(head);
      const fill = () => { if (box.open && box.children.length === 1) box.append(...children.map(child => showTree(child, here))); };
      box.ontoggle = () => { if (box.open) isOpen.add(here); else isOpen.delete(here); fill(); };
      box.open = isOpen.has(here);
      fill();
      return box;
    }
    function showNode(node) {
      const list = (title, texts) => [title + ' (' + texts.length + ')', '', texts.map((text, index) => [String(index + 1), text, []])];
      const parts = [list('tasks', node.tasks), list('waits', node.waits), ...(node.held ? [['memory', '', node.held[2]]] : [])];
      return showTree([node.name, node.state, parts], '');
    }

    // MARK: Branches

    function branch(body) {
      ask('branches', { run: data.live.run, ...body }).then(made => {
        location.href = '?key=' + encodeURIComponent(key) + '&run=' + made.run + '#step=' + body.step;
      }).catch(complain);
    }
    function startLive() {
      $('alive').hidden = false;
      for (const name of data.lanes) $('faultNode').append(new Option(name, name));
      for (const [kind, text] of data.live.faults) $('faultKind').append(new Option(text, kind));
      $('strike').onsubmit = submitted => {
        submitted.preventDefault();
        if (view.moment) branch({ step: view.moment.step, node: $('faultNode').value, fault: $('faultKind').value });
      };
      $('runs').replaceChildren(...data.live.runs.map(([text, verdict], run) => {
        const item = document.createElement('li'), link = document.createElement('a');
        link.href = '?key=' + encodeURIComponent(key) + '&run=' + run;
        link.textContent = text;
        item.append(link, ': ' + verdict);
        if (run === data.live.run) item.setAttribute('aria-current', 'page');
        return item;
      }));
    }
    """#
}
