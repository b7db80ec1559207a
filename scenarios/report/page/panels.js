/* The sections of the page, each drawn from the content and what is chosen. */

function clear(id) {
  const element = document.getElementById(id);
  element.replaceChildren();
  return element;
}

function columns(board, single) {
  const metrics = single ? [...new Set(board.standings.flatMap((one) => Object.keys(one.metrics)))].slice(0, 3) : [];
  const several = board.standings.some((one) => one.scenarios_in_all > 1);
  const rank = (one) => put(null, "span", {}, one.rank, one.best === one.worst ? "" : put(null, "small", {}, `${one.best} to ${one.worst}`));
  return [
    { id: "rank", title: "Rank", value: (one) => one.rank, show: rank },
    { id: "group", title: "Tie group", value: (one) => one.group },
    { id: "label", title: "Agent", name: true, value: (one) => one.label },
    { id: "score", title: "Score (IQM)", down: true, value: (one) => one.score, show: (one) => shownScore(one, board) },
    { id: "return", title: "Return", down: true, value: (one) => one.return_mean, show: (one) => short(one.return_mean), skip: !single },
    ...metrics.map((name) => ({ id: `metric.${name}`, title: name, down: true, value: (one) => one.metrics[name] ?? null,
      show: (one) => short(one.metrics[name]) })),
    { id: "scenarios", title: "Scenarios", down: true, value: (one) => one.scenarios, show: (one) => `${one.scenarios}/${one.scenarios_in_all}`, skip: !several },
    { id: "seeds", title: "Seeds", down: true, value: (one) => one.seeds },
    { id: "steps", title: "Steps", value: (one) => one.steps, show: (one) => short(one.steps) },
    { id: "time", title: "Time", value: (one) => one.seconds, show: (one) => duration(one.seconds) },
  ].filter((column) => !column.skip);
}

function shownScore(one, board) {
  if (one.score === null) return "";
  const ends = board.standings.flatMap((other) => [other.score, other.low, other.high]).filter((value) => value !== null);
  const told = put(null, "span", {}, bar(one.score, one.low, one.high, [Math.min(0, ...ends), Math.max(1, ...ends)]));
  told.append(fixed(one.score), put(null, "small", {}, one.low === null ? "no interval" : `${fixed(one.low)} to ${fixed(one.high)}`));
  return told;
}

/* Rows in the order of a column; what has no value comes last either way. */
function sorted(rows, column, down) {
  const order = (a, b) => {
    const x = column.value(a), y = column.value(b);
    if (x === null || y === null) return (x === null) - (y === null);
    return (typeof x === "string" ? x.localeCompare(y) : x - y) * (down ? -1 : 1);
  };
  return [...rows].sort(order);
}

function drawTable(table, columns, rows, chosen, onSort, each = () => ({})) {
  table.replaceChildren();
  const head = put(put(table, "thead"), "tr");
  for (const column of columns) {
    const own = chosen.column === column.id;
    const cell = put(head, "th", { scope: "col", class: column.name && "name", "aria-sort": own ? (chosen.down ? "descending" : "ascending") : "none" });
    put(cell, "button", { type: "button", "data-sort": column.id, onclick: () => onSort(column) }, column.title, own ? (chosen.down ? " ▼" : " ▲") : "");
  }
  const body = put(table, "tbody");
  for (const row of rows) {
    const line = put(body, "tr", each(row));
    for (const column of columns) {
      const shown = column.show ? column.show(row) : column.value(row);
      put(line, column.name ? "th" : "td", column.name ? { scope: "row", class: "name" } : {}, shown ?? "");
    }
  }
}

function drawProfile(rows) {
  const series = rows.filter((one) => one.profile).map((one) => ({ name: one.label, place: place(one.key), x: CONTENT.thresholds,
    y: one.profile[0], low: one.profile[1], high: one.profile[2] }));
  const figure = clear("profile");
  if (!series.length) return void put(figure, "p", {}, "No scores here.");
  const ends = [CONTENT.thresholds[0], CONTENT.thresholds[CONTENT.thresholds.length - 1]];
  lines(figure, series, { title: "Performance profile", x: "score", y: "share of runs above" }, { x: ends, y: [0, 1] });
}

