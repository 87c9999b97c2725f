/// The part of the operator's page that asks the manager, and acts on the operator's word.
extension OperatorPage {
  static let script = overview + actions + start

  private static let overview = #"""
    'use strict';
    // Kept for this tab, and sent to the manager only.
    let token = sessionStorage.getItem('service-token');
    // The latest overview, and the names of its users by id.
    let latest = null;
    let names = new Map();

    const nameOf = id => names.has(id) ? names.get(id).NAME + ' (' + id + ')' : String(id);
    const count = (number, what) => number + ' ' + what + (number === 1 ? '' : 's');

    function show(all) {
      const now = performance.now() / 1000;
      latest = all;
      names = new Map((all.NAMES || []).map(n => [n.USER_ID, n]));
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
      table('supervisors', [['Supervisor'], ['Customer'], ['Status'], ['Epoch', 'number'], ['Host'], ['Users'], ['Missing', 'number'], ['Actions', 'actions']],
        all.SUPERVISORS.map(s => [s.SESSION_SUPERVISOR_ID, [s.SESSION_SUPERVISOR_ID, customers.get(s.SESSION_SUPERVISOR_ID) || '–', s.STATUS, s.EPOCH, s.HOST || '–', s.LIST_USER_ID.map(nameOf).join(', ') || '–', s.DEMAND,
          () => [button('Transcript', 'Transcript of ' + s.SESSION_SUPERVISOR_ID, () => readTranscript(s.SESSION_SUPERVISOR_ID)),
            button('End…', 'End session ' + s.SESSION_SUPERVISOR_ID, () => endSession(s.SESSION_SUPERVISOR_ID))]]]));
      table('users', [['User'], ['Name'], ['Status'], ['Supervisor'], ['Connection', 'number'], ['Actions', 'actions']],
        all.USERS.filter(u => u.STATUS !== 'OFFLINE').slice(0, 200).map(u => [JSON.stringify(u.USER_ID), [u.USER_ID, names.has(u.USER_ID) ? names.get(u.USER_ID).NAME : '–', u.STATUS.toLowerCase(), u.SESSION_SUPERVISOR_ID || '–', u.CONNECTION,
          () => [button('Account', 'Account of user ' + u.USER_ID, () => showAccountOf(u.USER_ID))]]]));
      table('hosts', [['Host'], ['Last heartbeat (s ago)', 'number']], all.HOSTS.map(h => [h.HOST, [h.HOST, h.SECONDS_SINCE]]));
      table('queues', [['Queue'], ['Messages', 'number'], ['Change in a second', 'number'], ['Last two minutes'], ['Actions', 'actions']],
        all.QUEUES.map(q => [q.QUEUE, [q.QUEUE, q.MESSAGES, rate('queue ' + q.QUEUE), plot('queue ' + q.QUEUE),
          () => [button('Purge…', 'Purge queue ' + q.QUEUE, () => purge(q.QUEUE))]]]));
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

    """#

  private static let actions = #"""
    class Cancelled extends Error {}

    function keep(given) {
      token = given;
      sessionStorage.setItem('service-token', token);
    }

    // Asks for a token, until the operator gives one or cancels.
    function askToken(reason) {
      $('sign-in-error').textContent = reason;
      $('sign-in-token').value = '';
      $('sign-in').showModal();
      $('sign-in-token').focus();
      return new Promise((done, fail) => {
        $('sign-in').onclose = () => fail(new Cancelled());
        $('sign-in-no').onclick = () => $('sign-in').close();
        $('sign-in-form').onsubmit = event => {
          event.preventDefault();
          keep($('sign-in-token').value);
          $('sign-in-token').value = '';
          $('sign-in').onclose = null;
          $('sign-in').close();
          done();
        };
      });
    }

    // Sends a request of an operator, with the token in a field that no other page can set.
    async function post(path, body) {
      let reason = '';
      for (;;) {
        if (!token) await askToken(reason);
        const answer = await fetch('/operator/' + path, { method: 'POST', body: JSON.stringify(body),
          headers: { 'content-type': 'application/json', authorization: 'Bearer ' + token } });
        const value = await answer.json().catch(() => ({}));
        if (answer.ok) return value;
        const text = value.ERROR || 'the manager answers ' + answer.status;
        if (answer.status !== 401) throw new Error(text);
        reason = text;
        await askToken(reason);
      }
    }

    function tell(text, isBad) {
      $('notice').textContent = text;
      $('notice').className = isBad ? 'bad' : '';
    }

    // Runs what a button does. An error is shown.
    async function attempt(work) {
      tell('');
      try { await work(); } catch (error) { if (!(error instanceof Cancelled)) tell(error.message, true); }
    }

    // Asks whether to act, and says what will happen. If acting fails, the dialog shows the error.
    // `act` gets a new password if the operator has to give one.
    function confirmed(title, text, verb, act, needsPassword = false) {
      $('confirm-title').textContent = title;
      $('confirm-text').textContent = text;
      $('confirm-error').textContent = '';
      $('confirm-yes').textContent = verb;
      $('confirm-yes').disabled = false;
      $('confirm-password').hidden = !needsPassword;
      $('new-password').required = needsPassword;
      $('confirm').onclose = () => { $('new-password').value = ''; };
      $('confirm-no').onclick = () => $('confirm').close();
      $('confirm-form').onsubmit = async event => {
        event.preventDefault();
        $('confirm-yes').disabled = true;
        $('confirm-error').textContent = '';
        try {
          tell(await act($('new-password').value));
          $('confirm').close();
        } catch (error) {
          if (!(error instanceof Cancelled)) $('confirm-error').textContent = error.message;
        }
        $('confirm-yes').disabled = false;
      };
      $('confirm').showModal();
      $(needsPassword ? 'new-password' : 'confirm-no').focus();
    }

    const endSession = id => attempt(async () => {
      const trial = await post('sessions/end', { SESSION_SUPERVISOR_ID: id, dry_run: true });
      confirmed('End session ' + id + '?', 'It is ' + trial.SESSION_STATUS + '. Its customer and its supervisor are told, and ' + count(trial.USERS, 'user') + ' will be free. The transcript stays as long as ended sessions are kept.',
        'End session', async () => { await post('sessions/end', { SESSION_SUPERVISOR_ID: id }); return 'Session ' + id + ' has ended.'; });
    });

    const purge = queue => attempt(async () => {
      const trial = await post('queues/purge', { QUEUE: queue, dry_run: true });
      confirmed('Purge queue ' + queue + '?', count(trial.MESSAGES, 'ready message') + ' will be removed for good. Messages that a consumer holds stay.',
        'Purge', async () => 'Removed ' + count((await post('queues/purge', { QUEUE: queue })).MESSAGES, 'message') + ' from ' + queue + '.');
    });

    // The part of the dead letters that was read last.
    async function readLetters() {
      const answer = await post('dead-letters/list', {});
      const from = $('letters-queue').value;
      const queues = [...new Set(answer.LETTERS.map(l => l.QUEUE))].filter(queue => queue).sort();
      $('letters-queue').replaceChildren(new Option('all queues', ''), ...queues.map(queue => new Option(queue, queue)));
      $('letters-queue').value = queues.includes(from) ? from : '';
      $('letters-tools').hidden = $('letters-region').hidden = false;
      $('show-letters').textContent = 'Read again';
      $('letters-note').textContent = answer.MORE ? 'The first ' + answer.LETTERS.length + ' are shown, and ' + answer.MORE + ' more are there.' : count(answer.LETTERS.length, 'dead letter') + '.';
      $('letters').replaceChildren();
      table('letters', [['From queue'], ['Reason', 'wide'], ['Died in', 'wide'], ['Bytes', 'number'], ['Body', 'wide']], answer.LETTERS.map((l, index) => [index,
        [l.QUEUE || '–', l.REASON || '–', l.DEATHS.map(d => d.QUEUE + ': ' + d.REASON + ', ' + count(d.COUNT, 'time') + (d.TIME ? ', last ' + d.TIME : '')).join('\n') || '–', l.BYTES, l.BODY]]));
    }

    const outcomeText = answer => answer.OUTCOMES.map(o => count(o.MESSAGES, 'letter') + (o.QUEUE ? ' from ' + o.QUEUE : '') + ' ' + o.RESULT).join('; ') || 'no letter';

    const treatLetters = (verb, what, title) => attempt(async () => {
      const from = $('letters-queue').value ? { QUEUE: $('letters-queue').value } : {};
      const trial = await post('dead-letters/' + verb, { ...from, dry_run: true });
      confirmed(title, 'This is about the letters that are there now: ' + outcomeText(trial) + '. ' + what,
        verb === 'drop' ? 'Drop' : 'Replay', async () => { const done = outcomeText(await post('dead-letters/' + verb, from)); await readLetters(); return 'Done: ' + done + '.'; });
    });

    function readTranscript(id) {
      attempt(async () => {
        let after = 0;
        const more = async () => {
          const answer = await post('sessions/transcript', { SESSION_SUPERVISOR_ID: id, AFTER: after });
          answer.MESSAGES.forEach(m => {
            const line = document.createElement('li');
            line.append(cell('b', m.SEQ + '. ' + (m.FROM === 'CUSTOMER' ? 'customer' : nameOf(m.FROM)) + ': '), typeof m.MESSAGE === 'string' ? m.MESSAGE : JSON.stringify(m.MESSAGE));
            $('transcript-list').append(line);
            after = m.SEQ;
          });
          $('transcript-more').disabled = after >= answer.LAST_SEQ;
          $('transcript-note').textContent = answer.LAST_SEQ ? after + ' of ' + count(answer.LAST_SEQ, 'message') : 'The transcript is empty.';
        };
        $('transcript-list').replaceChildren();
        await more();
        $('transcript-title').textContent = 'Transcript of ' + id;
        $('transcript-more').onclick = () => more().catch(error => { $('transcript-note').textContent = error.message; });
        $('transcript-close').onclick = () => $('transcript').close();
        $('transcript').showModal();
        $('transcript-close').focus();
      });
    }

    const lookUp = (user, isFocused) => attempt(async () => {
      $('account').hidden = true;
      // A trial changes nothing, and its answer shows the account.
      const found = await post('users/revoke', { user, dry_run: true });
      const change = (verb, title, text, done) => button(verb + '…', verb + ' ' + found.username, () =>
        confirmed(title + ' ' + found.username + '?', found.email + '. ' + text, verb, async () => {
          await post('users/' + verb.toLowerCase(), { user: found.user_id });
          await lookUp(found.user_id, false);
          return found.username + ' ' + done + '.';
        }));
      const facts = document.createElement('dl');
      [['Name', found.username], ['Email', found.email], ['Id', found.user_id], ['Status', found.disabled ? 'disabled' : 'enabled'], ['Sessions', found.sessions_ended]]
        .forEach(([what, value]) => facts.append(cell('dt', what), cell('dd', value)));
      const line = document.createElement('div');
      line.className = 'line';
      const ends = 'Its tokens and ' + count(found.sessions_ended, 'session') + ' end, and their sockets close.';
      line.append(found.disabled ? change('Enable', 'Enable', 'It can log in again. Old tokens stay invalid.', 'is enabled')
        : change('Disable', 'Disable', 'It can log in no more. ' + ends + ' Its names stay taken.', 'is disabled'),
        change('Revoke', 'End the sessions of', ends + ' Its user has to log in again, everywhere.', 'has to log in again'),
        button('Set password…', 'Set the password of ' + found.username, () =>
          confirmed('Set the password of ' + found.username + '?', found.email + '. ' + ends, 'Set password', async password => {
            await post('users/set-password', { user: found.user_id, password });
            await lookUp(found.user_id, false);
            return found.username + ' has a new password.';
          }, true)));
      $('account').replaceChildren(facts, line);
      $('account').hidden = false;
      if (isFocused) $('account-title').focus();
    });

    const showAccountOf = user => attempt(async () => {
      if (!names.has(user)) throw new Error('The name of user ' + user + ' is not known. Look the account up by its name.');
      await lookUp(names.get(user).ACCOUNT_ID, true);
    });

    """#

  private static let start = #"""
    $('token').onsubmit = event => { event.preventDefault(); keep($('secret').value); $('secret').value = ''; };
    $('find-account').onsubmit = event => { event.preventDefault(); lookUp($('account-name').value, false); };
    $('show-letters').onclick = () => attempt(readLetters);
    $('replay-letters').onclick = () => treatLetters('replay', 'They are published again where they were published before. A service that still cannot read one sets it aside again.', 'Replay dead letters?');
    $('drop-letters').onclick = () => treatLetters('drop', 'They are removed for good.', 'Drop dead letters?');
    refresh();
    """#
}
