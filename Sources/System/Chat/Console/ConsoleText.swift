import Environment

/// The page and the style of the console. The script is in `ConsoleScript` and `ConsoleView`.
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
        <h1 id="title" tabindex="-1">Parley</h1>
        <span id="link" data-state="closed" role="status">offline</span>
        <button id="leave" class="quiet">Log out</button>
      </header>
      <div id="notice" role="alert"><span id="notice-text"></span><button id="dismiss" class="quiet" aria-label="Dismiss">×</button></div>
      <nav id="list" aria-label="Conversations">
        <ul id="people"></ul>
        <form id="add" class="row"><input id="add-name" placeholder="Add a contact" aria-label="Username" required><button>Add</button></form>
        <form id="group" class="row"><input id="group-name" placeholder="New group" aria-label="Name of the group" required maxlength="150"><button>Make</button></form>
      </nav>
      <main id="talk" aria-label="Conversation">
        <div id="tools"></div>
        <div id="scroll" role="log" aria-label="Messages" tabindex="0">
          <button id="older" class="quiet" hidden>Earlier messages</button>
          <ol id="messages"></ol>
        </div>
        <button id="newer" hidden>New messages ↓</button>
        <p id="typing" role="status"></p>
        <form id="write" class="row"><input id="text" autocomplete="off" placeholder="Write a message" aria-label="Message" maxlength="16000"><button>Send</button></form>
      </main>
    </div>
    </body>
    </html>
    """

  static let style = """
    :root { color-scheme: light dark; --ground: #fff; --ink: #1d2433; --soft: #535c6e; --line: #d9dee7; --edge: #788294; --panel: #f6f8fb; --accent: #0b57d0; --own: #dbe8fd; --good: #146c2e; --bad: #b3261e }
    @media (prefers-color-scheme: dark) { :root { --ground: #12161f; --ink: #e6e9f0; --soft: #b4bdcb; --line: #2c3446; --edge: #7b8799; --panel: #1a202c; --accent: #8ab4f8; --own: #21395f; --good: #81c995; --bad: #f2b8b5 } }
    * { box-sizing: border-box }
    [hidden] { display: none !important }
    body { margin: 0; font: 16px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground) }
    input, button { font: inherit; color: inherit; border: 1px solid var(--edge); border-radius: 8px; padding: .5rem .7rem; min-width: 0 }
    input { background: var(--ground); width: 100% }
    input::placeholder { color: var(--soft); opacity: 1 }
    input:disabled { border-style: dashed }
    button { flex: none; background: var(--accent); border-color: var(--accent); color: var(--ground); cursor: pointer; white-space: nowrap }
    button.quiet { background: none; color: var(--accent); border-color: transparent }
    :focus-visible { outline: 2px solid var(--accent); outline-offset: 1px }
    h1 { font-size: inherit; margin: 0 }
    h1:focus { outline: none }
    .row { display: flex; gap: .5rem }
    #door { max-width: 22rem; margin: 12vh auto; padding: 1rem }
    #door h1 { font-size: 2rem; margin-bottom: 1rem }
    #door label { display: block; margin-bottom: .8rem }
    #door-error, #notice { color: var(--bad); font-size: .9rem; overflow-wrap: anywhere }
    #door-error { min-height: 1.4em; margin: .3rem 0 }
    #app { display: grid; grid-template: "head head" auto "note note" auto "list talk" minmax(0, 1fr) / 19rem minmax(0, 1fr); height: 100dvh }
    header { grid-area: head }
    #notice { grid-area: note }
    #list { grid-area: list }
    #talk { grid-area: talk }
    header, #notice { display: flex; align-items: center; gap: .7rem; padding: .4rem .8rem; border-bottom: 1px solid var(--line) }
    #notice:has(#notice-text:empty) { display: none }
    #notice-text { flex: 1 }
    header h1 { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
    #link { font-size: .85rem; color: var(--bad) }
    #link[data-state=open] { color: var(--good) }
    #list { border-right: 1px solid var(--line); background: var(--panel); padding: .6rem; overflow: auto; display: flex; flex-direction: column; gap: .6rem }
    ul, ol { list-style: none; margin: 0; padding: 0 }
    #people li button { display: flex; width: 100%; gap: .6rem; align-items: center; background: none; border: 0; color: inherit; text-align: left; padding: .55rem .6rem }
    #people li button[aria-current=true] { background: var(--own) }
    #people .dot { width: .6rem; height: .6rem; border-radius: 50%; border: 2px solid var(--edge); flex: none }
    #people .dot.on { background: var(--good); border-color: var(--good) }
    #people .who { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
    #people .state { color: var(--soft); font-size: .8rem }
    #people .count { background: var(--accent); color: var(--ground); border-radius: 99px; font-size: .75rem; padding: 0 .45rem }
    #talk { display: flex; flex-direction: column; min-height: 0; padding: .6rem .8rem }
    #tools { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; color: var(--soft); font-size: .85rem }
    #tools input { width: auto; flex: 1; min-width: 9rem }
    #scroll { flex: 1; overflow: auto; position: relative; overflow-anchor: none }
    #older { display: block; margin: 0 auto }
    #newer { align-self: center; border-radius: 99px; padding: .25rem .9rem; margin-top: .3rem; font-size: .85rem }
    #messages { display: flex; flex-direction: column; gap: .35rem; padding: .5rem 0 }
    #messages .message { max-width: min(38rem, 85%); align-self: flex-start; background: var(--panel); border-radius: 12px; padding: .4rem .7rem; overflow-wrap: anywhere; white-space: pre-wrap }
    #messages .own { align-self: flex-end; background: var(--own) }
    #messages .unsent { background: none; border: 1px dashed var(--edge) }
    #messages .day { align-self: center; color: var(--soft); font-size: .8rem; padding: .3rem }
    #messages small { display: block; color: var(--soft); font-size: .72rem }
    #typing { color: var(--soft); font-size: .85rem; min-height: 1.3em; margin: 0 }
    @media (max-width: 44rem) {
      #app { grid-template: "head" auto "note" auto "main" minmax(0, 1fr) / minmax(0, 1fr) }
      #list, #talk { grid-area: main }
      #list { border-right: 0 }
      #app[data-view=list] #talk, #app[data-view=talk] #list { display: none }
    }
    """
}