function drawPairs(board, rows) {
  const table = clear("pairs"), at = rows.map((one) => board.standings.indexOf(one));
  const head = put(put(table, "thead"), "tr");
  put(head, "th", { class: "name", scope: "col" }, "beats →");
  rows.forEach((one) => put(head, "th", { scope: "col", class: "name" }, one.label));
  const body = put(table, "tbody");
  rows.forEach((one, i) => {
    const line = put(body, "tr");
    put(line, "th", { scope: "row", class: "name" }, one.label);
    rows.forEach((other, k) => {
      const told = board.pairs[at[i]][at[k]];
      if (!told) return void put(line, "td", {}, i === k ? "–" : "nothing in common");
      const cell = put(line, "td", { style: `background: rgba(var(--shade), ${(0.45 * Math.max(0, told[0] * 2 - 1)).toFixed(2)})` }, fixed(100 * told[0], 0));
      put(cell, "small", {}, told[1] === null ? "" : `${fixed(100 * told[1], 0)} to ${fixed(100 * told[2], 0)}`);
    });
  });
}

function drawSpread(rows) {
  const figure = clear("spread");
  const known = rows.filter((one) => one.percentiles).map((one) => ({ ...one, name: one.label, place: place(one.key) }));
  if (known.length) boxes(figure, known);
  else put(figure, "p", {}, "No scores here.");
}

function drawCurves(names, shown) {
  const choice = document.getElementById("curve"), known = names.filter((name) => CONTENT.curves[name]);
  const chosen = known.includes(state.curve) ? state.curve : known[0];
  choice.replaceChildren(...known.map((name) => put(null, "option", { value: name, selected: name === chosen }, name)));
  const axis = state.axis === "seconds" ? "seconds" : "steps";
  document.getElementById("axis").value = axis;
  const figure = clear("curves");
  const series = (CONTENT.curves[chosen] || []).filter((one) => shown(one)).map((one) => ({ name: one.label, place: place(one.key),
    x: one[axis].x, y: one[axis].mean, low: one.seeds > 1 ? one[axis].low : null, high: one.seeds > 1 ? one[axis].high : null }));
  if (!series.length) return void put(figure, "p", {}, "No run of these learned.");
  lines(figure, series, { title: `Learning curves of ${chosen}`, x: axis === "steps" ? "environment steps" : "seconds of training", y: "return" });
}

function drawAdaptations(names, shown) {
  const choice = document.getElementById("trial"), known = names.filter((name) => CONTENT.adaptations[name]);
  document.getElementById("adaptation").hidden = !known.length;
  const chosen = known.includes(state.trial) ? state.trial : known[0];
  choice.replaceChildren(...known.map((name) => put(null, "option", { value: name, selected: name === chosen }, name)));
  const figure = clear("trials");
  const series = (CONTENT.adaptations[chosen] || []).filter((one) => shown(one)).map((one) => ({ name: one.label, place: place(one.key),
    x: one.x, y: one.mean, low: one.seeds > 1 ? one.low : null, high: one.seeds > 1 ? one.high : null }));
  if (series.length) lines(figure, series, { title: `Adaptation on ${chosen}`, x: "episode of the trial", y: "return" });
}

function drawCapabilities(shown) {
  const tags = [...new Set(CONTENT.scenarios.flatMap((one) => one.tags))].sort();
  const boards = tags.map((tag) => boardOf(matching({ capability: tag })));
  const value = (board, key) => (board.standings.find((one) => one.key === key) || { score: null }).score;
  const agents = AGENTS.filter(shown).map((one) => ({ ...one, name: one.label, place: place(one.key), values: boards.map((board) => value(board, one.key)) }));
  const known = agents.filter((one) => one.values.some((at) => at !== null));
  const figure = clear("radar"), table = clear("capabilities");
  if (!known.length) return void put(figure, "p", {}, "No scores here.");
  if (tags.length > 2) radar(figure, tags, known.slice(0, 6));
  const columns = [{ id: "label", title: "Agent", name: true, value: (one) => one.label },
    ...tags.map((tag, k) => ({ id: tag, title: tag, down: true, value: (one) => one.values[k], show: (one) => fixed(one.values[k], 2) }))];
  const chosen = columns.find((one) => one.id === SORTS.capabilities.column) || columns[0];
  drawTable(table, columns, sorted(known, chosen, SORTS.capabilities.down), SORTS.capabilities, (column) => resort("capabilities", column));
}

