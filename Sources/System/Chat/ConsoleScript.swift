extension ConsoleText {
  /// Speaks Socket.IO over a WebSocket itself: the packets that this page needs, and no more.
  static let script = #"""
    'use strict';
    const $ = id => document.getElementById(id);
    const state = { session: null, user: null, name: '', people: new Map(), open: null, socket: null, wait: 250, acks: new Map(), nextAck: 0, outbox: [], connected: false, visit: new AbortController() };

    // MARK: REST

    async function ask(method, path, body) {
      const { signal } = state.visit;
      const all = state.session ? { sessionID: state.session, ...body } : body;
      const query = method === 'GET' ? '?' + new URLSearchParams(all) : '';
      const answer = await fetch(path + query, method === 'GET' ? { signal } : { signal, method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(all) });
      const value = await answer.json().catch(() => ({}));
      signal.throwIfAborted();
      if (!answer.ok) { const error = new Error(value.error || 'status ' + answer.status); error.status = answer.status; throw error; }
      return value;
    }

    // MARK: Socket.IO 5 over Engine.IO 4

    function connect() {
      clearTimeout(state.retry);
      const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/socket.io/?EIO=4&transport=websocket');
      state.socket = socket;
      let watch;
      let patience = 60000;
      const heard = () => { clearTimeout(watch); watch = setTimeout(() => socket.close(), patience); };
      socket.onmessage = event => {
        heard();
        const packet = String(event.data);
        if (packet[0] === '0') {
          const open = JSON.parse(packet.slice(1));
          patience = open.pingInterval + open.pingTimeout;
          socket.send('40' + JSON.stringify({ sessionID: state.session }));
        } else if (packet[0] === '2') socket.send('3');
        else if (packet[0] === '4') take(packet.slice(1));
      };
      socket.onclose = () => {
        clearTimeout(watch);
        if (state.socket !== socket) return;
        state.socket = null;
        setLink(false);
        state.acks.forEach(give => give(null));
        state.acks.clear();
        if (state.session) {
          state.retry = setTimeout(connect, state.wait * (0.5 + crypto.getRandomValues(new Uint8Array(1))[0] / 256));
          state.wait = Math.min(state.wait * 2, 10000);
        }
      };
    }

    function take(packet) {
      if (packet[0] === '0') { state.wait = 250; setLink(true); refresh().then(flush).catch(tell); }
      else if (packet[0] === '1') state.socket.close();
      else if (packet[0] === '4') { leave(JSON.parse(packet.slice(1)).message); }
      else if (packet[0] === '2') { const [name, value] = JSON.parse(packet.slice(1)); (events[name] || (() => {}))(value); }
      else if (packet[0] === '3') {
        const [, id, rest] = /^3(\d+)(.*)$/.exec(packet);
        const give = state.acks.get(+id);
        state.acks.delete(+id);
        if (give) give(JSON.parse(rest)[0]);
      }
    }

    function emit(name, value) {
      return new Promise(give => {
        if (!state.connected) return give(null);
        const id = state.nextAck++;
        state.acks.set(id, give);
        state.socket.send('42' + id + JSON.stringify([name, value]));
      });
    }

    const events = {
      new_message(message) { note(message); },
      user_status(status) { const person = state.people.get('u' + status.user_id); if (person) { person.online = status.status === 'online'; showPeople(); } },
      contact_added: reload, contact_changed: reload, contact_request: reload, group_changed: reload,
      typing(what) {
        const key = what.is_group ? 'g' + what.recipient_id : 'u' + what.sender_id;
        if (key !== state.open) return;
        $('typing').textContent = what.sender_username + ' is typing …';
        clearTimeout(state.typing);
        state.typing = setTimeout(() => { $('typing').textContent = ''; }, 3000);
      },
      error: tell,
    };

    function tell(error) { if (error.name !== 'AbortError') $('notice').textContent = error.message; }

    function setLink(open) {
      state.connected = open;
      $('link').dataset.state = open ? 'open' : 'closed';
      $('link').textContent = open ? 'online' : 'connecting …';
    }

    // MARK: What is known

    function reload() { refresh().catch(tell); }

    async function refresh() {
      const [contacts, groups] = await Promise.all([ask('GET', '/getContacts', {}), ask('GET', '/getGroups', {})]);
      const seen = new Set();
      const keep = (key, value) => { seen.add(key); state.people.set(key, Object.assign(state.people.get(key) || { messages: [], unread: 0 }, value)); };
      for (const c of contacts) keep('u' + c.user_id, { id: c.user_id, name: c.username, status: c.status, online: c.is_online, group: false });
      for (const g of groups) keep('g' + g.group_id, { id: g.group_id, name: g.name, status: 'group', members: g.members, group: true });
      [...state.people].forEach(([key]) => { if (!seen.has(key)) state.people.delete(key); });
      if (!state.people.has(state.open)) show(null);
      showPeople();
      showTools();
      await Promise.all([...state.people].map(([key]) => catchUp(key)));
    }

    /** Reads what came while there was no socket, and what a gap hides. */
    async function catchUp(key) {
      const person = state.people.get(key);
      if (!person || person.reading) return;
      person.reading = true;
      try {
        for (;;) {
          const last = person.messages.length ? person.messages[person.messages.length - 1].seq : null;
          const which = person.group ? { group_id: person.id } : { contact: person.name };
          const page = await ask('GET', person.group ? '/getGroupMessages' : '/getContactMessages', last === null ? which : { ...which, after: last, limit: 500 });
          for (const message of page) insert(person, message);
          if (last === null || page.length < 500) break;
        }
        if (key === state.open) showMessages();
      } finally { person.reading = false; }
    }

    function insert(person, message) {
      let at = person.messages.length;
      while (at > 0 && person.messages[at - 1].seq > message.seq) at--;
      if (at > 0 && person.messages[at - 1].seq === message.seq) return false;
      person.messages.splice(at, 0, message);
      // What was sent from here is shown once, whether it is the answer, the event or a page read that comes first.
      state.outbox = state.outbox.filter(o => !(o.seq === message.seq && state.people.get(o.key) === person));
      if (person.messages.length > 2000) person.messages.shift();
      return true;
    }

    function note(message) {
      const other = message.sender_id === state.user ? message.recipient_id : message.sender_id;
      const key = message.is_group ? 'g' + message.recipient_id : 'u' + other;
      const person = state.people.get(key);
      if (!person) return reload();
      const last = person.messages.length ? person.messages[person.messages.length - 1].seq : message.seq - 1;
      if (!insert(person, message)) return;
      if (message.seq > last + 1) catchUp(key).catch(() => {});
      if (key === state.open) { $('typing').textContent = ''; showMessages(); }
      else { person.unread++; showPeople(); }
    }

    // MARK: What is shown

    function element(tag, text, kind) {
      const made = document.createElement(tag);
      if (text !== undefined) made.textContent = text;
      if (kind) made.className = kind;
      return made;
    }

    function showPeople() {
      const rows = [...state.people.entries()].sort((a, b) => a[1].name.localeCompare(b[1].name)).map(([key, person]) => {
        const row = element('li');
        const button = element('button');
        button.type = 'button';
        button.dataset.key = key;
        button.setAttribute('aria-current', String(key === state.open));
        button.append(element('span', '', 'dot' + (person.online ? ' on' : '')), element('span', person.name, 'who'));
        const says = { new: 'asked', blocked: 'blocked', group: 'group', friend: person.online ? 'online' : '' }[person.status];
        if (says) button.append(element('span', says, 'state'));
        if (person.unread) button.append(element('span', String(person.unread), 'count'));
        button.onclick = () => show(key);
        row.append(button);
        return row;
      });
      const focused = document.activeElement.dataset.key;
      $('people').replaceChildren(...rows);
      if (focused) [...$('people').querySelectorAll('button')].filter(button => button.dataset.key === focused).forEach(button => button.focus());
    }

    function show(key) {
      state.open = key;
      const person = state.people.get(key);
      if (person) person.unread = 0;
      $('app').dataset.view = person ? 'talk' : 'list';
      $('back').hidden = !person;
      $('title').textContent = person ? person.name : state.name;
      $('typing').textContent = '';
      $('text').disabled = !person || (!person.group && person.status !== 'friend');
      showPeople();
      showTools();
      showMessages();
    }

    function tool(text, action) {
      const button = element('button', text, 'quiet');
      button.type = 'button';
      button.onclick = () => action().then(refresh).catch(tell);
      return button;
    }

    function showTools() {
      const person = state.people.get(state.open);
      if (person) $('text').disabled = !person.group && person.status !== 'friend';
      // What is the same stays: somebody may be on a button, or be writing the name of a member.
      const shown = person ? state.open + ' ' + person.status : '';
      if ($('tools').dataset.shown !== shown) drawTools(person);
      if (person && person.group) $('tools').firstChild.textContent = person.members.join(', ');
      $('tools').dataset.shown = shown;
    }

    function drawTools(person) {
      if (!person) return $('tools').replaceChildren(element('span', 'Choose somebody on the left.'));
      const change = status => () => ask('POST', '/changeContact', { contact: person.name, status });
      if (person.group) {
        const member = element('input');
        member.placeholder = 'Add a member';
        member.setAttribute('aria-label', 'Member to add');
        $('tools').replaceChildren(
          element('span'), member,
          tool('Add', () => ask('POST', '/addGroupMember', { group_id: person.id, member: member.value }).then(() => { member.value = ''; })),
          tool('Leave', () => ask('POST', '/removeGroupMember', { group_id: person.id, member: state.name })));
      } else if (person.status === 'new') {
        $('tools').replaceChildren(element('span', 'Not yet friends.'), tool('Accept', change('friend')), tool('Block', change('blocked')));
      } else if (person.status === 'blocked') {
        $('tools').replaceChildren(element('span', 'Blocked.'), tool('Unblock', change('new')));
      } else $('tools').replaceChildren(tool('Unfriend', change('new')), tool('Block', change('blocked')));
    }

    function showMessages() {
      const person = state.people.get(state.open);
      const list = $('messages');
      const rows = !person ? [] : person.messages.map(message => {
        const row = element('li', message.content, message.sender_id === state.user ? 'own' : '');
        const who = message.sender_id === state.user ? '' : message.sender_username + ', ';
        row.prepend(element('small', who + new Date(message.timestamp).toLocaleTimeString()));
        row.dataset.seq = message.seq;
        return row;
      });
      for (const waiting of state.outbox) if (waiting.key === state.open) rows.push(element('li', waiting.content, 'own unsent'));
      list.replaceChildren(...rows);
      list.scrollTop = list.scrollHeight;
    }

    // MARK: What people do

    async function send(content) {
      const person = state.people.get(state.open);
      const id = crypto.getRandomValues(new Uint32Array(4)).join('-');
      state.outbox.push({ key: state.open, recipient: person.id, group: person.group, content, id });
      showMessages();
      await flush();
    }

    /** Sends what is in the outbox, in order, until it is acknowledged; what is sent again is the same message. */
    async function flush() {
      if (state.flushing) return;
      state.flushing = true;
      try {
        for (;;) {
          const next = state.outbox.find(o => !o.seq);
          if (!next || !state.connected) return;
          const answer = await emit('send_message', { sessionID: state.session, recipient_id: next.recipient, is_group: next.group, content: next.content, client_id: next.id });
          if (answer === null) return;
          if (answer.status === 'ok') {
            next.seq = answer.seq;
            const person = state.people.get(next.key);
            if (!person || person.messages.some(m => m.seq === answer.seq)) state.outbox = state.outbox.filter(o => o !== next);
          } else {
            state.outbox = state.outbox.filter(o => o !== next);
            $('notice').textContent = answer.message;
          }
          showMessages();
        }
      } finally { state.flushing = false; }
    }

    async function enter(path) {
      $('door-error').textContent = '';
      try {
        const credentials = { username: $('name').value, password: $('password').value };
        if (path === '/register') await ask('POST', path, credentials);
        const answer = await ask('POST', '/login', credentials);
        begin({ session: answer.sessionID, user: answer.user_id, name: answer.username });
      } catch (error) { $('door-error').textContent = error.message; }
    }

    function begin(who) {
      Object.assign(state, who);
      sessionStorage.setItem('parley', JSON.stringify(who));
      $('password').value = '';
      $('door').hidden = true;
      $('app').hidden = false;
      setLink(false);
      show(null);
      connect();
    }

    function leave(why) {
      sessionStorage.removeItem('parley');
      const { socket, visit } = state;
      Object.assign(state, { visit: new AbortController(), session: null, socket: null, people: new Map(), outbox: [], open: null });
      visit.abort(); // what waits for an answer would go on without a session
      if (socket) socket.close();
      clearTimeout(state.retry);
      $('app').hidden = true;
      $('door').hidden = false;
      $('door-error').textContent = why || '';
    }

    $('login').onsubmit = event => { event.preventDefault(); enter('/login'); };
    $('join').onclick = () => { if ($('login').reportValidity()) enter('/register'); };
    $('leave').onclick = () => { const sessionID = state.session; leave(); ask('POST', '/logout', { sessionID }).catch(tell); };
    $('back').onclick = () => show(null);
    $('add').onsubmit = event => {
      event.preventDefault();
      $('notice').textContent = '';
      ask('POST', '/addContact', { contact: $('add-name').value }).then(() => { $('add-name').value = ''; return refresh(); }).catch(tell);
    };
    $('group').onsubmit = event => {
      event.preventDefault();
      $('notice').textContent = '';
      ask('POST', '/createGroup', { name: $('group-name').value, members: [] }).then(() => { $('group-name').value = ''; return refresh(); }).catch(tell);
    };
    $('write').onsubmit = event => {
      event.preventDefault();
      const content = $('text').value;
      if (!content || !state.open) return;
      $('text').value = '';
      send(content);
    };
    $('text').oninput = () => {
      const person = state.people.get(state.open);
      if (!person || !state.connected || Date.now() - (state.toldTyping || 0) < 2000) return;
      state.toldTyping = Date.now();
      state.socket.send('42' + JSON.stringify(['typing', { recipient_id: person.id, is_group: person.group }]));
    };
    window.addEventListener('offline', () => { if (state.socket) state.socket.close(); });
    window.addEventListener('online', () => { if (state.session && !state.socket) connect(); });
    const kept = sessionStorage.getItem('parley');
    if (kept) begin(JSON.parse(kept));
    """#
}
