/* What is chosen stands in the address behind the "#"; every change of it draws the page anew. */

const CONTENT = JSON.parse(document.getElementById("content").textContent);
const AGENTS = [];
const FIELDS = ["family", "capability", "scenario", "agent", "theme"];
const SORTS = { capabilities: { column: "label", down: false }, runs: { column: "finished", down: true } };
let state = {};

function hashOf(wanted) {
  const known = Object.entries(wanted).filter(([, value]) => value);
  return `#${new URLSearchParams(known)}`;
}

function read() {
  state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function choose(changes) {
  read(); // the event of an earlier change may still be on its way
  const hash = hashOf({ ...state, ...changes });
  if (hash === location.hash) draw();
  else location.hash = hash;
}

function matching({ family, capability, scenario }) {
  const fits = (one) => (!family || one.family === family) && (!capability || one.tags.includes(capability)) && (!scenario || one.name === scenario);
  return CONTENT.scenarios.filter(fits).map((one) => one.name);
}

function boardOf(names) {
  const all = CONTENT.scenarios.map((one) => one.name);
  return CONTENT.boards[names.map((name) => all.indexOf(name)).join(",")] || { standings: [], pairs: [] };
}

function place(key) {
  const found = AGENTS.findIndex((one) => one.key === key);
  return found < 0 ? AGENTS.length : found;
}

function resort(table, column) {
  const own = SORTS[table];
  SORTS[table] = { column: column.id, down: own.column === column.id ? !own.down : Boolean(column.down) };
  draw();
  document.querySelector(`#${table} [data-sort="${CSS.escape(column.id)}"]`).focus();
}

function fill(id, values, first) {
  const select = document.getElementById(id);
  const options = values.map((value) => put(null, "option", { value, selected: state[id] === value }, value));
  select.replaceChildren(put(null, "option", { value: "" }, first), ...options);
}

function drawFilters() {
  const unique = (values) => [...new Set(values)].sort();
  fill("family", unique(CONTENT.scenarios.map((one) => one.family)), "all");
  fill("capability", unique(CONTENT.scenarios.flatMap((one) => one.tags)), "all");
  fill("scenario", matching({ family: state.family, capability: state.capability }), "all together");
  for (const id of ["agent", "theme"]) {
    const input = document.getElementById(id);
    if (input.value !== (state[id] || "")) input.value = state[id] || "";
  }
  if (state.theme) document.documentElement.dataset.theme = state.theme;
  else delete document.documentElement.dataset.theme;
}

function drawLegend(left, off) {
  const legend = document.getElementById("legend"), had = document.activeElement?.dataset.key;
  legend.replaceChildren();
  for (const one of AGENTS.filter(left)) {
    const toggle = () => choose({ off: (off.includes(one.key) ? off.filter((key) => key !== one.key) : [...off, one.key]).join("\t") });
    const button = put(legend, "button", { type: "button", "aria-pressed": String(!off.includes(one.key)), "data-key": one.key,
      title: "Show or hide in the charts", onclick: toggle }, sample(place(one.key)), one.label);
    if (one.key === had) button.focus();
  }
}

function draw() {
  read();
  if (state.scenario && !matching(state).length) state.scenario = "";
  drawFilters();
  const names = matching(state), board = boardOf(names), single = names.length === 1;
  const wanted = (state.agent || "").toLowerCase(), off = (state.off || "").split("\t").filter(Boolean);
  const left = (one) => (one.label || one.agent).toLowerCase().includes(wanted);
  const shown = (one) => left(one) && !off.includes(one.key);
  const table = columns(board, single), column = table.find((one) => one.id === state.sort) || table[0];
  const chosen = { column: column.id, down: state.sort === column.id ? state.down === "1" : false };
  const rows = sorted(board.standings.filter(left), column, chosen.down);
  const onSort = (one) => {
    choose({ sort: one.id, down: (chosen.column === one.id ? !chosen.down : one.down) ? "1" : "" });
    requestAnimationFrame(() => document.querySelector(`#standings [data-sort="${CSS.escape(one.id)}"]`)?.focus());
  };
  let before = null;
  const border = (one) => {
    const first = column.id === "rank" && before !== null && before !== one.group;
    before = one.group;
    return first ? { class: "first" } : {};
  };
  drawTable(document.getElementById("standings"), table, rows, chosen, onSort, border);
  const about = single ? CONTENT.scenarios.find((one) => one.name === names[0]) : null;
  const over = about ? `${about.title}. ${about.description}` : `over ${names.length} scenarios`;
  document.getElementById("told").textContent = `${rows.length} ${rows.length === 1 ? "standing" : "standings"}: ${over}`;
  drawLegend(left, off);
  const inCharts = board.standings.filter(shown);
  drawProfile(inCharts);
  drawPairs(board, inCharts);
  drawSpread(inCharts);
  drawCurves(names, shown);
  drawAdaptations(names, shown);
  drawCapabilities(shown);
  drawRuns(names, left);
  drawRun();
}

function begin() {
  const all = boardOf(CONTENT.scenarios.map((one) => one.name)).standings;
  const known = [...all, ...CONTENT.runs];
  for (const one of known) if (!AGENTS.some((other) => other.key === one.key)) AGENTS.push({ key: one.key, label: one.label || one.agent });
  const made = new Date(CONTENT.made).toISOString().slice(0, 16).replace("T", " ");
  document.getElementById("made").textContent = `${CONTENT.runs.length} runs of ${AGENTS.length} agents on ${CONTENT.scenarios.length} scenarios, written ${made} UTC by version ${CONTENT.version}`;
  for (const id of FIELDS) document.getElementById(id).addEventListener("input", (event) => choose({ [id]: event.target.value }));
  document.getElementById("curve").addEventListener("input", (event) => choose({ curve: event.target.value }));
  document.getElementById("trial").addEventListener("input", (event) => choose({ trial: event.target.value }));
  document.getElementById("axis").addEventListener("input", (event) => choose({ axis: event.target.value }));
  const form = document.getElementById("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    choose({ ...Object.fromEntries(FIELDS.map((id) => [id, ""])), off: "", sort: "", down: "" });
  });
  const target = document.getElementById("leaderboard");
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    target.focus();
  });
  let run = null;
  const onHash = () => {
    draw();
    if (state.run && state.run !== run) {
      document.getElementById("run").focus();
      document.getElementById("run").scrollIntoView();
    }
    run = state.run;
  };
  window.addEventListener("hashchange", onHash);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) draw();
    width = window.innerWidth;
  });
  onHash();
}

window.addEventListener("error", (event) => {
  const told = document.getElementById("broken") || put(document.body, "p", { id: "broken", role: "alert" });
  told.textContent = `This page is broken: ${event.message}`;
});
begin();