function drawRuns(names, shown) {
  const rows = CONTENT.runs.filter((run) => names.includes(run.scenario) && shown(run));
  const link = (run) => put(null, "a", { href: hashOf({ ...state, run: run.run_id }) }, run.run_id);
  const columns = [
    { id: "run", title: "Run", name: true, value: (run) => run.run_id, show: link },
    { id: "scenario", title: "Scenario", name: true, value: (run) => run.scenario },
    { id: "label", title: "Agent", name: true, value: (run) => run.label || run.agent },
    { id: "seed", title: "Seed", value: (run) => run.seed },
    { id: "score", title: "Score", down: true, value: (run) => run.score, show: (run) => fixed(run.score) },
    { id: "return", title: "Return", down: true, value: (run) => run.return_mean, show: (run) => short(run.return_mean) },
    { id: "steps", title: "Steps", value: (run) => run.steps, show: (run) => short(run.steps) },
    { id: "time", title: "Time", value: (run) => run.seconds, show: (run) => duration(run.seconds) },
    { id: "film", title: "Film", value: (run) => (run.film ? 0 : 1), show: (run) => (run.film ? "yes" : "") },
    { id: "finished", title: "Finished", down: true, value: (run) => run.finished_at, show: (run) => run.finished_at.slice(0, 16).replace("T", " ") },
  ];
  const chosen = columns.find((one) => one.id === SORTS.runs.column);
  const mark = (run) => (run.run_id === state.run ? { class: "chosen" } : {});
  drawTable(document.getElementById("runs"), columns, sorted(rows, chosen, SORTS.runs.down), SORTS.runs, (column) => resort("runs", column), mark);
}

function drawRun() {
  const panel = clear("run"), run = CONTENT.runs.find((one) => one.run_id === state.run);
  panel.hidden = !run;
  if (!run) return;
  put(panel, "h3", {}, `Run ${run.run_id}: ${run.label || run.agent} on ${run.scenario}, seed ${run.seed}`);
  if (run.film) {
    put(panel, "video", { src: run.film, controls: true, preload: "metadata", muted: true, "aria-label": `Film of episodes that run ${run.run_id} was scored with` });
  } else if (run.unfilmed) put(panel, "p", { class: "quiet" }, `Not filmed: ${run.unfilmed}`);
  if (run.inspection.length) {
    put(panel, "h4", {}, "Seeing inside");
    for (const one of run.inspection) {
      const shown = put(put(panel, "details"), "summary", {}, one.title).parentNode;
      put(shown, "img", { src: one.file, alt: `Of run ${run.run_id}: ${one.title}`, loading: "lazy", style: "max-width: 100%" });
    }
  }
  const told = put(panel, "dl");
  const tell = (name, value) => value && (put(told, "dt", {}, name), put(told, "dd", {}, value));
  tell("Score", fixed(run.score));
  tell("Return", run.return_mean === null ? "" : `${short(run.return_mean)} (deviation ${short(run.return_std)}) over ${run.episodes} episodes`);
  for (const [name, value] of Object.entries(run.metrics)) tell(name, short(value));
  tell("Training", `${run.steps.toLocaleString("en")} steps in ${duration(run.seconds)}`);
  tell("Finished", run.finished_at);
  tell("Version", run.version);
  tell("Device", run.device);
  tell("Hardware", run.hardware);
  tell("Folder", run.folder);
  tell("Configuration", run.configuration);
  if (run.command) {
    put(panel, "h3", {}, "Train it again");
    if (run.sheet) put(panel, "p", { class: "quiet" }, "In the folder of this page, which holds the scenario's file:");
    put(panel, "pre", { tabindex: 0 }, run.command);
  }
  if (run.config) {
    put(panel, "h3", {}, "Settings");
    put(panel, "pre", { tabindex: 0 }, JSON.stringify({ agent: run.config, environment: run.options }, null, 1));
  }
}
