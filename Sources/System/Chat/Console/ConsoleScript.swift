extension ConsoleText {
  /// The script of the page.
  static let script = connectionScript + "\n" + viewScript

  /// Requests, the socket, and the state of the conversations. The script handles the few packets
  /// of Socket.IO that the page needs itself.
  private static let connectionScript = #"""
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

    function tell(error) { if (error.name !== 'AbortError') $('notice-text').textContent = error.message; }

    function clearNotice() { $('notice-text').textContent = ''; }

    function setLink(open) {
      state.connected = open;
      $('link').dataset.state = open ? 'open' : 'closed';
      $('link').textContent = open ? 'online' : 'connecting …';
    }

    // MARK: State

    function reload() { refresh().catch(tell); }

    async function refresh() {
      const [contacts, groups] = await Promise.all([ask('GET', '/getContacts', { changes: true }), ask('GET', '/getGroups', {})]);
      const seen = new Set();
      const keep = (key, value) => { seen.add(key); state.people.set(key, Object.assign(state.people.get(key) || { messages: [], unread: 0, hasOlder: false }, value)); };
      for (const c of contacts) keep('u' + c.user_id, { id: c.user_id, name: c.username, status: c.status, changes: c.changes, online: c.is_online, group: false });
      for (const g of groups) keep('g' + g.group_id, { id: g.group_id, name: g.name, status: 'group', members: g.members, group: true });
      [...state.people].forEach(([key]) => { if (!seen.has(key)) state.people.delete(key); });
      if (!state.people.has(state.open)) show(null);
      showPeople();
      showTools();
      await Promise.all([...state.people].map(([key]) => catchUp(key)));
    }

    const PAGE = 50;
    /** Messages of a conversation that are kept in memory. Older ones can be read again. */
    const KEPT = 2000;

    function readPage(person, range) {
      const which = person.group ? { group_id: person.id } : { contact: person.name };
      return ask('GET', person.group ? '/getGroupMessages' : '/getContactMessages', { ...which, ...range });
    }

    /** Reads the messages before the first one on the page. */
    async function readOlder(key) {
      const person = state.people.get(key);
      if (!person || person.readingOlder || !person.hasOlder) return;
      person.readingOlder = true;
      try {
        const page = await readPage(person, { before: person.messages[0].seq, limit: PAGE });
        person.hasOlder = page.length === PAGE;
        for (const message of page) insert(person, message);
        if (key === state.open) showMessages();
      } finally { person.readingOlder = false; }
    }

    /** Drops the oldest messages of a long conversation. */
    function trim(person) {
      if (person.messages.length <= KEPT) return;
      person.messages.splice(0, person.messages.length - KEPT / 2);
      person.hasOlder = true;
    }

    /** Reads the messages that were missed without a socket, or in a gap. */
    async function catchUp(key) {
      const person = state.people.get(key);
      if (!person) return;
      person.isBehind = true;
      if (person.reading) return;
      person.reading = true;
      try {
        while (person.isBehind) {
          person.isBehind = false;
          const last = person.messages.length ? person.messages[person.messages.length - 1].seq : null;
          const limit = last === null ? PAGE : 500;
          const page = await readPage(person, last === null ? { limit } : { after: last, limit });
          for (const message of page) if (insert(person, message) && last !== null) countUnread(key, message);
          if (last === null) person.hasOlder = page.length === limit;
          else if (page.length === limit) person.isBehind = true;
        }
        if (key === state.open) showMessages();
        else { trim(person); showPeople(); }
      } finally { person.reading = false; }
    }

    function countUnread(key, message) {
      if (key !== state.open && message.sender_id !== state.user) state.people.get(key).unread++;
    }

    function insert(person, message) {
      let at = person.messages.length;
      while (at > 0 && person.messages[at - 1].seq > message.seq) at--;
      if (at > 0 && person.messages[at - 1].seq === message.seq) return false;
      person.messages.splice(at, 0, message);
      // An own message is shown once, whether the answer, the event or a page arrives first.
      state.outbox = state.outbox.filter(o => !(o.seq === message.seq && state.people.get(o.key) === person));
      return true;
    }

    function note(message) {
      const other = message.sender_id === state.user ? message.recipient_id : message.sender_id;
      const key = message.is_group ? 'g' + message.recipient_id : 'u' + other;
      const person = state.people.get(key);
      if (!person) return reload();
      const last = person.messages.length ? person.messages[person.messages.length - 1].seq : message.seq - 1;
      if (message.seq > last + 1) return catchUp(key).catch(tell);
      if (!insert(person, message)) return;
      countUnread(key, message);
      if (key === state.open) { $('typing').textContent = ''; showMessages(); }
      else { trim(person); showPeople(); }
    }
    """#
}
