extension ConsoleText {
  /// The view, and the actions of the user.
  static let viewScript = #"""
    // MARK: View

    function element(tag, text, kind) {
      const made = document.createElement(tag);
      if (text !== undefined) made.textContent = text;
      if (kind) made.className = kind;
      return made;
    }

    function count(number, noun) { return number + ' ' + noun + (number === 1 ? '' : 's'); }

    function stateOf(person) {
      if (person.status === 'friend') return person.online ? 'online' : '';
      if (person.status === 'new') return person.changes.includes('friend') ? 'asks you' : 'asked';
      return person.status;
    }

    function showPeople() {
      const rows = [...state.people.entries()].sort((a, b) => a[1].name.localeCompare(b[1].name)).map(([key, person]) => {
        const row = element('li');
        const button = element('button');
        button.type = 'button';
        button.dataset.key = key;
        button.setAttribute('aria-current', String(key === state.open));
        button.setAttribute('aria-label', person.name);
        button.append(element('span', '', 'dot' + (person.online ? ' on' : '')), element('span', person.name, 'who'));
        const says = stateOf(person);
        if (says) button.append(element('span', says, 'state'));
        if (person.unread) button.append(element('span', String(person.unread), 'count'));
        // The state and the unread messages describe the button and are not part of its name.
        const described = element('span', [says, person.unread ? count(person.unread, 'unread message') : ''].filter(Boolean).join(', '));
        described.id = 'about-' + key;
        described.hidden = true;
        button.setAttribute('aria-describedby', described.id);
        button.onclick = () => show(key);
        row.append(button, described);
        return row;
      });
      const focused = document.activeElement.dataset.key;
      $('people').replaceChildren(...rows);
      if (focused) buttonOf(focused)?.focus();
      const unread = [...state.people].reduce((sum, [, person]) => sum + person.unread, 0);
      document.title = unread ? '(' + unread + ') Parley' : 'Parley';
    }

    function buttonOf(key) { return [...$('people').querySelectorAll('button')].find(button => button.dataset.key === key); }

    function show(key) {
      const left = state.open;
      if (state.people.has(left)) trim(state.people.get(left));
      state.open = key;
      const person = state.people.get(key);
      if (person) person.unread = 0;
      $('app').dataset.view = person ? 'talk' : 'list';
      $('back').hidden = !person;
      $('title').textContent = person ? person.name : state.name;
      $('typing').textContent = '';
      clearNotice();
      showPeople();
      showTools();
      showMessages();
      // On a narrow screen the list and the conversation replace each other, and take the focus
      // with them.
      const focused = document.activeElement;
      if (focused !== document.body && focused.offsetParent) return;
      if (person) $('title').focus();
      else if (left) buttonOf(left)?.focus();
    }

    function tool(text, action) {
      const button = element('button', text, 'quiet');
      button.type = 'button';
      button.onclick = () => { clearNotice(); action().then(refresh).catch(tell); };
      return button;
    }

    function showTools() {
      const person = state.people.get(state.open);
      $('text').disabled = !person || (!person.group && person.status !== 'friend');
      // Unchanged tools stay: one of them may have the focus, or a half-typed name.
      const shown = person ? [state.open, person.status, ...(person.changes || [])].join(' ') : '';
      if ($('tools').dataset.shown !== shown) drawTools(person);
      if (person && person.group) $('tools').firstChild.textContent = person.members.join(', ');
      $('tools').dataset.shown = shown;
    }

    function drawTools(person) {
      if (!person) return $('tools').replaceChildren(element('span', 'Choose a conversation from the list.'));
      if (person.group) return drawGroupTools(person);
      const may = status => person.changes.includes(status);
      const change = (text, status) => may(status) ? [tool(text, () => ask('POST', '/changeContact', { contact: person.name, status }))] : [];
      const block = change('Block', 'blocked');
      const shown = {
        new: () => [element('span', may('friend') ? person.name + ' wants to be your friend.' : person.name + ' has not answered yet.'), ...change('Accept', 'friend'), ...block],
        blocked: () => [element('span', may('new') ? 'You blocked ' + person.name + '.' : 'Blocked.'), ...change('Unblock', 'new')],
        friend: () => [...change('Unfriend', 'new'), ...block],
      };
      $('tools').replaceChildren(...shown[person.status]());
    }

    function drawGroupTools(group) {
      const member = element('input');
      member.placeholder = 'Add a member';
      member.setAttribute('aria-label', 'Member to add');
      $('tools').replaceChildren(
        element('span'), member,
        tool('Add', () => ask('POST', '/addGroupMember', { group_id: group.id, member: member.value }).then(() => { member.value = ''; })),
        tool('Leave', () => ask('POST', '/removeGroupMember', { group_id: group.id, member: state.name })));
    }

    // MARK: Messages

    function isAtEnd() { const area = $('scroll'); return area.scrollHeight - area.scrollTop - area.clientHeight < 40; }

