/// The style of the page of a run.
enum DiagramStyle {
  static let text = """
    :root { color-scheme: light dark; --text: #222; --faint: #5a5a5a; --ground: #fff; --box: #f4f4f4; --edge: #ccc; --part: #8a8a8a;
      --message: #2456a6; --bad: #b93224; --good: #22693e; --warn: #a8700a; --hit: #c0125f; }
    @media (prefers-color-scheme: dark) { :root { --text: #e6e6e6; --faint: #a8a8a8; --ground: #161616; --box: #242424; --edge: #4a4a4a;
      --part: #8a8a8a; --message: #82b1ff; --bad: #ff8a7a; --good: #6fcf97; --warn: #f2c94c; --hit: #ff7ab2; } }
    * { box-sizing: border-box; } body { font: 14px/1.5 system-ui, sans-serif; margin: 1rem; color: var(--text); background: var(--ground); }
    h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: 1rem; } header p { margin: 0 0 .5rem; color: var(--faint); }
    nav { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: .5rem 0; }
    #filter { width: 18rem; max-width: 100%; } #frame { border: 1px solid var(--edge); overflow-y: auto; max-height: 34rem; cursor: grab; touch-action: pan-y; }
    #frame:focus-visible { outline: 2px solid var(--message); }
    svg { display: block; font: 11px system-ui, sans-serif; user-select: none; } #diagram { width: 100%; } #diagram text { fill: var(--text); }
    #story { max-height: 18rem; } pre { background: var(--box); padding: .75rem; overflow: auto; max-height: 30rem; font-size: 12px; white-space: pre-wrap; word-break: break-word; }
    main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem; }
    .slider { display: flex; gap: 1rem; margin: .5rem 0; } .slider input { flex: 1; min-width: 0; } #clock { min-width: 6rem; font-variant-numeric: tabular-nums; }
    #legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; margin: .5rem 0 0; padding: 0; font-size: 12px; }
    #legend li { display: flex; gap: .4rem; align-items: center; } #keys { margin: .25rem 0; font-size: 12px; color: var(--faint); }
    .lane { stroke: var(--edge); } .down { stroke: var(--bad); stroke-width: 5; opacity: .45; } .still { stroke: var(--warn); stroke-width: 5; opacity: .6; }
    .arrow { stroke: var(--message); stroke-width: 1.2; fill: none; cursor: pointer; } .arrow.part { stroke: var(--part); }
    .arrow.lost { stroke: var(--bad); stroke-dasharray: 4 3; } .arrow.open { stroke: var(--part); stroke-dasharray: 1 3; }
    .arrow.bundle { stroke-width: 2.2; } .arrow.back { stroke-dasharray: 7 2; }
    .arrow.hit, .mark.hit { stroke: var(--hit); stroke-width: 3; } .reach { stroke: transparent; stroke-width: 9; cursor: pointer; }
    .mark { cursor: pointer; } .fault { fill: var(--bad); } .boot { fill: var(--good); } .sync { fill: var(--part); } .log { fill: var(--warn); }
    .evidence { stroke: var(--hit); stroke-width: 1.5; stroke-dasharray: 2 2; } .now { stroke: var(--text); } .chance { stroke: var(--bad); stroke-width: 1.5; fill: none; } .decided { stroke: var(--bad); stroke-width: 1.5; } #diagram .label { fill: var(--faint); pointer-events: none; }
    table { border-collapse: collapse; font-size: 12px; } td { padding: 0 .75rem 0 0; vertical-align: top; word-break: break-word; } h3 { font-size: .9rem; margin: .5rem 0 0; }
    button, select, input { font: inherit; max-width: 100%; } .steps { border: 1px solid var(--edge); padding: .25rem .75rem .75rem; margin: .5rem 0; }
    .steps > * { margin: .4rem 0; } #here { font-variant-numeric: tabular-nums; font-weight: 600; } ol, ul { padding-left: 1.5rem; } ol.plain { list-style: none; padding: 0; font-size: 12px; }
    ol.plain li { padding: .1rem 0; word-break: break-word; } a { color: var(--message); } [aria-current] { font-weight: 700; border-left: 3px solid var(--hit); padding-left: .4rem; }
    #alive details { margin: .2rem 0; } #alive details details { margin-left: 1rem; } #alive summary { cursor: pointer; word-break: break-word; } .wide { overflow-x: auto; }
    .leaf { margin-left: 2rem; font-size: 12px; word-break: break-word; } ::placeholder { color: var(--faint); opacity: 1; } input { border-color: var(--part); } #trouble { color: var(--bad); } #when { width: 7rem; } section { min-width: 0; }
    """
}
