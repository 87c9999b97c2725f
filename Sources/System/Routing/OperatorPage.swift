/// The operator's page at `/` of the User Manager.
enum OperatorPage {
  static let routes: [Route] = [
    CommonRoutes.asset("/", "text/html", page), CommonRoutes.asset("/operator.js", "text/javascript", script),
    CommonRoutes.asset("/operator-tables.js", "text/javascript", tables),
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
    <script src="/operator-tables.js" defer></script>
    <script src="/operator.js" defer></script>
    </head>
    <body>
    <header><h1>User Manager</h1><span id="state" role="status">loading…</span></header>
    <main>
    <form id="token" hidden><label>Service token <input id="secret" type="password" autocomplete="off"></label><button>Show</button></form>
    <p id="notice" role="status"></p>
    <section id="numbers" aria-label="Summary"></section>
    <section><h2 id="supervisors-title">Supervisors</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="supervisors-title"><table id="supervisors"></table></div></section>
    <section><h2 id="users-title">Users</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="users-title"><table id="users"></table></div></section>
    <section aria-labelledby="account-title"><h2 id="account-title" tabindex="-1">Account</h2>
    <form id="find-account" class="line"><label>User id, name or email <input id="account-name" autocomplete="off" required maxlength="255"></label><button>Look up</button></form>
    <div id="account" hidden></div></section>
    <section><h2 id="hosts-title">Hosts</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="hosts-title"><table id="hosts"></table></div></section>
    <section><h2 id="queues-title">Queues</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="queues-title"><table id="queues"></table></div></section>
    <section><h2 id="letters-title">Dead letters</h2>
    <div class="line"><button id="show-letters">Show dead letters</button><span id="letters-tools" hidden>
    <label>From <select id="letters-queue"></select></label><button id="replay-letters">Replay…</button><button id="drop-letters">Drop…</button></span></div>
    <p id="letters-note"></p>
    <div class="scroll" id="letters-region" tabindex="0" role="region" aria-labelledby="letters-title" hidden><table id="letters"></table></div></section>
    </main>
    <dialog id="confirm" aria-labelledby="confirm-title" aria-describedby="confirm-text"><h2 id="confirm-title"></h2><form id="confirm-form"><p id="confirm-text"></p>
    <label id="confirm-password" hidden>New password <input id="new-password" type="password" autocomplete="new-password"></label>
    <p id="confirm-error" class="bad" role="alert"></p><div class="line"><button type="button" id="confirm-no">Cancel</button><button id="confirm-yes"></button></div></form></dialog>
    <dialog id="transcript" aria-labelledby="transcript-title"><h2 id="transcript-title"></h2><div class="scroll" tabindex="0" role="region" aria-labelledby="transcript-title"><ol id="transcript-list"></ol></div>
    <p id="transcript-note" role="status"></p><div class="line"><button id="transcript-more">More</button><button id="transcript-close">Close</button></div></dialog>
    <dialog id="sign-in" aria-labelledby="sign-in-title" aria-describedby="sign-in-text"><form id="sign-in-form"><h2 id="sign-in-title">Operators only</h2>
    <p id="sign-in-text">Give the service token. Without one, give the token in the file operator-manager.json of the data directory.</p>
    <p id="sign-in-error" class="bad" role="alert"></p>
    <label>Token <input id="sign-in-token" type="password" autocomplete="off" required></label><div class="line"><button type="button" id="sign-in-no">Cancel</button><button>Continue</button></div></form></dialog>
    <noscript>This page needs JavaScript; <a href="/docs">/docs</a> does not.</noscript>
    </body>
    </html>
    """

  private static let style = """
    :root { color-scheme: light dark; --ground: #fff; --ink: #1d2433; --soft: #667085; --line: #d9dee7; --edge: #7b8494; --panel: #f6f8fb; --accent: #0b57d0; --good: #188038; --bad: #b3261e }
    @media (prefers-color-scheme: dark) { :root { --ground: #12161f; --ink: #e6e9f0; --soft: #98a2b3; --line: #2c3446; --edge: #7f8aa0; --panel: #1a202c; --accent: #8ab4f8; --good: #81c995; --bad: #f2b8b5 } }
    [hidden] { display: none !important }
    body { margin: 0 auto; max-width: 76rem; padding: .8rem; font: 16px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground) }
    header { display: flex; align-items: baseline; gap: 1rem; flex-wrap: wrap }
    h1 { font-size: 1.3rem; margin: .3rem 0 }
    h2 { font-size: 1rem; margin: 1.2rem 0 .3rem }
    #state { color: var(--soft) }
    #state.good { color: var(--good) }
    #state.bad, .bad { color: var(--bad) }
    #notice { margin: .3rem 0; min-height: 1.45em }
    #numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem; margin-top: .6rem }
    #numbers div { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: .5rem .8rem }
    #numbers b { display: block; font-size: 1.5rem }
    #numbers span { color: var(--soft); font-size: .85rem }
    .scroll { overflow-x: auto }
    :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
    .scroll:focus-visible { outline-offset: -2px }
    .plot { display: block; width: 100%; height: 1.6rem; margin-top: .2rem }
    td .plot { width: 6rem; height: 1.2rem; margin: 0 }
    .plot polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke }
    table { border-collapse: collapse; width: 100%; font-size: .92rem }
    th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: baseline }
    th { color: var(--soft); font-weight: 500 }
    td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
    td.wide { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 14rem; max-width: 30rem }
    td button + button { margin-left: .4rem }
    .line { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin: .4rem 0 }
    #letters-tools { display: contents }
    input, button, select { font: inherit; padding: .4rem .6rem; border: 1px solid var(--edge); border-radius: 8px; background: var(--ground); color: inherit }
    input { max-width: 16rem; box-sizing: border-box }
    button { cursor: pointer }
    button:disabled { color: var(--soft); cursor: default }
    td button { padding: .1rem .5rem }
    dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .4rem 0 }
    dt { color: var(--soft) }
    dd { margin: 0; overflow-wrap: anywhere }
    dialog { color: inherit; background: var(--ground); border: 1px solid var(--edge); border-radius: 10px; padding: .4rem 1.2rem 1rem; width: min(34rem, calc(100vw - 4rem)); box-sizing: border-box }
    dialog::backdrop { background: #0008 }
    dialog p { margin: .4rem 0; overflow-wrap: anywhere }
    dialog .line { justify-content: flex-end }
    #transcript .scroll { max-height: 50vh; overflow-y: auto }
    #transcript-list { margin: 0; padding: 0; list-style: none }
    #transcript-list li { padding: .3rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; white-space: pre-wrap }
    #transcript-list b { font-weight: 600 }
    """
}