    function toEnd() { const area = $('scroll'); area.scrollTop = area.scrollHeight; $('newer').hidden = true; }

    /** The rows of a conversation, each with a key and a function that makes it: days, messages, and unsent messages. */
    function rowsOf(person) {
      const rows = [];
      let day = null;
      for (const message of person ? person.messages : []) {
        const time = new Date(message.timestamp);
        if (time.toDateString() !== day) {
          day = time.toDateString();
          rows.push(['day ' + day, () => dayRow(time)]);
        }
        rows.push([String(message.seq), () => messageRow(message, time)]);
      }
      for (const waiting of state.outbox) {
        if (waiting.key === state.open) rows.push([waiting.id, () => element('li', waiting.content, 'message own unsent')]);
      }
      return rows;
    }

    function dayRow(time) {
      const row = element('li', undefined, 'day');
      row.append(timeElement(time, time.toLocaleDateString(undefined, { weekday: 'long', year: 'numeric', month: 'long', day: 'numeric' })));
      return row;
    }

    function messageRow(message, time) {
      const isOwn = message.sender_id === state.user;
      const row = element('li', message.content, 'message' + (isOwn ? ' own' : ''));
      const head = element('small', isOwn ? '' : message.sender_username + ', ');
      head.append(timeElement(time, time.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })));
      row.prepend(head);
      return row;
    }

    function timeElement(time, text) {
      const made = element('time', text);
      made.dateTime = time.toISOString();
      made.title = time.toLocaleString();
      return made;
    }

    /**
     * Shows the open conversation. Existing rows stay, so that a screen reader announces only new ones and the
     * scroll position is kept.
     */
    function showMessages() {
      const person = state.people.get(state.open);
      const area = $('scroll'), list = $('messages');
      const isNew = list.dataset.of !== String(state.open);
      if (isNew) list.replaceChildren();
      list.dataset.of = String(state.open);
      const follows = isNew || isAtEnd();
      if (person && follows) trim(person);
      const rows = rowsOf(person);
      const wanted = new Set(rows.map(([key]) => key));
      const known = new Map();
      for (const row of [...list.children]) if (wanted.has(row.dataset.key)) known.set(row.dataset.key, row); else row.remove();
      // The first visible message and its place. A day does not serve: older messages go below it.
      const first = [...list.querySelectorAll('.message')].find(row => row.offsetTop + row.offsetHeight > area.scrollTop);
      const place = first && first.offsetTop - area.scrollTop;
      const last = list.lastElementChild;
      const before = list.firstElementChild && list.firstElementChild.dataset.key;
      area.setAttribute('aria-busy', String(isNew || (before && rows.length > 0 && rows[0][0] !== before)));
      let next = list.firstElementChild;
      for (const [key, make] of rows) {
        const row = known.get(key);
        if (row && row === next) { next = next.nextElementSibling; continue; }
        const placed = row || make();
        placed.dataset.key = key;
        list.insertBefore(placed, next);
      }
      area.setAttribute('aria-busy', 'false');
      $('older').hidden = !person || !person.hasOlder;
      if (follows) toEnd();
      else {
        if (first) area.scrollTop = first.offsetTop - place;
        if (last !== list.lastElementChild) $('newer').hidden = false;
      }
    }

    // MARK: Actions

    async function send(content) {
      const person = state.people.get(state.open);
      const id = crypto.getRandomValues(new Uint32Array(4)).join('-');
      state.outbox.push({ key: state.open, recipient: person.id, group: person.group, content, id });
      showMessages();
      toEnd();
      await flush();
    }

    /** Sends the outbox in order. A repeated message has the same client_id, so it is stored once. */
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
            // The text returns to the input, unless the input holds another text by now.
            if (next.key === state.open && !$('text').value) $('text').value = next.content;
            tell(answer);
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
      visit.abort(); // pending requests must not continue without a session
      if (socket) socket.close();
      clearTimeout(state.retry);
      clearNotice();
      document.title = 'Parley';
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
      clearNotice();
      ask('POST', '/addContact', { contact: $('add-name').value }).then(() => { $('add-name').value = ''; return refresh(); }).catch(tell);
    };
    $('group').onsubmit = event => {
      event.preventDefault();
      clearNotice();
      ask('POST', '/createGroup', { name: $('group-name').value, members: [] }).then(async group => {
        $('group-name').value = '';
        await refresh();
        show('g' + group.group_id);
      }).catch(tell);
    };
    $('dismiss').onclick = clearNotice;
    $('newer').onclick = () => { toEnd(); $('scroll').focus(); };
    $('older').onclick = () => readOlder(state.open).catch(tell);
    $('scroll').onscroll = () => {
      if (isAtEnd()) $('newer').hidden = true;
      if ($('scroll').scrollTop < 100 && $('scroll').scrollHeight > $('scroll').clientHeight) readOlder(state.open).catch(tell);
    };
    $('write').onsubmit = event => {
      event.preventDefault();
      const content = $('text').value;
      if (!content || !state.open) return;
      clearNotice();
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
