/// The console's page and style; the script stands in `ConsoleScript`.
enum ConsoleText {
  static let page = """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <title>Parley</title>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <link rel="stylesheet" href="/console.css">
    <script src="/console.js" defer></script>
    </head>
    <body>
    <noscript>This page needs JavaScript.</noscript>
    <main id="door">
      <h1>Parley</h1>
      <form id="login">
        <label>Name <input id="name" autocomplete="username" required maxlength="150"></label>
        <label>Password <input id="password" type="password" autocomplete="current-password" required minlength="8"></label>
        <p id="door-error" role="alert"></p>
        <div class="row"><button id="enter" type="submit">Log in</button><button id="join" type="button" class="quiet">Register</button></div>
      </form>
    </main>
    <div id="app" hidden>
      <header>
        <button id="back" class="quiet" aria-label="Back to the list" hidden>‹</button>
        <b id="title">Parley</b>
        <span id="link" data-state="closed" role="status">offline</span>
        <button id="leave" class="quiet">Log out</button>
      </header>
      <nav id="list" aria-label="Conversations">
        <ul id="people"></ul>
        <form id="add" class="row"><input id="add-name" placeholder="Add a contact" aria-label="Username" required><button>Add</button></form>
        <form id="group" class="row"><input id="group-name" placeholder="New group" aria-label="Name of the group" required maxlength="150"><button>Make</button></form>
        <p id="notice" role="alert"></p>
      </nav>
      <section id="talk" aria-label="Messages">
        <div id="tools"></div>
        <ol id="messages"></ol>
        <p id="typing" role="status"></p>
        <form id="write" class="row"><input id="text" autocomplete="off" placeholder="Write a message" aria-label="Message" maxlength="16000"><button>Send</button></form>
      </section>
    </div>
    </body>
    </html>
    """

  static let style = """
    :root { color-scheme: light dark; --ground: #fff; --ink: #1d2433; --soft: #667085; --line: #d9dee7; --panel: #f6f8fb; --accent: #0b57d0; --own: #dbe8fd; --good: #188038; --bad: #b3261e }
    @media (prefers-color-scheme: dark) { :root { --ground: #12161f; --ink: #e6e9f0; --soft: #98a2b3; --line: #2c3446; --panel: #1a202c; --accent: #8ab4f8; --own: #21395f; --good: #81c995; --bad: #f2b8b5 } }
    * { box-sizing: border-box }
    [hidden] { display: none !important }
    body { margin: 0; font: 16px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground) }
    input, button { font: inherit; color: inherit; border: 1px solid var(--line); border-radius: 8px; padding: .5rem .7rem; min-width: 0 }
    input { background: var(--ground); width: 100% }
    button { flex: none; background: var(--accent); border-color: var(--accent); color: var(--ground); cursor: pointer; white-space: nowrap }
    button.quiet { background: none; color: var(--accent); border-color: transparent }
    :focus-visible { outline: 2px solid var(--accent); outline-offset: 1px }
    .row { display: flex; gap: .5rem }
    #door { max-width: 22rem; margin: 12vh auto; padding: 1rem }
    #door label { display: block; margin-bottom: .8rem }
    #door-error, #notice { color: var(--bad); min-height: 1.4em; margin: .3rem 0; font-size: .9rem; overflow-wrap: anywhere }
    #app { display: grid; grid-template: auto minmax(0, 1fr) / 19rem minmax(0, 1fr); height: 100dvh }
    header { grid-column: 1 / -1; display: flex; align-items: center; gap: .7rem; padding: .4rem .8rem; border-bottom: 1px solid var(--line) }
    header b { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
    #link { font-size: .85rem; color: var(--bad) }
    #link[data-state=open] { color: var(--good) }
    #list { border-right: 1px solid var(--line); background: var(--panel); padding: .6rem; overflow: auto; display: flex; flex-direction: column; gap: .6rem }
    ul, ol { list-style: none; margin: 0; padding: 0 }
    #people li button { display: flex; width: 100%; gap: .6rem; align-items: center; background: none; border: 0; color: inherit; text-align: left; padding: .55rem .6rem }
    #people li button[aria-current=true] { background: var(--own) }
    #people .dot { width: .6rem; height: .6rem; border-radius: 50%; background: var(--line); flex: none }
    #people .dot.on { background: var(--good) }
    #people .who { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
    #people .state { color: var(--soft); font-size: .8rem }
    #people .count { background: var(--accent); color: var(--ground); border-radius: 99px; font-size: .75rem; padding: 0 .45rem }
    #talk { display: flex; flex-direction: column; min-height: 0; padding: .6rem .8rem }
    #tools { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; color: var(--soft); font-size: .85rem }
    #messages { flex: 1; overflow: auto; display: flex; flex-direction: column; gap: .35rem; padding: .5rem 0 }
    #messages li { max-width: min(38rem, 85%); align-self: flex-start; background: var(--panel); border-radius: 12px; padding: .4rem .7rem; overflow-wrap: anywhere; white-space: pre-wrap }
    #messages li.own { align-self: flex-end; background: var(--own) }
    #messages li.unsent { opacity: .6 }
    #messages small { display: block; color: var(--soft); font-size: .72rem }
    #typing { color: var(--soft); font-size: .85rem; min-height: 1.3em; margin: 0 }
    @media (max-width: 44rem) {
      #app { grid-template-columns: minmax(0, 1fr) }
      #list { border-right: 0 }
      #app[data-view=list] #talk, #app[data-view=talk] #list { display: none }
    }
    """
}
